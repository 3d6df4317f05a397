/* A call between front and gate: bytes that are no call, and calls that are not allowed. */

#include "policy/call.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "policy/param.h"
#include "policy/policy.h"
#include "tap.h"

#define NS "aaaabbbbccccddddeeee"
#define OTHER "bbbbbbbbccccddddeeee"
#define ID "sha256:aaaa000000000000000000000000000000000000000000000000000000000001"
#define HEX "aaaa000000000000000000000000000000000000000000000000000000000001"
#define MINE "dind.invalid/" NS "/docker.io/library/app:1"
#define THEIRS "dind.invalid/" OTHER "/docker.io/library/app:1"
#define REMOVED "dind.invalid/" NS "/removed/" HEX
#define LOADED "dind.invalid/image/0123456789abcdef0123456789abcdef:latest"

static struct policy policy;

struct pair {
	enum param param;
	const char *value;
};

#define LABELS "{\"dind.task\":\"" NS "\"}"
#define FIXED                                                                                                \
	{ PARAM_RM, "1" }, { PARAM_FORCERM, "1" }, { PARAM_LABELS, LABELS },                                 \
	{                                                                                                    \
		PARAM_VERSION, "1"                                                                           \
	}

static const struct row {
	enum route route;
	const char *ns;
	unsigned api;
	struct pair values[9];
	const char *rule; /* NULL: allowed */
	const char *text;
} rows[] = {
	{ ROUTE_PING, "", 0, { { 0 } }, NULL, "ping without a version" },
	{ ROUTE_PING, NS, 41, { { 0 } }, NULL, "ping of a task" },
	{ ROUTE_VERSION, "", 0, { { 0 } }, NULL, "version" },
	{ ROUTE_VERSION, "nonsense", 0, { { 0 } }, "call-namespace", "a namespace that is none" },
	{ ROUTE_VERSION, NS, 99, { { 0 } }, "api-version", "a version above" },
	{ ROUTE_VERSION, NS, 23, { { 0 } }, "api-version", "a version below" },
	{ ROUTE_IMAGE_LIST, NS, 0, { { 0 } }, "api-version", "no version where one belongs" },
	{ ROUTE_PING, NS, 41, { { PARAM_NAME, MINE } }, "call-param", "a name where no name belongs" },
	{ ROUTE_INFO, NS, 41, { { 0 } }, "default-deny", "what is answered by the proxy" },
	{ ROUTE_CONTAINER_INSPECT, NS, 41, { { PARAM_NAME, "x" } }, "default-deny", "a container" },
	{ ROUTE_IMAGE_LIST, NS, 41, { { PARAM_ALL, "1" } }, NULL, "list" },
	{ ROUTE_IMAGE_LIST, NS, 41, { { PARAM_ALL, "yes" } }, "image-list", "list, another spelling" },
	{ ROUTE_IMAGE_LIST, NS, 41, { { PARAM_FILTERS, "{}" } }, "call-param", "filters stay in the front" },
	{ ROUTE_IMAGE_LIST, "", 41, { { 0 } }, "call-namespace", "a list for nobody" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, MINE } }, NULL, "inspect" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, ID } }, NULL, "inspect by id" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, "sha256:aaaa" } }, "call-name", "part of an id" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, THEIRS } }, "call-name", "another task's" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, "docker.io/library/debian:12" } }, "call-name",
	    "a base image" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, MINE "@" ID } }, "call-name", "with a digest" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, "dind.invalid/" NS "/docker.io/library/app" } },
	    "call-name", "without a tag" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, "dind.invalid/" NS "/../../x:1" } }, "call-name",
	    "dots" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { 0 } }, "call-param", "inspect of nothing" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, MINE }, { PARAM_NAME, THEIRS } }, "call-param",
	    "two names" },
	{ ROUTE_IMAGE_INSPECT, CALL_NS_IMAGE, 41, { { PARAM_NAME, LOADED } }, NULL, "a loaded image" },
	{ ROUTE_IMAGE_INSPECT, NS, 41, { { PARAM_NAME, LOADED } }, "call-name",
	    "a loaded image, for a task" },
	{ ROUTE_IMAGE_INSPECT, CALL_NS_IMAGE, 41, { { PARAM_NAME, MINE } }, "call-name",
	    "a task's, for the keeper" },
	{ ROUTE_IMAGE_HISTORY, CALL_NS_IMAGE, 41, { { PARAM_NAME, LOADED } }, "call-namespace",
	    "history of a loaded image" },
	{ ROUTE_IMAGE_REMOVE, CALL_NS_IMAGE, 41, { { PARAM_NAME, LOADED } }, NULL, "a loaded image goes" },
	{ ROUTE_IMAGE_REMOVE, CALL_NS_IMAGE, 41, { { PARAM_NAME, ID } }, "call-name", "not by id" },
	{ ROUTE_IMAGE_REMOVE, NS, 41, { { PARAM_NAME, MINE }, { PARAM_NOPRUNE, "1" } }, NULL, "remove" },
	{ ROUTE_IMAGE_REMOVE, NS, 41, { { PARAM_NAME, ID } }, "call-name", "remove by id" },
	{ ROUTE_IMAGE_REMOVE, NS, 41, { { PARAM_NAME, REMOVED ":removed" } }, NULL, "the temporary name" },
	{ ROUTE_IMAGE_REMOVE, NS, 41, { { PARAM_NAME, MINE }, { PARAM_FORCE, "1" } }, "call-param", "force" },
	{ ROUTE_IMAGE_TAG, NS, 41, { { PARAM_NAME, ID }, { PARAM_REPO, REMOVED }, { PARAM_TAG, "removed" } },
	    NULL, "the temporary name is given" },
	{ ROUTE_IMAGE_TAG, NS, 41,
	    { { PARAM_NAME, MINE }, { PARAM_REPO, REMOVED }, { PARAM_TAG, "removed" } }, "call-name",
	    "only to the image that it names" },
	{ ROUTE_IMAGE_TAG, NS, 41,
	    { { PARAM_NAME, ID }, { PARAM_REPO, "dind.invalid/" NS "/docker.io/library/x" },
	        { PARAM_TAG, "1" } },
	    NULL, "tag" },
	{ ROUTE_IMAGE_TAG, NS, 41,
	    { { PARAM_NAME, ID }, { PARAM_REPO, "docker.io/library/debian" }, { PARAM_TAG, "12" } },
	    "call-name", "tag a base image" },
	{ ROUTE_IMAGE_TAG, NS, 41, { { PARAM_NAME, ID }, { PARAM_REPO, MINE }, { PARAM_TAG, "1" } },
	    "call-name", "two tags" },
	{ ROUTE_IMAGE_TAG, NS, 41,
	    { { PARAM_NAME, ID }, { PARAM_REPO, "dind.invalid/image/0123456789abcdef0123456789abcdef" },
	        { PARAM_TAG, "latest" } },
	    "call-name", "a loaded image's name" },
	{ ROUTE_IMAGE_TAG, NS, 41, { { PARAM_NAME, ID }, { PARAM_TAG, "1" } }, "call-param", "no repo" },
	{ ROUTE_IMAGE_SAVE, NS, 41,
	    { { PARAM_NAMES, MINE }, { PARAM_NAMES, ID },
	        { PARAM_NAMES, "dind.invalid/" NS "/docker.io/library/app" } },
	    NULL, "save" },
	{ ROUTE_IMAGE_SAVE, NS, 41, { { PARAM_NAMES, "dind.invalid/" NS } }, "call-name",
	    "save of a namespace" },
	{ ROUTE_IMAGE_SAVE, NS, 41, { { 0 } }, "call-param", "save of nothing" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, "docker.io/library/debian:12" } }, NULL, "a base" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, MINE } }, NULL, "an own image as base" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, ID } }, NULL, "an own image as base, by id" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, "debian:12" } }, "call-name", "not canonical" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, "docker.io/victim/x:1" } }, "call-name", "no base" },
	{ ROUTE_BASE_INSPECT, NS, 41, { { PARAM_NAME, THEIRS } }, "call-name", "another task's as base" },
	{ ROUTE_IMAGE_LOAD, CALL_NS_IMAGE, 41, { { PARAM_QUIET, "1" } }, NULL, "load" },
	{ ROUTE_IMAGE_LOAD, CALL_NS_IMAGE, 41, { { 0 } }, "call-param", "load without quiet" },
	{ ROUTE_SWEEP_LIST, NS, 24, { { PARAM_ALL, "1" } }, NULL, "sweep" },
	{ ROUTE_SWEEP_LIST, NS, 24, { { PARAM_ALL, "0" } }, "sweep-list", "sweep, another word" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" } }, NULL, "build" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_CACHEFROM, "[\"" MINE "\",\"" ID "\"]" } }, NULL,
	    "build with a cache" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_CACHEFROM, "[]" } }, "build-cache",
	    "an empty list is everybody's cache" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_CACHEFROM, "[\"" THEIRS "\"]" } }, "call-name",
	    "another task's cache" },
	{ ROUTE_BUILD, NS, 41, { FIXED }, "call-param", "neither cache nor nocache" },
	{ ROUTE_BUILD, NS, 41, { { PARAM_NOCACHE, "1" } }, "call-param", "without what is always sent" },
	{ ROUTE_BUILD, CALL_NS_IMAGE, 41, { FIXED, { PARAM_NOCACHE, "1" } }, "call-namespace",
	    "a build of the keeper" },
	{ ROUTE_BUILD, NS, 41,
	    { { PARAM_RM, "1" }, { PARAM_FORCERM, "1" }, { PARAM_LABELS, LABELS }, { PARAM_VERSION, "2" },
	        { PARAM_NOCACHE, "1" } },
	    "build-buildkit", "BuildKit" },
	{ ROUTE_BUILD, NS, 41,
	    { { PARAM_RM, "0" }, { PARAM_FORCERM, "1" }, { PARAM_LABELS, LABELS }, { PARAM_VERSION, "1" },
	        { PARAM_NOCACHE, "1" } },
	    "build-rm", "rm=0" },
	{ ROUTE_BUILD, NS, 41,
	    { { PARAM_RM, "1" }, { PARAM_FORCERM, "1" }, { PARAM_VERSION, "1" }, { PARAM_NOCACHE, "1" } },
	    "call-param", "no label of the task" },
	{ ROUTE_BUILD, NS, 41,
	    { { PARAM_RM, "1" }, { PARAM_FORCERM, "1" }, { PARAM_LABELS, "{\"dind.task\":\"" OTHER "\"}" },
	        { PARAM_VERSION, "1" }, { PARAM_NOCACHE, "1" } },
	    "call-name", "another task's label" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_NETWORKMODE, "none" } }, NULL,
	    "no network" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_NETWORKMODE, "host" } },
	    "build-network", "the host's network" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_T, THEIRS } }, "call-name",
	    "another task's name" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_T, REMOVED ":removed" } },
	    "call-name", "a temporary name" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_PULL, "1" } }, "call-param", "" },
	{ ROUTE_BASE_PULL, NS, 41, { { PARAM_FROMIMAGE, "docker.io/library/debian:12" } }, "call-name",
	    "fromImage" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_REMOTE, "http://x" } }, "call-param",
	    "remote" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_Q, "1" } }, "call-param", "q" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_MEMORY, "" } }, "build-memory",
	    "an empty value" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_MEMORY, "1 " } }, "build-memory",
	    "a number with something behind it" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_DOCKERFILE, "./x" } },
	    "build-dockerfile", "a path that is not clean" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_BUILDARGS, "{ }" } }, "build-args",
	    "JSON in another spelling" },
	{ ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" }, { PARAM_REGISTRY_CONFIG, "e30=" } },
	    "call-param", "credentials with a build" },
	{ ROUTE_BASE_PULL, NS, 41,
	    { { PARAM_REGISTRY_CONFIG, "e30=\r\nX: y" }, { PARAM_FROMIMAGE, "docker.io/library/debian:12" } },
	    "build-registry", "a header within a value" },
};

