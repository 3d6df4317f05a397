#include "task/task.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "task_private.h"

enum { TASK_FILE_MAX = 4 * 1024 * 1024 }; /* a body has at most 1 MiB */

void
task_make_id(const char *task_id, unsigned run_id, char out[REFERENCE_NS_LEN + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	char hex[HASH_HEX_MAX], *key = mem_printf("%s/%u", task_id, run_id);

	hash_once(HASH_SHA256, key, strlen(key), hex);
	free(key);
	for (int i = 0; i < REFERENCE_NS_LEN; i += 4) { /* 20 bits: five hex digits, four letters */
		char five[6] = { 0 };
		unsigned long bits;

		memcpy(five, hex + i / 4 * 5, 5);
		bits = strtoul(five, NULL, 16);
		for (int k = 0; k < 4; k++)
			out[i + k] = letters[bits >> (15 - 5 * k) & 31];
	}
	out[REFERENCE_NS_LEN] = '\0';
}

char *
task_path(const struct task *task, const char *file)
{
	if (file == NULL)
		return mem_printf("%s/%s", task->home->dir, task->id);
	return mem_printf("%s/%s/%s", task->home->dir, task->id, file);
}

/* One that has ended lays claim to nothing: two that end together must not wait for each other. */
static int
is_other(const struct task *t, const struct task *task)
{
	return t != task && t->state != TASK_ENDED;
}

static int
owned_elsewhere(const void *arg, const char *id)
{
	const struct task *task = arg;

	for (const struct task *t = task->home->first; t != NULL; t = t->next)
		if (is_other(t, task) &&
		    (owned_image(&t->owned, id) != NULL || owned_has_step(&t->owned, id)))
			return 1;
	return 0;
}

static const char *
owned_nameless(const void *arg, const char *id)
{
	const struct task *task = arg;

	for (const struct task *t = task->home->first; t != NULL; t = t->next) {
		const struct owned_image *image = is_other(t, task) ? owned_image(&t->owned, id) : NULL;

		if (image != NULL && image->name_count == 0)
			return t->id;
	}
	return NULL;
}

static int
owned_sharing(const void *arg)
{
	const struct task *task = arg;

	for (const struct task *t = task->home->first; t != NULL; t = t->next)
		if (is_other(t, task) && t->policy->cache == CACHE_SHARED)
			return 1;
	return 0;
}

static struct task *
task_new(struct tasks *home, const char *id)
{
	struct task *t = mem_new(sizeof *t);

	memcpy(t->id, id, REFERENCE_NS_LEN);
	t->home = home;
	t->journal = -1;
	owned_init(&t->owned, t->id);
	t->owned.elsewhere = owned_elsewhere;
	t->owned.nameless = owned_nameless;
	t->owned.sharing = owned_sharing;
	t->owned.arg = t;
	return t;
}

static void
task_free(struct task *t)
{
	if (t->journal >= 0)
		close(t->journal);
	json_decref(t->artifacts);
	json_decref(t->policy_given);
	json_decref(t->limits_given);
	json_decref(t->registered);
	policy_unref(t->policy);
	owned_done(&t->owned);
	builds_done(&t->builds);
	free(t->task_id);
	free(t);
}

/* Oldest first. */
static void
insert(struct tasks *home, struct task *t)
{
	struct task **at = &home->first;

	while (*at != NULL && (*at)->created <= t->created)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

static int
write_task(const struct task *t, struct err *e)
{
	char *path = task_path(t, "task.json");
	json_t *v = json_pack("{s:s, s:I, s:I, s:O}", "state", task_state_name(t->state), "created",
	    (json_int_t)t->created, "since", (json_int_t)t->since, "registered", t->registered);
	int rc = json_write(path, v, 0600, e);

	json_decref(v);
	free(path);
	return rc;
}

static int
read_task(struct task *t, struct err *e)
{
	char *path = task_path(t, "task.json"), id[REFERENCE_NS_LEN + 1];
	json_t *v = json_read(path, TASK_FILE_MAX, e);
	const json_t *kept = json_object_get(v, "registered");
	int rc = -1;

	free(path);
	if (v == NULL)
		return -1;
	t->created = json_num(v, "created", 0);
	t->since = json_num(v, "since", t->created);
	t->state = task_state_of(json_str(v, "state", ""));
	if (body_apply(t, kept, 1, e) == 0)
		rc = journal_read(t, e);
	json_decref(v);
	if (rc < 0)
		return -1;
	task_make_id(t->task_id, t->run_id, id);
	return strcmp(id, t->id) == 0 ? 0 : err_set(e, EBADMSG, "task.json is that of another task");
}

/* A directory without task.json is a registration that nobody was told of. */
static int
is_registered(const char *dir, const char *id)
{
	char *path = mem_printf("%s/%s/task.json", dir, id);
	int there = access(path, F_OK) == 0 || errno != ENOENT;

	free(path);
	return there;
}

static int
drop_dir(const char *dir, const char *id, struct err *e)
{
	char *path = mem_printf("%s/%s", dir, id);
	int rc = fs_remove_tree(path, e);

	free(path);
	return rc == 0 ? fs_sync_dir(dir, e) : -1;
}

static int
open_one(struct tasks *home, const char *id, struct err *e)
{
	struct task *t;

	if (!is_registered(home->dir, id))
		return drop_dir(home->dir, id, e);
	t = task_new(home, id);
	if (read_task(t, e) < 0) {
		task_free(t);
		return err_wrap(e, "task %s in '%s' is damaged", id, home->dir);
	}
	insert(home, t);
	return 0;
}

static int
open_all(struct tasks *home, struct err *e)
{
	DIR *d = opendir(home->dir);
	struct dirent *entry;
	int rc = 0;

	if (d == NULL)
		return err_set(e, errno, "cannot read '%s': %m", home->dir);
	while (rc == 0 && (entry = readdir(d)) != NULL)
		if (reference_is_ns(entry->d_name))
			rc = open_one(home, entry->d_name, e);
	closedir(d);
	return rc;
}

struct tasks *
tasks_open(const struct settings *s, struct err *e)
{
	struct tasks *home = mem_new(sizeof *home);

	home->settings = s;
	home->version = 1;
	home->dir = mem_printf("%s/tasks", s->state_dir);
	if (fs_mkdirs(home->dir, 0700, e) == 0 && open_all(home, e) == 0)
		return home;
	tasks_close(home);
	return NULL;
}

void
tasks_close(struct tasks *home)
{
	if (home == NULL)
		return;
	for (struct task *t = home->first, *next; t != NULL; t = next) {
		next = t->next;
		task_free(t);
	}
	free(home->dir);
	free(home);
}

/* task.json last: with it the task is registered, without it nothing happened. */
static int
make_on_disk(struct task *t, const json_t *credentials, struct err *e)
{
	char *dir = task_path(t, NULL);
	int rc = fs_remove_tree(dir, e);

	if (rc == 0 && mkdir(dir, 0700) < 0)
		rc = err_set(e, errno, "cannot make '%s': %m", dir);
	if (rc == 0)
		rc = journal_make(t, e);
	if (rc == 0 && credentials != NULL)
		rc = task_set_credentials(t, credentials, e);
	if (rc == 0)
		rc = fs_sync_dir(t->home->dir, e);
	if (rc == 0)
		rc = write_task(t, e);
	free(dir);
	return rc;
}

/* Its errors have a status when the body is wrong, none when the disk is. */
static int
register_new(struct tasks *home, const char *id, json_t *kept, const json_t *credentials, struct task **out,
    struct err *e)
{
	struct task *t = task_new(home, id);

	t->created = t->since = stamp_now() / 1000;
	t->state = TASK_RUNNING;
	if (body_apply(t, kept, 0, e) < 0) {
		task_free(t);
		return -1;
	}
	if (make_on_disk(t, credentials, e) < 0) {
		struct err later;

		e->status = 500;
		(void)drop_dir(home->dir, id, &later);
		task_free(t);
		return -1;
	}
	insert(home, t);
	*out = t;
	return 0;
}

/* The worker asks again, perhaps because it never got the answer. */
static int
register_known(struct task *t, const json_t *kept, const json_t *credentials, struct err *e)
{
	if (!json_equal(t->registered, kept))
		return err_refuse(e, 409, "task-known", "task %s/%u is registered already, with another body",
		    t->task_id, t->run_id);
	if (t->state == TASK_ENDED)
		return err_refuse(e, 409, "task-known", "task %s/%u has ended and is being cleaned up",
		    t->task_id, t->run_id);
	if (credentials != NULL && task_set_credentials(t, credentials, e) < 0) {
		e->status = 500;
		return -1;
	}
	return 0;
}

int
tasks_add(struct tasks *home, const json_t *body, struct task **out, int *known, struct err *e)
{
	const json_t *credentials = json_object_get(body, "credentials");
	char id[REFERENCE_NS_LEN + 1];
	const char *task_id;
	unsigned run_id;
	int enabled, rc;
	json_t *kept;

	*out = NULL;
	*known = 0;
	if (body_key(body, &task_id, &run_id, &enabled, e) < 0)
		return -1;
	if (json_is_null(credentials))
		credentials = NULL;
	if (credentials != NULL && body_check_credentials(credentials, e) < 0)
		return -1;
	if (!enabled)
		return 0;
	task_make_id(task_id, run_id, id);
	kept = body_keep(body);
	*out = tasks_find(home, id);
	*known = *out != NULL;
	if (*known)
		rc = register_known(*out, kept, credentials, e);
	else
		rc = register_new(home, id, kept, credentials, out, e);
	json_decref(kept);
	if (rc < 0)
		*out = NULL;
	return rc;
}

static int
is_run(const struct task *t, const char *id)
{
	char run[16];
	size_t len = strlen(t->task_id);

	(void)snprintf(run, sizeof run, "/%u", t->run_id);
	return strncmp(id, t->task_id, len) == 0 && strcmp(id + len, run) == 0;
}

struct task *
tasks_find(const struct tasks *home, const char *id)
{
	struct task *only = NULL;
	int times = 0;

	for (struct task *t = home->first; t != NULL; t = t->next) {
		if (strcmp(t->id, id) == 0 || is_run(t, id))
			return t;
		if (strcmp(t->task_id, id) == 0) {
			only = t;
			times++;
		}
	}
	return times == 1 ? only : NULL;
}

void
tasks_apply_settings(struct tasks *home, unsigned version)
{
	home->version = version;
	for (struct task *t = home->first; t != NULL; t = t->next)
		body_apply_settings(t);
}

unsigned
tasks_version(const struct tasks *home)
{
	return home->version;
}

struct task *
tasks_first(const struct tasks *home)
{
	return home->first;
}

int
task_set_state(struct task *t, enum task_state state, struct err *e)
{
	enum task_state before = t->state;

	if (state == before)
		return 0;
	t->state = state;
	if (write_task(t, e) == 0)
		return 0;
	t->state = before;
	return -1;
}

int
task_inherit(struct task *t, int64_t since, struct err *e)
{
	if (t->policy->cache != CACHE_SHARED || t->since <= since)
		return 0;
	t->since = since;
	return write_task(t, e);
}

int
task_set_credentials(struct task *t, const json_t *credentials, struct err *e)
{
	char *path;
	int rc;

	if (body_check_credentials(credentials, e) < 0)
		return -1;
	path = task_path(t, "credentials.json");
	rc = json_write(path, credentials, 0600, e);
	free(path);
	return rc;
}

static void
unlink_from(struct tasks *home, const struct task *t)
{
	struct task **at = &home->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
}

/* task.json first: a crash in between leaves a directory that the next start removes. */
int
task_remove(struct task *t, struct err *e)
{
	char *file = task_path(t, "task.json");
	int rc = 0;

	if (unlink(file) < 0 && errno != ENOENT)
		rc = err_set(e, errno, "cannot remove '%s': %m", file);
	if (rc == 0)
		rc = drop_dir(t->home->dir, t->id, e);
	free(file);
	unlink_from(t->home, t);
	task_free(t);
	return rc;
}
