/*
 * What is asked of dind-uploader through the spool (task/want.h): this process has no network. Nothing that
 * is left of an earlier life is of use: who asked has gone.
 */

#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "io/loop.h"
#include "life_loading.h"
#include "task/want.h"

enum {
	ASKED_MAX = 256,
	TAKEN_WITHIN = 20,   /* s until dind-uploader takes a request: it may be restarting */
	SILENT_WITHIN = 180, /* s between two signs of life of it */
	SWEEP_EVERY = 60,    /* s */
};

struct fetching {
	struct life *life;
	char id[WANT_ID_LEN + 1];
	int64_t since; /* s, when it was asked */
	int over;      /* the callback has been called */
	fetching_cb *cb;
	void *arg;
	struct fetching *next;
};

static int64_t
now(void)
{
	return (int64_t)time(NULL);
}

static void
tell(struct fetching *f, const json_t *result, const struct err *why)
{
	f->over = 1;
	f->cb(f->arg, result, why);
}

static void
fail(struct fetching *f, const char *what)
{
	struct err e = { 0 };

	err_refuse(&e, 503, "image-fetch", "%s", what);
	tell(f, NULL, &e);
}

static int
is_in(const struct fetching *f, enum want_state state)
{
	char *path = want_path(f->life->settings->spool_dir, state, f->id, NULL);
	int there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* 1: it has ended, one way or the other. */
static int
look(struct fetching *f)
{
	const char *root = f->life->settings->spool_dir;
	struct err e = { 0 };
	json_t *result;
	int64_t shown;

	if (is_in(f, WANT_ASKED)) {
		if (now() - f->since <= TAKEN_WITHIN)
			return 0;
		fail(f, "dind-uploader does not take the request: does it run?");
	} else if (is_in(f, WANT_TAKEN)) {
		shown = want_shown(root, f->id);
		if (now() - (shown > f->since ? shown : f->since) <= SILENT_WITHIN)
			return 0;
		fail(f, "dind-uploader took the request and has gone");
	} else if ((result = want_result(root, f->id, &e)) != NULL) {
		tell(f, result, NULL);
		json_decref(result);
	} else {
		fail(f, e.code == ENOENT ? "the request was taken out of the spool" : e.text);
	}
	return 1;
}

/* A callback may start and end others: from the beginning again after each. */
static void
look_at_all(struct life *l)
{
	struct fetching *f;

	do {
		f = l->fetchings;
		while (f != NULL && (f->over || !look(f))) /* one that told is gone */
			f = f->next;
	} while (f != NULL);
}

struct fetching *
fetching_start(struct life *l, const json_t *request, const json_t *credentials, fetching_cb *cb, void *arg,
    struct err *e)
{
	struct fetching *f;
	uint8_t dice[WANT_ID_LEN / 2];
	size_t count = 0;

	for (f = l->fetchings; f != NULL; f = f->next)
		count++;
	if (count >= ASKED_MAX) {
		err_refuse(e, 503, "image-fetch", "%d images are asked for already: try later", ASKED_MAX);
		return NULL;
	}
	f = mem_new(sizeof *f);
	*f = (struct fetching){ .life = l, .since = now(), .cb = cb, .arg = arg, .next = l->fetchings };
	evutil_secure_rng_get_bytes(dice, sizeof dice);
	for (size_t i = 0; i < sizeof dice; i++)
		(void)snprintf(f->id + 2 * i, 3, "%02x", dice[i]);
	if (want_ask(l->settings->spool_dir, f->id, request, credentials, e) < 0) {
		free(f);
		return NULL;
	}
	l->fetchings = f;
	return f;
}

const char *
fetching_id(const struct fetching *f)
{
	return f->id;
}

char *
fetching_data(const struct fetching *f)
{
	return want_path(f->life->settings->spool_dir, WANT_ENDED, f->id, "data");
}

void
fetching_done(struct fetching *f)
{
	struct fetching **at;
	struct err e = { 0 };

	if (f == NULL)
		return;
	at = &f->life->fetchings;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	/* the uploader may be writing there: then the sweep gets it */
	if (want_remove(f->life->settings->spool_dir, f->id, &e) < 0)
		log_debug("life", "%s", e.text);
	free(f);
}

static int
is_ours(void *arg, const char *id)
{
	const struct life *l = arg;
	const struct fetching *f = l->fetchings;

	while (f != NULL && strcmp(f->id, id) != 0)
		f = f->next;
	return f != NULL;
}

static void
sweep(struct life *l)
{
	struct err e = { 0 };

	if (want_sweep(l->settings->spool_dir, is_ours, l, &e) < 0)
		log_warn("life", "%s", e.text);
}

static void
on_news(evutil_socket_t fd, short what, void *arg)
{
	char news[4096]; /* what they say does not matter: that there are any does */

	(void)what;
	while (read(fd, news, sizeof news) > 0)
		;
	look_at_all(arg);
}

void
fetchings_tick(struct life *l)
{
	look_at_all(l);
	if (++l->fetch_age < SWEEP_EVERY)
		return;
	l->fetch_age = 0;
	sweep(l);
}

int
fetchings_open(struct life *l, struct err *e)
{
	char *ended = want_path(l->settings->spool_dir, WANT_ENDED, NULL, NULL);
	int rc = want_make_dirs(l->settings->spool_dir, e);

	if (rc == 0)
		sweep(l);
	l->fetch_notify = rc < 0 ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (rc == 0 &&
	    (l->fetch_notify < 0 || inotify_add_watch(l->fetch_notify, ended, IN_MOVED_TO | IN_ONLYDIR) < 0))
		rc = err_set(e, errno, "cannot watch '%s': %m", ended);
	free(ended);
	if (rc < 0)
		return -1;
	l->fetch_news = event_new(loop_base(l->loop), l->fetch_notify, EV_READ | EV_PERSIST, on_news, l);
	if (l->fetch_news == NULL || event_add(l->fetch_news, NULL) < 0)
		abort();
	return 0;
}

void
fetchings_close(struct life *l)
{
	if (l->fetch_news != NULL)
		event_free(l->fetch_news);
	if (l->fetch_notify >= 0)
		close(l->fetch_notify);
}
