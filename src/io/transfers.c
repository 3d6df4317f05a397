/* libcurl's multi interface on libevent: its sockets, its timer, and our watch over what stands still. */

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "transfer_private.h"

enum {
	CONNECT_MS = 10 * 1000,
	STALL_MS = 30 * 1000,
	REPLY_MS = 60 * 1000,
	IDLE_SECONDS = 15, /* S3 closes idle connections after about 20 s; we come before */
};

int64_t
transfer_clock(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
arm(struct event *ev, int64_t ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (ev == NULL || evtimer_add(ev, &t) < 0)
		abort();
}

/* Callbacks may start and cancel transfers: libcurl's list of messages bears that. */
static void
finish_done(struct transfers *all)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(all->multi, &left)) != NULL) {
		struct transfer *t = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		transfer_finish(t, m->data.result);
	}
}

static void
act(struct transfers *all, curl_socket_t s, int what)
{
	int running;

	(void)curl_multi_socket_action(all->multi, s, what, &running);
	finish_done(all);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int64_t
watch_every(const struct transfers *all)
{
	int64_t least = all->stall_ms < all->reply_ms ? all->stall_ms : all->reply_ms;

	return least / 4 < 1000 ? least / 4 + 1 : 1000;
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct transfers *all = arg;
	struct transfer *t;

	(void)fd;
	(void)what;
	for (t = all->first; t != NULL; t = t->next)
		transfer_watch(t, transfer_clock());
	do {
		for (t = all->first; t != NULL && !t->over; t = t->next)
			;
		if (t != NULL)
			transfer_finish(t, CURLE_OPERATION_TIMEDOUT); /* its callback may change the list */
	} while (t != NULL);
	if (all->first != NULL)
		arm(all->watch, watch_every(all));
}

static void
note_socket(CURL *easy, curl_socket_t s, int what)
{
	struct transfer *t = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
	if (t == NULL)
		return; /* a handle of libcurl's own */
	if (what != CURL_POLL_REMOVE)
		t->socket = s;
	else if (t->socket == s)
		t->socket = CURL_SOCKET_BAD;
}

static int
on_want(CURL *easy, curl_socket_t s, int what, void *arg, void *socket_arg)
{
	struct transfers *all = arg;
	struct event *ev = socket_arg;

	note_socket(easy, s, what);
	if (ev != NULL)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
		                       (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

		ev = event_new(all->base, s, events, on_socket, all);
		if (ev == NULL || event_add(ev, NULL) < 0)
			abort();
	}
	(void)curl_multi_assign(all->multi, s, ev);
	return 0;
}

static int
on_want_timer(CURLM *multi, long ms, void *arg)
{
	struct transfers *all = arg;

	(void)multi;
	if (ms < 0)
		(void)event_del(all->timer);
	else
		arm(all->timer, ms);
	return 0;
}

struct transfers *
transfers_new(struct event_base *base)
{
	struct transfers *all = mem_new(sizeof *all);

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (all->multi = curl_multi_init()) == NULL)
		abort();
	all->base = base;
	all->timer = evtimer_new(base, on_timer, all);
	all->watch = evtimer_new(base, on_watch, all);
	transfers_hurry(all, 0, 0, 0);
	if (all->timer == NULL || all->watch == NULL)
		abort();
	(void)curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, on_want);
	(void)curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
	(void)curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
	(void)curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
	(void)curl_multi_setopt(all->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return all;
}

void
transfers_free(struct transfers *all)
{
	if (all == NULL)
		return;
	(void)curl_multi_cleanup(all->multi); /* closes what is kept alive: on_want() is called for it */
	event_free(all->timer);
	event_free(all->watch);
	free(all);
	curl_global_cleanup();
}

void
transfers_hurry(struct transfers *all, int64_t connect, int64_t stall, int64_t reply)
{
	all->connect_ms = connect > 0 ? connect : CONNECT_MS;
	all->stall_ms = stall > 0 ? stall : STALL_MS;
	all->reply_ms = reply > 0 ? reply : REPLY_MS;
}

void
transfer_enter(struct transfer *t)
{
	struct transfers *all = t->home;

	(void)curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)all->connect_ms);
	(void)curl_easy_setopt(t->easy, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	t->next = all->first;
	all->first = t;
	if (curl_multi_add_handle(all->multi, t->easy) != CURLM_OK)
		abort();
	if (!evtimer_pending(all->watch, NULL))
		arm(all->watch, watch_every(all));
}

void
transfer_leave(struct transfer *t)
{
	struct transfer **at = &t->home->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	(void)curl_multi_remove_handle(t->home->multi, t->easy);
	if (t->home->first == NULL)
		(void)event_del(t->home->watch);
}
