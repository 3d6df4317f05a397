/* docker images --filter, over the task's own list. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "docker/answer.h"
#include "glob.h"

enum { VALUES_MAX = 64 }; /* of all filters: bounds the work for one list */

struct times {
	int asked;
	json_int_t created;
};

struct asked {
	json_t *list;
	const json_t *reference, *label; /* objects whose keys are the values, or NULL */
	int dangling;                    /* -1 not asked */
	struct times before, since;
};

static int
invalid(const char *what, struct err *e)
{
	char quoted[128];

	return err_refuse(e, 400, "list-filter", "invalid filter '%s'",
	    log_quote(what, strlen(what), quoted, sizeof quoted));
}

/* The older spelling {"label": ["a"]} as the newer one {"label": {"a": true}}; a new reference or NULL. */
static json_t *
values_of(const json_t *v)
{
	json_t *o, *s;
	size_t i;

	if (json_is_object(v))
		return json_deep_copy(v);
	if (!json_is_array(v))
		return NULL;
	o = json_object();
	json_array_foreach(v, i, s)
	{
		if (json_object_set_new(o, json_is_string(s) ? json_string_value(s) : "", json_true()) < 0 ||
		    !json_is_string(s)) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

/* A reference as the list compares it: canonical. */
static int
same_name(const char *canonical, const char *listed)
{
	char other[REFERENCE_MAX];
	struct reference r;
	struct err e;

	if (reference_parse(&r, listed, &e) < 0)
		return 0;
	reference_canonical(&r, other);
	return strcmp(canonical, other) == 0;
}

static int
has_name(const json_t *image, const char *canonical)
{
	static const char *const keys[] = { "RepoTags", "RepoDigests" };
	const json_t *name;
	size_t i;

	for (size_t k = 0; k < 2; k++) {
		json_array_foreach(json_object_get(image, keys[k]), i, name)
		{
			if (json_is_string(name) && same_name(canonical, json_string_value(name)))
				return 1;
		}
	}
	return 0;
}

static int
has_id(const json_t *image, const char *text)
{
	const char *id = json_str(image, "Id", "");

	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	return strncmp(id, "sha256:", 7) == 0 && strncmp(id + 7, text, strlen(text)) == 0;
}

/* The one image of the list that text names, as the engine looks it up: by name before abbreviated id. */
static const json_t *
find_image(const json_t *list, const char *text)
{
	const json_t *image, *found = NULL;
	char canonical[REFERENCE_MAX];
	struct reference r;
	struct err e;
	size_t i, n = 0;

	if (reference_parse(&r, text, &e) == 0) {
		reference_canonical(&r, canonical);
		json_array_foreach(list, i, image) if (has_name(image, canonical)) return image;
	}
	if (!reference_looks_like_id(text))
		return NULL;
	json_array_foreach(list, i, image)
	{
		if (has_id(image, text)) {
			found = image;
			n++;
		}
	}
	return n == 1 ? found : NULL;
}

/* Several values: all must hold (the engine takes any one of them). */
static int
read_times(struct times *t, const struct asked *a, const json_t *values, int latest, struct err *e)
{
	const char *name;
	const json_t *v;

	json_object_foreach((json_t *)values, name, v)
	{
		const json_t *image = find_image(a->list, name);
		json_int_t created = json_num(image, "Created", 0);
		char quoted[300];

		if (image == NULL)
			return err_refuse(e, 404, "list-filter", "No such image: %s",
			    log_quote(name, strlen(name), quoted, sizeof quoted));
		if (!t->asked || (latest ? created > t->created : created < t->created))
			t->created = created;
		t->asked = 1;
	}
	return 0;
}

static int
read_before(struct asked *a, const json_t *values, struct err *e)
{
	return read_times(&a->before, a, values, 0, e);
}

static int
read_since(struct asked *a, const json_t *values, struct err *e)
{
	return read_times(&a->since, a, values, 1, e);
}

static int
read_label(struct asked *a, const json_t *values, struct err *e)
{
	(void)e;
	a->label = values;
	return 0;
}

static int
read_reference(struct asked *a, const json_t *values, struct err *e)
{
	const char *pattern;
	const json_t *v;

	json_object_foreach((json_t *)values, pattern, v) if (!glob_valid(pattern)) return err_refuse(
	    e, 400, "list-filter", "syntax error in pattern");
	a->reference = values;
	return 0;
}

static int
read_dangling(struct asked *a, const json_t *values, struct err *e)
{
	if (json_object_get(values, "true") || json_object_get(values, "1"))
		a->dangling = 1;
	else if (json_object_get(values, "false") || json_object_get(values, "0"))
		a->dangling = 0;
	else
		return invalid("dangling", e);
	return 0;
}

static const struct {
	const char *key;
	int (*read)(struct asked *a, const json_t *values, struct err *e);
} filters_known[] = {
	{ "before", read_before },
	{ "dangling", read_dangling },
	{ "label", read_label },
	{ "reference", read_reference },
	{ "since", read_since },
};

static int
read_filter(struct asked *a, const char *key, const json_t *values, struct err *e)
{
	for (size_t i = 0; i < sizeof filters_known / sizeof *filters_known; i++)
		if (strcmp(filters_known[i].key, key) == 0)
			return json_object_size(values) == 0 ? 0 : filters_known[i].read(a, values, e);
	return invalid(key, e);
}

/* FamiliarMatch() of the engine: the pattern against the name with and without its tag or digest. */
static int
name_matches(const char *name, const json_t *patterns)
{
	char bare[REFERENCE_MAX];
	struct reference r;
	struct err e;
	const char *pattern;
	const json_t *v;

	if (reference_parse(&r, name, &e) < 0)
		return 0;
	r.tag[0] = r.digest[0] = '\0';
	reference_familiar(&r, bare);
	json_object_foreach((json_t *)patterns, pattern,
	    v) if (glob_match(pattern, name) || glob_match(pattern, bare)) return 1;
	return 0;
}

static size_t
keep_matching(json_t *names, const json_t *patterns)
{
	for (size_t i = 0; i < json_array_size(names);) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name != NULL && name_matches(name, patterns))
			i++;
		else
			json_array_remove(names, i);
	}
	return json_array_size(names);
}

