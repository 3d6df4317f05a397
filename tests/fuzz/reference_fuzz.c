#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "docker/reference.h"

#define NS "abcdefghij234567klmn"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses can be mapped and comes back as the same; its printed forms parse to the same again. */
static void
check_name(const char *text)
{
	struct reference r, again;
	struct err e;
	char out[REFERENCE_MAX], back[REFERENCE_MAX];

	if (reference_parse(&r, text, &e) < 0) {
		assert(e.status == 400);
		return;
	}
	reference_canonical(&r, out);
	assert(reference_parse(&again, out, &e) == 0);
	reference_canonical(&again, back);
	assert(strcmp(out, back) == 0);
	if (reference_map(&r, NS, out, &e) < 0)
		return;
	assert(strncmp(out, "dind.invalid/" NS "/", 34) == 0);
	assert(reference_parse(&again, out, &e) < 0); /* no task can type it */
	assert(reference_unmap(&again, out, NS) == 0);
	assert(strcmp(r.domain, again.domain) == 0 && strcmp(r.path, again.path) == 0 &&
	       strcmp(r.tag, again.tag) == 0);
}

/* A text without the reserved registry stays as it is; with it, no address is read that is not the text's. */
static void
check_text(const char *text, size_t size)
{
	static const struct reference_pair pair = { "dind.invalid/" NS "/docker.io/library/a:1", "${A}" };
	struct buf out = { 0 };

	reference_unmap_text(text, size, NS, &pair, 1, &out);
	if (size > 0 && memmem(text, size, "dind.invalid", 12) == NULL)
		assert(buf_len(&out) == size && memcmp(buf_ptr(&out), text, size) == 0);
	buf_done(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strn((const char *)data, size), *pattern = strchr(text, '\n');
	struct reference r;
	struct err e;

	check_text((const char *)data, size);
	if (pattern != NULL)
		*pattern++ = '\0';
	check_name(text);
	(void)reference_unmap(&r, text, NS);
	(void)reference_looks_like_id(text);
	if (pattern != NULL && reference_parse(&r, text, &e) == 0)
		(void)reference_match(&r, pattern);
	free(text);
	return 0;
}
