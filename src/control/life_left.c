/* What the engine still holds of a task that ends: told from its list of all images of the host. */

#include <string.h>

#include "base/json.h"
#include "control/life_parts.h"
#include "task/task.h"

enum { CLOCK_SLACK = 60 }; /* s between the engine's clock and ours */

/* Does a name outside of the task's namespace stand for it? */
static int
is_named_elsewhere(const json_t *image, const char *ns)
{
	const json_t *tag;
	struct reference r;
	size_t i;

	json_array_foreach(json_object_get(image, "RepoTags"), i, tag)
	{
		const char *name = json_string_value(tag);

		if (name != NULL && strcmp(name, "<none>:<none>") != 0 && reference_unmap(&r, name, ns) < 0)
			return 1;
	}
	return 0;
}

/*
 * Is it the task's and nobody else's? A base image is not, though the task may own it: other tasks build on
 * it as well, and what they build is nameless for a moment before it gets its name.
 */
static int
is_alone(const struct ending *n, const json_t *image)
{
	const struct owned *o = &n->task->owned;
	const char *id = json_str(image, "Id", "");

	return (owned_image(o, id) != NULL || owned_has_step(o, id)) && !o->elsewhere(o->arg, id) &&
	       !is_named_elsewhere(image, n->id) &&
	       json_num(image, "Created", 0) >= n->task->since - CLOCK_SLACK;
}

static const json_t *
by_id(const json_t *list, const char *id)
{
	const json_t *image;
	size_t i;

	json_array_foreach(list, i, image)
	{
		if (strcmp(json_str(image, "Id", ""), id) == 0)
			return image;
	}
	return NULL;
}

/*
 * Did a build of the task make it? It printed it; or it built it on what is the task's alone, and we died
 * before it could print it.
 */
static int
is_made_here(const struct ending *n, const json_t *list, const json_t *image)
{
	const struct owned *o = &n->task->owned;
	const json_t *parent;

	if (owned_has_step(o, json_str(image, "Id", "")))
		return 1;
	if (n->task->policy->cache == CACHE_SHARED || o->sharing(o->arg))
		return 0;
	parent = by_id(list, json_str(image, "ParentId", ""));
	return parent != NULL && is_alone(n, parent);
}

/*
 * An image without a name that the task may have left: its builds made it, it is not older than the task,
 * and no other task lays claim to it.
 */
static int
is_leftover(const struct ending *n, const json_t *list, const json_t *image)
{
	const struct owned *o = &n->task->owned;
	const char *id = json_str(image, "Id", "");

	return reference_is_id(id) && json_num(image, "Created", 0) >= n->task->since - CLOCK_SLACK &&
	       is_made_here(n, list, image) && !o->elsewhere(o->arg, id);
}

/* Images of the task, with its view of what others have. */
static void
begin_list(const struct ending *n, struct owned *list)
{
	const struct owned *o = &n->task->owned;

	owned_init(list, n->id);
	list->elsewhere = o->elsewhere;
	list->nameless = o->nameless;
	list->sharing = o->sharing;
	list->arg = o->arg;
}

size_t
ending_left(const struct ending *n, const json_t *list, struct owned *left, struct owned *held)
{
	const json_t *image, *tag;
	size_t i, k, found = 0;

	begin_list(n, left);
	begin_list(n, held);
	json_array_foreach(list, i, image)
	{
		const char *id = json_str(image, "Id", "");
		int own = reference_is_id(id) && owned_image(&n->task->owned, id) != NULL, named = 0;

		json_array_foreach(json_object_get(image, "RepoTags"), k, tag)
		{
			struct reference r;
			char name[REFERENCE_MAX];

			named |= json_is_string(tag) && strcmp(json_string_value(tag), "<none>:<none>") != 0;
			if (json_is_string(tag) && removal_is_held(n->id, json_string_value(tag))) {
				found += (size_t)owned_learn(held, id);
				own = 0;
			}
			if (!json_is_string(tag) || reference_unmap(&r, json_string_value(tag), n->id) < 0)
				continue;
			reference_canonical(&r, name);
			owned_name(left, name, id);
			found++;
			own = 0;
		}
		if (own || (!named && is_leftover(n, list, image)))
			found += (size_t)owned_learn(left, id);
	}
	return found;
}
