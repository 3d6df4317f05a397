/* The engine's answer: small JSON is read whole, mapped and answered; build output and tarballs are relayed.
 */

#include "docker/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/settings.h"
#include "docker/image.h"
#include "http/print.h"
#include "io/gate.h"
#include "io/stream.h"
#include "policy/param.h"
#include "policy/rule.h"
#include "proxy/session.h"
#include "task/task.h"

enum { SAVE_HELD = PUMP_HIGH / 2 }; /* bytes of a tarball before its head goes out */

static int
view_owns(const void *arg, const char *id)
{
	return owned_image(arg, id) != NULL;
}

static struct answer_view
view_of(const struct session *s)
{
	return (struct answer_view){ .ns = s->task->id, .owns = view_owns, .arg = &s->task->owned };
}

static void
on_engine(void *arg)
{
	session_step(arg);
}

static void
on_connected(void *arg, int fd, const struct err *e)
{
	struct session *s = arg;

	s->x->ticket = 0;
	if (fd < 0) {
		kept_forget(s->proxy);
		record_refusal(s, e);
		(void)reply_refuse(s, e);
	} else {
		s->engine = stream_new(s->proxy->loop, fd, on_engine, s);
		if (s->x->build != NULL)
			stream_bulk(s->engine);
	}
	session_step(s);
}

void
engine_call(struct session *s)
{
	struct exchange *x = s->x;

	x->ticket = gate_connect(s->proxy->gate, x->d.calls[x->call], on_connected, s);
}

static enum step
engine_failed(struct session *s, const char *what)
{
	struct err e = { 0 };

	kept_forget(s->proxy);
	err_refuse(&e, 502, "engine", "the Docker engine %s", what);
	return reply_refuse(s, &e);
}

/* 1 when the head is complete, 0 when more is needed, -1 with e. Interim answers are skipped. */
static int
take_head(struct session *s, struct err *e)
{
	struct exchange *x = s->x;
	enum http_method asked = route_by_id(x->d.calls[x->call]->route)->method;
	size_t used;
	int rc;

	for (;;) {
		rc = http_response_parse(
		    &x->answer, asked, buf_ptr(&s->engine->in), buf_len(&s->engine->in), &used, e);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		buf_drop(&s->engine->in, used);
		if (x->answer.status >= 200)
			return 1;
		rc = (int)x->answer.status;
		http_head_done(&x->answer);
		x->answer = (struct http_head){ 0 };
		if (rc == 101)
			return err_set(e, 0, "wanted to switch protocols");
	}
}

static struct filter *
down_filter(struct session *s)
{
	struct exchange *x = s->x;

	if (x->d.kind == ANSWER_OUTPUT)
		return building_output(x->build, s->task, x->d.quiet);
	return image_filter_new(
	    &(struct image_ask){
	        .mode = IMAGE_SAVE, .ns = s->task->id, .max_bytes = (uint64_t)s->x->policy->image_bytes },
	    NULL);
}

static void
send_head(struct session *s)
{
	struct exchange *x = s->x;

	x->status = 200;
	x->keep_alive = x->head.keep_alive && x->body_ended && x->down.framing == HTTP_BODY_CHUNKED;
	http_print_response(&s->client->out, x->head.minor, 200, x->down.framing, 0,
	    x->d.kind == ANSWER_SAVE ? "application/x-tar" : "application/json", x->keep_alive, NULL);
	x->head_sent = 1;
	x->down.to = s->client;
	if (x->d.kind == ANSWER_SAVE)
		stream_bulk(s->client);
}

/* The head of a tarball waits for its first bytes: what they are refused for still gets a status of its own.
 */
static enum step
start_relay(struct session *s)
{
	struct exchange *x = s->x;

	pump_init(&x->down, s->engine, x->answer.framing, x->answer.length, down_filter(s), NULL,
	    x->head.minor == 1 ? HTTP_BODY_CHUNKED : HTTP_BODY_TO_EOF);
	x->down.hold = x->d.kind == ANSWER_SAVE; /* the last chunk: until all is counted */
	if (x->d.kind != ANSWER_SAVE)
		send_head(s);
	return session_go(s, SESSION_RELAY);
}

