#include "proxy/session.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "http/print.h"
#include "io/fetch.h"
#include "io/gate.h"
#include "io/loop.h"
#include "io/stream.h"
#include "task/task.h"

enum {
	LINGER_TIME = 30 * 1000, /* ms a refused client gets to read its answer */
	HALF_CLOSED_LOOK = 250,  /* ms between looks at a client that has half-closed: has it gone? */
};

static const struct {
	const char *text;
	enum step (*step)(struct session *s);
} states[] = {
#define X(state, text, step) [SESSION_##state] = { text, step },
	SESSION_STATES(X)
#undef X
};

int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum step
session_go(struct session *s, enum session_state state)
{
	log_debug("session", "%llu: %s -> %s", (unsigned long long)s->conn, states[s->state].text,
	    states[state].text);
	s->state = state;
	s->since = now_ms();
	return STEP_AGAIN;
}

/* Bytes that have passed either way: a transfer with progress is not stalled. */
static uint64_t
moved(const struct session *s)
{
	uint64_t n = s->client->bytes_read + s->client->bytes_written;

	return s->engine == NULL ? n : n + s->engine->bytes_read + s->engine->bytes_written;
}

/* The time limit of the present state in ms, and its name; 0 = none. */
static int64_t
limit_of(const struct session *s, const char **name)
{
	const struct settings *set = s->proxy->settings;
	int engine_works = s->state == SESSION_ANSWER || s->state == SESSION_COLLECT ||
	                   (s->state == SESSION_RELAY && buf_len(&s->client->out) == 0);

	if (s->state == SESSION_LINGER) {
		*name = "linger";
		return LINGER_TIME;
	}
	if (s->state == SESSION_HEAD && buf_len(&s->client->in) == 0) {
		*name = "limits.idleTime";
		return set->idle_time * 1000;
	}
	if (s->state == SESSION_HEAD && s->head_begun) {
		*name = "limits.headTime";
		return set->head_time * 1000;
	}
	*name = "limits.stallTime";
	/* a running build or a save that the engine prepares in silence is not stalled: its own limit is
	 * build_time */
	return engine_works || (s->x != NULL && s->x->build != NULL && s->x->build->fetch != NULL)
	           ? 0
	           : set->stall_time * 1000;
}

static int64_t
build_left(const struct session *s)
{
	int64_t limit = s->task->build_time * 1000;

	return s->x == NULL || !s->x->decided || limit == 0 ? INT64_MAX : s->x->started + limit - now_ms();
}

static void
arm_timer(struct session *s)
{
	const char *name;
	int64_t limit = limit_of(s, &name), left = build_left(s);
	int64_t wait = limit == 0 ? INT64_MAX : s->since + limit - now_ms();
	struct timeval tv = { 0 };

	if (left < wait)
		wait = left;
	if (s->turn_over)
		wait = 0;
	else if (s->hold > 0 && s->hold < wait)
		wait = s->hold;
	if (s->client->eof && !s->client->gone && wait > HALF_CLOSED_LOOK)
		wait = HALF_CLOSED_LOOK;
	if (wait == INT64_MAX)
		tv.tv_sec = 3600;
	else if (wait > 0)
		tv = (struct timeval){ .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };
	(void)event_add(s->timer, &tv);
}

static enum step
time_is_up(struct session *s, const char *name)
{
	struct err e = { 0 };

	if (s->state == SESSION_HEAD && s->head_begun)
		err_refuse(&e, 408, "limit-head-time", "no whole request head within %s", name);
	else if (s->x != NULL && !s->x->head_sent && build_left(s) <= 0)
		err_refuse(&e, 504, "limit-build-time",
		    "the request took longer than limits.buildTime allows (%lld s)",
		    (long long)s->task->build_time);
	else if (s->x != NULL && !s->x->head_sent)
		err_refuse(&e, 408, "limit-stall-time", "no byte moved for longer than %s allows", name);
	else {
		session_close(s, name);
		return STEP_END;
	}
	return reply_refuse(s, &e);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	const char *name;
	int64_t limit = limit_of(s, &name);

	(void)fd;
	(void)what;
	if (s->state != SESSION_HEAD && s->state != SESSION_LINGER && moved(s) != s->moved) {
		s->moved = moved(s);
		s->since = now_ms();
	}
	if ((limit > 0 && now_ms() >= s->since + limit) || build_left(s) <= 0) {
		if (time_is_up(s, build_left(s) <= 0 ? "limits.buildTime" : name) == STEP_END)
			return;
	}
	session_step(s);
}

