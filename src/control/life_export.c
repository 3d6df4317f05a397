/* Artifacts of a finished task: one dind-image after the other, from the engine to the spool. */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "base/version.h"
#include "control/life_parts.h"
#include "docker/reference.h"
#include "io/child.h"
#include "io/gate.h"
#include "policy/param.h"
#include "task/evidence.h"
#include "task/spool.h"
#include "task/task.h"

enum { EXPORTS_AT_A_TIME = 2 }; /* each costs a core for its compressor, and the engine stages each on disk */

static const char *const content_types[][2] = {
	{ ".zst", "application/zstd" },
	{ ".gz", "application/gzip" },
	{ ".tgz", "application/gzip" },
	{ ".lz4", "application/x-lz4" },
	{ ".tar", "application/x-tar" },
};

static const char *
content_type(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof content_types / sizeof content_types[0]; i++) {
		size_t end = strlen(content_types[i][0]);

		if (len > end && strcmp(name + len - end, content_types[i][0]) == 0)
			return content_types[i][1];
	}
	return "application/octet-stream";
}

static void
failed(struct exporting *x, const char *rule, const char *why)
{
	x->state = EXPORT_FAILED;
	free(x->error);
	free(x->rule);
	x->error = mem_str(why);
	x->rule = mem_str(rule);
	life_record(x->life, x->task, "image", "export-failed",
	    json_pack("{s:s,s:s,s:s}", "artifact", x->name, "rule", rule ? rule : "error", "reason", why));
}

static int tell(struct exporting *x);

static void
ended(struct exporting *x)
{
	struct life *l = x->life;
	struct task *task = x->task;
	struct err e = { 0 };

	x->child = NULL;
	if (x->state == EXPORT_FAILED && tell(x) == 0)
		return; /* it comes back */
	for (const struct exporting *o = l->exports; o != NULL; o = o->next)
		if (o->task == task && o->state < EXPORT_HANDED_OFF)
			task = NULL;
	if (task != NULL && task->state == TASK_FINISHING && task_set_state(task, TASK_FINISHED, &e) < 0)
		log_error("life", "task %s: %s", task->id, e.text);
	exports_next(l);
}

static void
on_event(void *arg, const json_t *event)
{
	struct exporting *x = arg;
	const char *what = json_str(event, "event", "");

	if (strcmp(what, "progress") == 0) {
		x->bytes = (uint64_t)json_num(event, "bytes", 0);
		x->compressed = (uint64_t)json_num(event, "compressed", 0);
		free(x->phase);
		x->phase = mem_str(json_str(event, "phase", ""));
	} else if (strcmp(what, "done") == 0) {
		x->state = EXPORT_HANDED_OFF;
		life_record(x->life, x->task, "image", "export",
		    json_pack("{s:s,s:s,s:s,s:I,s:I,s:[s]}", "artifact", x->name, "image",
		        json_str(event, "image", ""), "sha256", json_str(event, "sha256", ""), "out",
		        json_num(event, "size", 0), "ms", (json_int_t)(stamp_now() - x->started), "ids",
		        x->id));
	} else if (strcmp(what, "error") == 0) {
		failed(x, json_str(event, "rule", NULL), json_str(event, "message", "no reason given"));
	}
}

static void
on_end(void *arg, int status)
{
	struct exporting *x = arg;

	if (x->state == EXPORT_RUNNING)
		failed(x, "image-process",
		    WIFSIGNALED(status) ? "dind-image was killed" : "dind-image ended without a result");
	ended(x);
}

/* What is known of the image's build, and what becomes of it: dind-image seals it with the artifact. */
static json_t *
evidence_of(const struct exporting *x)
{
	const json_t *declared = json_object_get(x->task->artifacts, x->name);
	const json_t *upload = json_object_get(declared, "provenance");
	const struct settings *s = x->life->settings;

	return evidence_make(s->evidence_builder, builds_evidence(&x->task->builds, x->id),
	    upload != NULL ? json_is_true(upload) : s->evidence_upload != 0);
}

