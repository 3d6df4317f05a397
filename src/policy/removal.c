#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "judge.h"
#include "names.h"
#include "policy/owned.h"

/*
 * An image is never removed by id: the engine would take every tag of it, those of other tasks and of the
 * host, too. An own name is; and an image without own names gets a temporary one first, so that the engine
 * itself sees, in one step, whether anything else still refers to it.
 *
 * What another task owns stays: when it has no name for it, it is given the temporary one in its own
 * namespace before the last name of this task goes, and parents are not pruned while any task builds on what
 * is shared.
 */
static struct call *
new_call(enum route route, const struct owned *o, unsigned api)
{
	struct call *c = mem_grow(NULL, 1, sizeof(*c)); /* 100 KiB: not zeroed */

	call_start(c, route, o->ns, api);
	return c;
}

/* What is added here always fits: a fresh call and names of known length. */
static void
add(struct call *c, enum param param, const char *value)
{
	struct err impossible;

	(void)call_add(c, param, value, &impossible);
}

static struct call *
remove_name(const struct owned *o, const char *mapped, unsigned api, int noprune)
{
	struct call *c = new_call(ROUTE_IMAGE_REMOVE, o, api);

	if (noprune)
		add(c, PARAM_NOPRUNE, "1");
	add(c, PARAM_NAME, mapped);
	return c;
}

static struct call *
give_name(const struct owned *o, const char *id, const char *repository, unsigned api)
{
	struct call *c = new_call(ROUTE_IMAGE_TAG, o, api);

	add(c, PARAM_NAME, id);
	add(c, PARAM_REPO, repository);
	add(c, PARAM_TAG, NAMES_REMOVED_TAG);
	return c;
}

/* The namespace in which an image must have a name before its last one here goes, or NULL. */
static const char *
needs_hold(const struct owned *o, const char *id)
{
	return o->nameless != NULL ? o->nameless(o->arg, id) : NULL;
}

static size_t
hold(const struct owned *o, const char *id, unsigned api, struct call **calls)
{
	const char *ns = needs_hold(o, id);
	struct owned other = { 0 };
	char repository[REFERENCE_MAX], name[REFERENCE_MAX];

	if (ns == NULL)
		return 0;
	owned_init(&other, ns);
	names_removed(ns, id, repository, name);
	calls[0] = give_name(&other, id, repository, api);
	return 1;
}

/* Parents without a name go with their last child, unless they are somebody else's. */
static int
keeps_parents(const struct owned *o, const struct policy *p)
{
	return p->cache == CACHE_SHARED || (o->sharing != NULL && o->sharing(o->arg));
}

static size_t
remove_nameless(const struct owned *o, const char *id, unsigned api, int noprune, struct call **calls)
{
	char repository[REFERENCE_MAX], name[REFERENCE_MAX];

	names_removed(o->ns, id, repository, name);
	calls[0] = give_name(o, id, repository, api);
	calls[1] = remove_name(o, name, api, noprune);
	return 2;
}

static int
is_elsewhere(const struct owned *o, const char *id)
{
	return o->elsewhere != NULL && o->elsewhere(o->arg, id);
}

/* All names of an image, or the image without names when nobody else has it. */
static size_t
plan(const struct owned *o, const struct owned_image *image, unsigned api, int noprune, struct call **calls,
    size_t max)
{
	char mapped[REFERENCE_MAX];
	size_t n = 0;

	if (image->name_count == 0)
		return is_elsewhere(o, image->id) || max < 2
		           ? 0
		           : remove_nameless(o, image->id, api, noprune, calls);
	if (max < 2 && needs_hold(o, image->id) != NULL)
		return 0;
	n = hold(o, image->id, api, calls);
	for (size_t i = 0; i < image->name_count && n < max; i++) {
		names_map(o->ns, image->names[i], mapped);
		calls[n++] = remove_name(o, mapped, api, noprune);
	}
	return n;
}

size_t
plan_removal(const struct owned *o, const struct owned_image *image, const struct policy *p,
    struct call **calls, size_t max)
{
	return plan(o, image, p->api_min, keeps_parents(o, p), calls, max);
}

int
removal_is_held(const char *ns, const char *engine_name)
{
	return names_in(ns, engine_name, 1);
}

size_t
plan_release(const struct owned *o, const char *id, const struct policy *p, struct call **calls, size_t max)
{
	char repository[REFERENCE_MAX], name[REFERENCE_MAX];
	size_t n;

	if (max < 2)
		return 0;
	n = hold(o, id, p->api_min, calls);
	names_removed(o->ns, id, repository, name);
	calls[n] = remove_name(o, name, p->api_min, keeps_parents(o, p));
	return n + 1;
}

static int
one_repository(const struct owned_image *image)
{
	size_t n = (size_t)(names_tag(image->names[0]) - image->names[0]) + 1;

	for (size_t i = 1; i < image->name_count; i++)
		if (strncmp(image->names[0], image->names[i], n) != 0)
			return 0;
	return 1;
}

static int
check_conflict(const struct judge *j, const struct owned_image *image, struct err *e)
{
	if (image->name_count >= DECISION_CALLS_MAX)
		return err_refuse(e, 403, "limit-request-names",
		    "the image has %zu names: remove them one by one", image->name_count);
	if (image->name_count < 2 || j->value[PARAM_FORCE] != NULL || one_repository(image))
		return 0;
	return err_refuse(e, 409, "image-remove",
	    "conflict: unable to delete %.12s (must be forced) - image is referenced in multiple "
	    "repositories",
	    image->id + 7);
}

/* Only the temporary name of an image that another task has as well would go: it is forgotten, no more. */
static void
forget_only(struct decision *d)
{
	d->verdict = VERDICT_ANSWER;
	d->status = 200;
	d->answer = mem_str("[]");
}

static int
remove_by_id(struct judge *j, const struct owned_image *image, struct err *e)
{
	struct decision *d = j->d;
	int noprune = call_get(d->calls[0], PARAM_NOPRUNE) != NULL || keeps_parents(j->owned, j->policy);

	if (check_conflict(j, image, e) < 0)
		return -1;
	for (size_t i = 0; i < image->name_count; i++)
		(void)judge_note(j, image->names[i]);
	free(d->calls[0]);
	d->calls[0] = j->call = NULL;
	d->call_count = plan(j->owned, image, d->api, noprune, d->calls, DECISION_CALLS_MAX);
	if (d->call_count == 0)
		forget_only(d);
	return 0;
}

int
judge_remove(struct judge *j, struct err *e)
{
	struct decision *d = j->d;
	struct call *held;
	struct named found;

	if (names_find(j->owned, j->name, &found, e) < 0)
		return -1;
	snprintf(d->id, sizeof(d->id), "%s", found.image->id);
	d->forget = found.name[0] == '\0' || found.image->name_count == 1;
	if (found.name[0] == '\0')
		return remove_by_id(j, found.image, e);
	(void)judge_note(j, found.name);
	if (keeps_parents(j->owned, j->policy) && call_get(j->call, PARAM_NOPRUNE) == NULL &&
	    call_add(j->call, PARAM_NOPRUNE, "1", e) < 0)
		return -1;
	if (found.image->name_count == 1 && hold(j->owned, found.image->id, d->api, &held) > 0) {
		d->calls[1] = j->call;
		d->calls[0] = held;
		d->call_count = 2;
	}
	return call_add(j->call, PARAM_NAME, found.engine, e);
}