static int
keep_element(void *arg, json_t *element, struct err *e)
{
	struct session *s = arg;
	struct answer_view view = view_of(s);

	(void)e;
	if (answer_list_element(element, &view))
		json_array_append(s->x->merged, element);
	return 0;
}

enum step
step_answer(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 };
	int rc;

	if (s->engine == NULL)
		return STEP_WAIT; /* the gate is connecting */
	rc = take_head(s, &e);
	if (rc < 0)
		return engine_failed(s, e.text);
	if (rc == 0)
		return s->engine->eof ? engine_failed(s, "closed the connection without an answer")
		                      : STEP_WAIT;
	x->answered = 1;
	x->engine_status = x->answer.status;
	if (x->answer.status == 200 && (x->d.kind == ANSWER_OUTPUT || x->d.kind == ANSWER_SAVE))
		return start_relay(s);
	if (x->answer.status == 200 && x->d.kind == ANSWER_LIST) {
		x->merged = json_array();
		x->list = (struct elements){ .take = keep_element, .arg = s };
	}
	body_init(&x->walk, x->answer.framing, x->answer.length);
	return session_go(s, SESSION_COLLECT);
}

/* Names and ids that the engine says are gone, from its own words before they are mapped. */
static void
note_removed(struct session *s, const json_t *answer)
{
	const json_t *one;
	struct err e = { 0 };
	size_t i;

	json_array_foreach(answer, i, one)
	{
		const char *name = json_str(one, "Untagged", NULL), *id = json_str(one, "Deleted", NULL);
		struct reference r;
		char canonical[REFERENCE_MAX];

		if (name != NULL && reference_unmap(&r, name, s->task->id) == 0) {
			reference_canonical(&r, canonical);
			(void)task_unname(s->task, canonical, &e);
		}
		if (id != NULL && owned_image(&s->task->owned, id) != NULL)
			(void)task_forget(s->task, id, &e);
	}
}

/* The host's whole list passed by; only the task's own images were kept. */
static json_t *
own_list(struct session *s, struct err *e)
{
	struct exchange *x = s->x;

	if (!x->list.ended) {
		err_set(e, 0, "cut its list of images");
		return NULL;
	}
	if (x->d.filters != NULL && answer_list_filter(x->merged, x->d.filters, e) < 0)
		return NULL;
	return json_incref(x->merged);
}

static json_t *
map_answer(struct session *s, json_t *answer)
{
	struct answer_view view = view_of(s);
	const struct policy *p = s->x->policy;

	switch (s->x->d.kind) {
	case ANSWER_VERSION:
		answer_version(answer, p->api_min, p->api_max);
		break;
	case ANSWER_INSPECT:
		answer_inspect(answer, &view);
		break;
	case ANSWER_HISTORY:
		answer_history(answer, &view);
		break;
	case ANSWER_REMOVE:
		answer_remove(answer, &view);
		break;
	default:
		break;
	}
	return answer;
}

