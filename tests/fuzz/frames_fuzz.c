/*
 * Any bytes as the end of a file: what is taken for an index is in range and in order, and is read from what
 * is printed of it again; every plan of it covers the file.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "archive/frames.h"
#include "base/buf.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frames f, again;
static struct frames_plan plan;

static void
check_plan(size_t have_count)
{
	const char *have[FRAMES_LAYERS_MAX];
	uint64_t at = 0, sum = 0;

	for (size_t i = 0; i < have_count; i++)
		have[i] = f.layers[i];
	frames_plan(&f, have, have_count, &plan);
	assert(plan.kept == have_count && plan.fetch + plan.saved == f.index_offset && plan.count > 0);
	for (size_t i = 0; i < plan.count; i++) {
		assert(plan.ranges[i].offset >= at && plan.ranges[i].size > 0);
		at = plan.ranges[i].offset + plan.ranges[i].size;
		sum += plan.ranges[i].size;
	}
	assert(at == f.index_offset && sum == plan.fetch); /* the metadata is last, and always comes */
}

/* The first 8 bytes say how long the file is beyond what is seen of it. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before;
	struct buf out = { 0 };
	struct err e = { 0 };
	int rc;

	if (size < 8)
		return 0;
	memcpy(&before, data, 8);
	rc = frames_read(&f, data + 8, size - 8, before + (size - 8), &e);
	assert(rc >= 0 || (e.status == 400 && e.rule != NULL));
	if (rc != 0)
		return 0;
	assert(frames_print(&f, &out, &e) == 0);
	assert(frames_read(&again, buf_ptr(&out), buf_len(&out), f.index_offset + buf_len(&out), &e) == 0);
	assert(memcmp(&f, &again, sizeof f) == 0);
	for (size_t i = 0; i <= f.layer_count; i++)
		check_plan(i);
	buf_done(&out);
	return 0;
}
