#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

uint8_t *
buf_reserve(struct buf *b, size_t n)
{
	size_t len = buf_len(b), want;

	if (len == 0)
		b->head = b->tail = 0;
	if (b->cap - b->tail >= n && b->data != NULL)
		return b->data + b->tail;
	if (b->head > 0 && b->cap - len >= n && b->head >= len) {
		memcpy(b->data, b->data + b->head, len); /* cheap: no overlap, and at most half of cap */
	} else {
		want = b->cap ? b->cap : n > 256 ? n : 256; /* the first time: as asked */
		while (want - len < n)
			want *= 2;
		if (want == b->cap) {
			memmove(b->data, b->data + b->head, len);
		} else {
			uint8_t *grown = mem_grow(NULL, 1, want);

			if (len > 0)
				memcpy(grown, b->data + b->head, len);
			mem_wipe(b->data, b->cap);
			free(b->data);
			b->data = grown;
			b->cap = want;
		}
	}
	b->head = 0;
	b->tail = len;
	return b->data + b->tail;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(b->cap - b->tail >= n);
	b->tail += n;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_reserve(b, len), bytes, len);
	b->tail += len;
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	if ((size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->tail += (size_t)n;
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

const char *
buf_text(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
	return (const char *)buf_ptr(b);
}

size_t
buf_move(struct buf *from, struct buf *to, size_t n)
{
	if (n > buf_len(from))
		n = buf_len(from);
	buf_add(to, buf_ptr(from), n);
	buf_drop(from, n);
	return n;
}

void
buf_clear(struct buf *b)
{
	b->head = b->tail = 0;
}

void
buf_done(struct buf *b)
{
	mem_wipe(b->data, b->cap);
	free(b->data);
	*b = (struct buf){ 0 };
}
