/* A request's head: parsed, judged, recorded; then its small body, or the upload. */

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/print.h"
#include "io/stream.h"
#include "proxy/session.h"
#include "task/task.h"

enum { HELD_MOST = 100 }; /* ms that a request above its task's rate waits for room */

static int
judge(struct session *s, struct err *e)
{
	struct exchange *x = s->x;

	if (limits_request(s->task, now_ms(), e) < 0)
		return -1;
	if (target_parse(&x->target, x->head.target, e) < 0)
		return -1;
	decide(x->policy, &s->task->owned, &x->head, &x->target, &x->d);
	x->decided = 1;
	if (x->d.verdict == VERDICT_DENY)
		return err_refuse(e, x->d.status, x->d.rule, "%s", x->d.reason);
	return 0;
}

/* What the tables do not know: the task's own state and its builds under way. */
static int
check_task(struct session *s, struct err *e)
{
	struct exchange *x = s->x;
	int rc = 0;

	if (x->d.verdict == VERDICT_ALLOW && x->d.kind == ANSWER_SAVE)
		rc = limits_saved(s->task, 1, e);
	if (x->d.body != BODY_CONTEXT || x->d.verdict != VERDICT_ALLOW)
		return rc == 0 || decision_let(&x->d, x->policy, e) ? 0 : -1;
	if (s->task->state != TASK_RUNNING)
		return err_refuse(
		    e, 409, "task-finished", "the task has been finished: it can build no more images");
	rc = limits_build(s->task, s->proxy->settings, &s->proxy->use, e);
	return rc == 0 || decision_let(&x->d, x->policy, e) ? 0 : -1;
}

static enum step
begin(struct session *s)
{
	struct exchange *x = s->x;

	if (x->head.expect_continue && x->head.minor == 1 && x->head.framing != HTTP_BODY_NONE)
		buf_adds(&s->client->out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (x->d.kind == ANSWER_TAG)
		claim_take(&x->claim, s->task, 0, x->d.new_names);
	if (x->d.verdict == VERDICT_ALLOW && x->d.body == BODY_CONTEXT) {
		context_start(s);
		return session_go(s, SESSION_UPLOAD);
	}
	body_init(&x->drain, x->head.framing, x->head.length);
	return session_go(s, SESSION_DRAIN);
}

/* The whole head is here: judge, record, and only then go on. */
static enum step
take_request(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 }, audit = { 0 };
	int rc = judge(s, &e);

	if (rc == 0)
		rc = check_task(s, &e);
	if (rc < 0 && x->decided) { /* the record says what the client is told */
		x->d.verdict = VERDICT_DENY;
		x->d.rule = e.rule;
		x->d.status = e.status;
		(void)snprintf(x->d.reason, sizeof x->d.reason, "%s", e.text);
	}
	if (rc < 0 && !x->decided) {
		record_refusal(s, &e);
		return reply_refuse(s, &e);
	}
	if (record_decision(s, &audit) < 0) {
		err_refuse(&audit, 503, "audit", "the audit log cannot be written, so nothing is done");
		return reply_refuse(s, &audit);
	}
	if (rc < 0 && x->decided && x->d.plain)
		e.rule = NULL; /* the engine's own words */
	return rc < 0 ? reply_refuse(s, &e) : begin(s);
}

/*
 * Requests that come without waiting for answers are taken one in a turn of the loop, so that other clients
 * get theirs, and not before their answers have room.
 */
static int
must_wait(const struct session *s)
{
	return s->turn_over || buf_len(&s->client->out) >= PUMP_HIGH;
}

/*
 * Above limits.requestRate a request waits for room, and is refused when there is none after a moment: so a
 * flood costs its neighbours little, however fast it is sent and however often it connects anew.
 */
static int
is_held(struct session *s)
{
	int64_t now = now_ms(), wait = limits_wait(s->task, now), left;

	if (s->held_since == 0)
		s->held_since = now;
	left = s->held_since + HELD_MOST - now;
	s->hold = wait < left ? wait : left;
	if (s->hold > 0)
		return 1;
	s->hold = s->held_since = 0;
	return 0;
}

enum step
step_head(struct session *s)
{
	struct stream *c = s->client;
	struct http_head head;
	struct err e = { 0 };
	size_t used = 0;
	int rc;

	if (buf_len(&c->in) == 0) {
		if (c->eof) {
			session_close(s, "client closed");
			return STEP_END;
		}
		return STEP_WAIT;
	}
	if (must_wait(s) || (!s->head_begun && is_held(s)))
		return STEP_WAIT;
	if (!s->head_begun) {
		s->head_begun = 1;
		s->since = now_ms();
	}
	rc = http_request_parse(&head, buf_ptr(&c->in), buf_len(&c->in), &used, &e);
	if (rc == 1) {
		if (!c->eof)
			return STEP_WAIT;
		session_close(s, "client closed in the middle of a head");
		return STEP_END;
	}
	s->head_begun = 0;
	exchange_new(s);
	if (rc < 0) {
		s->x->head.framing =
		    HTTP_BODY_CHUNKED; /* unknown: whatever follows is not read as a request */
		s->x->head.minor = 1;
		record_refusal(s, &e);
		return reply_refuse(s, &e);
	}
	s->x->head = head;
	mem_wipe(
	    c->in.data + c->in.head, used); /* X-Registry-Config: the buffer lives as long as the session */
	buf_drop(&c->in, used);
	return take_request(s);
}

/* An image that another task owns as well is only forgotten: the engine keeps it. */
static int
forget_here(struct session *s, struct err *e)
{
	if (task_forget(s->task, s->x->d.id, e) == 0)
		return 0;
	err_wrap(e, "the change cannot be kept on disk");
	e->status = 500;
	e->rule = "state";
	return -1;
}

/* A body that the route does not need, or none: walked to its end, then the answer or the engine. */
enum step
step_drain(struct session *s)
{
	struct exchange *x = s->x;
	struct stream *c = s->client;
	struct err e = { 0 };

	while (!x->drain.ended && buf_len(&c->in) > 0) {
		const uint8_t *data;
		size_t used, size;

		if (body_walk(&x->drain, buf_ptr(&c->in), buf_len(&c->in), &used, &data, &size, &e) < 0) {
			record_refusal(s, &e);
			return reply_refuse(s, &e);
		}
		buf_drop(&c->in, used);
		x->drained += size;
		if (x->drained > DECISION_BODY_SMALL) {
			err_refuse(&e, 413, "body-size",
			    "this request needs no body, and more than %d bytes came", DECISION_BODY_SMALL);
			record_refusal(s, &e);
			return reply_refuse(s, &e);
		}
	}
	if (!x->drain.ended && c->eof) {
		session_close(s, "client closed in the middle of a body");
		return STEP_END;
	}
	stream_kick(c);
	if (!x->drain.ended)
		return STEP_WAIT;
	x->body_ended = 1;
	if (x->d.verdict == VERDICT_ANSWER && x->d.forget && forget_here(s, &e) < 0)
		return reply_refuse(s, &e);
	if (x->d.verdict == VERDICT_ANSWER)
		return reply_json(s, (unsigned)x->d.status, x->d.answer, NULL);
	if (kept_fits(s))
		return answer_again(s);
	engine_call(s);
	return session_go(s, SESSION_ANSWER);
}