static void
make(struct call *c, const struct row *r)
{
	struct err e;

	call_start(c, r->route, r->ns, r->api);
	for (size_t i = 0; i < 8 && r->values[i].param != PARAM_NONE; i++)
		(void)call_add(c, r->values[i].param, r->values[i].value, &e);
}

static void
checks(void)
{
	static struct call c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err e = { 0 };

		make(&c, &rows[i]);
		is_str(call_check(&c, &policy, &e) < 0 ? e.rule : NULL, rows[i].rule, rows[i].text);
		if (rows[i].rule != NULL && e.text[0] == '\0')
			ok(0, "a refusal says why");
	}
}

/* A policy that forces: what it names must be there, as it says. */
static void
forced(void)
{
	static struct call c;
	static const struct row bare = { ROUTE_BUILD, NS, 41, { FIXED, { PARAM_NOCACHE, "1" } }, NULL, "" };
	static const struct pair more[] = { { PARAM_NETWORKMODE, "net" }, { PARAM_CGROUPPARENT, "/b" },
		{ PARAM_MEMORY, "1000" }, { PARAM_CPUQUOTA, "100000" } };
	struct policy p;
	struct err e = { 0 };

	policy_copy(&p, &policy);
	free(p.network);
	free(p.cgroup_parent);
	p.network = mem_str("net");
	p.cgroup_parent = mem_str("/b");
	p.memory = 1000;
	p.cpus = 1;
	for (size_t left_out = 0; left_out <= 4; left_out++) {
		make(&c, &bare);
		for (size_t i = 0; i < 4; i++)
			if (i != left_out)
				(void)call_add(&c, more[i].param, more[i].value, &e);
		is_int(
		    call_check(&c, &p, &e), left_out < 4 ? -1 : 0, left_out < 4 ? "one is missing" : "all");
	}
	make(&c, &bare);
	for (size_t i = 0; i < 4; i++)
		(void)call_add(&c, more[i].param, more[i].value, &e);
	(void)call_add(&c, PARAM_CPUPERIOD, "99999", &e);
	is_int(call_check(&c, &p, &e), -1, "quota and period together are above the cap");
	policy_done(&p);
}

