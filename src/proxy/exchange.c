#include <stdlib.h>

#include "base/mem.h"
#include "io/gate.h"
#include "io/stream.h"
#include "proxy/session.h"
#include "proxy/wake.h"
#include "task/task.h"

struct exchange *
exchange_new(struct session *s)
{
	struct exchange *x = mem_new(sizeof *x);

	x->number = ++s->requests;
	x->started = now_ms();
	x->policy = policy_ref(s->task->policy);
	s->x = x;
	s->proxy->requests++;
	s->task->now.requests++;
	return x;
}

void
claim_take(struct claim *c, struct task *task, size_t images, size_t names)
{
	claim_done(c);
	*c = (struct claim){ .task = task, .images = (long)images, .names = (long)names };
	task_claim(task, c->images, c->names);
}

void
claim_done(struct claim *c)
{
	if (c->task != NULL)
		task_claim(c->task, -c->images, -c->names);
	c->task = NULL;
}

void
exchange_drop_engine(struct session *s)
{
	if (s->engine == NULL || wake_start(s))
		return;
	stream_free(s->engine);
	s->engine = NULL;
}

void
exchange_free(struct session *s)
{
	struct exchange *x = s->x;

	/* the engine's connection goes with the request, whatever is left on it */
	exchange_drop_engine(s);
	if (x == NULL)
		return;
	if (x->ticket)
		gate_cancel(s->proxy->gate, x->ticket);
	if (x->up.from != NULL)
		pump_done(&x->up);
	if (x->down.from != NULL)
		pump_done(&x->down);
	building_free(s->proxy, s->task, x->build);
	claim_done(&x->claim);
	if (x->decided) {
		decision_done(&x->d);
		target_done(&x->target);
	}
	http_head_done(&x->head);
	http_head_done(&x->answer);
	buf_done(&x->body);
	elements_done(&x->list);
	json_decref(x->merged);
	policy_unref(x->policy);
	free(x);
	s->x = NULL;
}
