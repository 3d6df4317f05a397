#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "docker/dockerfile.h"

#define NS "abcdefghij234567klmn"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names that are mapped already and busybox stay; all else is mapped. */
static int
resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	struct reference r;

	(void)arg;
	*own = 1;
	if (reference_unmap(&r, word, NS) == 0 || strcmp(word, "busybox") == 0) {
		snprintf(mapped, REFERENCE_MAX, "%s", word);
		return 0;
	}
	if (reference_parse(&r, word, e) < 0)
		return -1;
	return reference_map(&r, NS, mapped, e);
}

/* What was written reads as the same once more, and every name in it is a mapped one: nothing changes. */
static void
check_again(struct buf *out, const struct dockerfile_ask *ask, const struct dockerfile_facts *first)
{
	struct dockerfile_facts *second = mem_new(sizeof(*second));
	struct buf again = { 0 };
	struct err e;
	int rc = dockerfile_rewrite((const char *)buf_ptr(out), buf_len(out), ask, &again, second, &e);

	assert(rc == 0);
	assert(buf_len(&again) == buf_len(out));
	assert(buf_len(out) == 0 || memcmp(buf_ptr(&again), buf_ptr(out), buf_len(out)) == 0);
	assert(second->steps == first->steps && second->stages == first->stages);
	for (size_t i = 0; i < second->base_count; i++)
		assert(strcmp(second->bases[i].name.typed, second->bases[i].name.mapped) == 0);
	buf_done(&again);
	free(second);
}

/* The first byte says what is asked beside the text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const args[] = { NULL, "{\"A\":\"own:1\",\"B\":null,\"HTTP_PROXY\":\"x\"}" };
	struct dockerfile_ask ask = { .resolve = resolve };
	struct dockerfile_facts *facts;
	struct buf out = { 0 };
	struct err e = { .text = "" };
	char *trigger;

	if (size == 0 || size > 16384)
		return 0;
	ask.build_args = args[data[0] & 1];
	ask.target = (data[0] & 2) != 0 ? "a" : NULL;
	ask.add_urls = (data[0] & 4) != 0;
	facts = mem_new(sizeof(*facts));
	if (dockerfile_rewrite((const char *)data + 1, size - 1, &ask, &out, facts, &e) == 0)
		check_again(&out, &ask, facts);
	else
		assert(e.status != 0 && e.rule != NULL && e.status != 500);
	trigger = mem_strn((const char *)data + 1, size - 1);
	(void)dockerfile_judge_trigger(trigger, &ask, &e);
	free(trigger);
	free(facts);
	buf_done(&out);
	return 0;
}
