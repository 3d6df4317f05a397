/* The file that is fetched: written as it comes, hashed as it is meant, bounded. */

#include <zlib.h>

#include "../../../src/artifact/fetch_private.h"
#include "scratch.h"
#include "tap.h"

enum { PLAIN = 300 * 1000 };

static uint8_t plain[PLAIN];

static size_t
gzipped(uint8_t *out, size_t room)
{
	z_stream z = { 0 };

	(void)deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	z.next_in = plain;
	z.avail_in = PLAIN;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	(void)deflate(&z, Z_FINISH);
	(void)deflateEnd(&z);
	return room - z.avail_out;
}

static int
through(struct keep *k, const uint8_t *bytes, size_t len, size_t piece, struct err *e)
{
	for (size_t at = 0; at < len; at += piece)
		if (keep_add(k, bytes + at, len - at < piece ? len - at : piece, e) < 0)
			return -1;
	return 0;
}

static void
test_kept(const uint8_t *bytes, size_t len, int encoded, size_t piece)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX], want[HASH_HEX_MAX];
	struct buf got = { 0 };
	struct err e = { 0 };
	struct keep k;

	hash_once(HASH_SHA256, plain, PLAIN, want);
	is_int(keep_open(&k, mem_printf("%s/data", scratch), 0, &e), 0, "open");
	is_int(keep_restart(&k, 0, NULL, &e), 0, "begin");
	is_int(keep_add(&k, "something else", 14, &e), 0, "bytes that are given up");
	is_int(keep_restart(&k, encoded, NULL, &e), 0, "begin anew");
	is_int(through(&k, bytes, len, piece, &e), 0, "bytes");
	is_int(keep_end(&k, sha256, sha512, &e), 0, "end");
	is_str(sha256, want, "sha256 of what is meant");
	is_int(k.size, PLAIN, "size");
	is_int(fs_read(k.path, PLAIN + 1, &got, &e), 0, "read back");
	ok(buf_len(&got) == PLAIN && memcmp(buf_ptr(&got), plain, PLAIN) == 0, "the same bytes");
	buf_done(&got);
	keep_done(&k);
}

static void
test_refused(const uint8_t *bytes, size_t len, int encoded, uint64_t max, int status, const char *rule)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];
	struct err e = { 0 };
	struct keep k;
	int rc;

	(void)keep_open(&k, mem_printf("%s/data", scratch), max, &e);
	(void)keep_restart(&k, encoded, NULL, &e);
	rc = through(&k, bytes, len, 1000, &e);
	if (rc == 0)
		rc = keep_end(&k, sha256, sha512, &e);
	is_int(rc, -1, e.text);
	is_int(e.status, status, "status");
	is_str(e.rule, rule, "whose fault");
	keep_done(&k);
}

int
main(void)
{
	static uint8_t packed[PLAIN + 1000];
	struct err e = { 0 };
	struct keep k;
	size_t len;

	scratch_make();
	for (size_t i = 0; i < PLAIN; i++)
		plain[i] = (uint8_t)(i * i / 7 >> 3);
	len = gzipped(packed, sizeof packed);
	test_kept(plain, PLAIN, 0, 1);
	test_kept(plain, PLAIN, 0, 16384);
	test_kept(packed, len, 1, 1);
	test_kept(packed, len, 1, 16384);
	test_refused(packed, len - 1, 1, 0, 502, "service"); /* cut off */
	test_refused(plain, PLAIN, 1, 0, 502, "service");    /* no gzip at all */
	test_refused(packed, len, 1, PLAIN - 1, 413, "task");
	test_refused(plain, PLAIN, 0, PLAIN - 1, 413, "task");
	is_int(keep_open(&k, mem_printf("%s/no/such", scratch), 0, &e), -1, "no place for it");
	is_str(e.rule, "worker", "whose fault");
	keep_done(&k);
	scratch_remove();
	return tap_end();
}
