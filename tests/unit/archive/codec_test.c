#include "archive/codec.h"

#include <bzlib.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

enum { ALL = CODEC_GZIP | CODEC_BZIP2 | CODEC_XZ | CODEC_ZSTD | CODEC_LZ4, BIG = 300 * 1000 };

static uint8_t sample[BIG]; /* half text, half noise */

static void
fill_sample(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < BIG; i++) {
		x = x * 1664525 + 1013904223;
		sample[i] = i % 2000 < 1000 ? (uint8_t) "a build context "[i % 16] : (uint8_t)(x >> 24);
	}
}

/* Runs a filter over all bytes, piece bytes at a time, emptying out whenever it reaches high. */
static int
run(struct filter *f, const void *bytes, size_t len, size_t piece, size_t high, struct buf *all,
    struct err *e)
{
	struct buf in = { 0 }, out = { 0 };
	size_t given = 0;
	int rc;

	do {
		size_t n = len - given < piece ? len - given : piece;

		if (buf_len(&in) == 0 || n > 0) {
			buf_add(&in, (const uint8_t *)bytes + given, n);
			given += n;
		}
		do {
			rc = f->run(f, &in, given == len, &out, high, e);
			n = buf_move(&out, all, buf_len(&out));
		} while (rc == FILTER_MORE && (n >= high || (given == len && n > 0)));
	} while (rc == FILTER_MORE && (given < len || buf_len(&in) > 0));
	buf_done(&in);
	buf_done(&out);
	return rc;
}

static int
decode(const struct buf *from, unsigned accept, uint64_t max, size_t piece, size_t high, struct buf *to,
    struct err *e)
{
	struct filter *f = codec_reader_new(accept, max, "cap");
	int rc;

	err_clear(e);
	rc = run(f, buf_ptr(from), buf_len(from), piece, high, to, e);
	filter_free(f);
	return rc;
}

/* The sample's first len bytes in each format, by its own library. */
static struct buf
encoded(enum codec kind, size_t len)
{
	struct buf out = { 0 };
	size_t at = 0, room = len + len / 50 + 1000;
	unsigned n = (unsigned)room;
	struct filter *f;
	struct err e;

	switch (kind) {
	case CODEC_BZIP2:
		BZ2_bzBuffToBuffCompress(
		    (char *)buf_reserve(&out, room), &n, (char *)sample, (unsigned)len, 9, 0, 0);
		buf_commit(&out, n);
		break;
	case CODEC_XZ:
		(void)!lzma_easy_buffer_encode(
		    6, LZMA_CHECK_CRC64, NULL, sample, len, buf_reserve(&out, room), &at, room);
		buf_commit(&out, at);
		break;
	default:
		f = codec_writer_new(kind, 0);
		run(f, sample, len, len + 1, 1 << 20, &out, &e);
		filter_free(f);
	}
	return out;
}

static const enum codec kinds[] = { CODEC_NONE, CODEC_GZIP, CODEC_BZIP2, CODEC_XZ, CODEC_ZSTD, CODEC_LZ4 };
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int
same(const struct buf *b, size_t len)
{
	return buf_len(b) == len && (len == 0 || memcmp(buf_ptr(b), sample, len) == 0);
}

static void
test_round_trips(void)
{
	static const size_t lens[] = { 0, 1, 5, 70000, BIG }, pieces[] = { 1, 1000, BIG * 2 };
	static const size_t highs[] = { 1, 100000 };
	struct err e;
	int good = 1;

	for (size_t k = 0; k < KINDS; k++)
		for (size_t l = 0; l < 5; l++)
			for (size_t p = 0; p < 6; p++) {
				struct buf c = encoded(kinds[k], lens[l]), d = { 0 };

				good &=
				    decode(&c, ALL, 0, pieces[p / 2], highs[p % 2], &d, &e) == FILTER_DONE;
				good &= same(&d, lens[l]);
				if (!good)
					printf("# kind %d len %zu piece %zu: %s\n", kinds[k], lens[l],
					    pieces[p / 2], e.text);
				buf_done(&c);
				buf_done(&d);
			}
	ok(good, "what each library wrote is read, in any pieces, with any room");
}

static void
test_same_bytes(void)
{
	static const enum codec written[] = { CODEC_GZIP, CODEC_ZSTD, CODEC_LZ4 };
	static const size_t pieces[] = { 1, 999, 65536, 200001 };
	int good = 1;
	struct err e;

	for (size_t k = 0; k < 3; k++) {
		struct buf once = encoded(written[k], BIG);

		for (size_t p = 0; p < 4; p++) {
			struct filter *f = codec_writer_new(written[k], 0);
			struct buf c = { 0 };

			good &= run(f, sample, BIG, pieces[p], p ? 70000 : 1, &c, &e) == FILTER_DONE;
			good &= buf_len(&c) == buf_len(&once) &&
			        memcmp(buf_ptr(&c), buf_ptr(&once), buf_len(&c)) == 0;
			filter_free(f);
			buf_done(&c);
		}
		buf_done(&once);
	}
	ok(good, "writers give equal bytes however their input is cut");
}

