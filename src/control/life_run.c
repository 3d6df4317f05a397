/*
 * dind-image at work on one tarball: the engine's end of a load is got from the gate, the process starts with
 * it, and what it says is kept until it has ended.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "io/child.h"
#include "io/gate.h"
#include "life_loading.h"
#include "policy/param.h"

struct load_run {
	struct life *life;
	json_t *job;
	uint32_t ticket; /* at the gate */
	struct child *child;
	struct load_end end;
	load_run_cb *cb;
	void *arg;
};

void
load_run_stop(struct load_run *r)
{
	if (r == NULL)
		return;
	if (r->ticket)
		gate_cancel(r->life->gate, r->ticket);
	child_kill(r->child);
	json_decref(r->job);
	free(r);
}

static void
tell(struct load_run *r)
{
	struct load_end end = r->end;
	load_run_cb *cb = r->cb;
	void *arg = r->arg;

	load_run_stop(r);
	cb(arg, &end);
}

/* The rule is dind-image's own word, taken when it is one. */
static void
take_failure(struct load_end *end, const json_t *event)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *rule = json_str(event, "rule", "");
	size_t n = strspn(rule, letters);
	int status = (int)json_num(event, "status", 500);

	err_refuse(&end->failure, status < 400 || status > 599 ? 500 : status, "image-load", "%s",
	    json_str(event, "message", "no reason given"));
	if (n > 0 && n < sizeof end->rule && rule[n] == '\0')
		memcpy(end->rule, rule, n + 1);
}

static void
on_event(void *arg, const json_t *event)
{
	struct load_end *end = &((struct load_run *)arg)->end;
	const char *what = json_str(event, "event", "");

	if (strcmp(what, "done") == 0) {
		(void)snprintf(end->id, sizeof end->id, "%s", json_str(event, "imageId", ""));
		(void)snprintf(
		    end->manifest_id, sizeof end->manifest_id, "%s", json_str(event, "manifestId", ""));
	} else if (strcmp(what, "error") == 0) {
		take_failure(end, event);
	}
}

static void
on_end(void *arg, int status)
{
	struct load_run *r = arg;
	struct load_end *end = &r->end;

	r->child = NULL;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && reference_is_id(end->id))
		end->failure = (struct err){ 0 };
	else if (end->failure.status == 0)
		err_refuse(&end->failure, 500, "image-process", "dind-image ended without a result");
	tell(r);
}

static void
on_connected(void *arg, int fd, const struct err *why)
{
	struct load_run *r = arg;
	const char *argv[] = { r->life->settings->image_program, "load", NULL };
	struct err e = { 0 };

	r->ticket = 0;
	if (fd >= 0)
		r->child = child_start(r->life->loop, argv, r->job, fd, on_event, on_end, r, &e);
	if (r->child != NULL)
		return;
	r->end.failure = fd < 0 ? *why : e;
	if (r->end.failure.status == 0)
		r->end.failure.status = 500;
	tell(r);
}

struct load_run *
load_run_start(struct life *l, json_t *job, load_run_cb *cb, void *arg)
{
	static struct call c; /* 100 KiB */
	struct load_run *r = mem_new(sizeof *r);
	struct err e = { 0 };

	r->life = l;
	r->job = job;
	r->cb = cb;
	r->arg = arg;
	call_start(&c, ROUTE_IMAGE_LOAD, CALL_NS_IMAGE, life_api(l));
	(void)call_add(&c, PARAM_QUIET, "1", &e); /* it fits: it is ours */
	r->ticket = gate_connect(l->gate, &c, on_connected, r);
	return r;
}
