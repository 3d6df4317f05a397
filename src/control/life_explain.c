/* What would become of a request: judged as a task's, nothing is sent. */

#include "base/err.h"
#include "base/json.h"
#include "control/life_parts.h"
#include "policy/explain.h"
#include "task/task.h"

/* Judged by the host's policy, as a task that owns nothing, when no task is named. */
static json_t *
explain_for(struct life *l, const json_t *body, const struct task *task)
{
	const struct policy *policy = task != NULL ? task->policy : l->host;
	struct owned nothing;
	struct explain_ask ask = { .policy = policy,
		.owned = task != NULL ? &task->owned : &nothing,
		.method = json_str(body, "method", "GET"),
		.target = json_str(body, "target", ""),
		.headers = json_object_get(body, "headers"),
		.dockerfile = json_str(body, "dockerfile", NULL) };
	json_t *answer;

	owned_init(&nothing, "aaaaaaaaaaaaaaaaaaaa");
	answer = explain_request(&ask);
	json_object_set_new(answer, "policy", life_policy_name(policy));
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
		life_say(cb, arg, 200, explain_for(l, body, task));
}
