#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

struct err;

/*
 * Strict JSON over jansson: one value, no duplicate keys, no NUL in strings
 * (jansson's default), nothing behind it. References are jansson's: what a
 * function returns as `json_t *` new is the caller's to json_decref().
 */

/* Parses len bytes; NULL with e saying line and column. Caller owns the result. */
json_t *json_parse(const void *text, size_t len, struct err *e);

/* Reads and parses a file of at most max bytes. Caller owns the result. */
json_t *json_read(const char *path, size_t max, struct err *e);

/* Writes the value, compact and with a newline, as fs_replace() does. */
int json_write(const char *path, const json_t *value, mode_t mode, struct err *e);

/* Compact text, keys in insertion order, ASCII only when `ascii`. Caller frees. */
char *json_text(const json_t *value, int ascii);

/* Borrowed member or fallback: never fails. */
const char *json_str(const json_t *object, const char *key, const char *fallback);
json_int_t json_num(const json_t *object, const char *key, json_int_t fallback);

#endif