static json_t *
make_job(const struct exporting *x)
{
	const struct settings *s = x->life->settings;
	const json_t *declared = json_object_get(x->task->artifacts, x->name);
	const char *image = json_str(declared, "image", ""), *expires = json_str(declared, "expires", NULL);
	char familiar[REFERENCE_MAX];
	struct reference r;
	struct err e = { 0 };
	json_t *job;

	if (reference_parse(&r, image, &e) < 0)
		return NULL; /* tasks_add() has checked it */
	if (r.tag[0] == '\0')
		memcpy(r.tag, "latest", sizeof "latest");
	reference_familiar(&r, familiar);
	job = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:s?,s:s,s:s,s:[s],s:i,s:I,s:s,s:s}", "spool", s->spool_dir,
	    "session", x->task->id, "taskId", x->task->task_id, "runId", (int)x->task->run_id, "name",
	    x->name, "contentType", content_type(x->name), "expires", expires, "imageId", x->id, "image",
	    image, "tags", familiar, "level", 0, "maxBytes", (json_int_t)s->image_bytes, "version",
	    DIND_VERSION, "engine", x->life->engine_version);
	if (x->life->engine_version[0] == '\0') /* it has not said it yet: a record has it, or nothing */
		json_object_del(job, "engine");
	json_object_set_new(job, "evidence", evidence_of(x));
	return job;
}

static const char *
reason_of(const char *rule)
{
	if (rule != NULL && strcmp(rule, "artifact-image") == 0)
		return SPOOL_ERROR_MISSING;
	if (rule != NULL && strcmp(rule, "limit-image-bytes") == 0)
		return SPOOL_ERROR_LARGE;
	return SPOOL_ERROR_UNREADABLE;
}

static void
on_told(void *arg, const json_t *event)
{
	const struct exporting *x = arg;

	if (strcmp(json_str(event, "event", ""), "error") == 0)
		log_error("life", "task %s: why artifact '%s' failed is not handed over: %s", x->task->id,
		    x->name, json_str(event, "message", ""));
}

static void
on_told_end(void *arg, int status)
{
	struct exporting *x = arg;

	(void)status;
	x->state = EXPORT_FAILED;
	ended(x);
}

/*
 * Whoever looks for the artifact is to find the reason in its place, where the store can say so. This process
 * may not write into the spool: dind-image does, with nobody behind its engine connection. -1: it is not
 * told.
 */
static int
tell(struct exporting *x)
{
	const struct settings *s = x->life->settings;
	const char *argv[] = { s->image_program, "export", NULL };
	struct err e = { 0 };
	int nobody[2];
	json_t *job;

	if (x->told++ || strcmp(s->store_type, "taskcluster") != 0 || (job = make_job(x)) == NULL)
		return -1;
	json_object_set_new(
	    job, "error", json_pack("{s:s,s:s}", "reason", reason_of(x->rule), "message", x->error));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, nobody) == 0) {
		close(nobody[1]);
		x->child = child_start(x->life->loop, argv, job, nobody[0], on_told, on_told_end, x, &e);
	}
	json_decref(job);
	if (x->child == NULL)
		return -1;
	x->state = EXPORT_RUNNING;
	return 0;
}

static void
on_connected(void *arg, int fd, const struct err *why)
{
	struct exporting *x = arg;
	const char *argv[] = { x->life->settings->image_program, "export", NULL };
	struct err e = { 0 };
	json_t *job;

	x->ticket = 0;
	if (fd < 0) {
		failed(x, why->rule, why->text);
		ended(x);
		return;
	}
	job = make_job(x);
	x->state = EXPORT_RUNNING;
	x->child = child_start(x->life->loop, argv, job, fd, on_event, on_end, x, &e);
	json_decref(job);
	if (x->child == NULL) {
		failed(x, "image-process", e.text);
		ended(x);
	}
}