static void
test_members(void)
{
	int good = 1;
	struct err e;

	for (size_t k = 1; k < KINDS; k++)
		for (size_t piece = 1; piece < 1000000; piece *= 1000) {
			struct buf c = encoded(kinds[k], 500), d = { 0 };
			size_t one = buf_len(&c);

			buf_reserve(&c, 2 * one);
			buf_add(&c, buf_ptr(&c), one);
			good &= decode(&c, ALL, 0, piece, 100, &d, &e) == FILTER_DONE && buf_len(&d) == 1000;
			buf_done(&c);
			buf_done(&d);
		}
	ok(good, "a second member or frame goes on with the stream");
}

static void
test_damage(void)
{
	int good = 1, rc;
	struct err e;

	for (size_t k = 1; k < KINDS; k++) {
		struct buf c = encoded(kinds[k], 700), d = { 0 };
		size_t whole = c.tail;

		for (c.tail = 6; c.tail < whole; c.tail++) {
			rc = decode(&c, ALL, 0, 64, 100, &d, &e);
			good &= rc < 0 && e.status == 400;
			if (rc >= 0)
				printf("# kind %d cut to %zu is read\n", kinds[k], buf_len(&c));
		}
		for (size_t i = 6; i < whole; i += 3) { /* a flipped bit never gives other bytes */
			c.data[i] ^= 0x10;
			buf_clear(&d);
			rc = decode(&c, ALL, 0, 64, 100, &d, &e);
			good &= rc < 0 ? e.status == 400 : same(&d, 700);
			if (rc >= 0 && !same(&d, 700))
				printf("# kind %d byte %zu\n", kinds[k], i);
			c.data[i] ^= 0x10;
		}
		buf_done(&c);
		buf_done(&d);
	}
	ok(good, "every truncation is refused, and so is damage");
}

static void
test_trailing(void)
{
	static const char *const tails[] = { "x", "\0", "trailing garbage", "\x1f\x8b", "BZh",
		"\0\0\0\0\0\0\0" };
	static const size_t lens[] = { 1, 1, 16, 2, 3, 7 };
	int good = 1, rc;
	struct err e;

	for (size_t k = 1; k < KINDS; k++)
		for (size_t t = 0; t < 6; t++)
			for (size_t piece = 1; piece <= 1000; piece *= 1000) {
				struct buf c = encoded(kinds[k], 700), d = { 0 };

				buf_add(&c, tails[t], lens[t]);
				rc = decode(&c, ALL, 0, piece, 100, &d, &e);
				good &= rc < 0 && e.status == 400;
				if (rc >= 0)
					printf("# kind %d tail %zu is read\n", kinds[k], t);
				buf_done(&c);
				buf_done(&d);
			}
	ok(good, "bytes behind the end of the stream are refused");
}

static void
test_cap(void)
{
	int good = 1;
	struct err e;

	for (size_t k = 0; k < KINDS; k++) {
		struct buf c = encoded(kinds[k], 70000), d = { 0 };

		good &= decode(&c, ALL, 70000, 1000, 50000, &d, &e) == FILTER_DONE && same(&d, 70000);
		good &= decode(&c, ALL, 69999, 1000, 50000, &d, &e) < 0 && e.status == 413;
		good &= e.rule != NULL && strcmp(e.rule, "cap") == 0;
		buf_done(&c);
		buf_done(&d);
	}
	ok(good, "the cap is exact, and refuses with the caller's rule");
}

static void
test_bomb(void)
{
	struct filter *w = codec_writer_new(CODEC_GZIP, 9), *r = codec_reader_new(ALL, 1 << 20, "cap");
	struct buf zeros = { 0 }, c = { 0 }, out = { 0 };
	struct err e;
	int rc;

	memset(buf_reserve(&zeros, 64 << 20), 0, 64 << 20);
	buf_commit(&zeros, 64 << 20);
	run(w, buf_ptr(&zeros), buf_len(&zeros), 1 << 20, 1 << 20, &c, &e);
	rc = r->run(r, &c, 1, &out, 8 << 20, &e);
	ok(rc < 0 && e.status == 413 && buf_len(&out) <= (1 << 20) + 65536, "a bomb ends at the cap");
	filter_free(w);
	filter_free(r);
	buf_done(&zeros);
	buf_done(&c);
	buf_done(&out);
}

static void
test_accept(void)
{
	static const char *const names[KINDS] = { "", "gzip", "bzip2", "xz", "zstd", "lz4" };
	struct err e;
	int good = 1;

	for (size_t k = 1; k < KINDS; k++) {
		struct buf c = encoded(kinds[k], 100), d = { 0 };

		good &= decode(&c, ALL & ~kinds[k], 0, 1, 100, &d, &e) < 0 && e.status == 400;
		good &= strncmp(e.text, names[k], strlen(names[k])) == 0 && buf_len(&d) == 0;
		buf_done(&c);
		buf_done(&d);
	}
	ok(good, "a known magic that is not accepted is refused by name");
}