/* Every field of a struct that came over the socketpair, damaged. */
static void
bytes(void)
{
	static struct call good, c, out;
	struct err e = { 0 };
	size_t size, refused = 0;

	call_start(&good, ROUTE_IMAGE_TAG, NS, 41);
	(void)call_add(&good, PARAM_NAME, ID, &e);
	(void)call_add(&good, PARAM_REPO, "dind.invalid/" NS "/docker.io/library/x", &e);
	(void)call_add(&good, PARAM_TAG, "1", &e);
	size = call_size(&good);
	is_int(call_take(&out, &good, size, &e), 0, "a call is taken");
	is_int(call_check(&out, &policy, &e), 0, "and allowed");
	is_str(call_get(&out, PARAM_TAG), "1", "with its values");
	is_int(call_take(&out, &good, size - 1, &e), -1, "one byte less");
	is_int(call_take(&out, &good, size + 1, &e), -1, "one byte more");
	is_int(call_take(&out, &good, 0, &e), -1, "nothing");
	is_int(call_take(&out, &good, sizeof(good), &e), -1, "the whole struct");
#define DAMAGED(text, what)                                                                                  \
	c = good;                                                                                            \
	what;                                                                                                \
	is_int(call_take(&out, &c, size, &e), -1, text)
	DAMAGED("no route", c.route = 0);
	DAMAGED("a route behind the last", c.route = ROUTE_COUNT);
	DAMAGED("too many values", c.count = CALL_VALUES_MAX + 1);
	DAMAGED("more values than text", c.count = 4);
	DAMAGED("fewer values than text", c.count = 2);
	DAMAGED("an endless namespace", memset(c.ns, 'a', sizeof(c.ns)));
	DAMAGED("a text length that wraps", c.text_len = UINT32_MAX);
	DAMAGED("an unknown parameter", c.values[1].param = PARAM_COUNT);
	DAMAGED("parameter zero", c.values[1].param = 0);
	DAMAGED("an offset elsewhere", c.values[1].off = 0);
	DAMAGED("a length that wraps", c.values[1].len = UINT32_MAX);
	DAMAGED("a value without its end", c.text[c.values[1].off + c.values[1].len] = 'y');
	DAMAGED("a value that ends early", c.text[3] = '\0');
	DAMAGED("padding", c.values[1].pad = 1);
	for (size_t i = 0; i < size; i++) {
		c = good;
		if (i / sizeof c.policy == offsetof(struct call, policy) / sizeof c.policy) {
			refused++; /* which policy it names is the gate's to know */
			continue;
		}
		((unsigned char *)&c)[i] ^= 0x80;
		refused += call_take(&out, &c, size, &e) < 0 || call_check(&out, &policy, &e) < 0;
	}
	is_int(refused, size, "any bit of it turned: refused by call_take() or call_check()");
}

