/* The end of a task: its sessions go at once, then everything that the engine still holds of it. */

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "io/fetch.h"
#include "io/gate.h"
#include "io/loop.h"
#include "policy/param.h"
#include "task/spool.h"
#include "task/task.h"

enum {
	LIST_MAX = 64 * 1024 * 1024, /* the host's whole image list */
	LIST_SECONDS = 60,
	REMOVE_SECONDS = 120,
	AGAIN_SECONDS = 5, /* between tries while the engine does not answer */
};

static void ask_list(struct ending *n);
static void next_call(struct ending *n);

static void
drop_calls(struct ending *n)
{
	for (size_t i = 0; i < n->call_count; i++)
		free(n->calls[i]);
	n->call = n->call_count = 0;
}

static void
free_ending(struct ending *n)
{
	struct ending **at = &n->life->endings;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	fetch_cancel(n->fetch);
	event_free(n->again);
	drop_calls(n);
	while (n->waiters != NULL) {
		struct ending_waiter *w = n->waiters;

		n->waiters = w->next;
		free(w);
	}
	free(n);
}

static void
tell_waiters(struct ending *n, int status, const char *state)
{
	while (n->waiters != NULL) {
		struct ending_waiter *w = n->waiters;

		n->waiters = w->next;
		life_say(w->cb, w->arg, status,
		    json_pack("{s:s,s:s,s:i}", "id", n->id, "state", state, "removed", (int)n->removed));
		free(w);
	}
}

/* Handed-off artifacts that are through leave the spool; those still on their way stay the uploader's. */
static void
clean_spool(struct ending *n)
{
	const char *root = n->life->settings->spool_dir, *name;
	struct err e = { 0 };
	json_t *declared;

	json_object_foreach(n->task->artifacts, name, declared)
	{
		char id[SPOOL_ID_MAX];
		enum spool_state state;

		spool_make_id(n->id, name, id);
		state = spool_find(root, id);
		if ((state == SPOOL_DONE || state == SPOOL_FAILED || state == SPOOL_INCOMING) &&
		    spool_remove(root, id, &e) < 0)
			log_error("life", "%s", e.text);
	}
}

/* What stayed because another task laid claim to it goes with that one. */
static void
pass_on(const struct ending *n)
{
	struct err e = { 0 };

	for (struct task *t = tasks_first(n->life->tasks); t != NULL; t = t->next)
		if (t != n->task && task_inherit(t, n->task->since, &e) < 0)
			log_warn("life", "task %s: %s", t->id, e.text);
}

static void
finish(struct ending *n)
{
	struct life *l = n->life;
	struct err e = { 0 };

	if (n->task != NULL) {
		clean_spool(n);
		pass_on(n);
		life_record(l, n->task, "task", "end",
		    json_pack("{s:i,s:i}", "removed", (int)n->removed, "left", (int)n->failed));
		(void)gate_policy(l->gate, n->id, NULL, &e);
		if (task_remove(n->task, &e) < 0)
			log_error("life", "task %s: %s", n->id, e.text);
	}
	tell_waiters(n, 200, "ended");
	free_ending(n);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct ending *n = arg;

	(void)fd;
	(void)what;
	ask_list(n);
}

/* The engine is away: whoever waits is told, the cleaning goes on when it is back. */
static void
try_later(struct ending *n, const char *why)
{
	log_warn("life", "task %s: cleaning goes on later: %s", n->id, why);
	drop_calls(n);
	n->rounds = 0;
	tell_waiters(n, 202, "cleaning");
	(void)event_add(n->again, &(struct timeval){ .tv_sec = AGAIN_SECONDS });
}

static void
on_removed(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct ending *n = arg;
	const json_t *one;
	size_t i;

	n->fetch = NULL;
	if (status == 0) {
		try_later(n, e->text);
		return;
	}
	json_array_foreach(answer, i, one) n->removed += json_object_get(one, "Deleted") != NULL;
	if (status >= 400 && status != 404) {
		n->failed++;
		log_warn("life", "task %s: the engine answered %u to a removal: %s", n->id, status,
		    json_str(answer, "message", ""));
	}
	n->call++;
	next_call(n);
}

