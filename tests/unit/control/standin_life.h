#ifndef STANDIN_LIFE_H
#define STANDIN_LIFE_H

/*
 * A life that says what it was asked: each answer is {"verb", "id", "body"}. With `later` set the answer is
 * held until standin_release(). For tests only; it takes the place of src/control/life.c when linked.
 */

#include <stdlib.h>
#include <string.h>

#include "control/life.h"

struct life {
	int later;
	int status; /* 0 = 200 */
	unsigned asked;
	size_t held;
	struct {
		life_answer_cb *cb;
		void *arg;
		int status;
		json_t *answer;
	} hold[256];
};

static void
standin_answer(
    struct life *l, const char *verb, const char *id, const json_t *body, life_answer_cb *cb, void *arg)
{
	json_t *answer = json_pack("{s:s, s:s}", "verb", verb, "id", id);
	int status = l->status != 0 ? l->status : 200;

	if (body != NULL)
		json_object_set_new(answer, "body", json_deep_copy(body));
	l->asked++;
	if (!l->later || l->held == sizeof l->hold / sizeof l->hold[0]) {
		cb(arg, status, answer);
		return;
	}
	l->hold[l->held].cb = cb;
	l->hold[l->held].arg = arg;
	l->hold[l->held].status = status;
	l->hold[l->held++].answer = answer;
}

static inline void
standin_release(struct life *l)
{
	while (l->held > 0) {
		l->held--;
		l->hold[l->held].cb(l->hold[l->held].arg, l->hold[l->held].status, l->hold[l->held].answer);
	}
}

void
life_status(struct life *l, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "status", "", NULL, cb, arg);
}

void
life_policy(struct life *l, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "policy", "", NULL, cb, arg);
}

void
life_reload(struct life *l, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "reload", "", NULL, cb, arg);
}

void
life_task_start(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "start", "", body, cb, arg);
}

void
life_task_list(struct life *l, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "list", "", NULL, cb, arg);
}

void
life_task_show(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "show", id, NULL, cb, arg);
}

void
life_task_credentials(struct life *l, const char *id, const json_t *body, life_answer_cb *cb, void *arg)
{
	(void)l;
	(void)id;
	(void)body;
	cb(arg, 204, NULL);
}

void
life_task_finish(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "finish", id, NULL, cb, arg);
}

void
life_task_artifacts(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "artifacts", id, NULL, cb, arg);
}

void
life_task_evidence(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "evidence", id, NULL, cb, arg);
}

void
life_task_end(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "end", id, NULL, cb, arg);
}

void
life_image_load(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "load", "", body, cb, arg);
}

void
life_explain(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "explain", "", body, cb, arg);
}

void
life_ready(struct life *l, life_answer_cb *cb, void *arg)
{
	standin_answer(l, "ready", "", NULL, cb, arg);
}

char *
life_metrics(struct life *l)
{
	(void)l;
	return strdup("dind_tasks 2\n");
}

#endif
