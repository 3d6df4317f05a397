/*
 * Any bytes as a build context, cut as the first byte says; the second one chooses the parameter,
 * and below 128 headers get the checksum that fits. What
 * comes out must be a tar that this filter takes again and leaves as it is, with nothing in it but
 * what is allowed, each name once, and no image but mapped ones in its Dockerfile.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "archive/codec.h"
#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "clear.h"
#include "docker/context.h"
#include "raw_tar.h"

static const char mapped_prefix[] = "dind.invalid/t/";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	const char *bare =
	    strncmp(word, mapped_prefix, strlen(mapped_prefix)) ? word : word + strlen(mapped_prefix);

	(void)arg;
	if (strncmp(bare, "victim", 6) == 0)
		return err_refuse(e, 403, "base-image", "not allowed");
	*own = 1;
	(void)snprintf(mapped, REFERENCE_MAX, "%s%.80s", mapped_prefix, bare);
	return 0;
}

/* FILTER_DONE or -1. */
static int
run(const struct context_ask *ask, const uint8_t *bytes, size_t size, size_t piece, struct buf *out)
{
	struct dockerfile_facts facts = { 0 };
	struct filter *f = context_filter_new(ask, &facts);
	struct buf in = { 0 }, part = { 0 };
	size_t given = 0, n;
	struct err e = { 0 };
	int rc;

	do {
		n = size - given < piece ? size - given : piece;
		if (piece % 2 == 1)
			given += go_clear(f, &in, bytes + given, n, out);
		n = size - given < n ? size - given : n;
		buf_add(&in, bytes + given, n);
		given += n;
		rc = f->run(f, &in, given == size, &part, piece, &e);
		assert(buf_len(&part) < piece + 65536 + 1);
		n = buf_move(&part, out, buf_len(&part));
	} while (rc == FILTER_MORE && (given < size || buf_len(&in) > 0 || n > 0));
	assert(rc != FILTER_MORE);
	assert(rc < 0 ? e.status >= 400 && e.rule != NULL && e.text[0] : context_judged(f));
	assert(rc < 0 || strlen(context_facts(f)->sha256) == 64);
	filter_free(f);
	buf_done(&in);
	buf_done(&part);
	return rc;
}

static void
check_name(const char *name)
{
	char framed[TAR_NAME_MAX + 3];

	(void)snprintf(framed, sizeof framed, "/%s", name);
	assert(name[0] != '/' && strstr(framed, "//") == NULL && strstr(framed, "/../") == NULL);
	assert(strcmp(name, "./") == 0 || strstr(framed, "/./") == NULL);
}

static void
check_output(const struct buf *out)
{
	struct tar_reader *r = tar_reader_new();
	struct buf in = { 0 };
	const uint8_t *data;
	size_t len;
	struct err e;
	int ev;

	assert(codec_sniff(buf_ptr(out), buf_len(out)) == CODEC_NONE);
	buf_add(&in, buf_ptr(out), buf_len(out));
	while ((ev = tar_read(r, &in, 1, &data, &len, &e)) != TAR_EOF) {
		const struct tar_entry *t = tar_reader_entry(r);

		assert(ev > 0);
		if (ev == TAR_ENTRY) {
			assert(strchr("0125", (int)t->type) != NULL && t->uname[0] == '\0');
			check_name(t->name);
		}
	}
	tar_reader_free(r);
	buf_done(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { NULL, "Dockerfile", "./a/Dockerfile", "dockerfile",
		".dockerfile.0", "../x", "d//e" };
	struct context_ask ask = {
		.reading = { .resolve = resolve }, .max_bytes = 1 << 20, .max_entries = 200, .zstd = 1
	};
	struct buf body = { 0 }, once = { 0 }, cut = { 0 }, again = { 0 };
	int rc;

	if (size < 2)
		return 0;
	ask.dockerfile = names[data[1] % 7];
	(void)buf_reserve(&body, 1); /* no null pointer, even when there is nothing */
	buf_add(&body, data + 2, size - 2);
	if (data[1] < 128)
		raw_fix_sums(&body);
	rc = run(&ask, buf_ptr(&body), buf_len(&body), 1 << 20, &once);
	assert(run(&ask, buf_ptr(&body), buf_len(&body), data[0] * 3u + 1, &cut) == rc);
	if (rc == FILTER_DONE) {
		assert(buf_len(&once) == buf_len(&cut) &&
		       memcmp(buf_ptr(&once), buf_ptr(&cut), buf_len(&once)) == 0);
		check_output(&once);
		ask.max_bytes = 0;
		if (run(&ask, buf_ptr(&once), buf_len(&once), 1000, &again) == FILTER_DONE) {
			assert(buf_len(&once) == buf_len(&again));
			assert(memcmp(buf_ptr(&once), buf_ptr(&again), buf_len(&once)) == 0);
		}
	}
	buf_done(&body);
	buf_done(&once);
	buf_done(&cut);
	buf_done(&again);
	return 0;
}
