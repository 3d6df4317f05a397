/* What a decision holds besides the request that is forwarded (tests/cases has those). */

#include "policy/decide.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "policy/param.h"
#include "tap.h"

#define NS "aaaabbbbccccddddeeee"
#define A "sha256:aaaa000000000000000000000000000000000000000000000000000000000001"
#define B "sha256:bbbb000000000000000000000000000000000000000000000000000000000002"
#define C "sha256:cccc000000000000000000000000000000000000000000000000000000000003"
#define D "sha256:dddd000000000000000000000000000000000000000000000000000000000004"
#define APP "docker.io/library/app:1"
#define OTHER "bbbbbbbbbbbbbbbbbbbb"
#define HELD "dind.invalid/" OTHER "/removed/bbbb000000000000000000000000000000000000000000000000000000000002"

static struct policy policy;
static struct owned owned;

static int
elsewhere(const void *arg, const char *id)
{
	(void)arg;
	return strcmp(id, D) == 0;
}

/* Another task has B without a name. */
static const char *
nameless(const void *arg, const char *id)
{
	(void)arg;
	return strcmp(id, B) == 0 ? OTHER : NULL;
}

static int
sharing(const void *arg)
{
	(void)arg;
	return 1;
}

static void
judge(const char *line, struct decision *d)
{
	char *text = mem_printf("%s HTTP/1.1\r\nHost: x\r\n\r\n", line);
	struct http_head head;
	struct target target;
	struct err e = { 0 };
	size_t used;

	memset(d, 0, sizeof(*d));
	if (http_request_parse(&head, text, strlen(text), &used, &e) == 0) {
		if (target_parse(&target, head.target, &e) == 0) {
			decide(&policy, &owned, &head, &target, d);
			target_done(&target);
		}
		http_head_done(&head);
	}
	if (e.text[0] != '\0')
		printf("# %s\n", e.text);
	free(text);
}

static const struct {
	const char *line;
	enum route route;
	enum body_use body;
	enum answer_kind kind;
} kinds[] = {
	{ "HEAD /_ping", ROUTE_PING, BODY_REFUSED, ANSWER_PING },
	{ "GET /version", ROUTE_VERSION, BODY_REFUSED, ANSWER_VERSION },
	{ "POST /build", ROUTE_BUILD, BODY_CONTEXT, ANSWER_OUTPUT },
	{ "GET /images/json", ROUTE_IMAGE_LIST, BODY_REFUSED, ANSWER_LIST },
	{ "GET /images/app:1/json", ROUTE_IMAGE_INSPECT, BODY_REFUSED, ANSWER_INSPECT },
	{ "GET /images/app:1/history", ROUTE_IMAGE_HISTORY, BODY_REFUSED, ANSWER_HISTORY },
	{ "GET /images/app:1/get", ROUTE_IMAGE_SAVE, BODY_REFUSED, ANSWER_SAVE },
	{ "POST /images/app:1/tag?repo=x", ROUTE_IMAGE_TAG, BODY_DROPPED, ANSWER_TAG },
	{ "DELETE /images/app:1", ROUTE_IMAGE_REMOVE, BODY_REFUSED, ANSWER_REMOVE },
};

static void
what_follows(void)
{
	struct decision d;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		judge(kinds[i].line, &d);
		is_int(d.verdict, VERDICT_ALLOW, kinds[i].line);
		ok(d.route == kinds[i].route && d.body == kinds[i].body && d.kind == kinds[i].kind,
		    kinds[i].line);
		ok(d.call_count == 1 && d.calls[0]->api == 41 && d.api == 41, "one call, API 1.41");
		is_str(d.calls[0]->ns, NS, "in the task's namespace");
		decision_done(&d);
	}
}

/* The engine's own words are sent as they are, ours with their rule. */
static void
words(void)
{
	static const struct {
		const char *line, *rule, *reason;
		int status, plain;
	} rows[] = {
		{ "GET /images/x/json", "not-owned", "No such image: x:latest", 404, 1 },
		{ "GET /images/get?names=x", "not-owned", "reference does not exist", 404, 1 },
		{ "GET /v1.99/images/json", "api-version",
		    "client version 1.99 is too new. Maximum supported API version is 1.51", 400, 1 },
		{ "GET /nothing", "default-deny",
		    "GET /nothing is not available on this socket: it builds, tags, saves, lists and removes "
		    "the task's own images",
		    403, 0 },
		{ "POST /build?version=2", "build-buildkit",
		    "version: BuildKit is not available on this socket: set DOCKER_BUILDKIT=0 to use the "
		    "classic builder",
		    403, 0 },
	};
	struct decision d;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		judge(rows[i].line, &d);
		is_int(d.verdict, VERDICT_DENY, rows[i].line);
		is_str(d.rule, rows[i].rule, "its rule");
		is_str(d.reason, rows[i].reason, "its reason");
		ok(d.status == rows[i].status && d.plain == rows[i].plain, "its status");
		is_int(d.call_count, 0, "nothing is forwarded");
		decision_done(&d);
	}
}

