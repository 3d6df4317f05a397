/*
 * Images loaded for tasks: one unique local name for each content, shared by the tasks that use it, gone with
 * the last of them. What is held is on disk (<stateDir>/images/<hex>.json), so a restart forgets nothing.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/local.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "control/life_parts.h"
#include "io/child.h"
#include "io/fetch.h"
#include "io/gate.h"
#include "policy/param.h"
#include "task/task.h"

enum { KEY_LEN = 32, INSPECT_MAX = 1024 * 1024, INSPECT_SECONDS = 30, HELD_MAX = 64 * 1024 };

struct loading_waiter {
	life_answer_cb *cb;
	void *arg;
	char user[REFERENCE_NS_LEN + 1];
	struct loading_waiter *next;
};

struct loading { /* one content on its way: whoever wants the same waits for it */
	struct life *life;
	char key[KEY_LEN + 1];
	char name[REFERENCE_MAX];
	char *file;
	json_t *record; /* of the artifact */
	uint32_t ticket;
	struct child *child;
	struct fetch *fetch;
	char id[REFERENCE_ID_MAX]; /* what dind-image loaded */
	int fresh;                 /* 1: loaded just now, 0: it was here */
	struct err failure;
	struct loading_waiter *waiters;
	struct loading *next;
};

static char *
held_path(const struct life *l, const char *key)
{
	return mem_printf("%s/images/%s.json", l->settings->state_dir, key);
}

static void
free_loading(struct loading *x)
{
	struct loading **at = &x->life->loadings;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	if (x->ticket)
		gate_cancel(x->life->gate, x->ticket);
	child_kill(x->child);
	fetch_cancel(x->fetch);
	while (x->waiters != NULL) {
		struct loading_waiter *w = x->waiters;

		x->waiters = w->next;
		free(w);
	}
	json_decref(x->record);
	free(x->file);
	free(x);
}

void
loadings_stop(struct life *l)
{
	while (l->loadings != NULL)
		free_loading(l->loadings);
}

/* Adds a user to what is held on disk. */
static int
hold(const struct loading *x, const char *user, struct err *e)
{
	char *dir = mem_printf("%s/images", x->life->settings->state_dir), *path = held_path(x->life, x->key);
	struct err missing = { 0 };
	json_t *held = json_read(path, HELD_MAX, &missing), *users, *one;
	size_t i;
	int rc = fs_mkdirs(dir, 0700, e), known = 0;
	char loaded[STAMP_MAX];

	stamp_print(stamp_now(), loaded);
	if (held == NULL)
		held = json_pack("{s:s,s:s,s:O,s:s,s:[]}", "name", x->name, "id", x->id, "artifact",
		    x->record, "loaded", loaded, "users");
	users = json_object_get(held, "users");
	json_array_foreach(users, i, one) known |= strcmp(json_string_value(one), user) == 0;
	if (!known)
		json_array_append_new(users, json_string(user));
	if (rc == 0 && !known)
		rc = json_write(path, held, 0600, e);
	json_decref(held);
	free(path);
	free(dir);
	return rc;
}

static void
answer_all(struct loading *x, const struct err *why)
{
	for (struct loading_waiter *w = x->waiters; w != NULL; w = w->next) {
		struct err e = { 0 };

		if (why == NULL && hold(x, w->user, &e) == 0)
			life_say(w->cb, w->arg, 200,
			    json_pack("{s:s,s:s,s:s,s:I,s:b,s:s}", "name", x->name, "id", x->id, "sha256",
			        json_str(x->record, "sha256", ""), "size", json_num(x->record, "size", 0),
			        "cached", !x->fresh, "user", w->user));
		else
			life_fail(w->cb, w->arg, why == NULL ? &e : why);
	}
	if (why == NULL)
		x->life->loads++;
	life_record(x->life, NULL, "image", why == NULL ? (x->fresh ? "load" : "load-cached") : "load-failed",
	    json_pack("{s:s,s:s,s:s,s:[s]}", "image", x->name, "sha256", json_str(x->record, "sha256", ""),
	        "reason", why == NULL ? "" : why->text, "ids", x->id));
	free_loading(x);
}

