/*
 * Images loaded for tasks: one unique local name for each content, shared by the tasks that use it, gone with
 * the last of them. What is held is on disk (<stateDir>/images/<hex>.json), so a restart forgets nothing.
 */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "life_loading.h"
#include "policy/param.h"

enum { HELD_MAX = 64 * 1024 };

static char *
held_path(const struct life *l, const char *key)
{
	return mem_printf("%s/images/%s.json", l->settings->state_dir, key);
}

void
held_id(const struct life *l, const char *key, char id[REFERENCE_ID_MAX], json_t **artifact)
{
	char *path = held_path(l, key);
	struct err missing = { 0 };
	json_t *held = json_read(path, HELD_MAX, &missing);

	(void)snprintf(id, REFERENCE_ID_MAX, "%s", json_str(held, "id", ""));
	*artifact = json_incref(json_object_get(held, "artifact"));
	json_decref(held);
	free(path);
}

int
held_add(const struct life *l, const char *key, const char *name, const char *id, const json_t *artifact,
    const char *user, struct err *e)
{
	char *dir = mem_printf("%s/images", l->settings->state_dir), *path = held_path(l, key);
	struct err missing = { 0 };
	json_t *held = json_read(path, HELD_MAX, &missing), *users, *one;
	size_t i;
	int rc = fs_mkdirs(dir, 0700, e), known = 0;
	char loaded[STAMP_MAX];

	stamp_print(stamp_now(), loaded);
	if (held == NULL)
		held = json_pack("{s:s,s:[]}", "name", name, "users");
	users = json_object_get(held, "users");
	json_array_foreach(users, i, one) known |= strcmp(json_string_value(one), user) == 0;
	if (!known)
		json_array_append_new(users, json_string(user));
	if (strcmp(json_str(held, "id", ""), id) != 0) { /* new, or made anew */
		json_object_set_new(held, "id", json_string(id));
		json_object_set(held, "artifact", (json_t *)(uintptr_t)artifact);
		json_object_set_new(held, "loaded", json_string(loaded));
		known = 0;
	}
	if (rc == 0 && !known)
		rc = json_write(path, held, 0600, e);
	json_decref(held);
	free(path);
	free(dir);
	return rc;
}

void
held_call(const struct life *l, struct call *c, enum route route, const char *name)
{
	struct err e = { 0 };

	call_start(c, route, CALL_NS_IMAGE, life_api(l));
	(void)call_add(c, PARAM_NAME, name, &e); /* it fits: we made it */
}

/* Takes the user off one held image; 1 when nobody holds it any more (its file is gone then). */
static int
release_one(const char *path, const char *user, char name[REFERENCE_MAX])
{
	struct err e = { 0 };
	json_t *held = json_read(path, HELD_MAX, &e), *users = json_object_get(held, "users"), *one;
	int had = 0, last;
	size_t i;

	for (i = json_array_size(users); i-- > 0;) {
		one = json_array_get(users, i);
		if (strcmp(json_string_value(one), user) == 0 && json_array_remove(users, i) == 0)
			had = 1;
	}
	last = had && json_array_size(users) == 0;
	(void)snprintf(name, REFERENCE_MAX, "%s", json_str(held, "name", ""));
	if (last)
		(void)unlink(path);
	else if (had && json_write(path, held, 0600, &e) < 0)
		log_error("life", "%s", e.text);
	json_decref(held);
	return last;
}

size_t
held_release(struct life *l, const char *user, struct call **calls, size_t max)
{
	char *dir = mem_printf("%s/images", l->settings->state_dir), name[REFERENCE_MAX];
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t count = 0;

	while (d != NULL && count < max && (entry = readdir(d)) != NULL) {
		char *path;

		if (entry->d_name[0] == '.' || strlen(entry->d_name) != LOAD_KEY_LEN + 5)
			continue;
		path = mem_printf("%s/%s", dir, entry->d_name);
		if (release_one(path, user, name)) {
			calls[count] = mem_new(sizeof(struct call));
			held_call(l, calls[count++], ROUTE_IMAGE_REMOVE, name);
		}
		free(path);
	}
	if (d != NULL)
		closedir(d);
	free(dir);
	return count;
}
