#include "proxy/wake.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "docker/output.h"
#include "io/fetch.h"
#include "io/loop.h"
#include "io/stream.h"
#include "proxy/session.h"
#include "task/task.h"

enum { WAKE_SECONDS = 30 }; /* a large COPY is committed to its end; nothing waits longer for it than this */

struct wake {
	struct proxy *proxy;
	struct task *task;
	struct stream *engine;
	struct event *timer;
	struct building *build;
	struct http_head answer;
	struct pump down; /* without a target */
	int begun;
	size_t name_count;
	char **names;
	struct wake *next;
};

static void
free_wake(struct wake *w)
{
	struct wake **at = &w->proxy->wakes;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	stream_free(w->engine);
	event_free(w->timer);
	if (w->down.from != NULL)
		pump_done(&w->down);
	http_head_done(&w->answer);
	for (size_t i = 0; i < w->name_count; i++)
		free(w->names[i]);
	free(w->names);
	building_free(w->proxy, w->task, w->build);
	free(w);
}

unsigned
proxy_waking(const struct proxy *p, const struct task *task)
{
	unsigned n = 0;

	for (const struct wake *w = p->wakes; w != NULL; w = w->next)
		n += w->task == task;
	return n;
}

void
proxy_stop_waking(struct proxy *p)
{
	while (p->wakes != NULL)
		free_wake(p->wakes);
}

static void
end(struct wake *w, const char *why)
{
	struct proxy *p = w->proxy;
	struct task *task = w->task;

	log_debug("session", "task %s: a build that was given up has ended: %s", task->id, why);
	if (w->down.filter_done)
		building_record(w->build, task, w->names, w->name_count);
	free_wake(w);
	if (p->on_quiet != NULL && proxy_waking(p, task) == 0)
		p->on_quiet(p->on_quiet_arg, task);
}

/* 1 when the head of an answer with output is here, 0 when more is needed, -1 when there is nothing to learn.
 */
static int
take_head(struct wake *w)
{
	struct err e = { 0 };
	size_t used;
	int rc;

	if (w->down.from != NULL)
		return 1;
	rc = http_response_parse(
	    &w->answer, HTTP_POST, buf_ptr(&w->engine->in), buf_len(&w->engine->in), &used, &e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	buf_drop(&w->engine->in, used);
	if (w->answer.status != 200)
		return -1;
	pump_init(&w->down, w->engine, w->answer.framing, w->answer.length,
	    building_output(w->build, w->task, 0), NULL, HTTP_BODY_TO_EOF);
	return 1;
}

/* 1 when the engine has said everything, 0 when there is more to come, -1 when it broke off. */
static int
read_output(struct wake *w)
{
	struct err e = { 0 };
	size_t made;

	do {
		if (pump_run(&w->down, &e) < 0)
			return -1;
		made = buf_len(&w->down.made);
		buf_clear(&w->down.made);
	} while (made > 0);
	return w->down.input_ended && w->down.filter_done;
}

static void
on_engine(void *arg)
{
	struct wake *w = arg;
	int rc = take_head(w);

	if (rc > 0)
		rc = read_output(w);
	if (rc != 0 || w->engine->eof)
		end(w, rc > 0 ? "the engine said so" : "the engine closed");
	else
		stream_kick(w->engine);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wake *w = arg;

	(void)fd;
	(void)what;
	if (w->begun) {
		end(w, "the engine did not end it in time");
		return;
	}
	w->begun = 1;
	(void)event_add(w->timer, &(struct timeval){ .tv_sec = WAKE_SECONDS });
	on_engine(w); /* what had come before */
}

static int
is_at_work(const struct session *s)
{
	const struct exchange *x = s->x;

	if (x == NULL || x->build == NULL || s->engine == NULL || s->engine->eof)
		return 0;
	return x->down.from != NULL ? !x->down.input_ended : !x->answered;
}

int
wake_start(struct session *s)
{
	struct exchange *x = s->x;
	struct wake *w;

	if (!is_at_work(s))
		return 0;
	w = mem_new(sizeof *w);
	*w = (struct wake){ .proxy = s->proxy, .task = s->task, .engine = s->engine, .build = x->build };
	w->down = x->down;
	w->down.to = NULL;
	w->name_count = x->d.name_count;
	w->names = x->d.names;
	w->timer = event_new(loop_base(s->proxy->loop), -1, 0, on_timer, w);
	if (w->timer == NULL)
		abort();
	w->next = s->proxy->wakes;
	s->proxy->wakes = w;
	s->engine = NULL;
	x->build = NULL;
	x->down = (struct pump){ .bytes = x->down.bytes, .written = x->down.written };
	x->d.names = NULL;
	x->d.name_count = 0;
	fetch_cancel(w->build->fetch);
	w->build->fetch = NULL;
	buf_clear(&w->engine->out);
	stream_owner(w->engine, on_engine, w);
	stream_pause(w->engine, 0);
	stream_shut(w->engine);
	(void)event_add(w->timer, &(struct timeval){ 0 });
	return 1;
}