static enum step
answer_json(struct session *s, unsigned status, json_t *answer)
{
	char *text = json_text(answer, 0), *line = NULL;
	enum step r;

	if (text != NULL && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	r = reply_json(s, status, line, NULL);
	free(line);
	free(text);
	return r;
}

static enum step
answer_ping(struct session *s)
{
	struct exchange *x = s->x;
	char extra[256];

	(void)snprintf(extra, sizeof extra,
	    "Api-Version: 1.%u\r\nOstype: linux\r\nDocker-Experimental: false\r\n"
	    "Cache-Control: no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\n",
	    s->x->policy->api_max);
	x->status = 200;
	x->keep_alive = x->head.keep_alive && !s->client->eof;
	http_print_response(&s->client->out, x->head.minor, 200, HTTP_BODY_COUNTED,
	    x->head.method == HTTP_HEAD ? 0 : 2, "text/plain; charset=utf-8", x->keep_alive, extra);
	if (x->head.method != HTTP_HEAD)
		buf_adds(&s->client->out, "OK");
	x->head_sent = 1;
	return reply_done(s);
}

/* Every error of the engine goes to the client in its own status, with names mapped back. */
static enum step
answer_failure(struct session *s)
{
	struct exchange *x = s->x;
	struct answer_view view = view_of(s);
	struct err e = { 0 };
	json_t *answer = json_parse(buf_ptr(&x->body), buf_len(&x->body), &e);
	enum step r;

	if (!json_is_object(answer) ||
	    json_str(answer, "message", NULL) == NULL) { /* old engines: plain text */
		json_decref(answer);
		answer = json_pack("{s:s%}", "message", buf_text(&x->body), buf_len(&x->body));
		if (answer == NULL)
			answer =
			    json_pack("{s:s}", "message", "the engine refused in words that are not text");
	}
	answer_error(answer, &view);
	if (x->engine_status == 404 &&
	    x->d.route == ROUTE_IMAGE_REMOVE) /* it is gone already: so it is for us */
		for (size_t i = 0; i < x->d.name_count; i++)
			(void)task_unname(s->task, x->d.names[i], &e);
	r = answer_json(s, x->engine_status, answer);
	json_decref(answer);
	return r;
}

static enum step
next_call(struct session *s)
{
	struct exchange *x = s->x;

	stream_free(s->engine);
	s->engine = NULL;
	http_head_done(&x->answer);
	x->answer = (struct http_head){ 0 };
	x->answered = 0;
	buf_clear(&x->body);
	x->call++;
	engine_call(s);
	return session_go(s, SESSION_ANSWER);
}

static enum step
record_failed(struct session *s, const struct err *why)
{
	struct err e = { 0 };

	err_refuse(&e, 500, "state", "the change was made but cannot be kept on disk: %s", why->text);
	return reply_refuse(s, &e);
}

static enum step
answer_tag(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 };

	for (size_t i = 0; i < x->d.name_count; i++)
		if (task_name(s->task, x->d.names[i], x->d.id, &e) < 0)
			return record_failed(s, &e);
	return reply_json(s, 201, NULL, NULL);
}

static enum step
answer_removed(struct session *s, json_t *answer)
{
	struct exchange *x = s->x;

	note_removed(s, answer);
	map_answer(s, answer);
	if (x->merged == NULL)
		x->merged = json_array();
	json_array_extend(x->merged, answer);
	if (x->call + 1 < x->d.call_count)
		return next_call(s);
	return answer_json(s, 200, x->merged);
}

static enum step
answer_parsed(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 };
	json_t *answer;
	enum step r;

	answer =
	    x->d.kind == ANSWER_LIST ? own_list(s, &e) : json_parse(buf_ptr(&x->body), buf_len(&x->body), &e);
	if (answer == NULL && e.status != 0)
		return reply_refuse(s, &e);
	if (answer == NULL)
		return engine_failed(s, "answered with something that is not the JSON expected");
	r = x->d.kind == ANSWER_REMOVE ? answer_removed(s, answer)
	                               : answer_json(s, x->engine_status, map_answer(s, answer));
	json_decref(answer);
	return r;
}

static enum step
answer_small(struct session *s)
{
	struct exchange *x = s->x;

	if (x->engine_status < 200 || x->engine_status >= 300)
		return answer_failure(s);
	kept_take(s);
	if (x->d.kind == ANSWER_PING)
		return answer_ping(s);
	if (x->d.calls[x->call]->route == ROUTE_IMAGE_TAG)
		return x->d.kind == ANSWER_TAG ? answer_tag(s) : next_call(s);
	return answer_parsed(s);
}

enum step
answer_again(struct session *s)
{
	struct exchange *x = s->x;
	const struct buf *body = kept_body(s);

	x->kept = 1;
	x->engine_status = 200;
	buf_add(&x->body, buf_ptr(body), buf_len(body));
	return answer_small(s);
}

/* Keeps what came of the answer: small JSON whole, a list element by element. */
static int
collect(struct session *s, const uint8_t *data, size_t size, struct err *e)
{
	struct exchange *x = s->x;

	if (x->list.take != NULL)
		return elements_feed(&x->list, data, size, e);
	if (buf_len(&x->body) + size > (size_t)s->proxy->settings->answer_bytes)
		return err_set(e, 0, "sent an answer larger than limits.answerBytes");
	buf_add(&x->body, data, size);
	return 0;
}

