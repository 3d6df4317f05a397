#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

/*
 * A byte queue in one piece of memory: bytes are added at the tail and dropped
 * at the head. It grows as asked and does not limit itself: whoever fills it
 * from a peer checks its own cap first. A zeroed struct is an empty buffer.
 * Memory that is given back, or left for a larger piece, is wiped: credentials
 * pass through buffers, and nobody has to know through which.
 */
struct buf {
	uint8_t *data;
	size_t head; /* first byte held */
	size_t tail; /* one past the last byte held */
	size_t cap;
};

static inline size_t
buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline const uint8_t *
buf_ptr(const struct buf *b)
{
	return b->head == 0 ? b->data : b->data + b->head; /* no arithmetic on NULL */
}

/* Room for n bytes at the tail, valid until the next call on b; then buf_commit() what was written. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drops n bytes (at most buf_len) at the head. */
void buf_drop(struct buf *b, size_t n);

/* The held bytes with a NUL behind them (not counted): for text parsers. */
const char *buf_text(struct buf *b);

/* Moves up to n bytes from one to the other; returns how many. */
size_t buf_move(struct buf *from, struct buf *to, size_t n);

void buf_clear(struct buf *b); /* keeps the memory */
void buf_done(struct buf *b);  /* gives the memory back; b may be used again */

#endif
