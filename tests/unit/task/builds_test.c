#include "task/builds.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static void
make_id(unsigned n, char out[REFERENCE_ID_MAX])
{
	(void)snprintf(out, REFERENCE_ID_MAX, "sha256:%064x", n);
}

/* Facts of a build on own images (numbers, ended by 0). */
static json_t *
facts_on(const char *name, const unsigned *own)
{
	json_t *bases = json_pack("[{s:s,s:s,s:b}]", "name", "busybox", "id",
	    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "own", 0);

	for (; own != NULL && *own != 0; own++) {
		char id[REFERENCE_ID_MAX];

		make_id(*own, id);
		json_array_append_new(bases, json_pack("{s:s,s:b}", "id", id, "own", 1));
	}
	return json_pack("{s:s,s:o}", "what", name, "bases", bases);
}

static void
keep(struct builds *b, unsigned n, const char *name, const unsigned *own)
{
	json_t *facts = facts_on(name, own);
	char id[REFERENCE_ID_MAX];

	make_id(n, id);
	builds_keep(b, id, facts);
	json_decref(facts);
}

static char *
evidence(const struct builds *b, unsigned n)
{
	char id[REFERENCE_ID_MAX], *text;
	json_t *v;

	make_id(n, id);
	v = builds_evidence(b, id);
	text = json_text(v, 1);
	json_decref(v);
	return text;
}

static void
says(const struct builds *b, unsigned n, const char *part, const char *name)
{
	char *text = evidence(b, n);

	if (!ok(strstr(text, part) != NULL, name))
		printf("# got: %s\n", text);
	free(text);
}

static void
test_family(void)
{
	struct builds b = { 0 };
	char *text;

	says(&b, 1, "{\"build\":null,\"buildUnknown\":\"which build made this image is not known",
	    "nothing is known");
	keep(&b, 1, "first", NULL);
	keep(&b, 1, "again", NULL);
	says(&b, 1, "{\"build\":{\"what\":\"first\"", "the build that made it first");
	keep(&b, 2, "second", (const unsigned[]){ 1, 9, 1, 0 });
	keep(&b, 3, "third", (const unsigned[]){ 2, 1, 3, 0 });
	text = evidence(&b, 3);
	ok(strncmp(text, "{\"build\":{\"what\":\"third\"", 24) == 0, "an image that two were built before");
	ok(strstr(text, "\"what\":\"second\"") != NULL && strstr(text, "\"what\":\"first\"") != NULL,
	    "its ancestors are there");
	ok(strstr(text, "0009\",\"unknown\":\"which build") != NULL, "one that is not known is named");
	for (const char *p = strstr(text, "\"what\":\"first\""); p != NULL; p = NULL)
		ok(strstr(p + 1, "\"what\":\"first\"") == NULL, "each once");
	free(text);
	builds_forget(&b, "sha256:00");
	is_int(b.count, 3, "forgetting what is not there");
	text = mem_str(b.entries[0].id);
	builds_forget(&b, text);
	free(text);
	says(&b, 1, "\"build\":null", "one is forgotten");
	says(&b, 2, "0001\",\"unknown\"", "also as an ancestor");
	builds_done(&b);
}

/* A task builds without end: what is kept of it is bounded, the newest stay. */
static void
test_bounds(void)
{
	struct builds b = { 0 };
	char *filler = mem_new(30000), id[REFERENCE_ID_MAX];
	json_t *large;

	memset(filler, 'x', 29999);
	for (unsigned n = 1; n <= 100; n++)
		keep(&b, n, filler, NULL);
	ok(b.bytes <= BUILDS_MAX_BYTES && b.count > 30, "bounded");
	make_id(1, id);
	ok(builds_find(&b, id) == NULL, "the oldest are gone");
	make_id(100, id);
	ok(builds_find(&b, id) != NULL, "the newest are there");
	for (unsigned n = 200; n < 200 + 20; n++)
		keep(&b, n, filler, (const unsigned[]){ n + 1, 0 });
	says(&b, 200, "its facts would make this too long", "evidence is bounded, too, and says so");
	large = json_pack("{s:s%}", "x", filler, (size_t)29999);
	json_object_set_new(large, "y", json_stringn(filler, 29999));
	make_id(300, id);
	builds_keep(&b, id, large);
	ok(builds_find(&b, id) == NULL, "facts that are too large are not kept");
	json_decref(large);
	builds_done(&b);
	free(filler);
	for (unsigned n = 1; n <= 100; n++)
		keep(&b, n, "long", (const unsigned[]){ n + 1, 0 });
	says(&b, 1, "there are more ancestors", "a long line of ancestors ends, and says so");
	builds_done(&b);
}

int
main(void)
{
	test_family();
	test_bounds();
	return tap_end();
}
