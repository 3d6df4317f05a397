/*
 * An image for a task: what is asked, whether this task may have it, which content that is, and the answer.
 * Every request is asked of the store anew, with the credentials of the task that it is for, also when the
 * image is here: an image that one task may have is not therefore for all.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "life_loading.h"
#include "policy/call.h"
#include "task/task.h"

static const char *const faults[] = {
	[FAULT_WORKER] = "worker",
	[FAULT_TASK] = "task",
	[FAULT_SERVICE] = "service",
};

const char *
load_fault_word(enum load_fault fault)
{
	return faults[fault];
}

enum load_fault
load_fault_of(const char *word)
{
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (strcmp(faults[i], word) == 0)
			return (enum load_fault)i;
	return FAULT_WORKER;
}

enum load_fault
load_read_failure(const json_t *result, struct err *e)
{
	int status = (int)json_num(result, "status", 502);

	err_refuse(e, status < 400 || status > 599 ? 502 : status, "image-fetch", "%s",
	    json_str(result, "error", "dind-uploader gave no reason"));
	return load_fault_of(json_str(result, "fault", "worker"));
}

void
load_waiter_free(struct load_waiter *w)
{
	fetching_done(w->finding);
	json_decref(w->want);
	json_decref(w->credentials);
	free(w);
}

void
finders_stop(struct life *l)
{
	while (l->finders != NULL) {
		struct load_waiter *w = l->finders;

		l->finders = w->next;
		load_waiter_free(w);
	}
}

void
finders_leave(struct life *l, const char *user)
{
	for (struct load_waiter *w = l->finders; w != NULL; w = w->next)
		if (strcmp(w->user, user) == 0)
			w->user[0] = '\0';
}

/* --- the answers */

void
load_bad(struct load_waiter *w, const struct err *why, enum load_fault fault)
{
	json_t *answer = json_pack("{s:s,s:s}", "message", why->text, "fault", faults[fault]);

	if (why->rule != NULL)
		json_object_set_new(answer, "rule", json_string(why->rule));
	w->life->load_failures[fault]++;
	life_say(w->cb, w->arg, why->status ? why->status : 500, answer);
}

int
load_good(struct load_waiter *w, const char *key, const char *name, const char *id, const json_t *artifact,
    const struct load_result *r)
{
	static const char *const keys[] = { "taskId", "runId", "sha256", "sha512", "size" };
	struct err e = { 0 };
	json_t *answer;

	if (w->user[0] == '\0') {
		err_refuse(&e, 409, "task", "the task ended while its image was loaded");
		load_bad(w, &e, FAULT_TASK);
		return -1;
	}
	if (held_add(w->life, key, name, id, artifact, w->user, &e) < 0) {
		load_bad(w, &e, FAULT_WORKER);
		return -1;
	}
	answer = json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:s}", "name", name, "id", id, "path",
	    json_str(artifact, "name", ""), "cached", !r->fresh, "fetched", (json_int_t)r->fetched, "saved",
	    (json_int_t)r->saved, "user", w->user);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (json_object_get(artifact, keys[i]) != NULL)
			json_object_set(answer, keys[i], json_object_get(artifact, keys[i]));
	life_say(w->cb, w->arg, 200, answer);
	return 0;
}

/* A failure before anything is known of the image. */
static void
refuse(struct load_waiter *w, const struct err *why, enum load_fault fault)
{
	life_record(w->life, NULL, "image", "load-failed",
	    json_pack("{s:O,s:s,s:s}", "artifact", w->want, "fault", faults[fault], "reason", why->text));
	load_bad(w, why, fault);
	load_waiter_free(w);
}

/* --- which content it is */

/* The name says which bytes: content and origin; no task can make a name in that namespace. What the store
 * has no word for is never taken for the same. */
static void
make_key(const json_t *found, const struct fetching *f, char key[LOAD_KEY_LEN + 1])
{
	char hex[HASH_HEX_MAX];
	const char *content = json_str(found, "content", "");
	char *text =
	    mem_printf("%s/%lld/%s/%s", json_str(found, "taskId", ""), (long long)json_num(found, "runId", 0),
	        json_str(found, "name", ""), content[0] != '\0' ? content : fetching_id(f));

	hash_once(HASH_SHA256, text, strlen(text), hex);
	memcpy(key, hex, LOAD_KEY_LEN);
	key[LOAD_KEY_LEN] = '\0';
	free(text);
}

static void
leave_finders(struct load_waiter *w)
{
	struct load_waiter **at = &w->life->finders;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->next = NULL;
}

static int
is_found(const json_t *result)
{
	return strcmp(json_str(result, "state", ""), "found") == 0 &&
	       json_str(result, "taskId", NULL) != NULL && json_num(result, "runId", -1) >= 0 &&
	       json_str(result, "name", NULL) != NULL && json_str(result, "content", NULL) != NULL;
}

