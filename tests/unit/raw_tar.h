#ifndef RAW_TAR_H
#define RAW_TAR_H

/* Tar archives for tests, block by block: also those that no tar program writes. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* Sets the checksum of the header at the given place. */
static inline void
raw_sum(struct buf *b, size_t at)
{
	uint8_t *h = b->data + b->head + at;
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	(void)snprintf((char *)h + 148, 8, "%06o", sum & 0777777);
}

/* A ustar header; returns where it stands. */
static inline size_t
raw_header(struct buf *b, char type, const char *name, const char *link, size_t size)
{
	size_t at = buf_len(b);
	char *h = (char *)buf_reserve(b, 512);

	memset(h, 0, 512);
	memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
	memcpy(h + 157, link, strlen(link) < 100 ? strlen(link) : 100);
	memcpy(h + 100, "0000644", 7);
	memcpy(h + 108, "0000000", 7);
	memcpy(h + 116, "0000000", 7);
	(void)snprintf(h + 124, 12, "%011lo", (unsigned long)size);
	memcpy(h + 136, "00000000017", 11);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	buf_commit(b, 512);
	raw_sum(b, at);
	return at;
}

static inline void
raw_data(struct buf *b, const void *bytes, size_t len)
{
	buf_add(b, bytes, len);
	memset(buf_reserve(b, 512), 0, 512);
	buf_commit(b, -len & 511);
}

static inline void
raw_entry(struct buf *b, char type, const char *name, const char *link)
{
	(void)raw_header(b, type, name, link, 0);
}

static inline void
raw_file(struct buf *b, const char *name, const char *text)
{
	(void)raw_header(b, '0', name, "", strlen(text));
	raw_data(b, text, strlen(text));
}

/* An extended header: 'x' or 'g' with records as they are, 'L' or 'K' with a name. */
static inline void
raw_extended(struct buf *b, char type, const void *bytes, size_t len)
{
	(void)raw_header(b, type, "ext", "", len);
	raw_data(b, bytes, len);
}

/* "key=value" as a PAX header of its own; binary values by length. */
static inline void
raw_pax(struct buf *b, const char *key, const void *value, size_t len)
{
	struct buf r = { 0 };
	size_t n = strlen(key) + len + 3;

	n += n + 1 < 10 ? 1 : n + 2 < 100 ? 2 : n + 3 < 1000 ? 3 : 4;
	buf_printf(&r, "%zu %s=", n, key);
	buf_add(&r, value, len);
	buf_add(&r, "\n", 1);
	raw_extended(b, 'x', buf_ptr(&r), buf_len(&r));
	buf_done(&r);
}

static inline void
raw_zeros(struct buf *b, size_t blocks)
{
	for (; blocks > 0; blocks--) {
		memset(buf_reserve(b, 512), 0, 512);
		buf_commit(b, 512);
	}
}

/* Makes every block that looks like a header one whose checksum fits: a fuzzer does not guess them. */
static inline void
raw_fix_sums(struct buf *b)
{
	for (size_t at = 0; at + 512 <= buf_len(b); at += 512)
		if (memcmp(buf_ptr(b) + at + 257, "ustar", 5) == 0)
			raw_sum(b, at);
}

#endif
