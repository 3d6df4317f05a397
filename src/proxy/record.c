/* The audit of a connection: one record for each decision, one for each end of a request. */

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "io/stream.h"
#include "policy/param.h"
#include "proxy/session.h"
#include "task/audit.h"
#include "task/task.h"

/* The task's names in a request, as typed: where they stand. */
static const char *const typed_keys[] = { "t", "names", "repo" };

/* Peer bytes: printable ASCII, escaped. */
static json_t *
quoted(const char *s)
{
	char text[2048];

	return s == NULL ? json_null() : json_string(log_quote(s, strlen(s), text, sizeof text));
}

/* The target as received, without its query: that is recorded redacted. */
static json_t *
quoted_path(const char *target)
{
	char text[2048];
	size_t len = target == NULL ? 0 : strcspn(target, "?#");

	return target == NULL ? json_null() : json_string(log_quote(target, len, text, sizeof text));
}

/* Our own words, in which peer bytes are quoted already. */
static json_t *
words(const char *s)
{
	json_t *text = json_string(s);

	return text != NULL ? text : quoted(s);
}

static const char *const verdicts[] = {
	[VERDICT_DENY] = "deny",
	[VERDICT_ALLOW] = "allow",
	[VERDICT_ANSWER] = "answer",
};

static json_t *
open_record(const struct session *s, const char *event)
{
	json_t *peer = json_pack(
	    "{s:i,s:i,s:i}", "uid", (int)s->peer.uid, "gid", (int)s->peer.gid, "pid", (int)s->peer.pid);

	return json_pack("{s:s,s:s,s:i,s:s,s:o,s:I,s:I}", "event", event, "task", s->task->task_id, "run",
	    (int)s->task->run_id, "id", s->task->id, "peer", peer, "conn", (json_int_t)s->conn, "req",
	    (json_int_t)s->x->number);
}

static json_t *
typed_names(const struct exchange *x)
{
	json_t *list = json_array();
	char name[REFERENCE_MAX];

	if (route_find(x->head.method, x->target.path, name, sizeof name) != NULL && name[0] != '\0')
		json_array_append_new(list, quoted(name));
	for (size_t i = 0; i < x->target.count; i++)
		for (size_t k = 0; k < sizeof typed_keys / sizeof typed_keys[0]; k++)
			if (strcmp(x->target.query[i].key, typed_keys[k]) == 0)
				json_array_append_new(list, quoted(x->target.query[i].value));
	return list;
}

static void
add_values(json_t *list, const struct call *c, enum param param)
{
	for (const char *v = call_next(c, param, NULL); v != NULL; v = call_next(c, param, v))
		json_array_append_new(list, quoted(v));
}

static json_t *
mapped_names(const struct exchange *x)
{
	json_t *list = json_array();

	for (size_t i = 0; i < x->d.call_count; i++) {
		add_values(list, x->d.calls[i], PARAM_NAME);
		add_values(list, x->d.calls[i], PARAM_T);
		add_values(list, x->d.calls[i], PARAM_REPO);
		add_values(list, x->d.calls[i], PARAM_NAMES);
	}
	return list;
}

/* Which policy judged it, and for replay what it had to know of the task besides its names. */
static json_t *
policy_of(const struct session *s)
{
	const struct policy *p = s->x->policy;

	return json_pack("{s:i,s:s,s:s,s:b}", "version", (int)p->version, "hash", p->hash, "mode",
	    policy_mode_name(p->mode), "own", s->task->policy_given != NULL || s->task->limits_given != NULL);
}

static json_t *
has(const struct session *s)
{
	const struct owned *o = &s->task->owned;
	const struct decision *d = &s->x->d;
	size_t fresh = 0;

	for (size_t i = 0; i < d->name_count; i++)
		fresh += owned_by_name(o, d->names[i]) == NULL;
	return json_pack(
	    "{s:i,s:i,s:i}", "images", (int)o->count, "names", (int)owned_names(o), "fresh", (int)fresh);
}

static void
add_judged(const struct session *s, json_t *r)
{
	const struct exchange *x = s->x;
	const struct policy *p = x->policy;

	json_object_set_new(r, "method", json_string(x->head.method_name));
	json_object_set_new(r, "path", quoted_path(x->head.target));
	json_object_set_new(r, "policy", policy_of(s));
	if (!x->decided)
		return;
	json_object_set_new(r, "judged", quoted(x->target.path));
	json_object_set_new(r, "query", audit_query(&x->target, p->public_arg_count, p->public_args));
	json_object_set_new(
	    r, "names", json_pack("{s:o,s:o}", "before", typed_names(x), "after", mapped_names(x)));
	json_object_set_new(r, "has", has(s));
	if (x->d.id[0] != '\0')
		json_object_set_new(r, "ids", json_pack("[s]", x->d.id));
}

static int
write_record(struct session *s, json_t *r, struct err *e)
{
	int rc = audit_write(s->proxy->audit, s->task->id, r, e);

	json_decref(r);
	if (rc < 0)
		log_error("audit", "%s", e->text);
	return rc;
}