static void
test_kind(void)
{
	struct filter *f = codec_reader_new(ALL, 0, "cap");
	struct buf c = encoded(CODEC_XZ, 100), in = { 0 }, out = { 0 };
	struct err e;

	buf_move(&c, &in, 5);
	is_int(f->run(f, &in, 0, &out, 100, &e), FILTER_MORE, "five bytes are not enough");
	is_int(codec_reader_kind(f), CODEC_NONE, "kind is not known yet");
	buf_move(&c, &in, 1);
	is_int(f->run(f, &in, 0, &out, 100, &e), FILTER_MORE, "six are");
	is_int(codec_reader_kind(f), CODEC_XZ, "kind is known");
	filter_free(f);
	buf_done(&c);
	buf_done(&in);
	buf_done(&out);
}

/* Refused: windows above what was granted, lz4's legacy format. Read: a skippable frame first, or alone. */
static void
test_rows(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		int rc;
		const char *name;
		unsigned more;
	} rows[] = {
		{ "\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00", 9, -1, "a zstd window of 2^24 is refused", 0 },
		{ "\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00", 9, FILTER_DONE, "a zstd window of 2^23 is read",
		    0 },
		{ "\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00", 9, -1, "long: a zstd window of 2^28 is refused",
		    CODEC_LONG },
		{ "\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", 9, FILTER_DONE,
		    "long: a zstd window of 2^27 is read", CODEC_LONG },
		{ "\x50\x2a\x4d\x18\x04\x00\x00\x00"
		  "abcd\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00",
		    21, FILTER_DONE, "a skippable frame is skipped", 0 },
		{ "\x5f\x2a\x4d\x18\x04\x00\x00\x00"
		  "abcd",
		    12, FILTER_DONE, "skippable frame alone", 0 },
		{ "\x02\x21\x4c\x18\x02\x00\x00\x00\x10x", 10, -1, "lz4's legacy format is refused", 0 },
		{ "\x1f\x8b\x08\xe0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20, -1,
		    "reserved gzip flags are refused", 0 },
		{ "BZh", 3, -1, "a magic alone is a cut stream", 0 },
		{ "plain", 5, FILTER_DONE, "other bytes pass", 0 },
		{ "", 0, FILTER_DONE, "and so do none", 0 },
	};
	struct err e;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf c = { 0 }, d = { 0 };

		buf_add(&c, rows[i].bytes, rows[i].len);
		is_int(decode(&c, ALL | rows[i].more, 0, 1, 100, &d, &e), rows[i].rc, rows[i].name);
		buf_done(&c);
		buf_done(&d);
	}
}

static void
test_split(void)
{
	struct filter *f = codec_writer_new(CODEC_ZSTD, 3);
	struct buf in = { 0 }, c = { 0 }, d = { 0 };
	size_t first = 0, second = 0;
	struct err e;

	codec_writer_split(f, &c, &e);
	buf_add(&in, sample, 1000);
	f->run(f, &in, 0, &c, 1 << 20, &e);
	codec_writer_split(f, &c, &e);
	codec_writer_split(f, &c, &e);
	first = buf_len(&c);
	is_int(ZSTD_findFrameCompressedSize(buf_ptr(&c), first), first, "a split ends the frame, once");
	buf_add(&in, sample + 1000, 1000);
	f->run(f, &in, 0, &c, 1 << 20, &e);
	codec_writer_split(f, &c, &e);
	second = buf_len(&c) - first;
	is_int(f->run(f, &in, 1, &c, 1 << 20, &e), FILTER_DONE, "the end");
	is_int(buf_len(&c), first + second, "no empty frame behind a split");
	ok(decode(&c, ALL, 0, 7, 100, &d, &e) == FILTER_DONE && same(&d, 2000), "both frames are read");
	filter_free(f);
	buf_done(&in);
	buf_done(&c);
	buf_done(&d);
}

static void
test_names(void)
{
	static const struct {
		const char *name;
		int kind;
	} rows[] = {
		{ "public/image.tar.zst", CODEC_ZSTD },
		{ "image.tar", CODEC_NONE },
		{ "image.tgz", CODEC_GZIP },
		{ "image.tar.gz", CODEC_GZIP },
		{ "i.tar.lz4", CODEC_LZ4 },
		{ "image.zst", -1 },
		{ "image.tar.xz", -1 },
		{ ".tar", -1 },
		{ "tar", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		is_int(codec_of_name(rows[i].name), rows[i].kind, rows[i].name);
}

int
main(void)
{
	fill_sample();
	test_round_trips();
	test_same_bytes();
	test_members();
	test_damage();
	test_trailing();
	test_cap();
	test_bomb();
	test_accept();
	test_kind();
	test_rows();
	test_split();
	test_names();
	return tap_end();
}
