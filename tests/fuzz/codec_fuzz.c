/*
 * Any bytes as a compressed stream, cut as the first byte says: the same outcome as in one piece, never
 * more than the cap; and the same bytes through each writer and back.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "archive/codec.h"
#include "base/buf.h"
#include "base/err.h"

enum { CAP = 1 << 20, ALL = CODEC_GZIP | CODEC_BZIP2 | CODEC_XZ | CODEC_ZSTD | CODEC_LZ4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes ownership of the filter. */
static int
run(struct filter *f, const uint8_t *bytes, size_t size, size_t piece, struct buf *out)
{
	struct buf in = { 0 }, part = { 0 };
	size_t given = 0, n;
	struct err e = { 0 };
	int rc;

	do {
		n = size - given < piece ? size - given : piece;
		buf_add(&in, bytes + given, n);
		given += n;
		rc = f->run(f, &in, given == size, &part, piece, &e);
		assert(buf_len(&part) < piece + 65536 + 64);
		n = buf_move(&part, out, buf_len(&part));
	} while (rc == FILTER_MORE && (given < size || buf_len(&in) > 0 || n > 0));
	assert(rc != FILTER_MORE && (rc == FILTER_DONE || e.status == 400 || e.status == 413));
	filter_free(f);
	buf_done(&in);
	buf_done(&part);
	return rc;
}

static int
same(const struct buf *a, const void *bytes, size_t len)
{
	return buf_len(a) == len && (len == 0 || memcmp(buf_ptr(a), bytes, len) == 0);
}

static void
through(enum codec kind, const uint8_t *data, size_t size, size_t piece)
{
	struct buf once = { 0 }, cut = { 0 }, back = { 0 };

	run(codec_writer_new(kind, 1), data, size, size + 1, &once);
	run(codec_writer_new(kind, 1), data, size, piece, &cut);
	assert(same(&cut, buf_ptr(&once), buf_len(&once)));
	assert(
	    run(codec_reader_new(kind, 0, NULL), buf_ptr(&cut), buf_len(&cut), piece, &back) == FILTER_DONE);
	assert(same(&back, data, size));
	buf_done(&once);
	buf_done(&cut);
	buf_done(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = { 0 }, cut = { 0 };
	size_t piece;
	int rc;

	if (size == 0)
		return 0;
	piece = (data++)[0] * 4u + 1;
	size--;
	rc = run(codec_reader_new(ALL, CAP, "cap"), data, size, 1 << 20, &once);
	assert(run(codec_reader_new(ALL, CAP, "cap"), data, size, piece, &cut) == rc);
	assert(rc < 0 || same(&cut, buf_ptr(&once), buf_len(&once)));
	assert(buf_len(&once) <= CAP + 65536 && buf_len(&cut) <= CAP + 65536);
	if (rc == FILTER_DONE && piece % 8 == 1) { /* threads make it slow */
		through(CODEC_ZSTD, data, size, piece);
		through(CODEC_LZ4, data, size, piece);
	}
	if (rc == FILTER_DONE)
		through(CODEC_GZIP, data, size, piece);
	buf_done(&once);
	buf_done(&cut);
	return 0;
}