static void
builds(void)
{
	struct decision d;

	judge("POST /build?t=b:2&t=c&t=b:2&q=1&buildargs=%7B%22T%22%3A%22S3CR3T%22%7D", &d);
	is_int(d.name_count, 2, "names to record, each once");
	is_str(d.names[0], "docker.io/library/b:2", "canonical");
	is_str(d.names[1], "docker.io/library/c:latest", "with their tag");
	ok(d.quiet, "quiet is for us");
	is_str(call_get(d.calls[0], PARAM_BUILDARGS), "{\"T\":\"S3CR3T\"}", "the call has the arguments");
	decision_done(&d);
	judge("POST /build?buildargs=%7B%22T%22%3A%22S3CR3T%22", &d);
	ok(d.verdict == VERDICT_DENY && strstr(d.reason, "S3CR3T") == NULL, "a reason never has them");
	decision_done(&d);
	judge("POST /build?buildargs=%7B%22T%22%3A%22S3CR3T%22%2C%22T%22%3A%22%22%7D", &d);
	ok(d.verdict == VERDICT_DENY && strstr(d.reason, "S3CR3T") == NULL, "nor when a key stands twice");
	decision_done(&d);
}

static void
tags_and_lists(void)
{
	struct decision d;

	judge("POST /images/aaaa/tag?repo=new&tag=3", &d);
	ok(d.name_count == 1 && strcmp(d.names[0], "docker.io/library/new:3") == 0, "the name to record");
	is_str(d.id, A, "and its image");
	decision_done(&d);
	judge("GET /images/json?filters=%7B%22reference%22%3A%7B%22app%22%3Atrue%7D%7D", &d);
	is_str(d.filters, "{\"reference\":{\"app\":true}}", "filters stay");
	decision_done(&d);
	judge("GET /images/json?filter=app", &d);
	is_str(d.filters, "{\"reference\":[\"app\"]}", "the old filter is one by reference");
	decision_done(&d);
	judge("GET /images/json", &d);
	ok(d.filters == NULL, "none is none");
	decision_done(&d);
}

static void
removals(void)
{
	struct decision d;

	judge("DELETE /images/app:1", &d);
	ok(!d.forget && d.name_count == 1 && strcmp(d.id, A) == 0, "one name of two: the image stays");
	decision_done(&d);
	judge("DELETE /images/web:1", &d);
	ok(d.forget && d.name_count == 1 && d.call_count == 1, "the last name: the image may go");
	decision_done(&d);
	judge("DELETE /images/aaaa", &d);
	ok(d.forget && d.name_count == 2 && d.call_count == 2, "by id: all names, and the image");
	decision_done(&d);
	judge("DELETE /images/cccc", &d);
	ok(d.forget && d.name_count == 0 && d.call_count == 2 && d.calls[0]->route == ROUTE_IMAGE_TAG &&
	        d.calls[1]->route == ROUTE_IMAGE_REMOVE,
	    "without names: by a temporary one");
	decision_done(&d);
	judge("DELETE /images/dddd", &d);
	ok(d.verdict == VERDICT_ANSWER && d.forget && d.call_count == 0 && strcmp(d.id, D) == 0 &&
	        strcmp(d.answer, "[]") == 0 && d.status == 200,
	    "another task has it: forgotten here, nothing is sent");
	decision_done(&d);
}

static void
plans(void)
{
	struct call *calls[4] = { 0 };
	size_t n = plan_removal(&owned, owned_image(&owned, A), &policy, calls, 4);

	is_int(n, 2, "two names, two calls");
	is_str(call_get(calls[1], PARAM_NAME), "dind.invalid/" NS "/docker.io/library/app:2", "by name");
	is_int(calls[0]->api, policy.api_min, "in the oldest API");
	free(calls[0]);
	free(calls[1]);
	is_int(
	    plan_removal(&owned, owned_image(&owned, A), &policy, calls, 1), 1, "no more than there is room");
	free(calls[0]);
	is_int(plan_removal(&owned, owned_image(&owned, C), &policy, calls, 1), 0, "not half a removal");
	is_int(plan_removal(&owned, owned_image(&owned, D), &policy, calls, 4), 0, "not what others have");
	is_int(
	    plan_removal(&owned, owned_image(&owned, C), &policy, calls, 4), 2, "without names: two calls");
	free(calls[0]);
	free(calls[1]);
}