static int
labels_match(const json_t *labels, const json_t *asked)
{
	const char *text;
	const json_t *v;

	json_object_foreach((json_t *)asked, text, v)
	{
		const char *eq = strchr(text, '=');
		json_t *has = json_object_getn(labels, text, eq ? (size_t)(eq - text) : strlen(text));

		if (!json_is_string(has) || (eq != NULL && strcmp(json_string_value(has), eq + 1) != 0))
			return 0;
	}
	return 1;
}

static int
is_dangling(const json_t *image)
{
	const char *first = json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));

	return first == NULL || strcmp(first, "<none>:<none>") == 0;
}

static int
wanted(json_t *image, const struct asked *a)
{
	json_int_t created = json_num(image, "Created", 0);

	if (a->before.asked && created >= a->before.created)
		return 0;
	if (a->since.asked && created <= a->since.created)
		return 0;
	if (a->label != NULL && !labels_match(json_object_get(image, "Labels"), a->label))
		return 0;
	if (a->reference != NULL &&
	    keep_matching(json_object_get(image, "RepoTags"), a->reference) +
	            keep_matching(json_object_get(image, "RepoDigests"), a->reference) ==
	        0)
		return 0;
	return a->dangling < 0 || a->dangling == is_dangling(image);
}

static int
apply(struct asked *a, const json_t *all, struct err *e)
{
	const char *key;
	const json_t *values;
	size_t count = 0;

	json_object_foreach((json_t *)all, key, values)
	{
		count += json_object_size(values);
		if (count > VALUES_MAX)
			return err_refuse(
			    e, 400, "list-filter", "more than %d values in filters", VALUES_MAX);
		if (read_filter(a, key, values, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < json_array_size(a->list);)
		if (wanted(json_array_get(a->list, i), a))
			i++;
		else
			json_array_remove(a->list, i);
	return 0;
}

/* {"label": {"a": true}} from whatever spelling; a new reference or NULL. */
static json_t *
normalize(const json_t *given)
{
	json_t *all = json_object();
	const char *key;
	const json_t *v;

	json_object_foreach((json_t *)given, key, v)
	{
		if (json_object_set_new(all, key, values_of(v)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

int
answer_list_filter(json_t *list, const char *filters, struct err *e)
{
	struct asked a = { .list = list, .dangling = -1 };
	json_t *given, *all;
	int rc;

	if (filters == NULL || *filters == '\0')
		return 0;
	given = json_parse(filters, strlen(filters), e);
	all = json_is_object(given) || json_is_null(given) ? normalize(given) : NULL;
	rc = all == NULL ? err_refuse(e, 400, "list-filter",
	                       "filters is not of the form {\"name\": {\"value\": true}}")
	                 : apply(&a, all, e);
	json_decref(all);
	json_decref(given);
	return rc;
}
