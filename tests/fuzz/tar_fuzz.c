/*
 * Any bytes as a tar. What is read and written anew must read again as the same, and be written in the same
 * bytes: the canonical form has one reading. The first byte says how the rest is cut; when it is odd, headers
 * get the checksum that fits.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "raw_tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Acts on one event; only writing what was read must never fail for what is canonical. */
static int
take(int ev, const struct tar_entry *t, const uint8_t *data, size_t len, struct buf *out, struct err *e)
{
	switch (ev) {
	case TAR_ENTRY:
		return tar_write_header(out, t, e);
	case TAR_DATA:
		assert(len > 0 && len <= TAR_SPAN_MAX);
		buf_add(out, data, len);
		break;
	case TAR_ENTRY_END:
		tar_write_pad(out, t->size);
		break;
	}
	return 0;
}

/* 0 when all was read and written. */
static int
rewrite(const uint8_t *bytes, size_t size, size_t piece, struct buf *out)
{
	struct tar_reader *r = tar_reader_new();
	struct buf in = { 0 };
	const uint8_t *data = NULL;
	size_t len = 0, given = 0;
	struct err e = { 0 };
	int ev, rc = 0;

	do {
		ev = tar_read(r, &in, given == size, &data, &len, &e);
		if (ev == TAR_NEED || ev == TAR_EOF) {
			size_t n = size - given < piece ? size - given : piece;

			assert(given < size || ev == TAR_EOF);
			buf_add(&in, bytes + given, n);
			given += n;
		}
		rc = ev < 0 ? -1 : take(ev, tar_reader_entry(r), data, len, out, &e);
	} while (rc == 0 && (ev != TAR_EOF || buf_len(&in) > 0 || given < size));
	assert(ev >= 0 || e.status == 400);
	tar_write_end(out);
	tar_reader_free(r);
	buf_done(&in);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf tar = { 0 }, first = { 0 }, second = { 0 };

	if (size == 0)
		return 0;
	(void)buf_reserve(&tar, 1); /* no null pointer, even when there is nothing */
	buf_add(&tar, data + 1, size - 1);
	if (data[0] & 1)
		raw_fix_sums(&tar);
	if (rewrite(buf_ptr(&tar), buf_len(&tar), data[0] + 1u, &first) == 0) {
		assert(rewrite(buf_ptr(&first), buf_len(&first), 777, &second) == 0);
		assert(buf_len(&first) == buf_len(&second));
		assert(memcmp(buf_ptr(&first), buf_ptr(&second), buf_len(&first)) == 0);
	}
	buf_done(&tar);
	buf_done(&first);
	buf_done(&second);
	return 0;
}
