#include "archive/frames.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct frames f, got;
static struct frames_plan plan;

static void
layer(const char *id)
{
	strcpy(f.layers[f.layer_count++], id);
}

/* Base A of 100,000 bytes, B of 50,000 and on top C of 10, in the file in another order. */
static void
three(void)
{
	f = (struct frames){ 0 };
	strcpy(f.image_id, "sha256:" HEX);
	layer(A);
	layer(B);
	layer(C);
	frames_add(&f, 50000, 1024, HEX, B);
	frames_add(&f, 10, 2048, HEX, C);
	frames_add(&f, 100000, 4096, HEX, A);
	frames_add(&f, 500, 3072, HEX, NULL);
}

static void
test_round_trip(void)
{
	struct buf b = { 0 };
	struct err e = { 0 };

	three();
	ok(frames_print(&f, &b, &e) == 0, "an index is written");
	ok(frames_read(&got, buf_ptr(&b), buf_len(&b), 150510 + buf_len(&b), &e) == 0, "and read");
	ok(memcmp(&f, &got, sizeof f) == 0, "as it was");
	is_int(got.tar_size, 10240, "its frames add up");
	is_int(got.index_offset, 150510, "it says where it begins itself");
	for (size_t n = 0; n < buf_len(&b); n++)
		if (frames_read(&got, buf_ptr(&b) + n + 1, buf_len(&b) - n - 1, 150510 + buf_len(&b), &e) ==
		    0) {
			ok(0, "an index that is cut off is not read");
			break;
		}
	is_int(frames_read(&got, buf_ptr(&b), buf_len(&b), 150511 + buf_len(&b), &e), -1,
	    "a file of another size is refused");
	is_int(frames_read(&got, buf_ptr(&b), buf_len(&b), 3, &e), -1, "also one shorter than its tail");
	is_str(e.rule, "image-frames", "by its rule");
	is_int(frames_read(&got, buf_ptr(&b), buf_len(&b) - 1, 150509 + buf_len(&b), &e), 1,
	    "without its mark it is no index");
	is_int(frames_read(&got, "", 0, 0, &e), 1, "an empty file has none");
	ok(ZSTD_findFrameCompressedSize(buf_ptr(&b), buf_len(&b)) == buf_len(&b), "zstd skips it");
	buf_done(&b);
}

static void
test_most(void)
{
	struct buf b = { 0 };
	struct err e = { 0 };
	char id[80];

	f = (struct frames){ 0 };
	strcpy(f.image_id, A);
	for (int i = 0; i < FRAMES_LAYERS_MAX; i++) {
		snprintf(id, sizeof id, "sha256:%064d", i);
		layer(id);
		frames_add(&f, (uint64_t)1 << 41, (uint64_t)1 << 42, HEX, id);
	}
	frames_add(&f, (uint64_t)1 << 41, (uint64_t)1 << 42, HEX, NULL);
	ok(frames_print(&f, &b, &e) == 0, "127 layers of 2 TiB have an index");
	ok(buf_len(&b) <= FRAMES_TAIL_MAX, "which fits the tail");
	ok(frames_read(&got, buf_ptr(&b), buf_len(&b), f.index_offset + buf_len(&b), &e) == 0 &&
	        memcmp(&f, &got, sizeof f) == 0,
	    "and is read");
	buf_done(&b);
}

