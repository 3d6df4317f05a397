/* What a build leaves: images, names and steps, recorded as the engine tells of them. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "docker/output.h"
#include "io/fetch.h"
#include "proxy/session.h"
#include "task/task.h"

static void
on_image(void *arg, const char *id)
{
	struct building *b = arg;

	facts_keep(b, b->task, id);
}

/* The first step prints the base image, which the task has not made: nothing of it is to be cleaned. */
static int
is_foreign(const struct building *b, const char *step)
{
	for (size_t i = 0; i < b->foreign_count; i++)
		if (strncmp(b->foreign[i] + strlen("sha256:"), step, OWNED_STEP_LEN) == 0)
			return 1;
	return 0;
}

static void
on_step_image(void *arg, const char *step)
{
	const struct building *b = arg;
	struct task *task = b->task;
	struct err e = { 0 };

	if (is_foreign(b, step))
		return;
	if (task_step(task, step, &e) < 0)
		log_warn("session", "task %s: %s", task->id, e.text);
}

static void
on_failure(void *arg)
{
	struct building *b = arg;

	b->failed = 1;
}

struct filter *
building_output(struct building *b, struct task *task, int quiet)
{
	struct output_ask ask = { .ns = task->id,
		.pairs = b->pairs,
		.pair_count = &b->pair_count,
		.quiet = quiet,
		.on_image = on_image,
		.on_step = on_step_image,
		.on_failure = on_failure,
		.arg = b };

	return b->output = output_filter_new(&ask);
}

void
building_record(struct building *b, struct task *task, char *const *names, size_t count)
{
	const char *id = output_image(b->output);
	struct err e = { 0 };

	(void)snprintf(b->made, sizeof b->made, "%s", output_failed(b->output) ? "" : id);
	for (size_t i = 0; id[0] != '\0' && !output_failed(b->output) && i < count; i++)
		if (task_name(task, names[i], id, &e) < 0)
			log_error("session", "task %s: name %s not recorded: %s", task->id, names[i], e.text);
}

void
building_free(struct proxy *p, struct task *task, struct building *b)
{
	if (b == NULL)
		return;
	fetch_cancel(b->fetch);
	json_decref(b->bases_known);
	json_decref(b->known);
	claim_done(&b->claim);
	task->now.builds--;
	p->use.builds--;
	free(b);
}
