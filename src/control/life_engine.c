/*
 * Which engine this is: asked at the start, again every minute and after each call that failed, because
 * another one may answer then. An engine that was never tested gets no build: what it makes of a Dockerfile
 * or of a parameter may differ from what is judged here.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "io/fetch.h"
#include "policy/policy.h"
#include "task/task.h"

enum {
	ANSWER_MAX = 64 * 1024,
	SECONDS = 10,
	AGAIN = 60, /* s until it is asked anew */
	ZSTD_SINCE = 23,
	OLDEST = 41, /* NN of engine 20.10, the oldest that was tested */
};

unsigned
life_api(const struct life *l)
{
	enum { USUAL = 41 };

	return l->engine_api != 0 && l->engine_api < USUAL ? l->engine_api : USUAL;
}

void
life_fit_api(const struct life *l, struct task *task)
{
	struct policy *p;

	if (l->engine_api < OLDEST) /* not known, or nothing is spoken with it */
		return;
	p = policy_dup(task->policy); /* requests under way keep theirs as it is */
	if (p->api_max > l->engine_api)
		p->api_max = l->engine_api;
	if (p->api_min < l->engine_api_min)
		p->api_min = l->engine_api_min;
	p->api_usual = p->api_max;
	policy_unref(task->policy);
	task->policy = p;
}

/* Tested is what tests/e2e/dockerfile_agreement.py and the other end-to-end tests were run against. */
static int
check_tested(const struct life *l, struct err *e)
{
	if (l->engine_api >= OLDEST && l->engine_api <= (unsigned)l->settings->newest_api)
		return 0;
	return err_refuse(e, 503, "engine-untested",
	    "engine %s speaks API 1.%u; tested are engines from 1.%d to 1.%d (engine.newestApi), so nothing "
	    "is built "
	    "with it",
	    l->engine_version, l->engine_api, OLDEST, (int)l->settings->newest_api);
}

/* Version, ApiVersion, MinAPIVersion; -1 when they make no sense. 1 when it is another engine than before. */
static int
read_version(struct life *l, const json_t *answer, struct err *e)
{
	const char *version = json_str(answer, "Version", "unknown");
	unsigned minor = 0, least = 24;
	int other;

	(void)sscanf(json_str(answer, "MinAPIVersion", ""), "1.%u", &least);
	if (sscanf(json_str(answer, "ApiVersion", ""), "1.%u", &minor) != 1 || minor < 24 || minor > 999 ||
	    least > minor)
		return err_refuse(e, 502, "engine", "the engine's version has no usable ApiVersion");
	other = minor != l->engine_api || least != l->engine_api_min ||
	        strncmp(version, l->engine_version, sizeof l->engine_version - 1) != 0;
	(void)snprintf(l->engine_version, sizeof l->engine_version, "%s", version);
	l->engine_api = minor;
	l->engine_api_min = least;
	return other;
}

/* What the engine can bounds what is spoken with every task. */
static void
take_version(struct life *l, const json_t *answer)
{
	struct err e = { 0 };
	int other = read_version(l, answer, &e);

	if (other < 0) {
		log_error("life", "%s", e.text);
		proxy_engine(&l->proxy, ENGINE_UNKNOWN, &e);
		return;
	}
	l->proxy.engine_zstd = atoi(l->engine_version) >= ZSTD_SINCE;
	for (struct task *t = tasks_first(l->tasks); other && t != NULL; t = t->next)
		life_fit_api(l, t);
	if (check_tested(l, &e) < 0) {
		if (other)
			log_error("life", "%s", e.text);
		proxy_engine(&l->proxy, ENGINE_REFUSED, &e);
		return;
	}
	if (other)
		log_info("life", "engine %s, API 1.%u, at least 1.%u", l->engine_version, l->engine_api,
		    l->engine_api_min);
	proxy_engine(&l->proxy, ENGINE_TESTED, NULL);
	if (other)
		held_tidy(l);
}

static void
on_version(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct life *l = arg;
	struct err why = { 0 };

	l->version = NULL;
	l->version_age = 0;
	if (status == 200 && json_is_object(answer)) {
		take_version(l, answer);
		return;
	}
	err_refuse(&why, 502, "engine", "the engine does not tell its version: %s",
	    status ? "unexpected answer" : e->text);
	log_warn("life", "%s", why.text);
	proxy_engine(&l->proxy, ENGINE_UNKNOWN, &why);
}

void
engine_ask(void *life)
{
	static struct call c; /* 100 KiB */
	struct life *l = life;

	if (l->version != NULL)
		return;
	call_start(&c, ROUTE_VERSION, "", 0);
	l->version = fetch_start(l->loop, l->gate, &c, ANSWER_MAX, SECONDS, on_version, l);
}

void
engine_tick(struct life *l)
{
	if (l->proxy.engine_state == ENGINE_UNKNOWN || ++l->version_age >= AGAIN)
		engine_ask(l);
}
