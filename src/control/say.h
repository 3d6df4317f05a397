#ifndef SAY_H
#define SAY_H

#include <jansson.h>

struct buf;
struct err;

/* The answers of the control API, as bytes at the end of tx. Pure. */

/* A JSON value and a newline; 204 has no body, NULL is an empty object. */
void say_json(struct buf *tx, unsigned minor, int keep, unsigned status, const json_t *value);

/* {"message", "rule"} with the error's status, 500 when it has none. */
void say_error(struct buf *tx, unsigned minor, int keep, const struct err *e);

/* 200 with Prometheus text. */
void say_text(struct buf *tx, unsigned minor, int keep, const char *text);

#endif
