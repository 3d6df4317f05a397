#include "docker/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "unmap.h"

/* The names of an array that are the task's, as it typed them; the array is changed. */
static void
own_names(json_t *names, const char *ns)
{
	char typed[REFERENCE_MAX];
	struct reference r;

	for (size_t i = 0; i < json_array_size(names);) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name == NULL || reference_unmap(&r, name, ns) < 0) {
			json_array_remove(names, i);
			continue;
		}
		reference_familiar(&r, typed);
		json_array_set_new(names, i++, json_string(typed));
	}
}

static int
owns(const struct answer_view *view, const char *id)
{
	return id != NULL && view->owns(view->arg, id);
}

void
answer_error(json_t *answer, const struct answer_view *view)
{
	unmap_strings(answer, view->ns, NULL, 0);
}

void
answer_inspect(json_t *answer, const struct answer_view *view)
{
	json_t *driver = json_object_get(answer, "GraphDriver");

	own_names(json_object_get(answer, "RepoTags"), view->ns);
	own_names(json_object_get(answer, "RepoDigests"), view->ns);
	if (json_object_get(answer, "Parent") != NULL)
		json_object_set_new(answer, "Parent", json_string(""));
	if (json_object_get(driver, "Data") != NULL)
		json_object_set_new(driver, "Data", json_null()); /* directories of the host */
	unmap_strings(answer, view->ns, NULL, 0);
}

void
answer_history(json_t *answer, const struct answer_view *view)
{
	json_t *step;
	size_t i;

	json_array_foreach(answer, i, step)
	{
		json_t *tags = json_object_get(step, "Tags");

		own_names(tags, view->ns);
		if (json_is_array(tags) && json_array_size(tags) == 0)
			json_object_set_new(step, "Tags", json_null());
		if (!owns(view, json_str(step, "Id", NULL)))
			json_object_set_new(step, "Id", json_string("<missing>"));
	}
	unmap_strings(answer, view->ns, NULL, 0);
}

void
answer_remove(json_t *answer, const struct answer_view *view)
{
	char typed[REFERENCE_MAX];
	struct reference r;

	for (size_t i = 0; i < json_array_size(answer);) {
		json_t *step = json_array_get(answer, i);
		const char *name = json_str(step, "Untagged", NULL);

		if (name != NULL && reference_unmap(&r, name, view->ns) < 0) {
			json_array_remove(answer, i);
			continue;
		}
		if (name != NULL) {
			reference_familiar(&r, typed);
			json_object_set_new(step, "Untagged", json_string(typed));
		}
		i++;
	}
	unmap_strings(answer, view->ns, NULL, 0);
}

/* "1.NN" kept when NN lies in min..max, else the nearest of them; what is no version becomes the lowest. */
static void
clamp_version(json_t *o, const char *key, unsigned min, unsigned max)
{
	const char *text = json_str(o, key, NULL);
	unsigned long minor;
	char out[24], *end;

	if (text == NULL)
		return;
	minor = strncmp(text, "1.", 2) == 0 ? strtoul(text + 2, &end, 10) : 0;
	minor = minor < min ? min : minor > max ? max : minor;
	(void)snprintf(out, sizeof out, "1.%lu", minor);
	json_object_set_new(o, key, json_string(out));
}

static void
clamp_versions(json_t *o, unsigned api_min, unsigned api_max)
{
	clamp_version(o, "ApiVersion", api_min, api_max);
	clamp_version(o, "MinAPIVersion", api_min, api_max);
}

void
answer_version(json_t *answer, unsigned api_min, unsigned api_max)
{
	json_t *component;
	size_t i;

	clamp_versions(answer, api_min, api_max);
	json_array_foreach(json_object_get(answer, "Components"), i, component)
	    clamp_versions(json_object_get(component, "Details"), api_min, api_max);
}

int
answer_list_element(json_t *element, const struct answer_view *view)
{
	json_t *tags = json_object_get(element, "RepoTags"),
	       *digests = json_object_get(element, "RepoDigests");

	if (!owns(view, json_str(element, "Id", NULL)))
		return 0;
	own_names(tags, view->ns);
	own_names(digests, view->ns);
	if (json_array_size(tags) == 0 && json_array_size(digests) == 0) {
		/* as the engine shows an image without a name to clients below API 1.43; newer ones take it
		 */
		json_object_set_new(element, "RepoTags", json_pack("[s]", "<none>:<none>"));
		json_object_set_new(element, "RepoDigests", json_pack("[s]", "<none>@<none>"));
	}
	if (json_object_get(element, "ParentId") != NULL)
		json_object_set_new(element, "ParentId", json_string(""));
	unmap_strings(element, view->ns, NULL, 0);
	return 1;
}
