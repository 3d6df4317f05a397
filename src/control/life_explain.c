/* What would become of a request: judged as a task's, nothing is sent. */

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "control/life_parts.h"
#include "http/head.h"
#include "http/target.h"
#include "policy/decide.h"
#include "task/task.h"

/* The request as a client would send it. */
static void
write_head(struct buf *b, const json_t *body)
{
	const char *name;
	json_t *value;

	buf_printf(b, "%s %s HTTP/1.1\r\n", json_str(body, "method", "GET"), json_str(body, "target", ""));
	if (json_object_get(json_object_get(body, "headers"), "Host") == NULL)
		buf_adds(b, "Host: docker\r\n");
	json_object_foreach(json_object_get(body, "headers"), name, value)
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

static json_t *
explain(const struct policy *p, const struct owned *o, const struct http_head *head, struct err *e)
{
	static const char *const words[] = { "deny", "allow", "answer" };
	struct target target;
	struct decision d;
	json_t *answer;

	if (target_parse(&target, head->target, e) < 0)
		return NULL;
	decide(p, o, head, &target, &d);
	answer = json_pack("{s:s,s:s,s:i,s:s,s:s,s:o}", "decision", words[d.verdict], "rule", d.rule,
	    "status", d.status, "reason", d.verdict == VERDICT_DENY ? d.reason : "", "answer",
	    d.answer ? d.answer : "", "forwards", forwards(&d));
	decision_done(&d);
	target_done(&target);
	return answer;
}

static json_t *
refused(const struct err *e)
{
	return json_pack("{s:s,s:s,s:i,s:s,s:[]}", "decision", "deny", "rule", e->rule ? e->rule : "error",
	    "status", e->status, "reason", e->text, "forwards");
}

/* Judged by the host's policy, as a task that owns nothing, when no task is named. */
static json_t *
explain_for(struct life *l, const json_t *body, const struct task *task, struct err *e)
{
	struct buf b = { 0 };
	struct http_head head;
	struct owned nothing;
	json_t *answer = NULL;
	size_t used;
	int rc;

	owned_init(&nothing, "aaaaaaaaaaaaaaaaaaaa");
	write_head(&b, body);
	rc = http_request_parse(&head, buf_ptr(&b), buf_len(&b), &used, e);
	if (rc == 1)
		rc = err_refuse(
		    e, 400, "request-head", "the method, target and headers make no whole request head");
	if (rc == 0) {
		answer = explain(task ? task->policy : l->host, task ? &task->owned : &nothing, &head, e);
		http_head_done(&head);
	}
	if (answer == NULL)
		answer = refused(e);
	buf_done(&b);
	owned_done(&nothing);
	return answer;
}

void
life_explain(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	const char *id = json_str(body, "task", NULL);
	const struct task *task = id == NULL ? NULL : tasks_find(l->tasks, id);
	struct err e = { 0 };

	if (id != NULL && task == NULL)
		err_refuse(&e, 404, "task", "no task '%s' is registered here", id);
	else if (json_str(body, "target", NULL) == NULL)
		err_refuse(&e, 400, "explain",
		    "'target' must be the request target, such as \"/v1.41/images/json\"");
	if (e.status != 0)
		life_fail(cb, arg, &e);
	else
		life_say(cb, arg, 200, explain_for(l, body, task, &e));
}
