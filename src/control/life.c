#include "control/life.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "control/life_parts.h"
#include "control/metrics.h"
#include "control/service.h"
#include "io/fetch.h"
#include "io/gate.h"
#include "io/loop.h"
#include "policy/param.h"
#include "task/audit.h"
#include "task/spool.h"
#include "task/task.h"

enum { PING_MAX = 64 * 1024, PING_SECONDS = 10 };

void
life_say(life_answer_cb *cb, void *arg, int status, json_t *answer)
{
	if (cb != NULL)
		cb(arg, status, answer);
	else
		json_decref(answer);
}

void
life_fail(life_answer_cb *cb, void *arg, const struct err *e)
{
	json_t *answer = json_pack("{s:s}", "message", e->text);

	if (e->rule != NULL)
		json_object_set_new(answer, "rule", json_string(e->rule));
	life_say(cb, arg, e->status ? e->status : 500, answer);
}

void
life_record(struct life *l, const struct task *task, const char *event, const char *what, json_t *more)
{
	json_t *r = json_pack("{s:s,s:s}", "event", event, "what", what);
	struct err e = { 0 };

	if (task != NULL) {
		json_object_set_new(r, "task", json_string(task->task_id));
		json_object_set_new(r, "run", json_integer(task->run_id));
		json_object_set_new(r, "id", json_string(task->id));
	}
	json_object_update(r, more);
	if (audit_write(l->audit, task == NULL ? NULL : task->id, r, &e) < 0)
		log_error("audit", "%s", e.text);
	json_decref(more);
	json_decref(r);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct life *l = arg;

	(void)fd;
	(void)what;
	engine_tick(l);
	usage_tick(l);
	fetchings_tick(l);
	reload_tick(l);
}

static int
resume(struct life *l, struct err *e)
{
	struct task *t, *next;

	for (t = tasks_first(l->tasks); t != NULL; t = next) {
		next = t->next;
		if ((t->state == TASK_ENDED ? task_announce : task_serve)(l, t, e) < 0)
			return err_wrap(e, "task %s", t->id);
		if (t->state == TASK_ENDED) /* its cleaning goes on */
			end_start(l, t->id, NULL, NULL);
		else if (t->state == TASK_FINISHING)
			exports_start(l, t);
	}
	return 0;
}

struct life *
life_new(struct loop *loop, const struct settings *s, struct gate *g, struct audit *a, struct tasks *t,
    struct err *e)
{
	struct life *l = mem_new(sizeof *l);

	l->loop = loop;
	l->gate = g;
	l->audit = a;
	l->tasks = t;
	l->settings = s;
	l->started = stamp_now();
	l->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	life_policies(l, tasks_version(t));
	l->proxy = (struct proxy){ .loop = loop, .gate = g, .audit = a, .settings = s, .use.disk_free = -1 };
	l->proxy.engine = l->engine_version;
	l->proxy.ask_engine = engine_ask;
	l->proxy.ask_engine_arg = l;
	l->proxy.on_quiet = end_quiet;
	l->proxy.on_quiet_arg = l;
	l->unused = 1; /* perhaps: we may have died before the engine was rid of them */
	l->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, l);
	if (l->tick == NULL)
		abort();
	(void)event_add(l->tick, &(struct timeval){ .tv_sec = 1 });
	l->fetch_notify = -1;
	engine_tick(l);
	if (fetchings_open(l, e) < 0 || resume(l, e) < 0) {
		life_free(l);
		return NULL;
	}
	return l;
}

void
life_free(struct life *l)
{
	struct err why = { 0 };

	err_refuse(&why, 503, "service-stopping",
	    "dind-proxyd stops or restarts, and this request with it: send it again");
	for (struct task *t = tasks_first(l->tasks); t != NULL; t = t->next) {
		proxy_stop_requests(&l->proxy, t, &why);
		proxy_close_task(&l->proxy, t, "the service stops");
		exports_drop(l, t);
		task_leave(l, t);
	}
	proxy_stop_waking(&l->proxy);
	proxy_done(&l->proxy);
	end_stop(l);
	held_stop(l);
	finders_stop(l);
	loadings_stop(l);
	layers_free(l);
	fetchings_close(l);
	reload_stop(l);
	fetch_cancel(l->version);
	fetch_cancel(l->usage);
	if (l->statm >= 0)
		close(l->statm);
	event_free(l->tick);
	free(l);
}

/* Asks the engine for a sign of life; answers when it is known. */
struct asking {
	life_answer_cb *cb;
	void *arg;
	struct life *life;
};

static void
on_ping(void *arg, unsigned status, json_t *ignored, const struct err *e)
{
	struct asking *a = arg;
	const struct life *l = a->life;
	int engine = status == 200, spool = access(l->settings->spool_dir, W_OK) == 0;
	int tested = l->proxy.engine_state == ENGINE_TESTED;
	json_t *answer = json_pack("{s:b,s:s,s:i,s:i,s:b,s:b,s:s}", "engine", engine, "engineVersion",
	    l->engine_version, "engineApi", (int)l->engine_api, "engineApiMin", (int)l->engine_api_min,
	    "engineTested", tested, "spool", spool, "message",
	    !engine ? (status ? "the engine does not answer as it should" : e->text)
	    : !tested
	        ? (l->proxy.engine_why[0] ? l->proxy.engine_why : "the engine has not told its version yet")
	    : !spool ? "the spool directory is not writable"
	             : "ready");

	(void)ignored;
	life_say(a->cb, a->arg, engine && tested && spool ? 200 : 503, answer);
	free(a);
}

void
life_ready(struct life *l, life_answer_cb *cb, void *arg)
{
	static struct call c; /* 100 KiB */
	struct asking *a = mem_new(sizeof *a);

	*a = (struct asking){ cb, arg, l };
	call_start(&c, ROUTE_PING, "", 0);
	(void)fetch_start(l->loop, l->gate, &c, PING_MAX, PING_SECONDS, on_ping, a);
}

char *
life_metrics(struct life *l)
{
	struct buf b = { 0 };

	metrics_print(l, &b);
	(void)buf_text(&b);
	return (char *)b.data; /* nothing was dropped: the text starts at data */
}
