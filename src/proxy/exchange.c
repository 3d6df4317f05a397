#include <stdlib.h>

#include "base/mem.h"
#include "io/fetch.h"
#include "io/gate.h"
#include "io/stream.h"
#include "proxy/session.h"
#include "task/task.h"

struct exchange *
exchange_new(struct session *s)
{
	struct exchange *x = mem_new(sizeof *x);

	x->number = ++s->requests;
	x->started = now_ms();
	s->x = x;
	s->proxy->requests++;
	s->task->now.requests++;
	return x;
}

static void
free_build(struct session *s, struct building *b)
{
	if (b == NULL)
		return;
	fetch_cancel(b->fetch);
	s->task->now.builds--;
	s->proxy->use.builds--;
	free(b);
}

void
exchange_free(struct session *s)
{
	struct exchange *x = s->x;

	/* the engine's connection goes with the request, whatever is left on it */
	stream_free(s->engine);
	s->engine = NULL;
	if (x == NULL)
		return;
	if (x->ticket)
		gate_cancel(s->proxy->gate, x->ticket);
	if (x->up.from != NULL)
		pump_done(&x->up);
	if (x->down.from != NULL)
		pump_done(&x->down);
	free_build(s, x->build);
	if (x->decided) {
		decision_done(&x->d);
		target_done(&x->target);
	}
	http_head_done(&x->head);
	http_head_done(&x->answer);
	buf_done(&x->body);
	elements_done(&x->list);
	json_decref(x->merged);
	free(x);
	s->x = NULL;
}