static void
on_found(void *arg, const json_t *result, const struct err *why)
{
	struct load_waiter *w = arg;
	char key[LOAD_KEY_LEN + 1];
	struct err e = { 0 };
	enum load_fault fault;

	leave_finders(w);
	if (result == NULL) {
		e = *why;
		refuse(w, &e, FAULT_WORKER);
	} else if (!is_found(result)) {
		fault = load_read_failure(result, &e);
		refuse(w, &e, fault);
	} else {
		make_key(result, w->finding, key);
		fetching_done(w->finding);
		w->finding = NULL;
		loading_join(w->life, key, result, w);
	}
}

/* --- what is asked */

static int
has_scope(const json_t *scopes, const char *need)
{
	const json_t *v;
	size_t i;

	json_array_foreach(scopes, i, v)
	{
		const char *scope = json_is_string(v) ? json_string_value(v) : "";
		size_t len = strlen(scope);

		if (strcmp(scope, need) == 0 ||
		    (len > 0 && scope[len - 1] == '*' && strncmp(scope, need, len - 1) == 0))
			return 1;
	}
	return 0;
}

/*
 * A queue judges by itself. A directory or a bucket knows no tasks: there the rule is the queue's, judged
 * here by the scopes that the worker registered the task with, or gave with the request.
 */
static int
check_scopes(
    const struct life *l, const json_t *body, const struct task *task, const char *name, struct err *e)
{
	const json_t *scopes = json_object_get(body, "scopes");
	char *need;
	int may;

	if (strcmp(l->settings->store_type, "taskcluster") == 0 || strncmp(name, "public/", 7) == 0)
		return 0;
	if (scopes == NULL && task != NULL)
		scopes = json_object_get(task->registered, "scopes");
	need = mem_printf("queue:get-artifact:%s", name);
	may = has_scope(scopes, need);
	free(need);
	return may ? 0
	           : err_refuse(e, 403, "image-scope",
	                 "the task may not have this artifact: its scopes lack queue:get-artifact:<path>, "
	                 "which only artifacts below public/ do not need");
}

static int
read_image(const json_t *image, json_t *want, struct err *e)
{
	const char *type = json_str(image, "type", ""), *task_id = json_str(image, "taskId", NULL);
	const char *index = json_str(image, "namespace", NULL), *path = json_str(image, "path", NULL);
	json_int_t run = json_num(image, "runId", -1);

	if (strcmp(type, "task-image") != 0 && strcmp(type, "indexed-image") != 0)
		return err_refuse(e, 400, "image-load",
		    "'image.type' must be \"task-image\" or \"indexed-image\", not \"%.64s\"", type);
	if (path == NULL || (type[0] == 't' ? task_id : index) == NULL)
		return err_refuse(e, 400, "image-load", "'image' of type %s must have '%s' and 'path'", type,
		    type[0] == 't' ? "taskId" : "namespace");
	if (run < -1 || run > 1000000)
		return err_refuse(e, 400, "image-load", "'image.runId' must be an integer from 0 to 1000000");
	if (task_check_artifact(path, e) < 0)
		return -1;
	json_object_set_new(want, "name", json_string(path));
	if (type[0] == 't')
		json_object_set_new(want, "taskId", json_string(task_id));
	else
		json_object_set_new(want, "index", json_string(index));
	json_object_set_new(want, "runId", json_integer(type[0] == 't' ? run : -1));
	return 0;
}

static int
read_body(const struct life *l, const json_t *body, struct load_waiter *w, struct err *e)
{
	const char *task_id = json_str(body, "taskId", NULL);
	const struct task *task;

	w->want = json_object();
	if (task_id == NULL)
		return err_refuse(e, 400, "image-load", "'taskId' must name the task that the image is for");
	if (read_image(json_object_get(body, "image"), w->want, e) < 0)
		return -1;
	task_make_id(task_id, (unsigned)json_num(body, "runId", 0), w->user);
	task = tasks_find(l->tasks, w->user);
	json_object_set_new(w->want, "session", json_string(w->user));
	w->credentials = json_incref(json_object_get(body, "credentials"));
	return check_scopes(l, body, task, json_str(w->want, "name", ""), e);
}

void
life_image_load(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	struct load_waiter *w = mem_new(sizeof *w);
	struct err e = { 0 };

	*w = (struct load_waiter){ .life = l, .cb = cb, .arg = arg };
	if (read_body(l, body, w, &e) == 0)
		w->finding = fetching_start(l, w->want, w->credentials, on_found, w, &e);
	if (w->finding == NULL) {
		refuse(w, &e, e.status >= 400 && e.status < 500 ? FAULT_TASK : FAULT_WORKER);
		return;
	}
	w->next = l->finders;
	l->finders = w;
}