/* The name as the engine knows it: the gate checks that it lies in the task's namespace. */
static int
connect_engine(struct exporting *x, struct err *e)
{
	static struct call c; /* 100 KiB */
	const char *image = json_str(json_object_get(x->task->artifacts, x->name), "image", "");
	struct reference r;
	char mapped[REFERENCE_MAX];

	if (reference_parse(&r, image, e) < 0)
		return -1;
	if (r.tag[0] == '\0')
		memcpy(r.tag, "latest", sizeof "latest");
	if (reference_map(&r, x->task->id, mapped, e) < 0)
		return -1;
	call_start(&c, ROUTE_IMAGE_SAVE, x->task->id, life_api(x->life));
	if (call_add(&c, PARAM_NAMES, mapped, e) < 0)
		return -1;
	x->ticket = gate_connect(x->life->gate, &c, on_connected, x);
	return 0;
}

void
exports_next(struct life *l)
{
	unsigned running = 0;
	struct err e = { 0 };

	for (const struct exporting *x = l->exports; x != NULL; x = x->next)
		running += x->state == EXPORT_CONNECTING || x->state == EXPORT_RUNNING;
	for (struct exporting *x = l->exports; x != NULL && running < EXPORTS_AT_A_TIME; x = x->next) {
		if (x->state != EXPORT_QUEUED || (x->report && report_must_wait(x)))
			continue;
		x->state = EXPORT_CONNECTING;
		x->started = stamp_now();
		if ((x->report ? report_begin(x, on_event, on_end, &e) : connect_engine(x, &e)) == 0) {
			running++;
			continue;
		}
		failed(x, e.rule, e.text);
		running += tell(x) == 0;
	}
}

static struct exporting *
add_export(struct life *l, struct task *task, const char *name)
{
	struct exporting *x = mem_new(sizeof *x), **end = &l->exports;

	x->life = l;
	x->task = task;
	x->name = mem_str(name);
	while (*end != NULL)
		end = &(*end)->next;
	return *end = x;
}

static void
queue_export(struct life *l, struct task *task, const char *name, const char *image)
{
	struct exporting *x = add_export(l, task, name);
	struct reference r;
	char canonical[REFERENCE_MAX], why[700];
	const char *id = NULL;
	struct err e = { 0 };

	if (reference_parse(&r, image, &e) == 0) {
		reference_canonical(&r, canonical);
		id = owned_by_name(&task->owned, canonical);
	}
	if (id == NULL) {
		(void)snprintf(why, sizeof why,
		    "the task has no image '%s': nothing was built or tagged under that name", image);
		failed(x, "artifact-image", why);
		(void)tell(x);
		return;
	}
	(void)snprintf(x->id, sizeof x->id, "%s", id);
}

void
exports_start(struct life *l, struct task *task)
{
	const char *name;
	json_t *declared;
	struct err e = { 0 };
	int waiting = 0;

	json_object_foreach(task->artifacts, name, declared)
	{
		char id[SPOOL_ID_MAX];
		enum spool_state state;

		spool_make_id(task->id, name, id);
		state = spool_find(l->settings->spool_dir, id);
		if (state != SPOOL_NONE && state != SPOOL_INCOMING)
			continue; /* handed off before a restart */
		if (json_is_true(json_object_get(declared, "report")))
			add_export(l, task, name)->report = 1;
		else
			queue_export(l, task, name, json_str(declared, "image", ""));
	}
	exports_next(l);
	for (const struct exporting *x = l->exports; x != NULL; x = x->next)
		waiting += x->task == task && x->state < EXPORT_HANDED_OFF;
	if (!waiting && task_set_state(task, TASK_FINISHED, &e) < 0)
		log_error("life", "task %s: %s", task->id, e.text);
}

void
exports_drop(struct life *l, const struct task *task)
{
	struct exporting **at = &l->exports, *x;

	while ((x = *at) != NULL) {
		if (x->task != task) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		if (x->ticket)
			gate_cancel(l->gate, x->ticket);
		child_kill(x->child);
		free(x->name);
		free(x->phase);
		free(x->error);
		free(x->rule);
		free(x);
	}
}
