/* The audit of a connection: one record for each decision, one for each end of a request. */

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/members.h"
#include "io/stream.h"
#include "policy/param.h"
#include "proxy/session.h"
#include "task/audit.h"
#include "task/task.h"

/* The task's names in a request, as typed: where they stand. */
static const char *const typed_keys[] = { "t", "names", "repo" };

static const char *const verdicts[] = {
	[VERDICT_DENY] = "deny",
	[VERDICT_ALLOW] = "allow",
	[VERDICT_ANSWER] = "answer",
};

/* The members of the record that is being made: one at a time, in memory that is kept. */
static struct buf record;

static void
quoted(const char *key, const char *s)
{
	members_quoted(&record, key, s, s == NULL ? 0 : strlen(s));
}

static void
open_record(const struct session *s, const char *event)
{
	buf_clear(&record);
	members_text(&record, "event", event);
	members_text(&record, "task", s->task->task_id);
	members_number(&record, "run", s->task->run_id);
	members_text(&record, "id", s->task->id);
	members_open(&record, "peer", '{');
	members_number(&record, "uid", s->peer.uid);
	members_number(&record, "gid", s->peer.gid);
	members_number(&record, "pid", s->peer.pid);
	members_close(&record, '}');
	members_number(&record, "conn", (int64_t)s->conn);
	members_number(&record, "req", (int64_t)s->x->number);
}

static void
add_typed(const struct exchange *x)
{
	char name[REFERENCE_MAX];

	members_open(&record, "before", '[');
	if (route_find(x->head.method, x->target.path, name, sizeof name) != NULL && name[0] != '\0')
		quoted(NULL, name);
	for (size_t i = 0; i < x->target.count; i++)
		for (size_t k = 0; k < sizeof typed_keys / sizeof typed_keys[0]; k++)
			if (strcmp(x->target.query[i].key, typed_keys[k]) == 0)
				quoted(NULL, x->target.query[i].value);
	members_close(&record, ']');
}

static void
add_values(const struct call *c, enum param param)
{
	for (const char *v = call_next(c, param, NULL); v != NULL; v = call_next(c, param, v))
		quoted(NULL, v);
}

static void
add_mapped(const struct exchange *x)
{
	members_open(&record, "after", '[');
	for (size_t i = 0; i < x->d.call_count; i++) {
		add_values(x->d.calls[i], PARAM_NAME);
		add_values(x->d.calls[i], PARAM_T);
		add_values(x->d.calls[i], PARAM_REPO);
		add_values(x->d.calls[i], PARAM_NAMES);
	}
	members_close(&record, ']');
}

static void
add_query(const struct session *s)
{
	const struct policy *p = s->x->policy;
	json_t *query;

	if (s->x->target.count == 0) { /* as most requests */
		members_open(&record, "query", '{');
		members_close(&record, '}');
		return;
	}
	query = audit_query(&s->x->target, p->public_arg_count, p->public_args);
	members_json(&record, "query", query);
	json_decref(query);
}

/* Which policy judged it, and for replay what it had to know of the task besides its names. */
static void
add_policy(const struct session *s)
{
	const struct policy *p = s->x->policy;
	const char *own = s->task->policy_given != NULL || s->task->limits_given != NULL ? "true" : "false";

	members_open(&record, "policy", '{');
	members_number(&record, "version", p->version);
	members_text(&record, "hash", p->hash);
	members_text(&record, "mode", policy_mode_name(p->mode));
	members_word(&record, "own", own);
	members_close(&record, '}');
}

static void
add_has(const struct session *s)
{
	const struct owned *o = &s->task->owned;
	const struct decision *d = &s->x->d;
	size_t fresh = 0;

	for (size_t i = 0; i < d->name_count; i++)
		fresh += owned_by_name(o, d->names[i]) == NULL;
	members_open(&record, "has", '{');
	members_number(&record, "images", (int64_t)o->count);
	members_number(&record, "names", (int64_t)owned_names(o));
	members_number(&record, "fresh", (int64_t)fresh);
	members_close(&record, '}');
}

static void
add_judged(const struct session *s)
{
	const struct exchange *x = s->x;
	const char *target = x->head.target;

	members_text(&record, "method", x->head.method_name);
	/* as received, without its query: that is recorded redacted */
	members_quoted(&record, "path", target, target == NULL ? 0 : strcspn(target, "?#"));
	add_policy(s);
	if (!x->decided)
		return;
	quoted("judged", x->target.path);
	add_query(s);
	members_open(&record, "names", '{');
	add_typed(x);
	add_mapped(x);
	members_close(&record, '}');
	add_has(s);
	if (x->d.id[0] == '\0')
		return;
	members_open(&record, "ids", '[');
	members_text(&record, NULL, x->d.id);
	members_close(&record, ']');
}