static void
is_hold(const struct call *c, const char *what)
{
	struct err e = { 0 };

	is_int(c->route, ROUTE_IMAGE_TAG, what);
	is_str(c->ns, OTHER, "in the other's namespace");
	is_str(call_get(c, PARAM_NAME), B, "the image");
	is_str(call_get(c, PARAM_REPO), HELD, "under a name that nobody can type");
	is_int(call_check(c, &policy, &e), 0, "which the gate lets pass");
}

/* The last name of an image that another task has without one: it is held for that one first. */
static void
holds(void)
{
	struct call *calls[4];
	struct decision d;

	owned.nameless = nameless;
	owned.sharing = sharing;
	judge("DELETE /v1.41/images/web:1", &d);
	is_int((long long)d.call_count, 2, "by name: held, then removed");
	is_hold(d.calls[0], "by name");
	is_str(call_get(d.calls[1], PARAM_NAME), "dind.invalid/" NS "/docker.io/library/web:1", "the name");
	is_str(call_get(d.calls[1], PARAM_NOPRUNE), "1", "parents may be those of a task that shares");
	decision_done(&d);
	judge("DELETE /v1.41/images/app:1", &d);
	is_int((long long)d.call_count, 1, "not the last name, and nobody's");
	decision_done(&d);
	judge("DELETE /v1.41/images/bbbb00000000", &d);
	is_int((long long)d.call_count, 2, "by id: held, then removed");
	is_hold(d.calls[0], "by id");
	decision_done(&d);
	is_int((long long)plan_removal(&owned, owned_image(&owned, B), &policy, calls, 4), 2, "at the end");
	is_hold(calls[0], "at the end");
	free(calls[0]);
	free(calls[1]);
	is_int(
	    (long long)plan_release(&owned, B, &policy, calls, 4), 2, "a held one: passed on, then removed");
	is_hold(calls[0], "passed on");
	is_str(call_get(calls[1], PARAM_NAME),
	    "dind.invalid/" NS
	    "/removed/bbbb000000000000000000000000000000000000000000000000000000000002:removed",
	    "its name");
	free(calls[0]);
	free(calls[1]);
	ok(removal_is_held(OTHER, HELD ":removed") && !removal_is_held(NS, HELD ":removed"), "whose it is");
	owned.nameless = NULL;
	owned.sharing = NULL;
}

static void
bases(void)
{
	static const struct {
		const char *word, *mapped;
		int own;
	} rows[] = {
		{ "debian:12", "docker.io/library/debian:12", 0 },
		{ "debian", "docker.io/library/debian:latest", 0 },
		{ "debian@" D, "docker.io/library/debian@" D, 0 },
		{ "app:1", "dind.invalid/" NS "/docker.io/library/app:1", 1 },
		{ "docker.io/library/app:1", "dind.invalid/" NS "/docker.io/library/app:1", 1 },
		{ "cccc", C, 1 },
		{ C, C, 1 },
		{ "ccc", "docker.io/library/ccc:latest", 0 },
		{ "victim/x:1", NULL, 0 },
		{ "localhost:5000/x", NULL, 0 },
		{ "eeee000000000000000000000000000000000000000000000000000000000005", NULL, 0 },
		{ "dind.invalid/" NS "/docker.io/library/app:1", NULL, 0 },
		{ "A b", NULL, 0 },
	};
	struct base_ask ask = { .policy = &policy, .owned = &owned };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char mapped[REFERENCE_MAX] = "";
		struct err e = { 0 };
		int own = 0, rc = base_resolve(&ask, rows[i].word, mapped, &own, &e);

		is_str(rc == 0 ? mapped : NULL, rows[i].mapped, rows[i].word);
		ok(rc < 0 ? e.status == 403 || e.status == 400 : own == rows[i].own,
		    "own or not, or refused");
	}
}

static void
info(void)
{
	struct decision d;
	struct err e;
	json_t *v;

	judge("GET /v1.41/info", &d);
	v = json_parse(d.answer, strlen(d.answer), &e);
	is_int(json_num(v, "Images", -1), 4, "its own images are counted");
	is_str(json_str(v, "OSType", ""), "linux", "an operating system");
	json_decref(v);
	decision_done(&d);
}

int
main(void)
{
	struct settings s;

	settings_init(&s);
	policy_init(&policy, &s);
	settings_done(&s);
	owned_init(&owned, NS);
	owned.elsewhere = elsewhere;
	owned_name(&owned, APP, A);
	owned_name(&owned, "docker.io/library/app:2", A);
	owned_name(&owned, "docker.io/library/web:1", B);
	(void)owned_learn(&owned, C);
	(void)owned_learn(&owned, D);
	what_follows();
	words();
	builds();
	tags_and_lists();
	removals();
	plans();
	holds();
	bases();
	info();
	owned_done(&owned);
	policy_done(&policy);
	return tap_end();
}