static void
on_dropped(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;

	(void)status;
	(void)answer;
	(void)e;
	x->fetch = NULL;
	answer_all(x, &x->failure);
}

/* A name of a loaded image in a call of our own. */
static void
own_call(const struct life *l, struct call *c, enum route route, const char *name)
{
	struct err e = { 0 };

	call_start(c, route, CALL_NS_IMAGE, life_api(l));
	(void)call_add(c, PARAM_NAME, name, &e); /* it fits: we made it */
}

static void ask_engine(struct loading *x, fetch_cb *cb);

/* What was loaded is not what was promised: the name goes again. */
static void
drop_wrong(struct loading *x)
{
	static struct call c; /* 100 KiB */

	own_call(x->life, &c, ROUTE_IMAGE_REMOVE, x->name);
	x->fetch = fetch_start(x->life->loop, x->life->gate, &c, INSPECT_MAX, INSPECT_SECONDS, on_dropped, x);
}

/* The engine answers 200 to a load whatever happens: only the id under the name tells (storage.md, finding
 * 5). */
static void
on_loaded_inspect(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;

	x->fetch = NULL;
	if (status == 200 && strcmp(json_str(answer, "Id", ""), x->id) == 0) {
		answer_all(x, NULL);
		return;
	}
	err_refuse(&x->failure, 502, "image-id",
	    "the engine has '%s' under the loaded name, '%s' was expected: %s",
	    json_str(answer, "Id", "nothing"), x->id, status ? "the image was removed" : e->text);
	drop_wrong(x);
}

static void
on_event(void *arg, const json_t *event)
{
	struct loading *x = arg;
	const char *what = json_str(event, "event", "");

	if (strcmp(what, "done") == 0)
		(void)snprintf(x->id, sizeof x->id, "%s", json_str(event, "imageId", ""));
	else if (strcmp(what, "error") == 0)
		err_refuse(&x->failure, (int)json_num(event, "status", 502), "image-load", "%s",
		    json_str(event, "message", "no reason given"));
}

static void
on_end(void *arg, int status)
{
	struct loading *x = arg;

	x->child = NULL;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && reference_is_id(x->id)) {
		x->fresh = 1;
		ask_engine(x, on_loaded_inspect);
		return;
	}
	if (x->failure.status == 0)
		err_refuse(&x->failure, 500, "image-process", "dind-image ended without a result");
	answer_all(x, &x->failure);
}

static void
on_connected(void *arg, int fd, const struct err *why)
{
	struct loading *x = arg;
	const struct settings *s = x->life->settings;
	const char *argv[] = { s->image_program, "load", NULL };
	json_t *job;

	x->ticket = 0;
	if (fd < 0) {
		answer_all(x, why);
		return;
	}
	job = json_pack("{s:{s:s},s:s,s:s,s:I,s:s?,s:s,s:I}", "source", "path", x->file, "name",
	    json_str(x->record, "name", ""), "sha256", json_str(x->record, "sha256", ""), "size",
	    json_num(x->record, "size", 0), "imageId", json_str(x->record, "imageId", NULL), "tag", x->name,
	    "maxBytes", (json_int_t)s->image_bytes);
	x->child = child_start(x->life->loop, argv, job, fd, on_event, on_end, x, &x->failure);
	json_decref(job);
	if (x->child == NULL)
		answer_all(x, &x->failure);
}

static void
start_load(struct loading *x)
{
	static struct call c; /* 100 KiB */

	call_start(&c, ROUTE_IMAGE_LOAD, CALL_NS_IMAGE, life_api(x->life));
	{
		struct err e = { 0 };

		(void)call_add(&c, PARAM_QUIET, "1", &e);
	}
	x->ticket = gate_connect(x->life->gate, &c, on_connected, x);
}

static void
on_here(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;
	const char *id = json_str(answer, "Id", ""), *expected = json_str(x->record, "imageId", NULL);

	x->fetch = NULL;
	if (status == 0) {
		answer_all(x, e);
	} else if (status == 200 && expected != NULL && strcmp(id, expected) == 0) {
		memcpy(x->id, expected, strlen(expected) + 1);
		answer_all(x, NULL);
	} else {
		start_load(x);
	}
}

