/*
 * Loaded images and who uses them: <stateDir>/images/<key>.json, {"name", "users", ..}. The file is there
 * before the engine has the name, and goes when the engine has it no more: whenever we die, a file without
 * users says what is to be removed.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
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
#include "base/version.h"
#include "io/fetch.h"
#include "life_loading.h"
#include "policy/param.h"

enum { HELD_MAX = 64 * 1024, ANSWER_MAX = 1024 * 1024, REMOVE_SECONDS = 120, ROUND = 32 };

struct leaving { /* names that nobody uses, on their way out of the engine: one after the other */
	struct life *life;
	struct fetch *fetch;
	struct leaving_one {
		char key[LOAD_KEY_LEN + 1];
		char *name;
	} rows[ROUND];
	size_t count, at, gone;
	int away;  /* the engine, or our own disk, does not answer: later */
	int again; /* more may have come since it was planned */
};

static char *
path_of(const struct life *l, const char *key)
{
	return mem_printf("%s/images/%s.json", l->settings->state_dir, key);
}

static json_t *
read_held(const struct life *l, const char *key, struct err *e)
{
	char *path = path_of(l, key);
	json_t *held = json_read(path, HELD_MAX, e);

	free(path);
	return held;
}

static int
write_held(const struct life *l, const char *key, const json_t *held, struct err *e)
{
	char *dir = mem_printf("%s/images", l->settings->state_dir), *path = path_of(l, key);
	int rc = fs_mkdirs(dir, 0700, e) == 0 ? json_write(path, held, 0600, e) : -1;

	free(path);
	free(dir);
	return rc;
}

static json_t *
read_or_new(const struct life *l, const char *key, const char *name, struct err *e)
{
	json_t *held = read_held(l, key, e);

	if (held == NULL && (e->code == ENOENT || e->code == 0))
		held = json_pack("{s:s,s:[]}", "name", name, "users");
	return held;
}

int
held_expect(const struct life *l, const char *key, const char *name, struct err *e)
{
	json_t *held = read_or_new(l, key, name, e);
	int rc = held == NULL ? -1 : write_held(l, key, held, e);

	json_decref(held);
	return rc;
}

void
held_id(const struct life *l, const char *key, char id[REFERENCE_ID_MAX], json_t **artifact)
{
	struct err missing;
	json_t *held = read_held(l, key, &missing);

	(void)snprintf(id, REFERENCE_ID_MAX, "%s", json_str(held, "id", ""));
	*artifact = json_incref(json_object_get(held, "artifact"));
	json_decref(held);
}

/* 1 when there is something to write. */
static int
add_user(const struct life *l, json_t *held, const char *id, const json_t *artifact, const char *user)
{
	json_t *users = json_object_get(held, "users"), *one;
	char loaded[STAMP_MAX];
	int known = 0, same = strcmp(json_str(held, "id", ""), id) == 0;
	size_t i;

	json_array_foreach(users, i, one) known |= strcmp(json_string_value(one), user) == 0;
	if (!known)
		json_array_append_new(users, json_string(user));
	if (!same) { /* new, or made anew */
		stamp_print(stamp_now(), loaded);
		json_object_set_new(held, "id", json_string(id));
		json_object_set(held, "artifact", (json_t *)(uintptr_t)artifact);
		json_object_set_new(held, "loaded", json_string(loaded));
		json_object_set_new(
		    held, "engine", json_string(l->engine_version)); /* by whom, for evidence */
		json_object_set_new(held, "version", json_string(DIND_VERSION));
	}
	return !known || !same;
}

int
held_add(const struct life *l, const char *key, const char *name, const char *id, const json_t *artifact,
    const char *user, struct err *e)
{
	json_t *held = read_or_new(l, key, name, e);
	int rc = held == NULL ? -1 : 0;

	if (rc == 0 && add_user(l, held, id, artifact, user))
		rc = write_held(l, key, held, e);
	json_decref(held);
	return rc;
}

int
held_forget(const struct life *l, const char *key, struct err *e)
{
	json_t *held = read_held(l, key, e);
	char *path = path_of(l, key);
	int rc = held != NULL || e->code == ENOENT ? 0 : -1;

	if (held != NULL && json_array_size(json_object_get(held, "users")) == 0 && unlink(path) < 0)
		rc = err_set(e, errno, "cannot remove '%s': %m", path);
	json_decref(held);
	free(path);
	return rc;
}

typedef int visit_held(struct life *l, const char *key, json_t *held, const void *arg, struct err *e);

static int
visit_one(struct life *l, const char *name, visit_held *visit, const void *arg, struct err *e)
{
	char key[LOAD_KEY_LEN + 1];
	json_t *held;
	int rc = 0;

	if (name[0] == '.' || strlen(name) != LOAD_KEY_LEN + strlen(".json"))
		return 0;
	memcpy(key, name, LOAD_KEY_LEN);
	key[LOAD_KEY_LEN] = '\0';
	held = read_held(l, key, e);
	if (held != NULL)
		rc = visit(l, key, held, arg, e);
	else if (e->code == 0)
		log_error("life", "%s", e->text); /* it is damaged: nothing can be known of it */
	else
		rc = -1;
	json_decref(held);
	return rc;
}

