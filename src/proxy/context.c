/* The build context on its way to the engine, and the base images that its Dockerfile names. */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "io/fetch.h"
#include "io/stream.h"
#include "policy/param.h"
#include "proxy/session.h"
#include "task/task.h"

enum {
	/* The engine is called when the context is whole, or when this much of it waits: so a small context
	 * is judged to its end before the engine hears a byte. */
	CONNECT_AT = PUMP_HIGH / 2,
	BASE_ANSWER_MAX = 1024 * 1024,
	BASE_SECONDS = 30,
};

static void
fill_ask(struct session *s, struct context_ask *ask)
{
	const struct policy *p = &s->task->policy;
	const struct call *c = s->x->d.calls[0];
	struct building *b = s->x->build;

	b->bases = (struct base_ask){ .policy = p, .owned = &s->task->owned };
	*ask = (struct context_ask){
		.dockerfile = call_get(c, PARAM_DOCKERFILE),
		.reading = {
			.resolve = base_resolve,
			.arg = &b->bases,
			.build_args = call_get(c, PARAM_BUILDARGS),
			.target = call_get(c, PARAM_TARGET),
			.add_urls = p->add_urls,
		},
		.max_bytes = (uint64_t)p->context_bytes,
		.max_entries = (uint64_t)p->context_entries,
		.zstd = s->proxy->engine_zstd,
	};
}

void
context_start(struct session *s)
{
	struct exchange *x = s->x;
	struct context_ask ask;

	x->build = mem_new(sizeof *x->build);
	s->task->now.builds++;
	s->proxy->use.builds++;
	s->proxy->builds++;
	fill_ask(s, &ask);
	x->build->context = context_filter_new(&ask, &x->build->facts);
	pump_init(
	    &x->up, s->client, x->head.framing, x->head.length, x->build->context, NULL, HTTP_BODY_CHUNKED);
	x->up.hold = 1; /* the end of the body is the commit point: only after every base image is known */
}

/* The judged facts are final: what the output filter needs to print what the task typed. */
static void
keep_pairs(struct building *b)
{
	for (size_t i = 0; i < b->facts.base_count; i++)
		b->pairs[i] = b->facts.bases[i].name;
	b->pair_count = b->facts.base_count;
}

static int
judge_triggers(struct session *s, const char *typed, json_t *answer, struct err *e)
{
	struct building *b = s->x->build;
	struct dockerfile_ask ask = {
		.resolve = base_resolve, .arg = &b->bases, .add_urls = s->task->policy.add_urls
	};
	json_t *config = json_object_get(answer, "Config"), *trigger;
	size_t i;

	json_array_foreach(json_object_get(config, "OnBuild"), i, trigger)
	{
		const char *text = json_string_value(trigger);

		if (text == NULL || dockerfile_judge_trigger(text, &ask, e) < 0)
			return err_wrap(e, "ONBUILD of base image '%s'", typed);
	}
	return 0;
}

static void
on_base(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct session *s = arg;
	struct building *b = s->x->build;
	const char *typed = b->facts.bases[b->next_base].name.typed;
	struct err refused = { 0 };
	int rc = 0;

	b->fetch = NULL;
	if (status == 0)
		rc = err_refuse(&refused, e->status ? e->status : 502, "engine", "%s", e->text);
	else if (status == 404 && !s->task->policy.pull)
		rc = err_refuse(&refused, 404, "base-image-missing",
		    "base image '%s' is not on this host, and policy.pull does not let the engine fetch it",
		    typed);
	else if (status == 200)
		rc = judge_triggers(s, typed, answer, &refused);
	else if (status != 404)
		rc = err_refuse(&refused, 502, "engine",
		    "the engine answered %u when asked for base image '%s'", status, typed);
	b->next_base++;
	if (rc < 0) {
		record_refusal(s, &refused);
		(void)reply_refuse(s, &refused);
	}
	session_step(s);
}

/* One question at a time, for every image that FROM or COPY --from names. Returns 1 when all are known. */
static int
resolve_bases(struct session *s)
{
	struct building *b = s->x->build;
	static struct call c; /* 100 KiB, used up at once */
	struct err e = { 0 };

	if (b->fetch != NULL)
		return 0;
	if (b->next_base == b->facts.base_count)
		return 1;
	call_start(&c, ROUTE_BASE_INSPECT, s->task->id, s->x->d.api);
	(void)call_add(&c, PARAM_NAME, b->facts.bases[b->next_base].name.mapped, &e);
	b->fetch = fetch_start(s->proxy->loop, s->proxy->gate, &c, BASE_ANSWER_MAX, BASE_SECONDS, on_base, s);
	return 0;
}

static int
engine_has_spoken(const struct session *s)
{
	return s->engine != NULL && (buf_len(&s->engine->in) > 0 || s->engine->eof);
}

enum step
step_upload(struct session *s)
{
	struct exchange *x = s->x;
	struct err e = { 0 };
	int rc;

	if (engine_has_spoken(s)) /* before it has read everything: its answer counts */
		return session_go(s, SESSION_ANSWER);
	x->up.to = s->engine;
	rc = pump_run(&x->up, &e);
	if (rc < 0) {
		record_refusal(s, &e);
		return reply_refuse(s, &e);
	}
	if (s->engine == NULL && x->ticket == 0 && (x->build->resolved || buf_len(&x->up.made) >= CONNECT_AT))
		engine_call(s);
	if (!x->up.filter_done || !x->up.input_ended)
		return STEP_WAIT;
	if (!x->build->resolved) {
		if (!resolve_bases(s))
			return STEP_WAIT;
		x->build->resolved = 1;
		keep_pairs(x->build);
		x->up.hold = 0;
		x->body_ended = 1;
		return STEP_AGAIN;
	}
	return rc == PUMP_DONE ? session_go(s, SESSION_ANSWER) : STEP_WAIT;
}
