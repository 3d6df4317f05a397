#include "artifact/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "upload_private.h"

enum { PROGRESS_MS = 500 };

const struct upload_pace upload_pace = {
	.pause_first = 250,
	.pause_most = 20 * 1000,
	.tries = 8,
	.poll = 10 * 1000,
	.sweep = 3600 * 1000,
};

static void
arm(struct event *ev, int64_t ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (ev == NULL || evtimer_add(ev, &t) < 0)
		abort();
}

static int
is_known(const struct uploader *u, const char *id)
{
	const struct upload *x = u->first;

	while (x != NULL && strcmp(x->id, id) != 0)
		x = x->next;
	return x != NULL;
}

static void
add(struct uploader *u, const char *id)
{
	struct upload **at = &u->first;

	while (*at != NULL)
		at = &(*at)->next;
	*at = upload_new(u, id);
}

/* Uploads that run, or would if there were room. */
static unsigned
busy(const struct uploader *u)
{
	unsigned n = 0;

	for (const struct upload *x = u->first; x != NULL; x = x->next)
		n += x->state != UPLOAD_PAUSED;
	return n;
}

static int
on_uploading(void *arg, const char *id)
{
	struct uploader *u = arg;

	if (!is_known(u, id))
		add(u, id);
	return 0;
}

/* Only as many as can run: the others stay in ready/, where ending their task removes them. */
static int
on_ready(void *arg, const char *id)
{
	struct uploader *u = arg;
	struct err e = { 0 };

	if (busy(u) >= RUNNING_MAX)
		return 1;
	if (spool_move(u->root, id, SPOOL_READY, SPOOL_UPLOADING, &e) == 0)
		add(u, id);
	else if (e.code != ENOENT) {
		log_error("upload", "artifact=%s: %s", id, e.text);
		u->failed += u->once != 0;
	}
	return 0;
}

static int
scan(struct uploader *u)
{
	struct err e = { 0 };
	int rc = spool_list(u->root, SPOOL_UPLOADING, on_uploading, u, &e);

	if (rc == 0)
		rc = spool_list(u->root, SPOOL_READY, on_ready, u, &e);
	if (rc < 0)
		log_error("upload", "%s", e.text);
	return rc;
}

static void
start_queued(struct uploader *u)
{
	unsigned running = 0;

	for (const struct upload *x = u->first; x != NULL; x = x->next)
		running += x->state == UPLOAD_RUNNING;
	for (struct upload *x = u->first, *next; x != NULL && running < RUNNING_MAX; x = next) {
		next = x->next;
		if (x->state != UPLOAD_QUEUED)
			continue;
		running++;
		upload_start(x); /* may drop x, never its next */
	}
}

static void
on_fill(evutil_socket_t fd, short what, void *arg)
{
	struct uploader *u = arg;
	int rc = scan(u);

	(void)fd;
	(void)what;
	u->failed += rc < 0 && u->once;
	start_queued(u);
	if (u->first != NULL && !event_pending(u->progress, EV_TIMEOUT, NULL))
		arm(u->progress, PROGRESS_MS);
	if (u->once && u->first == NULL && rc <= 0 && !event_pending(u->fill, EV_TIMEOUT, NULL))
		event_base_loopbreak(u->base);
}

/* At the top of the loop: never from inside an upload. */
void
uploader_fill(struct uploader *u)
{
	struct timeval at_once = { 0, 0 };

	if (!u->closing && evtimer_add(u->fill, &at_once) < 0)
		abort();
}

void
uploader_drop(struct uploader *u, struct upload *x)
{
	struct upload **at = &u->first;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	upload_free(x);
	uploader_fill(u);
}

/* Removes what is through and whose task is no more. */
static int
on_ended(void *arg, const char *id)
{
	struct uploader *u = arg;
	char *task = mem_printf("%s/tasks/%.*s", u->settings->state_dir, (int)REFERENCE_NS_LEN, id);
	struct err e = { 0 };

	if (access(task, F_OK) < 0 && errno == ENOENT && spool_remove(u->root, id, &e) < 0)
		log_error("upload", "%s", e.text);
	free(task);
	return 0;
}

static void
remove_ended(struct uploader *u)
{
	char *tasks = mem_printf("%s/tasks", u->settings->state_dir);
	struct err e = { 0 };

	/* a state directory that cannot be seen from here says nothing about tasks */
	if (access(tasks, F_OK) == 0 && (spool_list(u->root, SPOOL_DONE, on_ended, u, &e) < 0 ||
	                                    spool_list(u->root, SPOOL_FAILED, on_ended, u, &e) < 0))
		log_error("upload", "%s", e.text);
	free(tasks);
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	remove_ended(arg);
	uploader_fill(arg);
}