/* Each file's key and content; all of them, also when one fails. */
static int
each(struct life *l, visit_held *visit, const void *arg, struct err *e)
{
	char *path = mem_printf("%s/images", l->settings->state_dir);
	DIR *d = opendir(path);
	struct dirent *entry;
	int rc = d != NULL ? 0 : err_set(e, errno, "cannot read '%s': %m", path);

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (visit_one(l, entry->d_name, visit, arg, e) < 0)
			rc = -1;
	if (d != NULL)
		closedir(d);
	free(path);
	return rc;
}

/* --- removing */

static void leave_next(struct leaving *v);

static void
free_leaving(struct leaving *v)
{
	fetch_cancel(v->fetch);
	for (size_t i = 0; i < v->count; i++)
		free(v->rows[i].name);
	free(v);
}

/* What the engine does not give up now is asked for again after the next release, or start. */
static void
end_round(struct leaving *v)
{
	struct life *l = v->life;
	int more = v->again || (v->count == ROUND && v->gone > 0);

	l->leaving = NULL;
	l->unused = v->away || more;
	l->unused_away = v->away;
	loadings_go(l);
	if (more && !v->away)
		held_tidy(l);
	else
		end_released(l, v->away);
	free_leaving(v);
}

static void
stop_for_now(struct leaving *v, const struct err *why)
{
	if (!v->life->unused_away)
		log_warn("life", "loaded images that nobody uses stay for now: %s", why->text);
	v->away = 1;
	v->at = v->count;
}

static void
on_removed(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct leaving *v = arg;
	const struct leaving_one *one = &v->rows[v->at++];
	struct err failed = { 0 };

	v->fetch = NULL;
	if (status == 0) {
		stop_for_now(v, e);
	} else if (status < 300 || status == 404) {
		v->gone++;
		if (held_forget(v->life, one->key, &failed) < 0)
			stop_for_now(v, &failed);
	} else {
		log_warn("life", "%s stays: the engine answered %u: %s", one->name, status,
		    json_str(answer, "message", ""));
	}
	leave_next(v);
}

static void
leave_next(struct leaving *v)
{
	static struct call c; /* 100 KiB */

	/* somebody may want it again since the round was planned */
	while (v->at < v->count && loading_is(v->life, v->rows[v->at].key))
		v->at++;
	if (v->at == v->count) {
		end_round(v);
		return;
	}
	held_call(v->life, &c, ROUTE_IMAGE_REMOVE, v->rows[v->at].name);
	v->fetch = fetch_start(v->life->loop, v->life->gate, &c, ANSWER_MAX, REMOVE_SECONDS, on_removed, v);
}

static int
plan(struct life *l, const char *key, json_t *held, const void *arg, struct err *e)
{
	struct leaving *v = l->leaving;
	const char *name = json_str(held, "name", NULL);

	(void)arg;
	(void)e;
	if (v->count == ROUND || name == NULL || loading_is(l, key) ||
	    json_array_size(json_object_get(held, "users")) > 0)
		return 0;
	memcpy(v->rows[v->count].key, key, LOAD_KEY_LEN + 1);
	v->rows[v->count++].name = mem_str(name);
	return 0;
}

void
held_tidy(struct life *l)
{
	struct err e = { 0 };

	l->unused = 1;
	if (l->leaving != NULL)
		l->leaving->again = 1;
	if (l->leaving != NULL || l->engine_api == 0)
		return; /* at its end, or when the engine is known */
	l->leaving = mem_new(sizeof *l->leaving);
	l->leaving->life = l;
	if (each(l, plan, NULL, &e) < 0)
		stop_for_now(l->leaving, &e);
	leave_next(l->leaving);
}

int
held_leaves(const struct life *l, const char *key)
{
	const struct leaving *v = l->leaving;

	return v != NULL && v->fetch != NULL && strcmp(v->rows[v->at].key, key) == 0;
}

void
held_stop(struct life *l)
{
	if (l->leaving != NULL)
		free_leaving(l->leaving);
	l->leaving = NULL;
}

/* --- users */

static int
release(struct life *l, const char *key, json_t *held, const void *user, struct err *e)
{
	json_t *users = json_object_get(held, "users");
	size_t i = json_array_size(users);

	while (i-- > 0 && strcmp(json_string_value(json_array_get(users, i)), user) != 0)
		;
	if (i == (size_t)-1)
		return 0;
	(void)json_array_remove(users, i);
	l->unused |= json_array_size(users) == 0; /* perhaps also when the write failed: behind its rename */
	return write_held(l, key, held, e);
}

int
held_release(struct life *l, const char *user, struct err *e)
{
	int rc;

	finders_leave(l, user);
	loadings_leave(l, user);
	rc = each(l, release, user, e);
	if (l->unused)
		held_tidy(l);
	return rc < 0 ? -1 : l->unused;
}

/* A name of a loaded image in a call of our own. */
void
held_call(const struct life *l, struct call *c, enum route route, const char *name)
{
	struct err e = { 0 };

	call_start(c, route, CALL_NS_IMAGE, life_api(l));
	(void)call_add(c, PARAM_NAME, name, &e); /* it fits: we made it */
}