enum step
step_collect(struct session *s)
{
	struct exchange *x = s->x;
	struct buf *in = &s->engine->in;
	struct err e = { 0 };

	while (!x->walk.ended && buf_len(in) > 0) {
		const uint8_t *data;
		size_t used, size;

		if (body_walk(&x->walk, buf_ptr(in), buf_len(in), &used, &data, &size, &e) < 0)
			return engine_failed(s, "sent an answer whose framing is broken");
		if (collect(s, data, size, &e) < 0)
			return engine_failed(s, e.text);
		buf_drop(in, used);
	}
	if (x->walk.ended || (x->walk.framing == HTTP_BODY_TO_EOF && s->engine->eof))
		return answer_small(s);
	if (s->engine->eof)
		return engine_failed(s, "closed the connection in the middle of its answer");
	stream_kick(s->engine);
	return STEP_WAIT;
}

static enum step
build_ended(struct session *s)
{
	struct exchange *x = s->x;

	building_record(x->build, s->task, x->d.names, x->d.name_count);
	return reply_done(s);
}

/* The head has gone out: a build is told in its own stream, anything else is cut without its last chunk. */
static enum step
relay_broken(struct session *s, const struct err *why)
{
	struct exchange *x = s->x;
	char text[640];
	json_t *line;
	char *dump;

	s->proxy->failures++;
	if (x->d.kind != ANSWER_OUTPUT) {
		session_close(s, why->text);
		return STEP_END;
	}
	(void)snprintf(text, sizeof text, "%s (rule: %s)", why->text, why->rule ? why->rule : "engine");
	line = json_pack("{s:{s:s},s:s}", "errorDetail", "message", text, "error", text);
	dump = json_text(line, 1);
	if (x->down.framing == HTTP_BODY_CHUNKED && dump != NULL) {
		body_put_chunk(&s->client->out, dump, strlen(dump));
		body_put_end(&s->client->out);
	} else if (dump != NULL) {
		buf_adds(&s->client->out, dump);
	}
	free(dump);
	json_decref(line);
	x->keep_alive = 0;
	x->close_why = why->text; /* written before this returns */
	return reply_done(s);
}

/* As the bytes pass, so that saves side by side share one limit; e NULL: counted only. */
static int
count_saved(struct session *s, struct err *e)
{
	struct exchange *x = s->x;

	s->task->now.saved += x->down.bytes - x->saved;
	s->proxy->figures.saved += x->down.bytes - x->saved;
	x->saved = x->down.bytes;
	return e == NULL || limits_saved(s->task, 0, e) == 0 || rule_observed(s->x->policy, e) ? 0 : -1;
}

/* Nothing of it was sent: the client reads why, and whose fault it is. */
static enum step
refuse_tarball(struct session *s, struct err *e)
{
	if (e->status == 400) /* the filter's word for a damaged tarball: here it is the engine's */
		e->status = 502;
	record_refusal(s, e);
	return reply_refuse(s, e);
}

enum step
step_relay(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 };
	int rc = pump_run(&x->down, &e);

	if (rc < 0 && e.rule != NULL && strcmp(e.rule, "body-cut") == 0)
		err_refuse(
		    &e, 502, "engine", "the Docker engine closed the connection in the middle of its answer");
	if (x->d.kind == ANSWER_SAVE && count_saved(s, rc < 0 ? NULL : &e) < 0)
		rc = -1;
	if (rc < 0 && !x->head_sent)
		return refuse_tarball(s, &e);
	if (rc < 0)
		return relay_broken(s, &e);
	if (!x->head_sent && (x->down.filter_done || buf_len(&x->down.made) >= SAVE_HELD)) {
		send_head(s);
		return STEP_AGAIN;
	}
	if (x->down.hold && x->down.filter_done && x->down.input_ended) {
		x->down.hold = 0;
		return STEP_AGAIN;
	}
	if (rc == PUMP_WAIT)
		return STEP_WAIT;
	return x->d.kind == ANSWER_OUTPUT ? build_ended(s) : reply_done(s);
}

void
build_stop(struct session *s, const struct err *e)
{
	record_refusal(s, e);
	if (!s->x->head_sent)
		(void)reply_refuse(s, e);
	else
		(void)relay_broken(s, e);
	session_step(s);
}
