/* Build output: whatever the engine says, the filter ends, in the same bytes however they are cut. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "docker/output.h"

#define NS "abcdefghijklmnop2345"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_image(void *arg, const char *id)
{
	if (!reference_is_id(id))
		abort();
	++*(size_t *)arg;
}

static void
on_step(void *arg, const char *step)
{
	(void)arg;
	if (strlen(step) != 12 || strspn(step, "0123456789abcdef") != 12)
		abort();
}

static void
run(const uint8_t *data, size_t size, int quiet, size_t step, size_t high, struct buf *out)
{
	static const struct reference_pair pairs[] = { { "dind.invalid/" NS "/docker.io/library/app:1",
	    "a" } };
	size_t count = 1, images = 0, given = 0, n;
	struct output_ask ask = { .ns = NS,
		.pairs = pairs,
		.pair_count = &count,
		.quiet = quiet,
		.on_image = on_image,
		.on_step = on_step,
		.arg = &images };
	struct filter *f = output_filter_new(&ask);
	struct buf in = { 0 }, part = { 0 };
	struct err e;
	int rc;

	do {
		n = size - given < step ? size - given : step;
		buf_add(&in, data + given, n);
		given += n;
		rc = f->run(f, &in, given == size, &part, high, &e);
		if (rc < 0 || buf_len(&part) > high)
			abort();
		n = buf_move(&part, out, buf_len(&part));
	} while (rc == FILTER_MORE);
	if (output_failed(f) ? *output_image(f) != '\0' : *output_image(f) != '\0' && images == 0)
		abort();
	filter_free(f);
	buf_done(&in);
	buf_done(&part);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, parts = { 0 };

	if (size < 1)
		return 0;
	run(data + 1, size - 1, data[0] & 1, size, 1 << 20, &whole);
	run(data + 1, size - 1, data[0] & 1, (size_t)(data[0] >> 1) + 1, 7, &parts);
	if (buf_len(&whole) != buf_len(&parts) ||
	    (buf_len(&whole) > 0 && memcmp(buf_ptr(&whole), buf_ptr(&parts), buf_len(&whole)) != 0))
		abort();
	buf_done(&whole);
	buf_done(&parts);
	return 0;
}
