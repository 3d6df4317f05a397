#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "judge.h"
#include "names.h"

int
judge_named(struct judge *j, struct err *e)
{
	struct named found;

	if (names_find(j->owned, j->name, &found, e) < 0)
		return -1;
	return call_add(j->call, PARAM_NAME, found.engine, e);
}

/* repo may have a tag in it; the tag parameter replaces it, as in the engine. */
int
judge_tag(struct judge *j, struct err *e)
{
	const char *repo = j->value[PARAM_REPO];
	char name[REFERENCE_MAX], mapped[REFERENCE_MAX];
	struct named found;
	int rc;

	if (names_find(j->owned, j->name, &found, e) < 0)
		return -1;
	if (repo == NULL)
		return err_refuse(e, 400, "image-name", "repo: the new name is missing from the query");
	if (names_new(j->owned->ns, repo, j->value[PARAM_TAG], name, mapped, e) < 0)
		return err_wrap(e, "repo");
	(void)judge_note(j, name);
	if (judge_name_limit(j, e) < 0 || call_add(j->call, PARAM_NAME, found.engine, e) < 0)
		return -1;
	snprintf(j->d->id, sizeof(j->d->id), "%s", found.image->id);
	mapped[names_tag(mapped) - mapped] = '\0';
	rc = call_add(j->call, PARAM_REPO, mapped, e);
	return rc < 0 ? rc : call_add(j->call, PARAM_TAG, names_tag(name) + 1, e);
}

/* "app" without a tag is every tag of it, when there is one: the mapped repository, which only holds own
 * names. */
static int
find_repository(const struct owned *o, const char *text, char mapped[REFERENCE_MAX])
{
	char repository[REFERENCE_MAX];
	struct reference r;
	struct err ignored;

	if (reference_parse(&r, text, &ignored) < 0 || r.tag[0] != '\0' || r.digest[0] != '\0')
		return 0;
	reference_repository(&r, repository);
	return owned_has_repository(o, repository) && reference_map(&r, o->ns, mapped, &ignored) == 0;
}

static int
save_one(struct judge *j, const char *text, struct err *e)
{
	char mapped[REFERENCE_MAX];
	struct named found;

	if (find_repository(j->owned, text, mapped))
		return call_add(j->call, PARAM_NAMES, mapped, e);
	if (names_look(j->owned, text, &found, e) < 0)
		return -1;
	if (found.image == NULL)
		return err_refuse(e, 404, "not-owned", "reference does not exist");
	return call_add(j->call, PARAM_NAMES, found.engine, e);
}

int
judge_save(struct judge *j, struct err *e)
{
	size_t count = 0;

	if (j->name[0] != '\0')
		return save_one(j, j->name, e);
	for (size_t i = 0; i < j->target->count; i++) {
		const struct target_pair *q = &j->target->query[i];

		if (strcmp(q->key, "names") != 0)
			continue;
		if (judge_request_names(j, "names", ++count, e) < 0)
			return -1;
		if (save_one(j, q->value, e) < 0)
			return -1;
	}
	if (count == 0)
		return err_refuse(e, 400, "image-name", "names: at least one image to save is expected");
	return 0;
}

/* The filters stay here: the engine would evaluate them over everybody's images. */
int
judge_list(struct judge *j, struct err *e)
{
	const char *filters = j->value[PARAM_FILTERS], *old = j->value[PARAM_FILTER];
	struct err ignored;
	json_t *object;

	if (filters != NULL && old != NULL)
		return err_refuse(
		    e, 400, "image-list", "filter: is the old spelling of filters, which is there, too");
	if (filters == NULL && old == NULL)
		return 0;
	object = old != NULL ? json_pack("{s:[s]}", "reference", old)
	                     : json_parse(filters, strlen(filters), &ignored);
	if (json_is_object(object))
		j->d->filters = json_text(object, 0);
	json_decref(object);
	return j->d->filters != NULL
	           ? 0
	           : err_refuse(e, 400, "image-list", "filters: a JSON object was expected");
}
