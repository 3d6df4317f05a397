/*
 * Image tarballs. First byte: mode, size of the pieces, and whether checksums of tar headers are put right
 * (so that changes inside a header are not all the same error). What EXPORT or LOAD accept is accepted again
 * as it came out, and is the same however it was cut.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "clear.h"
#include "docker/image.h"

#define NS "abcdefghijklmnop2345"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fix_sums(uint8_t *p, size_t size)
{
	for (; size >= 512; p += 512, size -= 512) {
		unsigned sum = 0;
		char digits[8];

		if (memcmp(p + 257, "ustar", 5) != 0)
			continue;
		memset(p + 148, ' ', 8);
		for (size_t i = 0; i < 512; i++)
			sum += p[i];
		(void)snprintf(digits, sizeof digits, "%06o", sum);
		memcpy(p + 148, digits, 7);
	}
}

static int
run(const struct image_ask *ask, const uint8_t *data, size_t size, size_t step, size_t high, struct buf *out,
    struct image_facts *f)
{
	struct filter *x = image_filter_new(ask, f);
	struct buf in = { 0 }, part = { 0 };
	struct err e = { 0 };
	size_t given = 0, n;
	int rc;

	do {
		n = size - given < step ? size - given : step;
		if (step % 2 == 1)
			given += go_clear(x, &in, data + given, n, out);
		n = size - given < n ? size - given : n;
		buf_add(&in, data + given, n);
		given += n;
		rc = x->run(x, &in, given == size, &part, high, &e);
		if (rc < 0 && (e.status < 400 || e.rule == NULL))
			abort();
		buf_move(&part, out, buf_len(&part));
	} while (rc == FILTER_MORE);
	filter_free(x);
	buf_done(&in);
	buf_done(&part);
	return rc;
}

static int
same(const struct buf *a, const struct buf *b)
{
	return buf_len(a) == buf_len(b) &&
	       (buf_len(a) == 0 || memcmp(buf_ptr(a), buf_ptr(b), buf_len(a)) == 0);
}

/* What an engine has may come all the same. */
static void
check_have(const struct image_ask *ask, const uint8_t *data, size_t size, const struct buf *whole)
{
	static struct image_facts f, first;
	struct image_ask partial = *ask;
	const char *have[IMAGE_LAYERS_MAX];
	struct buf out = { 0 };

	(void)run(ask, data, size, size + 1, 1 << 20, &out, &first);
	buf_clear(&out);
	for (size_t i = 0; i < first.layer_count; i++)
		have[i] = first.layers[i].diff_id;
	partial.id = first.id;
	partial.have = have;
	partial.have_count = first.layer_count;
	if (run(&partial, data, size, size + 1, 1 << 20, &out, &f) != FILTER_DONE || !same(&out, whole) ||
	    f.left_out > 0)
		abort();
	buf_done(&out);
}

static void
check(const struct image_ask *ask, const uint8_t *data, size_t size, size_t step)
{
	static struct image_facts f;
	struct buf whole = { 0 }, parts = { 0 }, again = { 0 };
	int rc = run(ask, data, size, size + 1, 1 << 20, &whole, &f);

	if (rc == FILTER_DONE && f.tar_bytes != buf_len(&whole))
		abort();
	if (run(ask, data, size, step, 600, &parts, &f) != rc || (rc == FILTER_DONE && !same(&whole, &parts)))
		abort();
	if (rc == FILTER_DONE && ask->mode != IMAGE_SAVE &&
	    (run(ask, buf_ptr(&whole), buf_len(&whole), 4096, 1 << 20, &again, &f) != FILTER_DONE ||
	        !same(&whole, &again)))
		abort();
	if (rc == FILTER_DONE && ask->mode == IMAGE_LOAD)
		check_have(ask, data, size, &whole);
	buf_done(&whole);
	buf_done(&parts);
	buf_done(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const tags[] = { "app:1", "b" };
	struct image_ask ask = { .ns = NS, .tag_count = 2, .tags = tags, .max_bytes = 1 << 20 };
	uint8_t *copy;

	if (size < 1 || size > 128 * 1024)
		return 0;
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 4)
		fix_sums(copy, size - 1);
	ask.mode = data[0] % 4 == 0 ? IMAGE_SAVE : data[0] % 4 == 1 ? IMAGE_LOAD : IMAGE_EXPORT;
	/* single bytes only where there are few: they cost much time and find little more */
	check(&ask, copy, size - 1, (size_t)(data[0] >> 3) * 61 + (size < 4096 ? 1 : 61));
	free(copy);
	return 0;
}
