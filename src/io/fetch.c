#include "io/fetch.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/head.h"
#include "io/gate.h"
#include "io/loop.h"
#include "io/stream.h"
#include "policy/route.h"

struct fetch {
	struct loop *loop;
	struct gate *gate;
	uint32_t ticket; /* 0 once connected */
	struct stream *engine;
	struct event *timer;
	size_t max;
	enum http_method method;
	unsigned status; /* 0 until the head is here */
	struct body walk;
	struct buf body;
	fetch_cb *cb;
	void *arg;
};

static void
close_all(struct fetch *f)
{
	if (f->ticket)
		gate_cancel(f->gate, f->ticket);
	stream_free(f->engine);
	event_free(f->timer);
	buf_done(&f->body);
	free(f);
}

static void
finish(struct fetch *f, const struct err *e)
{
	fetch_cb *cb = f->cb;
	void *arg = f->arg;
	unsigned status = e == NULL ? f->status : 0;
	struct err none = { 0 };
	json_t *answer = NULL;

	if (status != 0 && buf_len(&f->body) > 0)
		answer = json_parse(buf_ptr(&f->body), buf_len(&f->body), &none);
	close_all(f);
	cb(arg, status, answer, e == NULL ? &none : e);
	json_decref(answer);
}

/* Returns 1 when the head is complete, 0 when more is needed, -1 with e. */
static int
take_head(struct fetch *f, struct err *e)
{
	struct http_head head;
	size_t used;
	int rc;

	while (f->status == 0) {
		rc = http_response_parse(
		    &head, f->method, buf_ptr(&f->engine->in), buf_len(&f->engine->in), &used, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (head.status >= 200) {
			f->status = head.status;
			body_init(&f->walk, head.framing, head.length);
		}
		rc = head.status == 101;
		http_head_done(&head);
		if (rc)
			return err_set(e, 0, "the engine wants to switch protocols");
		buf_drop(&f->engine->in, used);
	}
	return 1;
}

/* Returns 1 when the answer is whole. */
static int
take_body(struct fetch *f, struct err *e)
{
	struct buf *in = &f->engine->in;

	while (!f->walk.ended && buf_len(in) > 0) {
		const uint8_t *data;
		size_t used, size;

		if (body_walk(&f->walk, buf_ptr(in), buf_len(in), &used, &data, &size, e) < 0)
			return -1;
		if (buf_len(&f->body) + size > f->max)
			return err_set(e, 0, "the engine's answer is larger than %zu bytes", f->max);
		buf_add(&f->body, data, size);
		buf_drop(in, used);
	}
	return f->walk.ended || (f->walk.framing == HTTP_BODY_TO_EOF && f->engine->eof);
}

static void
on_change(void *arg)
{
	struct fetch *f = arg;
	struct err e = { 0 };
	int rc = take_head(f, &e);

	if (rc == 1)
		rc = take_body(f, &e);
	if (rc == 0 && f->engine->eof)
		rc = err_set(&e, 0, "the engine closed the connection in the middle of its answer");
	if (rc < 0)
		err_refuse(&e, 502, "engine", "%s", e.text);
	if (rc != 0)
		finish(f, rc < 0 ? &e : NULL);
	else
		stream_kick(f->engine);
}

static void
on_connected(void *arg, int fd, const struct err *e)
{
	struct fetch *f = arg;

	f->ticket = 0;
	if (fd < 0)
		finish(f, e);
	else
		f->engine = stream_new(f->loop, fd, on_change, f);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct err e = { 0 };

	(void)fd;
	(void)what;
	err_refuse(&e, 504, "engine", "the Docker engine did not answer in time");
	finish(arg, &e);
}

struct fetch *
fetch_start(
    struct loop *l, struct gate *g, const struct call *c, size_t max, int seconds, fetch_cb *cb, void *arg)
{
	struct fetch *f = mem_new(sizeof *f);

	f->loop = l;
	f->gate = g;
	f->max = max;
	f->cb = cb;
	f->arg = arg;
	f->method = route_by_id(c->route)->method;
	f->timer = event_new(loop_base(l), -1, 0, on_timer, f);
	if (f->timer == NULL)
		abort();
	(void)event_add(f->timer, &(struct timeval){ .tv_sec = seconds });
	f->ticket = gate_connect(g, c, on_connected, f);
	return f;
}

void
fetch_cancel(struct fetch *f)
{
	if (f != NULL)
		close_all(f);
}