/* What would have been refused stands where a refusal would; the route's own rule beside it. */
static void
add_observed(json_t *r, const struct decision *d)
{
	json_t *more = json_array();

	json_object_set_new(r, "decision", json_string("observed"));
	json_object_set_new(r, "rule", json_string(d->observed[0].rule));
	json_object_set_new(r, "reason", words(d->observed[0].reason));
	json_object_set_new(r, "route", json_string(d->rule));
	for (size_t i = 1; i < d->observed_count; i++)
		json_array_append_new(more, json_pack("{s:s,s:o}", "rule", d->observed[i].rule, "reason",
		                                words(d->observed[i].reason)));
	if (json_array_size(more) > 0)
		json_object_set(r, "also", more);
	json_decref(more);
}

int
record_decision(struct session *s, struct err *e)
{
	const struct decision *d = &s->x->d;
	json_t *r = open_record(s, "decision");

	add_judged(s, r);
	json_object_set_new(r, "decision", json_string(verdicts[d->verdict]));
	json_object_set_new(r, "rule", json_string(d->rule));
	if (d->verdict == VERDICT_DENY) {
		json_object_set_new(r, "status", json_integer(d->status));
		json_object_set_new(r, "reason", words(d->reason));
		figures_refused(s->proxy, s->task, d->rule);
	} else if (d->observed_count > 0) {
		add_observed(r, d);
		for (size_t i = 0; i < d->observed_count; i++)
			figures_observed(s, d->observed[i].rule);
	}
	return write_record(s, r, e);
}

void
record_observed(struct session *s, const struct err *why)
{
	json_t *r = open_record(s, "decision");
	struct err e = { 0 };

	add_judged(s, r);
	json_object_set_new(r, "decision", json_string("observed"));
	json_object_set_new(r, "rule", json_string(why->rule));
	json_object_set_new(r, "reason", words(why->text));
	json_object_set_new(r, "route", json_string(s->x->d.rule));
	figures_observed(s, why->rule);
	(void)write_record(s, r, &e); /* the decision itself is on record */
}

/* A flood is refused request by request, but recorded once a second: with how many there were. */
static int
is_flood(struct session *s, const struct err *why)
{
	struct task *t = s->task;
	int64_t now = now_ms();

	if (why->rule == NULL || strcmp(why->rule, "limit-request-rate") != 0)
		return 0;
	t->now.unrecorded++;
	if (now < t->flood_recorded + 1000)
		return 1;
	t->flood_recorded = now;
	return 0;
}

void
record_refusal(struct session *s, const struct err *why)
{
	json_t *r;
	struct err e = { 0 };

	if (is_flood(s, why)) {
		figures_refused(s->proxy, s->task, why->rule);
		s->x->silent = 1;
		return;
	}
	r = open_record(s, "decision");
	add_judged(s, r);
	json_object_set_new(r, "decision", json_string("deny"));
	json_object_set_new(r, "rule", json_string(why->rule ? why->rule : "error"));
	json_object_set_new(r, "status", json_integer(why->status));
	json_object_set_new(r, "reason", words(why->text));
	if (s->x->build != NULL && s->x->build->bases.refused[0] != '\0')
		json_object_set_new(r, "base", quoted(s->x->build->bases.refused));
	if (s->task->now.unrecorded > 1)
		json_object_set_new(r, "requests", json_integer((json_int_t)s->task->now.unrecorded));
	s->task->now.unrecorded = 0;
	figures_refused(s->proxy, s->task, why->rule);
	(void)write_record(s, r, &e); /* it is refused in any case */
}

/* The images of others that the Dockerfile named, canonical. */
static json_t *
bases_of(const struct building *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->facts.base_count; i++)
		if (!b->facts.bases[i].own)
			json_array_append_new(list, quoted(b->facts.bases[i].name.mapped));
	return list;
}

/* What the build was made from, and what it made; a build that was given up has neither failed nor made it.
 */
static void
add_build(const struct building *b, json_t *r)
{
	json_object_set_new(r, "bases", bases_of(b));
	if (b->failed)
		json_object_set_new(r, "failed", json_true());
	else if (b->made[0] != '\0')
		json_object_set_new(r, "image", json_string(b->made));
}

void
record_end(struct session *s, const char *why)
{
	struct exchange *x = s->x;
	json_t *r;
	struct err e = { 0 };

	if (x->silent)
		return;
	figures_ended(s);
	r = open_record(s, "end");
	json_object_set_new(r, "method", json_string(x->head.method_name));
	json_object_set_new(r, "judged", x->decided ? quoted(x->target.path) : json_null());
	json_object_set_new(r, "rule", json_string(x->decided ? x->d.rule : "error"));
	json_object_set_new(r, "status", json_integer((json_int_t)x->status));
	json_object_set_new(r, "engine_status", json_integer((json_int_t)x->engine_status));
	json_object_set_new(r, "in", json_integer((json_int_t)(x->up.bytes + x->drained)));
	json_object_set_new(r, "out", json_integer((json_int_t)(x->sent + x->down.written)));
	json_object_set_new(r, "ms", json_integer((json_int_t)(now_ms() - x->started)));
	if (x->kept)
		json_object_set_new(r, "cached", json_true());
	if (x->build != NULL)
		add_build(x->build, r);
	if (why != NULL || x->close_why != NULL)
		json_object_set_new(r, "close", words(why != NULL ? why : x->close_why));
	(void)write_record(s, r, &e);
}
