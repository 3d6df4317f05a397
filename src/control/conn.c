#include "conn.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "control/api.h"
#include "http/body.h"
#include "http/head.h"
#include "say.h"

enum {
	READ_ONCE = 16 * 1024,
	RX_MAX = HTTP_HEAD_MAX + READ_ONCE, /* a whole head must fit before it is judged */
	BODY_MAX = 1024 * 1024,
	LINGER_MAX = 4 * 1024 * 1024, /* what is read and thrown away, so that a refusal is read */
};

#define STATES(X)                                                                                            \
	/* name, seconds it may last (0: as long as it takes), step */                                       \
	X(HEAD, 30, step_head)                                                                               \
	X(BODY, 30, step_body)                                                                               \
	X(WORK, 0, step_work)                                                                                \
	X(SEND, 30, step_send)                                                                               \
	X(LINGER, 5, step_linger)

enum state {
#define X(name, seconds, step) STATE_##name,
	STATES(X)
#undef X
};

enum step { STEP_END, STEP_WAIT, STEP_AGAIN };

/* What a verb was asked. It outlives the connection when the answer comes late; conn is NULL then. */
struct ask {
	struct conn *conn;
};

struct conn {
	struct conn_home *home;
	struct conn *next, *prev;
	int fd;
	struct event *readable, *writable, *timer;
	struct buf rx, tx, body;
	enum state state;
	int eof, broken; /* no more bytes come; no byte arrives any more */
	int running;     /* conn_run() is on the stack */
	int whole;       /* the request has been read to its end */
	int keep;        /* another request may follow */
	unsigned minor;
	struct body walk;
	struct api_call call;
	struct ask *ask;
	size_t lingered;
};

static enum step enter(struct conn *c, enum state state);

/* What follows an answer that came before the end of the request cannot be told from that request's rest. */
static int
keeps(struct conn *c)
{
	c->keep = c->keep && c->whole;
	return c->keep;
}

static enum step
refuse(struct conn *c, const struct err *e)
{
	say_error(&c->tx, c->minor, keeps(c), e);
	return enter(c, STATE_SEND);
}

static enum step
complain(struct conn *c, int status, const char *rule, const char *text)
{
	struct err e;

	err_refuse(&e, status, rule, "%s", text);
	return refuse(c, &e);
}

static enum step
start_body(struct conn *c, const struct http_head *h)
{
	int has_body = h->framing != HTTP_BODY_NONE && (h->framing != HTTP_BODY_COUNTED || h->length > 0);

	if (has_body && !c->call.row->body)
		return complain(c, 400, "control-body", "this call takes no body");
	if (h->framing == HTTP_BODY_COUNTED && h->length > BODY_MAX)
		return complain(c, 413, "control-body-size", "the body is larger than 1 MiB");
	if (has_body && h->expect_continue)
		buf_adds(&c->tx, "HTTP/1.1 100 Continue\r\n\r\n");
	c->whole = !has_body;
	body_init(&c->walk, has_body ? h->framing : HTTP_BODY_NONE, h->length);
	return enter(c, STATE_BODY);
}

static enum step
judge_head(struct conn *c, const struct http_head *h)
{
	struct err e;

	c->minor = h->minor;
	c->keep = h->keep_alive;
	c->whole = h->framing == HTTP_BODY_NONE || (h->framing == HTTP_BODY_COUNTED && h->length == 0);
	if (api_find(h->method, h->target, &c->call, &e) < 0)
		return refuse(c, &e);
	return start_body(c, h);
}

static enum step
step_head(struct conn *c)
{
	struct http_head h;
	struct err e;
	enum step next;
	size_t used = 0;
	int rc;

	c->minor = 1;
	c->keep = c->whole = 0;
	if (buf_len(&c->rx) == 0)
		return c->eof ? STEP_END : STEP_WAIT;
	rc = http_request_parse(&h, buf_ptr(&c->rx), buf_len(&c->rx), &used, &e);
	if (rc > 0)
		return c->eof ? STEP_END : STEP_WAIT;
	if (rc < 0)
		return refuse(c, &e);
	buf_drop(&c->rx, used);
	next = judge_head(c, &h);
	http_head_done(&h);
	return next;
}

/* It may hold credentials. */
static void
forget_body(struct conn *c)
{
	if (c->body.data != NULL)
		mem_wipe(c->body.data, c->body.cap);
	buf_done(&c->body);
}

static void on_answer(void *arg, int status, json_t *answer);

static enum step
run_call(struct conn *c)
{
	json_t *body = NULL;
	struct err e;

	c->whole = 1;
	if (c->call.row->body) {
		body = json_parse(buf_text(&c->body), buf_len(&c->body), &e);
		forget_body(c);
		if (body == NULL) {
			err_wrap(&e, "the body is not JSON");
			e.status = 400;
			e.rule = "control-body";
			return refuse(c, &e);
		}
	}
	c->ask = mem_new(sizeof *c->ask);
	c->ask->conn = c;
	enter(c, STATE_WORK);
	api_run(c->home->life, &c->call, body, on_answer, c->ask);
	json_decref(body);
	return STEP_AGAIN;
}