/* What is too long for a line is cut by the log itself. */
static int
append_long(struct session *s, struct err *e)
{
	struct buf text = { 0 };
	json_t *r;
	int rc = -1;

	buf_adds(&text, "{");
	buf_add(&text, buf_ptr(&record), buf_len(&record));
	buf_adds(&text, "}");
	r = json_parse(buf_ptr(&text), buf_len(&text), e);
	if (r != NULL)
		rc = audit_write(s->proxy->audit, s->task->id, r, e);
	json_decref(r);
	buf_done(&text);
	return rc;
}

static int
write_record(struct session *s, struct err *e)
{
	size_t len = buf_len(&record);
	int rc = len <= AUDIT_MEMBERS_MAX
	             ? audit_append(s->proxy->audit, s->task->id, (const char *)buf_ptr(&record), len, e)
	             : append_long(s, e);

	if (rc < 0)
		log_error("audit", "%s", e->text);
	return rc;
}

static void
add_rule(const char *rule, const char *reason)
{
	members_text(&record, "rule", rule);
	members_text(&record, "reason", reason);
}

/* What would have been refused stands where a refusal would; the route's own rule beside it. */
static void
add_observed(const struct decision *d)
{
	members_text(&record, "decision", "observed");
	add_rule(d->observed[0].rule, d->observed[0].reason);
	members_text(&record, "route", d->rule);
	if (d->observed_count < 2)
		return;
	members_open(&record, "also", '[');
	for (size_t i = 1; i < d->observed_count; i++) {
		members_open(&record, NULL, '{');
		add_rule(d->observed[i].rule, d->observed[i].reason);
		members_close(&record, '}');
	}
	members_close(&record, ']');
}

int
record_decision(struct session *s, struct err *e)
{
	const struct decision *d = &s->x->d;

	open_record(s, "decision");
	add_judged(s);
	if (d->verdict != VERDICT_DENY && d->observed_count > 0) {
		add_observed(d);
		for (size_t i = 0; i < d->observed_count; i++)
			figures_observed(s, d->observed[i].rule);
		return write_record(s, e);
	}
	members_text(&record, "decision", verdicts[d->verdict]);
	members_text(&record, "rule", d->rule);
	if (d->verdict == VERDICT_DENY) {
		members_number(&record, "status", d->status);
		members_text(&record, "reason", d->reason);
		figures_refused(s->proxy, s->task, d->rule);
	}
	return write_record(s, e);
}

void
record_observed(struct session *s, const struct err *why)
{
	struct err e = { 0 };

	open_record(s, "decision");
	add_judged(s);
	members_text(&record, "decision", "observed");
	add_rule(why->rule, why->text);
	members_text(&record, "route", s->x->d.rule);
	figures_observed(s, why->rule);
	(void)write_record(s, &e); /* the decision itself is on record */
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
	struct err e = { 0 };

	if (is_flood(s, why)) {
		figures_refused(s->proxy, s->task, why->rule);
		s->x->silent = 1;
		return;
	}
	open_record(s, "decision");
	add_judged(s);
	members_text(&record, "decision", "deny");
	members_text(&record, "rule", why->rule ? why->rule : "error");
	members_number(&record, "status", why->status);
	members_text(&record, "reason", why->text);
	if (s->x->build != NULL && s->x->build->bases.refused[0] != '\0')
		quoted("base", s->x->build->bases.refused);
	if (s->task->now.unrecorded > 1)
		members_number(&record, "requests", (int64_t)s->task->now.unrecorded);
	s->task->now.unrecorded = 0;
	figures_refused(s->proxy, s->task, why->rule);
	(void)write_record(s, &e); /* it is refused in any case */
}

/* What the build was made from (images of others, canonical) and what it made; a build that was given up has
 * neither failed nor made it. */
static void
add_build(const struct building *b)
{
	members_open(&record, "bases", '[');
	for (size_t i = 0; i < b->facts.base_count; i++)
		if (!b->facts.bases[i].own)
			quoted(NULL, b->facts.bases[i].name.mapped);
	members_close(&record, ']');
	if (b->failed)
		members_word(&record, "failed", "true");
	else if (b->made[0] != '\0')
		members_text(&record, "image", b->made);
}

void
record_end(struct session *s, const char *why)
{
	struct exchange *x = s->x;
	struct err e = { 0 };

	if (x->silent)
		return;
	figures_ended(s);
	open_record(s, "end");
	members_text(&record, "method", x->head.method_name);
	quoted("judged", x->decided ? x->target.path : NULL);
	members_text(&record, "rule", x->decided ? x->d.rule : "error");
	members_number(&record, "status", x->status);
	members_number(&record, "engine_status", x->engine_status);
	members_number(&record, "in", (int64_t)(x->up.bytes + x->drained));
	members_number(&record, "out", (int64_t)(x->sent + x->down.written));
	members_number(&record, "ms", now_ms() - x->started);
	if (x->kept)
		members_word(&record, "cached", "true");
	if (x->build != NULL)
		add_build(x->build);
	if (why != NULL || x->close_why != NULL)
		members_text(&record, "close", why != NULL ? why : x->close_why);
	(void)write_record(s, &e);
}
