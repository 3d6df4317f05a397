/* What is counted for metrics: by rows of tables, never by anything that a task names. */

#include "docker/output.h"
#include "proxy/session.h"
#include "task/task.h"

void
figures_refused(struct proxy *p, struct task *task, const char *rule)
{
	p->figures.refused[rule_index(rule != NULL ? rule : "error")]++;
	task->now.refused++;
}

void
figures_observed(struct session *s, const char *rule)
{
	s->proxy->figures.observed[rule_index(rule)]++;
	s->task->now.observed++;
}

/* A build whose output is known to the end and named an image; one that was given up is not. */
static int
was_built(const struct exchange *x)
{
	return x->build != NULL && x->build->output != NULL && x->status == 200 &&
	       output_image(x->build->output)[0] != '\0' && !output_failed(x->build->output);
}

void
figures_ended(struct session *s)
{
	const struct exchange *x = s->x;
	struct figures *f = &s->proxy->figures;
	int64_t ms = now_ms() - x->started;

	f->bytes_in += x->up.bytes + x->drained;
	f->bytes_out += x->sent + x->down.written;
	s->task->now.bytes_in += x->up.bytes + x->drained;
	s->task->now.bytes_out += x->sent + x->down.written;
	if (!x->decided || x->d.verdict == VERDICT_DENY)
		return;
	histogram_add(&f->requests[x->d.route], ms);
	if (x->d.route == ROUTE_BUILD)
		histogram_add(&f->builds[was_built(x)], ms);
}
