/* What we say ourselves, and how a request ends. */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "http/print.h"
#include "io/gate.h"
#include "io/pump.h"
#include "io/stream.h"
#include "proxy/session.h"
#include "task/task.h"

enum { LINGER_BYTES = 256 * 1024 * 1024 }; /* of a refused upload that are read and thrown away */

static void
drop_engine(struct session *s)
{
	exchange_drop_engine(s);
	if (s->x->ticket)
		gate_cancel(s->proxy->gate, s->x->ticket);
	s->x->ticket = 0;
}

/* May another request follow on this connection? Only when this one was read to its end. */
static int
may_go_on(const struct session *s)
{
	const struct exchange *x = s->x;

	return x->head.keep_alive && (!s->client->eof || buf_len(&s->client->in) > 0) &&
	       (x->body_ended || (x->head.framing == HTTP_BODY_NONE && x->decided));
}

enum step
reply_refuse(struct session *s, const struct err *e)
{
	struct exchange *x = s->x;
	unsigned status = e->status ? (unsigned)e->status : 500;
	size_t before;

	if (x == NULL) { /* before any request: a head that did not come */
		x = exchange_new(s);
		x->head.minor = 1;
		x->head.framing = HTTP_BODY_CHUNKED;
		record_refusal(s, e);
	}
	drop_engine(s);
	if (x->head_sent) {
		session_close(s, e->text);
		return STEP_END;
	}
	before = buf_len(&s->client->out);
	x->status = status;
	x->keep_alive = may_go_on(s);
	http_print_error(&s->client->out, x->head.minor, status, e->rule, e->text, x->keep_alive,
	    x->head.method == HTTP_HEAD);
	x->sent = buf_len(&s->client->out) - before;
	x->head_sent = 1;
	if (status >= 500)
		s->proxy->failures++;
	return reply_done(s);
}

enum step
reply_json(struct session *s, unsigned status, const char *json, const char *extra)
{
	struct exchange *x = s->x;
	size_t len = json == NULL ? 0 : strlen(json);

	x->status = status;
	x->keep_alive = may_go_on(s);
	http_print_response(&s->client->out, x->head.minor, status, HTTP_BODY_COUNTED, len,
	    len > 0 ? "application/json" : NULL, x->keep_alive, extra);
	if (len > 0 && x->head.method != HTTP_HEAD)
		buf_add(&s->client->out, json, len);
	x->sent = len;
	x->head_sent = 1;
	return reply_done(s);
}

enum step
reply_done(struct session *s)
{
	struct exchange *x = s->x;
	int goes_on = x->keep_alive;

	drop_engine(s);
	record_end(s, NULL);
	exchange_free(s);
	s->client->high = STREAM_HIGH; /* an upload that was not read to its end may have lowered it */
	stream_kick(s->client);
	if (goes_on) {
		stream_rest(s->client);
		s->turn_over = buf_len(&s->client->in) > 0;
		return session_go(s, SESSION_HEAD);
	}
	stream_shut(s->client);
	return session_go(s, SESSION_LINGER);
}

/*
 * Closing right after an early error loses the error for the client (docker-api.md 3.1): it is still
 * writing. So what it sends is read and thrown away until it closes, bounded in bytes and time.
 */
enum step
step_linger(struct session *s)
{
	s->lingered += buf_len(&s->client->in);
	buf_clear(&s->client->in);
	if ((s->client->eof && buf_len(&s->client->out) == 0) || s->lingered > LINGER_BYTES) {
		session_close(s, "closed");
		return STEP_END;
	}
	stream_kick(s->client);
	return STEP_WAIT;
}
