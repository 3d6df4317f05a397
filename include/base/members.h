#ifndef BASE_MEMBERS_H
#define BASE_MEMBERS_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * The members of a JSON object, printed one after the other as one line of ASCII: "\"a\":1,\"b\":\"x\"". For
 * records that are made often: nothing is allocated but the buffer, once. Keys are our own words, unescaped.
 */

/* Printable ASCII with \xNN for all else, as log_quote() makes it of a peer's bytes; NULL is null. */
void members_quoted(struct buf *b, const char *key, const char *bytes, size_t len);

/* Text in UTF-8; NULL is null, what is not UTF-8 is quoted. */
void members_text(struct buf *b, const char *key, const char *text);

void members_number(struct buf *b, const char *key, int64_t value);
void members_word(struct buf *b, const char *key, const char *word); /* true, false, null */
void members_json(struct buf *b, const char *key, const json_t *value);

/* key:[ ... ] or key:{ ... }, with what is printed between the two calls; key NULL: inside of a list. */
void members_open(struct buf *b, const char *key, char bracket);
void members_close(struct buf *b, char bracket);

#endif
