#ifndef BENCH_BODIES_H
#define BENCH_BODIES_H

/*
 * A large chunked body that is not held: a start, the same chunks of 32 KiB again and again, an end. Both the
 * context that is sent up and the image that is sent down are tarballs of a few small files and a large one.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 32 * 1024,          /* as Docker's client and engine write them: io.Copy's buffer */
	CHUNK_WIRE = 6 + CHUNK + 2, /* "8000\r\n" and CRLF */
	CHUNKS_HELD = 32,
	BLOCK = 512,
};

struct body {
	char start[8192];
	size_t start_len;
	uint64_t middle; /* bytes of all chunks */
	char *chunks;
	char end[5 + 2 * BLOCK + 7]; /* the archive's end as a chunk, the last chunk */
};

static inline void
tar_head(char h[BLOCK], const char *name, uint64_t size)
{
	unsigned sum = 0;

	memset(h, 0, BLOCK);
	(void)snprintf(h, 100, "%s", name);
	memcpy(h + 100, "0000644\0000000000\0000000000", 24);
	(void)snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
	memcpy(h + 136, "00000000000\000        0", 21);
	memcpy(h + 257, "ustar\00000", 8);
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
}

/* Appends a file; without data only its head. */
static inline void
add_file(char *to, size_t *len, const char *name, uint64_t size, const char *data)
{
	tar_head(to + *len, name, size);
	*len += BLOCK;
	if (data == NULL)
		return;
	memset(to + *len, 0, (size + BLOCK - 1) / BLOCK * BLOCK);
	memcpy(to + *len, data, size);
	*len += (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* head: of the message; files: what comes before the large file's data. */
static inline void
body_make(struct body *b, const char *head, const char *files, size_t files_len, uint64_t mib)
{
	b->start_len = (size_t)snprintf(b->start, sizeof b->start, "%s%zx\r\n", head, files_len);
	memcpy(b->start + b->start_len, files, files_len);
	memcpy(b->start + b->start_len + files_len, "\r\n", 2);
	b->start_len += files_len + 2;
	b->middle = (mib << 20) / CHUNK * CHUNK_WIRE;
	b->chunks = calloc(CHUNKS_HELD, CHUNK_WIRE);
	for (int i = 0; i < CHUNKS_HELD; i++) {
		char *c = b->chunks + i * CHUNK_WIRE;

		memcpy(c, "8000\r\n", 6);
		for (int k = 0; k < CHUNK; k++)
			c[6 + k] = (char)(k * 13 + i);
		memcpy(c + CHUNK_WIRE - 2, "\r\n", 2);
	}
	memset(b->end, 0, sizeof b->end);
	memcpy(b->end, "400\r\n", 5);
	memcpy(b->end + 5 + 2 * BLOCK, "\r\n0\r\n\r\n", 7);
}

static inline uint64_t
body_size(const struct body *b)
{
	return b->start_len + b->middle + sizeof b->end;
}

/* What lies at `at`. */
static inline const char *
body_piece(const struct body *b, uint64_t at, size_t *len)
{
	uint64_t left;
	size_t from;

	if (at < b->start_len) {
		*len = b->start_len - at;
		return b->start + at;
	}
	at -= b->start_len;
	if (at >= b->middle) {
		*len = sizeof b->end - (at - b->middle);
		return b->end + (at - b->middle);
	}
	from = at % (CHUNKS_HELD * CHUNK_WIRE);
	left = b->middle - at;
	*len = CHUNKS_HELD * CHUNK_WIRE - from;
	if (*len > left)
		*len = left;
	return b->chunks + from;
}

#endif
