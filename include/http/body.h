#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "http/head.h"

struct buf;
struct err;

/*
 * Body framing. The decoder walks the framing in place: it hands out spans of
 * payload inside the caller's bytes and copies nothing. Chunk lines are
 * 1*8HEX CRLF, no extensions, no trailers: anything else is an error (RFC 9112
 * 7.1 allows more; the engine reads some of it differently, threats.md A.5.3).
 * Responses of an engine are held to the same, except that chunk extensions
 * and trailers there are an error too. Pure.
 */
struct body {
	enum http_framing framing;
	uint64_t left; /* of the count, or of the current chunk */
	int state;
	int ended; /* the last byte of the message has been walked */
	uint32_t size;
	unsigned digits;
};

void body_init(struct body *b, enum http_framing framing, uint64_t length);

/*
 * Walks up to len bytes. *used is how many were walked; *data and *size give
 * the payload span among them (size 0: only framing was walked). Call again
 * for the rest. Returns 0, or -1 with e->status 400. For HTTP_BODY_TO_EOF the
 * caller decides about the end.
 */
int body_walk(struct body *b, const uint8_t *bytes, size_t len, size_t *used, const uint8_t **data,
    size_t *size, struct err *e);

/* Appends bytes as one chunk (nothing when len is 0: that would end the body); the last chunk. */
void body_put_chunk(struct buf *out, const void *bytes, size_t len);
void body_put_end(struct buf *out);

#endif