static void
put_le(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* An index frame around that text, as a file that ends with it would have it. */
static int
read_text(const char *text, uint64_t before, struct err *e)
{
	size_t len = strlen(text);
	uint8_t *p = mem_new(len + 24);
	int rc;

	put_le(p, 0x184d2a5d, 4);
	put_le(p + 4, len + 16, 4);
	memcpy(p + 8, text, len);
	put_le(p + 8 + len, len, 8);
	memcpy(p + 16 + len, "dindfrm1", 8);
	rc = frames_read(&got, p, len + 24, before + len + 24, e);
	free(p);
	return rc;
}

#define HEAD(layers)                                                                                         \
	"{\"format\":\"dind-image-frames\",\"version\":1,\"imageId\":\"" A                                   \
	"\",\"tarSize\":1024,\"layers\":[" layers "],\"frames\":["
#define ROW(offset, size, tar, id)                                                                           \
	"{\"offset\":" offset ",\"size\":" size ",\"tarSize\":" tar ",\"sha256\":\"" HEX "\",\"diffId\":" id \
	"}"
#define GOOD ROW("0", "20", "512", "\"" A "\"") "," ROW("20", "10", "512", "null")

static const struct {
	const char *text;
	uint64_t before;
	const char *says; /* "": it is read */
} texts[] = {
	{ HEAD("\"" A "\"") GOOD "]}", 30, "" },
	{ HEAD("\"" A "\",\"" A "\"") GOOD "]}", 30, "" },
	{ HEAD("\"" A "\",\"" B "\"") GOOD "]}", 30, "" },
	{ HEAD("\"" A "\"") GOOD "]} ", 30, "" },
	{ HEAD("\"" A "\"") GOOD "]}", 31, "size of the file" },
	{ HEAD("\"" A "\"") GOOD "]}", 29, "size of the file" },
	{ HEAD("\"" A "\"") GOOD "]", 30, "not JSON" },
	{ HEAD("\"" A "\"") GOOD "]}{}", 30, "not JSON" },
	{ HEAD("\"" A "\"") GOOD "],\"version\":1}", 30, "not JSON" },
	{ HEAD("\"" A "\"") GOOD "],\"more\":1}", 30, "version 1" },
	{ "[]", 30, "version 1" },
	{ "7", 30, "version 1" },
	{ HEAD("\"" B "\"") GOOD "]}", 30, "no layer of the image" },
	{ HEAD("7") GOOD "]}", 30, "no sha256" },
	{ HEAD("\"sha256:aa\"") GOOD "]}", 30, "no sha256" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "\"" A "\"") "]}", 20, "metadata last" },
	{ HEAD("\"" A "\"") "]}", 0, "1 to 128" },
	{ HEAD("\"" A "\"") "7]}", 0, "other keys" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "7") "," ROW("20", "10", "512", "null") "]}", 30,
	    "no layer of the image" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "null") "," ROW("20", "10", "512", "null") "]}", 30,
	    "metadata last" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "\"" A "\"") "," ROW(
	      "20", "20", "512", "\"" A "\"") "," ROW("40", "10", "512", "null") "]}",
	    50, "add up" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "\"" A "\"") "," ROW("19", "10", "512", "null") "]}", 29,
	    "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "20", "512", "\"" A "\"") "," ROW("21", "10", "512", "null") "]}", 31,
	    "begin where" },
	{ HEAD("\"" A "\"") ROW("1", "20", "512", "\"" A "\"") "," ROW("21", "10", "512", "null") "]}", 31,
	    "begin where" },
	{ HEAD("\"" A "\"") ROW("-1", "20", "512", "null") "]}", 20, "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "0", "1024", "null") "]}", 0, "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "-20", "1024", "null") "]}", 0, "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "9223372036854775807", "1024", "null") "]}", INT64_MAX, "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "18446744073709551615", "1024", "null") "]}", 0, "not JSON" },
	{ HEAD("\"" A "\"") ROW("0", "1e3", "1024", "null") "]}", 1000, "other keys" },
	{ HEAD("\"" A "\"") ROW("0", "20", "1023", "null") "]}", 20, "begin where" },
	{ HEAD("\"" A "\"") ROW("0", "20", "2048", "null") "]}", 20, "add up" },
	{ HEAD("\"" A "\"") ROW("0", "20", "-1024", "null") "]}", 20, "begin where" },
};

static void
test_foreign(void)
{
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct err e = { 0 };
		int rc = read_text(texts[i].text, texts[i].before, &e);

		if (!ok(*texts[i].says ? rc == -1 && e.status == 400 && strstr(e.text, texts[i].says) != NULL
		                       : rc == 0,
		        *texts[i].says ? texts[i].says : "a good index"))
			printf("# row %zu: %d %s\n", i, rc, e.text);
	}
}

static void
test_lengths(void)
{
	struct buf b = { 0 };
	struct err e = { 0 };
	static const struct {
		size_t back; /* from the end */
		uint64_t value;
		int n;
		const char *name;
	} rows[] = {
		{ 16, UINT64_MAX, 8, "a length that would overflow" },
		{ 16, FRAMES_TAIL_MAX, 8, "a length above the cap" },
		{ 16, 0, 8, "no length" },
	};

	three();
	(void)frames_print(&f, &b, &e);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t *p = mem_new(buf_len(&b));

		memcpy(p, buf_ptr(&b), buf_len(&b));
		put_le(p + buf_len(&b) - rows[i].back, rows[i].value, rows[i].n);
		is_int(frames_read(&got, p, buf_len(&b), 150510 + buf_len(&b), &e), -1, rows[i].name);
		put_le(p, 7, 4);
		put_le(p + buf_len(&b) - 16, buf_len(&b) - 24, 8);
		is_int(frames_read(&got, p, buf_len(&b), 150510 + buf_len(&b), &e), -1,
		    "nor is a frame that is not skippable");
		free(p);
	}
	buf_done(&b);
}

