#include "artifact/fetcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "fetch_private.h"

enum {
	RUNNING_MAX = 8, /* requests at a time: most of them only ask whether they may */
	TICK_MS = 500,
};

const struct fetch_pace fetch_pace = { .tries = 8, .poll = 10 * 1000 };

static void
arm(struct event *ev, int64_t ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (ev == NULL || evtimer_add(ev, &t) < 0)
		abort();
}

static void
add(struct fetcher *f, const char *id)
{
	struct errand **at = &f->first;

	while (*at != NULL)
		at = &(*at)->next;
	*at = errand_new(f, id);
}

/* At once, whether or not there is room for it: who asked sees that there is somebody. */
static int
on_asked(void *arg, const char *id)
{
	struct fetcher *f = arg;
	struct err e = { 0 };

	if (want_move(f->root, id, WANT_ASKED, WANT_TAKEN, &e) == 0) {
		want_show(f->root, id, 0, -1);
		add(f, id);
	} else if (e.code != ENOENT) {
		log_error("fetch", "request=%s: %s", id, e.text);
	}
	return 0;
}

/* An uploader that died had it: what it wrote is worth nothing, its hash went with it. */
static int
on_left(void *arg, const char *id)
{
	struct fetcher *f = arg;
	static const char *const files[] = { "data.part", "data", "result.json" };

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char *path = want_path(f->root, WANT_TAKEN, id, files[i]);

		(void)unlink(path);
		free(path);
	}
	want_show(f->root, id, 0, -1);
	add(f, id);
	return 0;
}

static void
start_queued(struct fetcher *f)
{
	unsigned running = 0;

	for (const struct errand *x = f->first; x != NULL; x = x->next)
		running += x->state == ERRAND_RUNNING;
	for (struct errand *x = f->first, *next; x != NULL && running < RUNNING_MAX; x = next) {
		next = x->next;
		if (x->state != ERRAND_QUEUED)
			continue;
		running++;
		errand_start(x); /* may drop x, never its next */
	}
}

static void
on_fill(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	struct err e = { 0 };

	(void)fd;
	(void)what;
	if (want_list(f->root, WANT_ASKED, on_asked, f, &e) < 0)
		log_error("fetch", "%s", e.text);
	start_queued(f);
	if (f->first != NULL && !event_pending(f->tick, EV_TIMEOUT, NULL))
		arm(f->tick, TICK_MS);
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;

	(void)fd;
	(void)what;
	arm(f->fill, 0);
}

static void
on_notify(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	char news[4096]; /* what they say does not matter: that there are any does */

	(void)what;
	while (read(fd, news, sizeof news) > 0)
		;
	arm(f->fill, 0);
}

static void
take_out(struct fetcher *f, struct errand *x)
{
	struct errand **at = &f->first;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	errand_free(x);
}

void
fetcher_drop(struct fetcher *f, struct errand *x, int good)
{
	f->done += good != 0;
	f->failed += good == 0;
	take_out(f, x);
	arm(f->fill, 0);
}

/* Taken away: nobody waits for it any more. */
static int
is_gone(const struct errand *x)
{
	char *dir = want_path(x->home->root, WANT_TAKEN, x->id, NULL);
	int gone = access(dir, F_OK) < 0 && errno == ENOENT;

	free(dir);
	return gone;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;

	(void)fd;
	(void)what;
	for (struct errand *x = f->first, *next; x != NULL; x = next) {
		next = x->next;
		if (is_gone(x)) {
			log_info("fetch", "request=%s: it was taken away", x->id);
			take_out(f, x);
		} else {
			errand_show(x);
		}
	}
	if (f->first != NULL)
		arm(f->tick, TICK_MS);
	arm(f->fill, 0);
}

static int
open_watch(struct fetcher *f, struct err *e)
{
	char *asked = want_path(f->root, WANT_ASKED, NULL, NULL);
	int rc = 0;

	f->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->notify < 0 || inotify_add_watch(f->notify, asked, IN_MOVED_TO | IN_ONLYDIR) < 0)
		rc = err_set(e, errno, "cannot watch '%s': %m", asked);
	free(asked);
	return rc;
}

struct fetcher *
fetcher_new(struct event_base *base, const struct settings *s, struct store *store,
    const struct fetch_pace *pace, struct err *e)
{
	struct fetcher *f = mem_new(sizeof *f);

	*f = (struct fetcher){
		.base = base, .settings = s, .root = s->spool_dir, .store = store, .pace = *pace, .notify = -1
	};
	if (want_make_dirs(f->root, e) < 0 || open_watch(f, e) < 0 ||
	    want_list(f->root, WANT_TAKEN, on_left, f, e) < 0) {
		fetcher_free(f);
		return NULL;
	}
	f->watch = event_new(base, f->notify, EV_READ | EV_PERSIST, on_notify, f);
	f->poll = event_new(base, -1, EV_PERSIST, on_poll, f);
	f->tick = evtimer_new(base, on_tick, f);
	f->fill = evtimer_new(base, on_fill, f);
	if (f->watch == NULL || f->tick == NULL || event_add(f->watch, NULL) < 0)
		abort();
	arm(f->poll, pace->poll);
	arm(f->fill, 0);
	return f;
}

static void
free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

void
fetcher_free(struct fetcher *f)
{
	if (f == NULL)
		return;
	while (f->first != NULL)
		take_out(f, f->first);
	free_event(f->watch);
	free_event(f->poll);
	free_event(f->tick);
	free_event(f->fill);
	if (f->notify >= 0)
		close(f->notify);
	free(f);
}

unsigned
fetcher_done(const struct fetcher *f)
{
	return f->done;
}

unsigned
fetcher_failed(const struct fetcher *f)
{
	return f->failed;
}
