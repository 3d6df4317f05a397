/* Evidence for the worker: of a task's artifacts, and of the images that were loaded for it. */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "task/evidence.h"
#include "task/task.h"

enum { HELD_FILE_MAX = 64 * 1024 };

/* Who asks: a task that is registered here, or one that only has an image loaded for it. */
struct whose {
	const struct task *task; /* NULL: not registered */
	char ns[REFERENCE_NS_LEN + 1];
	char *task_id;
	unsigned run_id;
};

static int
find_whose(struct life *l, const char *id, struct whose *w)
{
	const char *slash = strrchr(id, '/');

	*w = (struct whose){ .task = tasks_find(l->tasks, id) };
	if (w->task != NULL) {
		memcpy(w->ns, w->task->id, sizeof w->ns);
		w->task_id = mem_str(w->task->task_id);
		w->run_id = w->task->run_id;
	} else if (slash != NULL) {
		w->task_id = mem_strn(id, (size_t)(slash - id));
		w->run_id = (unsigned)strtoul(slash + 1, NULL, 10);
		task_make_id(w->task_id, w->run_id, w->ns);
	}
	return w->task_id != NULL ? 0 : -1;
}

static int
is_user(const json_t *held, const char *ns)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(held, "users"), i,
	    one) if (json_is_string(one) && strcmp(json_string_value(one), ns) == 0) return 1;
	return 0;
}

static json_t *
load_of(const struct life *l, const struct whose *w, const json_t *held)
{
	return evidence_load(&(struct evidence_load){ .for_task_id = w->task_id,
	    .for_run_id = w->run_id,
	    .artifact = json_object_get(held, "artifact"),
	    .image_id = json_str(held, "id", ""),
	    .local_name = json_str(held, "name", ""),
	    .loaded = json_str(held, "loaded", NULL),
	    .engine = json_str(held, "engine", NULL),
	    .version = json_str(held, "version", NULL),
	    .builder = l->settings->evidence_builder });
}

/* What is held on disk (life_image.c) says for whom; a restart forgets nothing. */
static json_t *
loads_json(const struct life *l, const struct whose *w)
{
	char *dir = mem_printf("%s/images", l->settings->state_dir);
	json_t *list = json_array();
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		char *path = mem_printf("%s/%s", dir, entry->d_name);
		struct err none;
		json_t *held = entry->d_name[0] != '.' ? json_read(path, HELD_FILE_MAX, &none) : NULL;

		if (is_user(held, w->ns))
			json_array_append_new(list, load_of(l, w, held));
		json_decref(held);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	free(dir);
	return list;
}

/* One that is or will be uploaded, as a chain of trust lists it. */
static void
add_upload(json_t *uploads, const json_t *one)
{
	const char *sha256 = json_str(one, "sha256", NULL);

	if (sha256 != NULL)
		json_array_append_new(
		    uploads, json_pack("{s:s,s:s}", "name", json_str(one, "name", ""), "sha256", sha256));
}

/* Records of images that are sealed, and the hashes of all that is: also of what is no image. */
static void
add_artifacts(const struct life *l, const struct task *task, json_t *records, json_t *uploads)
{
	json_t *all = task != NULL ? exports_json(l, task, 1) : NULL, *row;
	size_t i;

	json_array_foreach(all, i, row)
	{
		if (json_object_get(row, "evidence") != NULL)
			json_array_append(records, json_object_get(row, "evidence"));
		add_upload(uploads, row);
		add_upload(uploads, json_object_get(row, "provenanceArtifact"));
	}
	json_decref(all);
}

void
life_task_evidence(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct err e = { 0 };
	struct whose w;
	json_t *loads, *records, *uploads;

	if (find_whose(l, id, &w) < 0) {
		err_refuse(&e, 404, "task", "no task '%s' is registered here", id);
		life_fail(cb, arg, &e);
		return;
	}
	loads = loads_json(l, &w);
	if (w.task == NULL && json_array_size(loads) == 0) {
		err_refuse(
		    &e, 404, "task", "no task '%s' is registered here, and no image is loaded for it", id);
		life_fail(cb, arg, &e);
		json_decref(loads);
	} else {
		records = json_array();
		uploads = json_array();
		add_artifacts(l, w.task, records, uploads);
		life_say(cb, arg, 200,
		    json_pack("{s:s,s:i,s:o,s:o,s:o}", "taskId", w.task_id, "runId", (int)w.run_id,
		        "artifacts", records, "uploads", uploads, "loads", loads));
	}
	free(w.task_id);
}
