/*
 * Prints how the Dockerfile on stdin is read, as JSON, for tests/e2e/dockerfile_agreement.py:
 *   dockerfile_dump BUILDARGS TARGET ADD_URLS   ("" = not given)
 * Every image name is mapped to the namespace below.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "docker/dockerfile.h"

#define NS "aaaaaaaaaaaaaaaaaaaa"

static int
resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	struct reference r;

	(void)arg;
	*own = 1;
	if (reference_parse(&r, word, e) < 0)
		return -1;
	return reference_map(&r, NS, mapped, e);
}

static json_t *
print_bases(const struct dockerfile_facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->base_count; i++)
		json_array_append_new(
		    list, json_pack("{s:s,s:s,s:i}", "typed", facts->bases[i].name.typed, "mapped",
		              facts->bases[i].name.mapped, "line", facts->bases[i].line));
	return list;
}

/* Not every accepted byte is UTF-8: comments may be anything. */
static json_t *
print_hex(const struct buf *b)
{
	struct buf text = { 0 };
	json_t *value;

	for (size_t i = 0; i < buf_len(b); i++)
		buf_printf(&text, "%02x", buf_ptr(b)[i]);
	value = json_string(buf_text(&text));
	buf_done(&text);
	return value;
}

static void
read_all(struct buf *in)
{
	size_t n;

	do {
		n = fread(buf_reserve(in, 65536), 1, 65536, stdin);
		buf_commit(in, n);
	} while (n > 0);
}

int
main(int argc, char **argv)
{
	struct dockerfile_facts *facts = calloc(1, sizeof(*facts));
	struct dockerfile_ask ask = { .resolve = resolve };
	struct buf in = { 0 }, out = { 0 };
	struct err e = { .text = "" };
	json_t *answer;

	if (facts == NULL || argc != 4)
		return 2;
	ask.build_args = *argv[1] ? argv[1] : NULL;
	ask.target = *argv[2] ? argv[2] : NULL;
	ask.add_urls = *argv[3] != '\0';
	read_all(&in);
	if (dockerfile_rewrite(buf_text(&in), buf_len(&in), &ask, &out, facts, &e) < 0)
		answer = json_pack("{s:b,s:i,s:s,s:s}", "accepted", 0, "status", e.status, "rule",
		    e.rule ? e.rule : "", "text", e.text);
	else
		answer = json_pack("{s:b,s:i,s:i,s:o,s:o}", "accepted", 1, "steps", facts->steps, "stages",
		    facts->stages, "bases", print_bases(facts), "out", print_hex(&out));
	json_dumpf(answer, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(answer);
	buf_done(&in);
	buf_done(&out);
	free(facts);
	return 0;
}
