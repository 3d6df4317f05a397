/* docker save to the task: the names in the metadata become the task's own. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "image_parts.h"
#include "unmap.h"

#define ANNOTATION_NAME "io.containerd.image.name"
#define ANNOTATION_TAG "org.opencontainers.image.ref.name"

/* The task's names among those of an array, as it typed them; a new reference. */
static json_t *
own_tags(const json_t *tags, const char *ns)
{
	char typed[REFERENCE_MAX];
	json_t *own = json_array();
	struct reference r;
	const json_t *tag;
	size_t i;

	json_array_foreach(tags, i, tag)
	{
		if (!json_is_string(tag) || reference_unmap(&r, json_string_value(tag), ns) < 0)
			continue;
		reference_familiar(&r, typed);
		json_array_append_new(own, json_string(typed));
	}
	if (json_array_size(own) > 0)
		return own;
	json_decref(own);
	return json_null(); /* as the engine says it of an image without names */
}

static json_t *
rewrite_manifest(json_t *given, const char *ns)
{
	json_t *entry;
	size_t i;

	json_array_foreach(given, i, entry)
	{
		const json_t *tags = json_object_get(entry, "RepoTags");

		if (tags != NULL)
			json_object_set_new(entry, "RepoTags", own_tags(tags, ns));
	}
	return json_incref(given);
}

/* {"dind.invalid/<ns>/docker.io/library/app": {"1": layer}} */
static json_t *
rewrite_repositories(json_t *given, const char *ns)
{
	char typed[REFERENCE_MAX];
	json_t *own = json_object(), *tags;
	struct reference r;
	const char *repository;

	json_object_foreach(given, repository, tags)
	{
		if (reference_unmap(&r, repository, ns) < 0)
			continue;
		reference_familiar(&r, typed);
		json_object_set(own, typed, tags);
	}
	if (json_object_size(own) > 0)
		return own;
	json_decref(own);
	return NULL;
}

static json_t *
rewrite_index(json_t *given, const char *ns)
{
	char typed[REFERENCE_MAX];
	json_t *entry;
	struct reference r;
	size_t i;

	json_array_foreach(json_object_get(given, "manifests"), i, entry)
	{
		json_t *notes = json_object_get(entry, "annotations");
		const char *name = json_str(notes, ANNOTATION_NAME, NULL);

		if (name != NULL && reference_unmap(&r, name, ns) == 0) {
			reference_canonical(&r, typed);
			json_object_set_new(notes, ANNOTATION_NAME, json_string(typed));
		} else if (notes != NULL) {
			json_object_del(notes, ANNOTATION_NAME);
			json_object_del(notes, ANNOTATION_TAG);
		}
		if (notes != NULL && json_object_size(notes) == 0)
			json_object_del(entry, "annotations");
	}
	return json_incref(given);
}

json_t *
image_rewrite(enum member_kind kind, json_t *given, const char *ns)
{
	json_t *v = kind == MEMBER_MANIFEST       ? rewrite_manifest(given, ns)
	            : kind == MEMBER_REPOSITORIES ? rewrite_repositories(given, ns)
	                                          : rewrite_index(given, ns);

	if (v != NULL)
		unmap_strings(v, ns, NULL, 0);
	return v;
}
