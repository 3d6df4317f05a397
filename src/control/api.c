#include "control/api.h"

#include <stdlib.h>

/*
 * The verbs behind the rows. They stand apart from the rows (api_rows.c), so that dindctl prints the rows
 * without carrying the service with it.
 */
struct args {
	struct life *life;
	const char *id;
	const json_t *body;
	life_answer_cb *cb;
	void *arg;
};

static void
healthz(const struct args *a)
{
	a->cb(a->arg, 200, json_pack("{s:b}", "ok", 1));
}

static void
metrics(const struct args *a)
{
	char *text = life_metrics(a->life);

	a->cb(a->arg, 200, json_string_nocheck(text != NULL ? text : ""));
	free(text);
}

#define VERB(name, call)                                                                                     \
	static void name(const struct args *a)                                                               \
	{                                                                                                    \
		call;                                                                                        \
	}
VERB(start, life_task_start(a->life, a->body, a->cb, a->arg))
VERB(list, life_task_list(a->life, a->cb, a->arg))
VERB(show, life_task_show(a->life, a->id, a->cb, a->arg))
VERB(credentials, life_task_credentials(a->life, a->id, a->body, a->cb, a->arg))
VERB(finish, life_task_finish(a->life, a->id, a->cb, a->arg))
VERB(artifacts, life_task_artifacts(a->life, a->id, a->cb, a->arg))
VERB(evidence, life_task_evidence(a->life, a->id, a->cb, a->arg))
VERB(end, life_task_end(a->life, a->id, a->cb, a->arg))
VERB(load, life_image_load(a->life, a->body, a->cb, a->arg))
VERB(explain, life_explain(a->life, a->body, a->cb, a->arg))
VERB(status, life_status(a->life, a->cb, a->arg))
VERB(policy, life_policy(a->life, a->cb, a->arg))
VERB(reload, life_reload(a->life, a->cb, a->arg))
VERB(ready, life_ready(a->life, a->cb, a->arg))

static void (*const verbs[])(const struct args *a) = {
	[API_TASK_START] = start,
	[API_TASK_LIST] = list,
	[API_TASK_SHOW] = show,
	[API_TASK_CREDENTIALS] = credentials,
	[API_TASK_FINISH] = finish,
	[API_TASK_ARTIFACTS] = artifacts,
	[API_TASK_EVIDENCE] = evidence,
	[API_TASK_END] = end,
	[API_IMAGE_LOAD] = load,
	[API_EXPLAIN] = explain,
	[API_STATUS] = status,
	[API_POLICY] = policy,
	[API_RELOAD] = reload,
	[API_HEALTHZ] = healthz,
	[API_READYZ] = ready,
	[API_METRICS] = metrics,
};

void
api_run(struct life *l, const struct api_call *call, const json_t *body, life_answer_cb *cb, void *arg)
{
	struct args a = { l, call->id, body, cb, arg };

	verbs[call->row->id](&a);
}
