/* What is told of a task's artifacts: how far each is, and the evidence of those that are sealed. */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "task/evidence.h"
#include "task/provenance.h"
#include "task/spool.h"
#include "task/task.h"

/* The record, and the statement about it when it is signed already. */
static void
add_evidence(json_t *row, const struct spool_record *r, const json_t *result, const char *root,
    const char *id, enum spool_state state)
{
	char *path = spool_path(root, state, id, PROVENANCE_FILE);
	json_t *record = evidence_artifact(r, result);
	struct err none;
	json_t *envelope = json_read(path, PROVENANCE_MAX, &none);

	if (record != NULL)
		json_object_set_new(row, "evidence", record);
	if (envelope != NULL)
		json_object_set_new(row, "provenance", envelope);
	free(path);
}

/* An artifact that lies in the spool: its record, and how far the uploader is with it. */
static void
add_spooled(json_t *row, const char *root, const char *id, enum spool_state state, int evidence)
{
	struct err e = { 0 };
	json_t *result = spool_read_result(root, state, id, &e);
	struct spool_record r = { 0 };
	uint64_t done = 0, total = 0;

	json_object_set_new(row, "state", json_string(spool_state_name(state)));
	if (spool_read_record(root, state, id, &r, &e) == 0) {
		json_object_set_new(row, "total", json_integer((json_int_t)r.size));
		json_object_set_new(row, "size", json_integer((json_int_t)r.size));
		json_object_set_new(row, "sha256", json_string(r.sha256));
		json_object_set_new(row, "sha512", json_string(r.sha512));
		json_object_set_new(row, "imageId", json_string(r.image_id));
		json_object_set_new(row, "contentType", json_string(r.content_type));
		done = state == SPOOL_DONE ? r.size : 0;
		if (evidence)
			add_evidence(row, &r, result, root, id, state);
	}
	spool_record_done(&r);
	if (state == SPOOL_UPLOADING)
		spool_read_progress(root, state, id, &done, &total);
	json_object_set_new(row, "bytes", json_integer((json_int_t)done));
	for (const char *const *key = (const char *const[]){ "url", "path", "storageType", "error", "fault",
	         "provenanceArtifact", "started", "ended", NULL };
	     *key != NULL; key++)
		if (json_object_get(result, *key) != NULL)
			json_object_set(row, *key, json_object_get(result, *key));
	json_decref(result);
}

static const struct exporting *
find(const struct life *l, const struct task *task, const char *name)
{
	const struct exporting *x = l->exports;

	while (x != NULL && (x->task != task || strcmp(x->name, name) != 0))
		x = x->next;
	return x;
}

static void
add_exporting(json_t *row, const struct exporting *x)
{
	static const char *const words[] = { "queued", "exporting", "exporting", "ready", "failed" };

	json_object_set_new(row, "state", json_string(words[x->state]));
	json_object_set_new(row, "bytes", json_integer((json_int_t)x->bytes));
	if (x->phase != NULL)
		json_object_set_new(row, "phase", json_string(x->phase));
	if (x->error != NULL)
		json_object_set_new(row, "error", json_string(x->error));
	if (x->rule != NULL)
		json_object_set_new(row, "rule", json_string(x->rule));
}

json_t *
exports_json(const struct life *l, const struct task *task, int evidence)
{
	json_t *list = json_array(), *declared;
	const char *name, *root = l->settings->spool_dir;

	json_object_foreach(task->artifacts, name, declared)
	{
		json_t *row =
		    json_pack("{s:s,s:s*,s:O*,s:s}", "name", name, "image", json_str(declared, "image", NULL),
		        "report", json_object_get(declared, "report"), "state", "declared");
		const struct exporting *x = find(l, task, name);
		char id[SPOOL_ID_MAX];
		enum spool_state state;

		spool_make_id(task->id, name, id);
		state = spool_find(root, id);
		if (state != SPOOL_NONE && state != SPOOL_INCOMING)
			add_spooled(row, root, id, state, evidence);
		else if (x != NULL)
			add_exporting(row, x);
		json_array_append_new(list, row);
	}
	return list;
}
