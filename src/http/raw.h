#ifndef HTTP_RAW_H
#define HTTP_RAW_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * The raw bytes of a head, before a parser reads them: http-parser and the
 * engine both repair things (bare LF, folding, "name :", leading CRLF; threats.md
 * A.5.2) and not the same ones. Internal to this floor; pure.
 */
enum raw_kind { RAW_REQUEST, RAW_RESPONSE };

/*
 * Looks for the end of the head: 0 and *used, 1 for more bytes, -1 for what can
 * never become one. It only hops from line to line, so that a head that arrives
 * one byte at a time stays cheap.
 */
int raw_find(enum raw_kind kind, const uint8_t *bytes, size_t len, size_t *used, struct err *e);

/* Checks every byte of a whole head. */
int raw_check(enum raw_kind kind, const uint8_t *head, size_t len, struct err *e);

#endif
