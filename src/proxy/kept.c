/*
 * What the engine says of itself, ping and version, is the same for every task. Its last answer is given
 * again for engine.answerAge, counted from when the engine was asked: so small requests do not each cost the
 * engine a connection, and an engine that has gone is known to be gone that soon, or with the first call that
 * fails.
 */

#include "base/settings.h"
#include "proxy/session.h"

static struct kept *
slot(struct session *s)
{
	switch (s->x->d.kind) {
	case ANSWER_PING:
		return &s->proxy->kept_ping;
	case ANSWER_VERSION:
		return &s->proxy->kept_version;
	default:
		return NULL;
	}
}

int
kept_fits(struct session *s)
{
	const struct kept *k = slot(s);
	int64_t most = s->proxy->settings->answer_age * 1000;

	return k != NULL && k->at != 0 && k->api == s->x->d.api && now_ms() - k->at < most;
}

const struct buf *
kept_body(struct session *s)
{
	return &slot(s)->body;
}

void
kept_take(struct session *s)
{
	struct kept *k = slot(s);

	if (k == NULL || s->x->kept || s->proxy->settings->answer_age == 0)
		return;
	k->at = s->x->started;
	k->api = s->x->d.api;
	buf_clear(&k->body);
	buf_add(&k->body, buf_ptr(&s->x->body), buf_len(&s->x->body));
}

void
kept_forget(struct proxy *p)
{
	p->kept_ping.at = p->kept_version.at = 0;
	p->engine_state = ENGINE_UNKNOWN; /* another one may answer next */
}

void
kept_done(struct proxy *p)
{
	kept_forget(p);
	buf_done(&p->kept_ping.body);
	buf_done(&p->kept_version.body);
}