/* The images that were loaded for it. */
static void
release(struct ending *n)
{
	struct err e = { 0 };
	int rc = held_release(n->life, n->id, &e);

	if (rc < 0)
		try_later(n, e.text);
	else if (rc > 0)
		n->held = 1;
	else
		finish(n);
}

static void
next_call(struct ending *n)
{
	if (n->call < n->call_count) {
		n->fetch = fetch_start(
		    n->life->loop, n->life->gate, n->calls[n->call], LIST_MAX, REMOVE_SECONDS, on_removed, n);
		return;
	}
	drop_calls(n);
	if (n->looking) { /* something was removed: is anything left? */
		ask_list(n);
	} else {
		release(n);
	}
}

void
end_released(struct life *l, int away)
{
	for (struct ending *n = l->endings, *next; n != NULL; n = next) {
		next = n->next;
		if (!n->held)
			continue;
		n->held = 0;
		if (away)
			try_later(n, "loaded images are still there");
		else
			finish(n);
	}
}

static void
plan_round(struct ending *n, const struct owned *left, const struct owned *held)
{
	const struct policy *p = n->task->policy;

	for (size_t i = 0; i < left->count; i++)
		n->call_count += plan_removal(
		    left, &left->images[i], p, n->calls + n->call_count, DECISION_CALLS_MAX - n->call_count);
	for (size_t i = 0; i < held->count; i++)
		n->call_count += plan_release(held, held->images[i].id, p, n->calls + n->call_count,
		    DECISION_CALLS_MAX - n->call_count);
}

static void
on_list(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct ending *n = arg;
	struct owned left, held;
	size_t found;

	n->fetch = NULL;
	if (status != 200 || !json_is_array(answer)) {
		try_later(n, status ? "no list of images" : e->text);
		return;
	}
	found = ending_left(n, answer, &left, &held);
	/* round after round while it gets less: a name here, an image there; the engine lists the newest
	 * first, which go before their parents */
	if (found > 0 && (n->rounds++ == 0 || found < n->found))
		plan_round(n, &left, &held);
	n->found = found;
	n->looking = n->call_count > 0;
	owned_done(&left);
	owned_done(&held);
	next_call(n);
}

static void
ask_list(struct ending *n)
{
	static struct call c; /* 100 KiB */
	struct err e = { 0 };

	call_start(&c, ROUTE_SWEEP_LIST, n->id, life_api(n->life));
	(void)call_add(&c, PARAM_ALL, "1", &e);
	n->fetch = fetch_start(n->life->loop, n->life->gate, &c, LIST_MAX, LIST_SECONDS, on_list, n);
}

static struct ending *
find(struct life *l, const char *id)
{
	struct ending *n = l->endings;

	while (n != NULL && strcmp(n->id, id) != 0)
		n = n->next;
	return n;
}

/* From here on the task is nothing but what must be removed. */
static void
shut_down(struct life *l, struct task *task)
{
	struct err e = { 0 };

	task_unserve(l, task);
	proxy_close_task(&l->proxy, task, "the task ended");
	exports_drop(l, task);
	if (task->state != TASK_ENDED && task_set_state(task, TASK_ENDED, &e) < 0)
		log_error("life", "task %s: %s", task->id, e.text);
}

void
end_start(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct ending *n = find(l, id);
	struct ending_waiter *w = mem_new(sizeof *w);

	*w = (struct ending_waiter){ .cb = cb, .arg = arg };
	if (n != NULL) { /* under way: told together */
		w->next = n->waiters;
		n->waiters = w;
		return;
	}
	n = mem_new(sizeof *n);
	n->life = l;
	memcpy(n->id, id, sizeof n->id);
	n->task = tasks_find(l->tasks, id);
	n->waiters = w;
	n->again = event_new(loop_base(l->loop), -1, 0, on_again, n);
	if (n->again == NULL)
		abort();
	n->next = l->endings;
	l->endings = n;
	if (n->task == NULL) {
		next_call(n);
		return;
	}
	shut_down(l, n->task);
	if (proxy_waking(&l->proxy, n->task) == 0)
		ask_list(n); /* else when the last of its builds is over: end_quiet() */
}

void
end_quiet(void *life, struct task *task)
{
	struct ending *n = find(life, task->id);

	if (n != NULL)
		ask_list(n);
}

void
end_stop(struct life *l)
{
	while (l->endings != NULL)
		free_ending(l->endings);
}