static enum step
step_body(struct conn *c)
{
	const uint8_t *data;
	size_t used, size;
	struct err e;

	while (!c->whole && !c->walk.ended && buf_len(&c->rx) > 0) {
		if (body_walk(&c->walk, buf_ptr(&c->rx), buf_len(&c->rx), &used, &data, &size, &e) < 0)
			return refuse(c, &e);
		if (size > BODY_MAX - buf_len(&c->body))
			return complain(c, 413, "control-body-size", "the body is larger than 1 MiB");
		if (size > 0)
			buf_add(&c->body, data, size);
		buf_drop(&c->rx, used);
	}
	if (c->whole || c->walk.ended)
		return run_call(c);
	return c->eof ? STEP_END : STEP_WAIT;
}

/*
 * A client that half-closed still gets its answer; one that closed is let go now, so that its place is free.
 * On a unix socket the difference is POLLHUP.
 */
static enum step
step_work(struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	if (c->eof && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
		return STEP_END;
	return STEP_WAIT;
}

static enum step
step_send(struct conn *c)
{
	if (buf_len(&c->tx) > 0)
		return STEP_WAIT;
	if (c->keep)
		return enter(c, STATE_HEAD);
	if (shutdown(c->fd, SHUT_WR) < 0)
		return STEP_END;
	return enter(c, STATE_LINGER);
}

/* Closing now would cost the client the answer when it is still writing (docker-api.md, 7). */
static enum step
step_linger(struct conn *c)
{
	c->lingered += buf_len(&c->rx);
	buf_clear(&c->rx);
	return c->eof || c->lingered > LINGER_MAX ? STEP_END : STEP_WAIT;
}

static const struct {
	long seconds;
	enum step (*step)(struct conn *c);
} states[] = {
#define X(name, seconds, step) [STATE_##name] = { seconds, step },
	STATES(X)
#undef X
};

static enum step
enter(struct conn *c, enum state state)
{
	struct timeval tv = { .tv_sec = states[state].seconds };

	c->state = state;
	if (tv.tv_sec > 0)
		event_add(c->timer, &tv);
	else
		event_del(c->timer);
	return STEP_AGAIN;
}

static void
flush(struct conn *c)
{
	while (buf_len(&c->tx) > 0 && !c->broken) {
		ssize_t n = send(c->fd, buf_ptr(&c->tx), buf_len(&c->tx), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			buf_drop(&c->tx, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			c->broken = 1;
	}
}

static void
watch(struct conn *c)
{
	if (!c->eof && buf_len(&c->rx) < RX_MAX)
		event_add(c->readable, NULL);
	else
		event_del(c->readable);
	if (buf_len(&c->tx) > 0)
		event_add(c->writable, NULL);
	else
		event_del(c->writable);
}

/* Steps until something must be waited for; c may be gone after it. */
static void
conn_run(struct conn *c)
{
	enum step r;

	c->running = 1;
	do {
		flush(c);
		r = c->broken ? STEP_END : states[c->state].step(c);
	} while (r == STEP_AGAIN);
	c->running = 0;
	if (r == STEP_END)
		conn_drop(c);
	else
		watch(c);
}

/* ---- facts ---- */

static void
on_answer(void *arg, int status, json_t *answer)
{
	struct ask *ask = arg;
	struct conn *c = ask->conn;

	free(ask);
	if (c != NULL) {
		c->ask = NULL;
		if (c->call.row->id == API_METRICS && json_is_string(answer))
			say_text(&c->tx, c->minor, keeps(c), json_string_value(answer));
		else
			say_json(&c->tx, c->minor, keeps(c), (unsigned)status, answer);
		enter(c, STATE_SEND);
	}
	json_decref(answer);
	if (c != NULL && !c->running)
		conn_run(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, buf_reserve(&c->rx, READ_ONCE), READ_ONCE, MSG_DONTWAIT);

	(void)what;
	if (n > 0)
		buf_commit(&c->rx, (size_t)n);
	else if (n == 0)
		c->eof = 1;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		c->eof = c->broken = 1;
	conn_run(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_run(arg);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state == STATE_BODY || (c->state == STATE_HEAD && buf_len(&c->rx) > 0)) {
		buf_clear(&c->tx); /* a "100 Continue" that was not taken */
		complain(c, 408, "control-timeout", "the request did not arrive within 30 s");
		conn_run(c);
	} else
		conn_drop(c);
}

/* ---- life cycle ---- */

void
conn_open(struct conn_home *home, int fd, const struct err *refusal)
{
	struct conn *c = mem_new(sizeof *c);

	c->home = home;
	c->fd = fd;
	c->minor = 1;
	c->readable = event_new(home->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(home->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->timer = event_new(home->base, -1, 0, on_late, c);
	c->next = home->first;
	if (c->next != NULL)
		c->next->prev = c;
	home->first = c;
	home->count++;
	if (refusal != NULL)
		refuse(c, refusal);
	else
		enter(c, STATE_HEAD);
	conn_run(c);
}

void
conn_drop(struct conn *c)
{
	if (c->ask != NULL)
		c->ask->conn = NULL;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->home->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->home->count--;
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->timer);
	close(c->fd);
	forget_body(c);
	buf_done(&c->rx);
	buf_done(&c->tx);
	free(c);
}
