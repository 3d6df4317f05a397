#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

struct buf;

/* base64 of RFC 4648 section 4, with padding. */
void base64_add(struct buf *out, const void *bytes, size_t len);

/* Strict: only what base64_add() would have written for the same bytes; else -1, and out is as it was. */
int base64_read(const char *text, size_t len, struct buf *out);

#endif