static void
on_notify(evutil_socket_t fd, short what, void *arg)
{
	char news[4096]; /* what they say does not matter: that there are any does */

	(void)what;
	while (read(fd, news, sizeof news) > 0)
		;
	uploader_fill(arg);
}

static void
on_progress(evutil_socket_t fd, short what, void *arg)
{
	struct uploader *u = arg;

	(void)fd;
	(void)what;
	for (struct upload *x = u->first; x != NULL; x = x->next)
		upload_show(x);
	if (u->first != NULL) /* an uploader that has nothing to do sleeps */
		arm(u->progress, PROGRESS_MS);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct uploader *u = arg;
	struct err e = { 0 };
	int rc = store_sweep(u->store, &e);

	(void)fd;
	(void)what;
	if (rc < 0)
		log_error("upload", "%s", e.text);
	arm(u->sweep, rc > 0 ? 0 : u->pace.sweep);
}

static int
on_done(void *arg, const char *id)
{
	upload_tidy(arg, SPOOL_DONE, id);
	return 0;
}

static int
on_failed(void *arg, const char *id)
{
	upload_tidy(arg, SPOOL_FAILED, id);
	return 0;
}

/* An uploader that died behind the move to done/ or failed/ left what it would have removed next. */
static int
tidy_all(struct uploader *u, struct err *e)
{
	int rc = spool_list(u->root, SPOOL_DONE, on_done, u, e);

	return rc == 0 ? spool_list(u->root, SPOOL_FAILED, on_failed, u, e) : rc;
}

static int
open_watch(struct uploader *u, struct err *e)
{
	char *ready = mem_printf("%s/%s", u->root, spool_state_name(SPOOL_READY));
	int rc = 0;

	u->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (u->notify < 0 || inotify_add_watch(u->notify, ready, IN_MOVED_TO | IN_ONLYDIR) < 0)
		rc = err_set(e, errno, "cannot watch '%s': %m", ready);
	free(ready);
	return rc;
}

static int
open_lock(struct uploader *u, struct err *e)
{
	u->lock = open(u->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->lock < 0)
		return err_set(e, errno, "cannot open '%s': %m", u->root);
	if (flock(u->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, EBUSY, "another uploader works on '%s'", u->root);
	return err_set(e, errno, "cannot lock '%s': %m", u->root);
}

static void
make_events(struct uploader *u)
{
	u->watch = event_new(u->base, u->notify, EV_READ | EV_PERSIST, on_notify, u);
	u->poll = event_new(u->base, -1, EV_PERSIST, on_poll, u);
	u->progress = evtimer_new(u->base, on_progress, u);
	u->fill = evtimer_new(u->base, on_fill, u);
	u->sweep = evtimer_new(u->base, on_sweep, u);
	if (u->watch == NULL || u->fill == NULL || event_add(u->watch, NULL) < 0)
		abort();
	arm(u->poll, u->pace.poll);
	if (!u->once)
		arm(u->sweep, 0);
	remove_ended(u);
	uploader_fill(u);
}

struct uploader *
uploader_new(struct event_base *base, const struct settings *s, struct store *store,
    const struct signer *signer, const struct upload_pace *pace, int once, struct err *e)
{
	struct uploader *u = mem_new(sizeof *u);

	*u = (struct uploader){ .base = base,
		.settings = s,
		.root = s->spool_dir,
		.store = store,
		.signer = signer,
		.pace = *pace,
		.once = once,
		.lock = -1,
		.notify = -1 };
	if (spool_make_dirs(u->root, e) < 0 || open_lock(u, e) < 0 || tidy_all(u, e) < 0 ||
	    open_watch(u, e) < 0) {
		uploader_free(u);
		return NULL;
	}
	make_events(u);
	return u;
}

void
uploader_free(struct uploader *u)
{
	struct event **events[] = { &u->watch, &u->poll, &u->progress, &u->sweep, &u->fill };

	if (u == NULL)
		return;
	u->closing = 1;
	while (u->first != NULL)
		uploader_drop(u, u->first);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (*events[i] != NULL)
			event_free(*events[i]);
	if (u->notify >= 0)
		close(u->notify);
	if (u->lock >= 0)
		close(u->lock);
	free(u);
}

void
uploader_hurry(struct uploader *u)
{
	for (struct upload *x = u->first; x != NULL; x = x->next)
		if (x->state == UPLOAD_PAUSED)
			event_active(x->pause, EV_TIMEOUT, 0);
	uploader_fill(u);
}

unsigned
uploader_done(const struct uploader *u)
{
	return u->done;
}

unsigned
uploader_failed(const struct uploader *u)
{
	return u->failed;
}

void
uploader_lost_signer(struct uploader *u)
{
	log_error("upload", "the signer has gone: nothing is uploaded without its statement; stopping");
	u->broken = 1;
	event_base_loopbreak(u->base);
}

int
uploader_is_broken(const struct uploader *u)
{
	return u->broken;
}