/* A client that has gone takes its request with it; one that half-closed still gets its answer. */
static int
client_has_gone(struct session *s)
{
	if (s->client->broken || (s->client->eof && stream_peer_gone(s->client))) {
		session_close(
		    s, s->x == NULL || s->state == SESSION_LINGER ? "client closed" : "client went away");
		return 1;
	}
	return 0;
}

void
session_step(struct session *s)
{
	enum step r = STEP_AGAIN;

	if (s->stepping || s->state == SESSION_CLOSED)
		return; /* a callback from inside a step: the loop below sees its facts */
	s->stepping = 1;
	s->turn_over = 0;
	s->hold = 0;
	while (r == STEP_AGAIN && !client_has_gone(s))
		r = states[s->state].step(s);
	s->stepping = 0;
	if (s->state != SESSION_CLOSED)
		arm_timer(s);
}

static void
on_client(void *arg)
{
	session_step(arg);
}

static void
free_session(void *arg)
{
	struct session *s = arg;

	event_free(s->timer);
	free(s);
}

void
proxy_done(struct proxy *p)
{
	kept_done(p);
}

void
session_close(struct session *s, const char *why)
{
	if (s->state == SESSION_CLOSED)
		return;
	if (s->x != NULL)
		record_end(s, why);
	s->state = SESSION_CLOSED;
	exchange_free(s);
	stream_free(s->client);
	(void)event_del(s->timer);
	s->task->now.connections--;
	s->proxy->use.connections--;
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	loop_defer(s->proxy->loop, free_session, s);
}

static void
say_full(int fd, const struct err *e)
{
	struct buf b = { 0 };
	ssize_t n;

	http_print_error(&b, 1, (unsigned)e->status, e->rule, e->text, 0, 0);
	n = send(fd, buf_ptr(&b), buf_len(&b), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)n; /* it fits an empty socket buffer, or the peer has gone */
	buf_done(&b);
	close(fd);
}

void
proxy_accept(struct proxy *p, struct task *task, int fd)
{
	struct session *s;
	socklen_t len = sizeof s->peer;
	struct err e = { 0 };

	if (limits_connection(task, p->settings, &p->use, &e) < 0) {
		figures_refused(p, task, e.rule);
		say_full(fd, &e);
		return;
	}
	s = mem_new(sizeof *s);
	s->proxy = p;
	s->task = task;
	s->conn = ++p->last_conn;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &s->peer, &len);
	s->client = stream_new(p->loop, fd, on_client, s);
	s->timer = event_new(loop_base(p->loop), -1, 0, on_timer, s);
	if (s->timer == NULL)
		abort();
	s->since = now_ms();
	s->next = p->sessions;
	s->at = &p->sessions;
	if (s->next != NULL)
		s->next->at = &s->next;
	p->sessions = s;
	task->now.connections++;
	p->use.connections++;
	arm_timer(s);
}

void
proxy_close_task(struct proxy *p, const struct task *task, const char *why)
{
	struct session *s = p->sessions, *next;

	for (; s != NULL; s = next) {
		next = s->next;
		if (s->task == task)
			session_close(s, why);
	}
}

void
proxy_stop_builds(struct proxy *p, const struct task *task, const struct err *e)
{
	struct session *s = p->sessions, *next;

	for (; s != NULL; s = next) {
		next = s->next;
		if (s->task == task && s->x != NULL && s->x->build != NULL)
			build_stop(s, e);
	}
}

/* Said at once, as far as the clients' sockets have room: the loop does not turn any more. */
void
proxy_stop_requests(struct proxy *p, const struct task *task, const struct err *e)
{
	struct session *s, *next;

	proxy_stop_builds(p, task, e);
	for (s = p->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->task != task || s->x == NULL || s->x->build != NULL || s->x->head_sent)
			continue;
		record_refusal(s, e);
		(void)reply_refuse(s, e);
	}
}

unsigned
proxy_busy(const struct proxy *p, const struct task *task)
{
	unsigned n = 0;

	for (const struct session *s = p->sessions; s != NULL; s = s->next)
		n += s->x != NULL && (task == NULL || s->task == task);
	return n;
}

int
proxy_judged_before(const struct proxy *p, unsigned version)
{
	for (const struct session *s = p->sessions; s != NULL; s = s->next)
		if (s->x != NULL && s->x->policy->version != version)
			return 1;
	return 0;
}
