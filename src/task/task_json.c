#include <string.h>

#include "base/err.h"
#include "base/stamp.h"
#include "task/task.h"
#include "task_private.h"

static const char *const names[] = {
	[TASK_ENDED] = "ended",
	[TASK_RUNNING] = "running",
	[TASK_FINISHING] = "finishing",
	[TASK_FINISHED] = "finished",
};

const char *
task_state_name(enum task_state s)
{
	return names[s];
}

enum task_state
task_state_of(const char *name)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return (enum task_state)i;
	return TASK_ENDED;
}

/* As people type it: "app:1". */
static json_t *
familiar(const char *name)
{
	char text[REFERENCE_MAX];
	struct reference r;
	struct err ignored;

	if (reference_parse(&r, name, &ignored) < 0)
		return json_string(name);
	reference_familiar(&r, text);
	return json_string(text);
}

static json_t *
images_json(const struct owned *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->count; i++) {
		json_t *tags = json_array();

		for (size_t n = 0; n < o->images[i].name_count; n++)
			json_array_append_new(tags, familiar(o->images[i].names[n]));
		json_array_append_new(list, json_pack("{s:s, s:o}", "id", o->images[i].id, "names", tags));
	}
	return list;
}

static json_t *
time_json(int64_t seconds)
{
	char text[STAMP_MAX];

	if (seconds == 0)
		return json_null();
	stamp_print(seconds * 1000, text);
	return json_string(text);
}

static json_t *
counts_json(const struct task *t)
{
	const struct task_counts *c = &t->now;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
	    (json_int_t)c->connections, "builds", (json_int_t)c->builds, "requests", (json_int_t)c->requests,
	    "refused", (json_int_t)c->refused, "observed", (json_int_t)c->observed, "bytesIn",
	    (json_int_t)c->bytes_in, "bytesOut", (json_int_t)c->bytes_out, "saved", (json_int_t)c->saved,
	    "disk", (json_int_t)c->disk);
}

static json_t *
limits_json(const struct task *t)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
	    (json_int_t)t->max_connections, "builds", (json_int_t)t->max_builds, "buildTime",
	    (json_int_t)t->build_time, "contextBytes", (json_int_t)t->policy->context_bytes, "images",
	    (json_int_t)t->policy->images, "names", (json_int_t)t->policy->names, "requestRate",
	    (json_int_t)t->max_rate, "savedBytes", (json_int_t)t->max_saved, "diskBytes",
	    (json_int_t)t->max_disk);
}

json_t *
task_json(const struct task *t, int full)
{
	json_t *v = json_pack("{s:s, s:s, s:i, s:s, s:o, s:o, s:i, s:i, s:o}", "id", t->id, "taskId",
	    t->task_id, "runId", (int)t->run_id, "state", task_state_name(t->state), "created",
	    time_json(t->created), "expires", time_json(t->expires), "images", (int)t->owned.count, "names",
	    (int)owned_names(&t->owned), "now", counts_json(t));

	if (!full)
		return v;
	json_object_set_new(v, "owned", images_json(&t->owned));
	json_object_set(v, "artifacts", t->artifacts);
	json_object_set_new(v, "limits", limits_json(t));
	json_object_set_new(v, "judgedBy",
	    json_pack("{s:i,s:s,s:s}", "version", (int)t->policy->version, "hash", t->policy->hash, "mode",
	        policy_mode_name(t->policy->mode)));
	if (t->policy_given != NULL)
		json_object_set(v, "policy", t->policy_given);
	return v;
}
