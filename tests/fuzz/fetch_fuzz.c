/* What stores say of an artifact that is looked for, and what stands in the spool's requests. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/artifact/fetch_private.h"
#include "../../src/artifact/taskcluster_private.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_content(const json_t *v)
{
	struct taskcluster home = { .root = (char *)(uintptr_t) "https://tc" };
	struct tc_source *s = tc_source_new(&home);
	struct tc_key key = { 0 };
	struct err e = { 0 };
	char *name = NULL;
	int rc = tc_find_content(s, v, &name, &key, &e);

	if ((rc == 1 && s->url == NULL) || (rc == 0 && (name == NULL || key.id == NULL)) ||
	    (rc < 0 && e.text[0] == '\0'))
		abort();
	if (tc_find_download(s, v, &e) == 0 && (s->url == NULL || !(s->source.sha256 || s->source.sha512)))
		abort();
	free(name);
	tc_key_done(&key);
	tc_source_free(&s->source);
}

static void
try_request(json_t *v)
{
	struct want w;
	struct err e;

	if (want_parse(&w, v, &e) == 0 && (w.name == NULL || (w.task_id == NULL && w.index == NULL)))
		abort();
	want_done(&w);
}

static void
try_json(const char *text, size_t size)
{
	struct err e = { 0 };
	json_t *v = json_parse(text, size, &e);
	struct source_place p;

	if (source_read_index(&p, text, size, &e) == 0 && p.task_id == NULL)
		abort();
	free(p.task_id);
	if (v != NULL) {
		try_content(v);
		try_request(v);
		if (tc_find_run(v, &e) > INT32_MAX)
			abort();
	}
	json_decref(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t from, to, total;
	struct err e = { 0 };

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_json(text, size);
	if (pull_parse_range(text, &from, &to, &total) == 0 && (from > to || to >= total))
		abort();
	(void)source_check_index(text, &e);
	free(text);
	return 0;
}