static const struct {
	const char *have[4];
	size_t count, kept, ranges;
	uint64_t fetch;
	const char *name;
} plans[] = {
	{ { NULL }, 0, 0, 1, 150510, "a host that has nothing fetches all" },
	{ { A }, 1, 1, 2, 50510, "the base is left out" },
	{ { A, B }, 2, 2, 2, 510, "so is what lies on it" },
	{ { A, B, C }, 3, 3, 1, 500, "with all layers there, the metadata comes" },
	{ { A, B, C, A }, 4, 3, 1, 500, "a longer chain helps as much" },
	{ { A, C }, 2, 1, 2, 50510, "a chain counts up to the first difference" },
	{ { B }, 1, 0, 1, 150510, "a layer without its base is of no use" },
};

static void
test_plan(void)
{
	three();
	for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
		frames_plan(&f, plans[i].have, plans[i].count, &plan);
		is_int(plan.fetch, plans[i].fetch, plans[i].name);
		ok(plan.kept == plans[i].kept && plan.count == plans[i].ranges &&
		        plan.fetch + plan.saved == f.index_offset,
		    "and the plan says so");
	}
	ok(plan.ranges[0].offset == 0 && plan.ranges[0].size == f.index_offset, "one range of all frames");
	frames_plan(&f, plans[2].have, 2, &plan);
	ok(plan.ranges[0].offset == 50000 && plan.ranges[0].size == 10 && plan.ranges[1].offset == 150010 &&
	        plan.ranges[1].size == 500,
	    "ranges are whole frames");
}

/* The engine reads a repeated layer again where its chain is new. */
static void
test_plan_repeats(void)
{
	static const char *const have[] = { A };

	f = (struct frames){ 0 };
	layer(A);
	layer(B);
	layer(A);
	frames_add(&f, 50000, 1024, HEX, A);
	frames_add(&f, 50000, 1024, HEX, B);
	frames_add(&f, 500, 1024, HEX, NULL);
	frames_plan(&f, have, 1, &plan);
	ok(plan.kept == 1 && plan.saved == 0, "a layer that comes again above what is there is fetched");
}

static void
test_plan_gaps(void)
{
	static const char *const have[] = { A };

	for (int small = 0; small < 2; small++) {
		f = (struct frames){ 0 };
		layer(A);
		layer(B);
		frames_add(&f, 50000, 1024, HEX, B);
		frames_add(&f, FRAMES_GAP - (unsigned)small, 1024, HEX, A);
		frames_add(&f, 500, 1024, HEX, NULL);
		frames_plan(&f, have, 1, &plan);
		is_int(plan.count, small ? 1 : 2, small ? "a small hole is fetched" : "a larger one is not");
	}
}

static int
checked(const char *bytes, size_t len, size_t piece, struct buf *out, struct err *e)
{
	struct filter *c = frames_check_new(&f, &plan);
	struct buf in = { 0 };
	size_t given = 0, n;
	int rc;

	do {
		n = len - given < piece ? len - given : piece;
		buf_add(&in, bytes + given, n);
		given += n;
		rc = c->run(c, &in, given == len, out, buf_len(out) + piece, e);
	} while (rc == FILTER_MORE);
	filter_free(c);
	buf_done(&in);
	return rc;
}

static void
test_check(void)
{
	static const char *const have[] = { A };
	static const struct {
		const char *bytes;
		int rc;
		const char *name;
	} rows[] = {
		{ "top.meta", FILTER_DONE, "bytes of wanted frames pass" },
		{ "top.met", -1, "a cut is refused" },
		{ "top.", -1, "also between frames" },
		{ "", -1, "also at the first byte" },
		{ "top.meta.", -1, "more is refused" },
		{ "tap.meta", -1, "another byte is refused" },
	};
	char base[HASH_HEX_MAX], top[HASH_HEX_MAX], meta[HASH_HEX_MAX];
	struct err e;

	hash_once(HASH_SHA256, "base", 4, base);
	hash_once(HASH_SHA256, "top.", 4, top);
	hash_once(HASH_SHA256, "meta", 4, meta);
	f = (struct frames){ 0 };
	layer(A);
	layer(B);
	frames_add(&f, 4, 1024, base, A);
	frames_add(&f, 4, 1024, top, B);
	frames_add(&f, 4, 1024, meta, NULL);
	frames_plan(&f, have, 1, &plan);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t piece = 1; piece < 20; piece += 18) {
			struct buf out = { 0 };

			is_int(checked(rows[i].bytes, strlen(rows[i].bytes), piece, &out, &e), rows[i].rc,
			    rows[i].name);
			if (rows[i].rc == FILTER_DONE)
				ok(buf_len(&out) == 8 && memcmp(buf_ptr(&out), "top.meta", 8) == 0,
				    "as they are");
			buf_done(&out);
		}
}

int
main(void)
{
	test_round_trip();
	test_most();
	test_foreign();
	test_lengths();
	test_plan();
	test_plan_repeats();
	test_plan_gaps();
	test_check();
	return tap_end();
}
