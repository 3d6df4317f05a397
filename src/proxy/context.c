/* The build context on its way to the engine, and the base images that its Dockerfile names. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "io/fetch.h"
#include "io/stream.h"
#include "policy/param.h"
#include "policy/rule.h"
#include "proxy/session.h"
#include "task/task.h"

enum {
	/* The engine is called when the context is whole, or when this much of it waits: so a small context
	 * is judged to its end before the engine hears a byte. */
	CONNECT_AT = PUMP_HIGH,
	BASE_ANSWER_MAX = 1024 * 1024,
	PULL_ANSWER_MAX = 16 * 1024 * 1024, /* progress of every layer, line by line */
	BASE_SECONDS = 30,
};

static void
on_observed(void *arg, const struct err *why)
{
	record_observed(arg, why);
}

static void
fill_ask(struct session *s, struct context_ask *ask)
{
	const struct policy *p = s->x->policy;
	const struct call *c = s->x->d.calls[0];
	struct building *b = s->x->build;

	b->bases =
	    (struct base_ask){ .policy = p, .owned = &s->task->owned, .observed = on_observed, .arg = s };
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
	x->build->task = s->task;
	x->build->started = stamp_now();
	claim_take(&x->build->claim, s->task, 1, x->d.new_names);
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
		.resolve = base_resolve, .arg = &b->bases, .add_urls = s->x->policy->add_urls
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
note_foreign(struct building *b, const json_t *answer)
{
	const char *id = json_str(answer, "Id", "");

	if (reference_is_id(id) && b->foreign_count < DOCKERFILE_BASES_MAX)
		memcpy(b->foreign[b->foreign_count++], id, strlen(id) + 1);
}

static void ask_base(struct session *s);

/* The present base image is known, or it is why the build does not go on. */
static void
base_known(struct session *s, const struct err *why)
{
	if (why != NULL) {
		record_refusal(s, why);
		(void)reply_refuse(s, why);
	} else {
		s->x->build->next_base++;
		s->x->build->pulled = 0;
	}
	session_step(s);
}

/* The answer is a stream of progress: whether the image is here now, the next look tells. */
static void
on_pulled(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct session *s = arg;
	struct building *b = s->x->build;
	struct err why = { 0 };

	b->fetch = NULL;
	b->pulled = 1;
	if (status == 200) {
		ask_base(s);
		return;
	}
	err_refuse(&why, status == 404 ? 404 : 502, "base-image-missing",
	    "base image '%s' cannot be pulled: %s", b->facts.bases[b->next_base].name.typed,
	    status ? json_str(answer, "message", "the engine gives no reason") : e->text);
	base_known(s, &why);
}

static void
pull_base(struct session *s)
{
	struct building *b = s->x->build;
	const char *config = s->x->d.registry;
	static struct call c; /* 100 KiB, used up at once */
	struct err e = { 0 };

	call_start(&c, ROUTE_BASE_PULL, s->task->id, s->x->d.api);
	c.policy = (uint16_t)s->x->policy->version;
	(void)call_add(&c, PARAM_FROMIMAGE, b->facts.bases[b->next_base].name.mapped, &e);
	if (config != NULL)
		(void)call_add(&c, PARAM_REGISTRY_CONFIG, config, &e);
	b->fetch = fetch_start(
	    s->proxy->loop, s->proxy->gate, &c, PULL_ANSWER_MAX, (int)s->task->build_time, on_pulled, s);
	mem_wipe(&c, sizeof c);
}

static void
on_base(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct session *s = arg;
	struct building *b = s->x->build;
	const struct dockerfile_base *base = &b->facts.bases[b->next_base];
	struct err why = { 0 };
	int rc = 0;

	b->fetch = NULL;
	if (status == 404 && s->x->policy->pull && !base->own && !b->pulled) {
		pull_base(s);
		return;
	}
	if (status == 0)
		rc = err_refuse(&why, e->status ? e->status : 502, "engine", "%s", e->text);
	else if (status == 404)
		rc = err_refuse(&why, 404, "base-image-missing", "base image '%s' is not on this host%s",
		    base->name.typed,
		    s->x->policy->pull ? ", and pulling it did not bring it"
		                       : ", and policy.pull does not let the engine fetch it");
	else if (status == 200) {
		rc = judge_triggers(s, base->name.typed, answer, &why);
		facts_base(b, s->task->id, answer);
	} else
		rc = err_refuse(&why, 502, "engine", "the engine answered %u when asked for base image '%s'",
		    status, base->name.typed);
	if (status == 200 && !base->own)
		note_foreign(b, answer);
	base_known(s, rc < 0 ? &why : NULL);
}

static void
ask_base(struct session *s)
{
	struct building *b = s->x->build;
	static struct call c; /* 100 KiB, used up at once */
	struct err e = { 0 };

	call_start(&c, ROUTE_BASE_INSPECT, s->task->id, s->x->d.api);
	c.policy = (uint16_t)s->x->policy->version;
	(void)call_add(&c, PARAM_NAME, b->facts.bases[b->next_base].name.mapped, &e);
	b->fetch = fetch_start(s->proxy->loop, s->proxy->gate, &c, BASE_ANSWER_MAX, BASE_SECONDS, on_base, s);
}

/*
 * One question at a time, for every image that FROM or COPY --from names. Returns 1 when all are known. What
 * is not here is pulled by us, before the build: so its ONBUILD triggers are judged, too.
 */
static int
resolve_bases(struct session *s)
{
	struct building *b = s->x->build;

	if (b->fetch != NULL)
		return 0;
	if (b->next_base == b->facts.base_count)
		return 1;
	if (s->x->d.pull && !b->facts.bases[b->next_base].own)
		pull_base(s);
	else
		ask_base(s);
	return 0;
}

/* Every stage leaves an image. */
static int
claim_stages(struct session *s, struct err *e)
{
	struct building *b = s->x->build;
	size_t stages = b->facts.stages > 1 ? (size_t)b->facts.stages : 1;

	claim_done(&b->claim);
	if (decide_images(s->x->policy, &s->task->owned, stages, e) < 0) {
		if (!rule_observed(s->x->policy, e))
			return -1;
		record_observed(s, e);
	}
	claim_take(&b->claim, s->task, stages, s->x->d.new_names);
	return 0;
}

/* 1 when the engine may be given the build, 0 when it has to tell first what it is, -1 when it may not. */
static int
engine_fits(struct session *s, struct err *e)
{
	struct proxy *p = s->proxy;

	if (p->engine_state == ENGINE_REFUSED)
		return err_refuse(e, 503, "engine-untested", "%s", p->engine_why);
	s->x->build->waits = p->engine_state == ENGINE_UNKNOWN;
	if (s->x->build->waits)
		p->ask_engine(p->ask_engine_arg);
	return !s->x->build->waits;
}

void
proxy_engine(struct proxy *p, enum engine_verdict v, const struct err *why)
{
	struct session *next;

	p->engine_state = v;
	(void)snprintf(p->engine_why, sizeof p->engine_why, "%s", why == NULL ? "" : why->text);
	for (struct session *s = p->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->x == NULL || s->x->build == NULL || !s->x->build->waits)
			continue;
		s->x->build->waits = 0;
		if (v == ENGINE_UNKNOWN)
			build_stop(s, why);
		else
			session_step(s);
	}
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
	struct building *b = x->build;
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
		if (!b->resolving && claim_stages(s, &e) < 0) {
			record_refusal(s, &e);
			return reply_refuse(s, &e);
		}
		b->resolving = 1;
		rc = b->waits ? 0 : engine_fits(s, &e);
		if (rc < 0) {
			record_refusal(s, &e);
			return reply_refuse(s, &e);
		}
		if (rc == 0 || !resolve_bases(s))
			return STEP_WAIT;
		x->build->resolved = 1;
		keep_pairs(x->build);
		facts_known(s);
		x->up.hold = 0;
		x->body_ended = 1;
		return STEP_AGAIN;
	}
	return rc == PUMP_DONE ? session_go(s, SESSION_ANSWER) : STEP_WAIT;
}