static void
ask_engine(struct loading *x, fetch_cb *cb)
{
	static struct call c; /* 100 KiB */

	own_call(x->life, &c, ROUTE_IMAGE_INSPECT, x->name);
	x->fetch = fetch_start(x->life->loop, x->life->gate, &c, INSPECT_MAX, INSPECT_SECONDS, cb, x);
}

/* The name says which bytes: content and origin; no task can make a name in that namespace. */
static void
make_key(const json_t *record, char key[KEY_LEN + 1])
{
	char hex[HASH_HEX_MAX];
	char *text = mem_printf("%s/%lld/%s/%s", json_str(record, "taskId", ""),
	    (long long)json_num(record, "runId", 0), json_str(record, "name", ""),
	    json_str(record, "sha256", ""));

	hash_once(HASH_SHA256, text, strlen(text), hex);
	memcpy(key, hex, KEY_LEN);
	key[KEY_LEN] = '\0';
	free(text);
}

static struct loading *
find_or_start(struct life *l, json_t *record, char *file, int *fresh)
{
	char key[KEY_LEN + 1];
	struct loading *x = l->loadings;

	make_key(record, key);
	while (x != NULL && strcmp(x->key, key) != 0)
		x = x->next;
	*fresh = x == NULL;
	if (x != NULL) {
		json_decref(record);
		free(file);
		return x;
	}
	x = mem_new(sizeof *x);
	x->life = l;
	memcpy(x->key, key, sizeof key);
	(void)snprintf(x->name, sizeof x->name, REFERENCE_REGISTRY "/" CALL_NS_IMAGE "/%s:latest", key);
	x->record = record;
	x->file = file;
	x->next = l->loadings;
	l->loadings = x;
	return x;
}

static int
read_body(const json_t *body, const json_t **image, char user[REFERENCE_NS_LEN + 1], struct err *e)
{
	const char *task_id = json_str(body, "taskId", NULL), *type;

	*image = json_object_get(body, "image");
	type = json_str(*image, "type", "");
	if (task_id == NULL)
		return err_refuse(e, 400, "image-load", "'taskId' must name the task that the image is for");
	if (strcmp(type, "task-image") != 0)
		return err_refuse(
		    e, 400, "image-load", "'image.type' must be \"task-image\", not \"%.64s\"", type);
	if (json_str(*image, "taskId", NULL) == NULL || json_str(*image, "path", NULL) == NULL)
		return err_refuse(e, 400, "image-load", "'image' must have 'taskId' and 'path'");
	task_make_id(task_id, (unsigned)json_num(body, "runId", 0), user);
	return 0;
}

void
life_image_load(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	struct err e = { 0 };
	const json_t *image;
	char user[REFERENCE_NS_LEN + 1], *file = NULL;
	json_t *record = NULL;
	struct loading_waiter *w;
	struct loading *x;
	int fresh;

	if (read_body(body, &image, user, &e) < 0 ||
	    local_store_find(l->settings->store_dir, json_str(image, "taskId", ""),
	        json_num(image, "runId", -1), json_str(image, "path", ""), &record, &file, &e) < 0) {
		life_fail(cb, arg, &e);
		return;
	}
	x = find_or_start(l, record, file, &fresh);
	w = mem_new(sizeof *w);
	*w = (struct loading_waiter){ .cb = cb, .arg = arg, .next = x->waiters };
	memcpy(w->user, user, sizeof w->user);
	x->waiters = w;
	if (fresh)
		ask_engine(x, on_here);
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

		if (entry->d_name[0] == '.' || strlen(entry->d_name) != KEY_LEN + 5)
			continue;
		path = mem_printf("%s/%s", dir, entry->d_name);
		if (release_one(path, user, name)) {
			calls[count] = mem_new(sizeof(struct call));
			own_call(l, calls[count++], ROUTE_IMAGE_REMOVE, name);
		}
		free(path);
	}
	if (d != NULL)
		closedir(d);
	free(dir);
	return count;
}
