#include "policy/explain.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "docker/dockerfile.h"
#include "http/head.h"
#include "http/target.h"
#include "policy/decide.h"
#include "policy/param.h"

/* The request as a client would send it. */
static void
write_head(struct buf *b, const struct explain_ask *a)
{
	const char *name;
	json_t *value, *headers = (json_t *)(uintptr_t)a->headers;

	buf_printf(b, "%s %s HTTP/1.1\r\n", a->method, a->target);
	if (json_object_get(headers, "Host") == NULL)
		buf_adds(b, "Host: docker\r\n");
	json_object_foreach(headers, name, value)
	    buf_printf(b, "%s: %s\r\n", name, json_is_string(value) ? json_string_value(value) : "");
	buf_adds(b, "\r\n");
}

/* The line that the engine would read of each call. */
static json_t *
forwards(const struct decision *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->call_count; i++) {
		struct buf head = { 0 };
		const char *text, *end;

		call_print(d->calls[i], &head);
		text = buf_text(&head);
		end = strstr(text, " HTTP/1.1");
		json_array_append_new(list, json_stringn(text, end == NULL ? 0 : (size_t)(end - text)));
		buf_done(&head);
	}
	return list;
}

static void
add_observed(json_t *answer, const char *rule, const char *reason)
{
	json_t *list = json_object_get(answer, "observed");

	if (json_array_size(list) == 0) {
		json_object_set_new(answer, "decision", json_string("observed"));
		json_object_set_new(answer, "rule", json_string(rule));
		json_object_set_new(answer, "reason", json_string(reason));
	}
	json_array_append_new(list, json_pack("{s:s,s:s}", "rule", rule, "reason", reason));
}

static json_t *
refused(const struct err *e)
{
	return json_pack("{s:s,s:s,s:i,s:s,s:s,s:[],s:[]}", "decision", "deny", "rule",
	    e->rule != NULL ? e->rule : "error", "status", e->status, "reason", e->text, "answer", "",
	    "forwards", "observed");
}

static void
on_observed(void *arg, const struct err *why)
{
	add_observed(arg, why->rule, why->text);
}

static json_t *
bases_json(const struct dockerfile_facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < facts->base_count; i++)
		json_array_append_new(
		    list, json_pack("{s:s,s:s,s:b}", "typed", facts->bases[i].name.typed, "mapped",
		              facts->bases[i].name.mapped, "own", facts->bases[i].own));
	return list;
}

/* The Dockerfile of a build that is allowed. */
static json_t *
add_dockerfile(json_t *answer, const struct explain_ask *a, const struct call *c)
{
	static struct dockerfile_facts facts; /* large */
	struct base_ask bases = {
		.policy = a->policy, .owned = a->owned, .observed = on_observed, .arg = answer
	};
	struct dockerfile_ask ask = { .resolve = base_resolve,
		.arg = &bases,
		.build_args = call_get(c, PARAM_BUILDARGS),
		.target = call_get(c, PARAM_TARGET),
		.add_urls = a->policy->add_urls };
	struct buf out = { 0 };
	struct err e = { 0 };

	memset(&facts, 0, sizeof(facts));
	if (dockerfile_rewrite(a->dockerfile, strlen(a->dockerfile), &ask, &out, &facts, &e) < 0) {
		json_decref(answer);
		answer = refused(&e);
	} else {
		json_object_set_new(answer, "bases", bases_json(&facts));
		json_object_set_new(answer, "dockerfile", json_string(buf_text(&out)));
	}
	buf_done(&out);
	return answer;
}

static json_t *
judged(const struct explain_ask *a, const struct http_head *head, struct err *e)
{
	static const char *const words[] = { "deny", "allow", "answer" };
	struct target target;
	struct decision d;
	json_t *answer;

	if (target_parse(&target, head->target, e) < 0)
		return NULL;
	decide(a->policy, a->owned, head, &target, &d);
	answer = json_pack("{s:s,s:s,s:i,s:s,s:s,s:o,s:[]}", "decision", words[d.verdict], "rule", d.rule,
	    "status", d.status, "reason", d.verdict == VERDICT_DENY ? d.reason : "", "answer",
	    d.answer ? d.answer : "", "forwards", forwards(&d), "observed");
	for (size_t i = 0; i < d.observed_count; i++)
		add_observed(answer, d.observed[i].rule, d.observed[i].reason);
	if (a->dockerfile != NULL && d.verdict == VERDICT_ALLOW && d.route == ROUTE_BUILD)
		answer = add_dockerfile(answer, a, d.calls[0]);
	decision_done(&d);
	target_done(&target);
	return answer;
}

json_t *
explain_request(const struct explain_ask *a)
{
	struct buf b = { 0 };
	struct http_head head;
	json_t *answer = NULL;
	struct err e = { 0 };
	size_t used;
	int rc;

	write_head(&b, a);
	rc = http_request_parse(&head, buf_ptr(&b), buf_len(&b), &used, &e);
	if (rc == 1)
		rc = err_refuse(
		    &e, 400, "request-head", "the method, target and headers make no whole request head");
	if (rc == 0) {
		answer = judged(a, &head, &e);
		http_head_done(&head);
	}
	if (answer == NULL)
		answer = refused(&e);
	buf_done(&b);
	return answer;
}