static void
full(void)
{
	static struct call c;
	struct err e = { 0 };
	char *large = mem_new(CALL_TEXT_MAX + 1);
	const char *v = NULL;
	int n = 0;

	call_start(&c, ROUTE_BUILD, NS, 41);
	memset(large, 'x', CALL_TEXT_MAX);
	is_int(call_add(&c, PARAM_T, large, &e), -1, "a value larger than the text");
	is_str(e.rule, "request-size", "is a refusal");
	large[CALL_TEXT_MAX - 1] = '\0';
	is_int(call_add(&c, PARAM_T, large, &e), 0, "one that just fits");
	is_int(call_add(&c, PARAM_T, "", &e), -1, "and nothing more");
	free(large);
	call_start(&c, ROUTE_BUILD, NS, 41);
	while (call_add(&c, PARAM_T, "", &e) == 0)
		n++;
	is_int(n, CALL_VALUES_MAX, "as many values as there is room for");
	for (n = 0; (v = call_next(&c, PARAM_T, v)) != NULL; n++)
		;
	is_int(n, CALL_VALUES_MAX, "and all are found again");
}

static void
printed(void)
{
	static struct call c;
	struct buf out = { 0 };
	struct err e = { 0 };

	call_start(&c, ROUTE_IMAGE_TAG, NS, 41);
	(void)call_add(&c, PARAM_NAME, MINE, &e);
	(void)call_add(&c, PARAM_REPO, "dind.invalid/" NS "/docker.io/library/x", &e);
	(void)call_add(&c, PARAM_TAG, "1", &e);
	call_print(&c, &out);
	ok(strstr(buf_text(&out), "POST /v1.41/images/" MINE "/tag?repo=dind.invalid%2F" NS
	                          "%2Fdocker.io%2Flibrary%2Fx&tag=1 HTTP/1.1\r\n") == buf_text(&out),
	    "the request line");
	ok(strstr(buf_text(&out), "\r\nContent-Length: 0\r\n") != NULL, "a POST without a body says so");
	buf_clear(&out);
	call_start(&c, ROUTE_VERSION, "", 0);
	call_print(&c, &out);
	ok(strstr(buf_text(&out), "GET /version HTTP/1.1\r\n") == buf_text(&out), "no version, no prefix");
	ok(strstr(buf_text(&out), "Content-Length") == NULL, "a GET has no length");
	buf_clear(&out);
	call_start(&c, ROUTE_IMAGE_LOAD, CALL_NS_IMAGE, 41);
	(void)call_add(&c, PARAM_QUIET, "1", &e);
	call_print(&c, &out);
	ok(strstr(buf_text(&out), "POST /v1.41/images/load?quiet=1 HTTP/1.1\r\n") == buf_text(&out), "load");
	ok(strstr(buf_text(&out), "Transfer-Encoding: chunked\r\n") != NULL &&
	        strstr(buf_text(&out), "Content-Type: application/x-tar\r\n") != NULL,
	    "has a body");
	buf_done(&out);
}

int
main(void)
{
	struct settings s;

	settings_init(&s);
	policy_init(&policy, &s);
	free(policy.label);
	policy.label = mem_str("dind.task");
	settings_done(&s);
	checks();
	forced();
	bytes();
	full();
	printed();
	policy_done(&policy);
	return tap_end();
}
