/* The host's policy from the settings, a task's own over it. */

#include "policy/policy.h"

#include "base/err.h"
#include "base/json.h"
#include "base/settings.h"
#include "tap.h"

static void
fresh(struct policy *p)
{
	struct settings s;

	settings_init(&s);
	policy_init(p, &s);
	settings_done(&s);
}

static int
override(struct policy *p, const char *text, struct err *e)
{
	json_t *v = json_parse(text, strlen(text), e);
	int rc = policy_override(p, v, e);

	json_decref(v);
	return rc;
}

static void
defaults(void)
{
	struct policy p;

	fresh(&p);
	is_str(p.network, "", "the engine's default network");
	is_int(p.cache, CACHE_PRIVATE, "a private cache");
	ok(!p.pull && !p.add_urls && !p.extra_hosts && !p.registry_auth, "nothing that reaches outside");
	is_int(p.base_count, 1, "one base pattern");
	is_str(p.bases[0], "docker.io/library/*", "the official images");
	is_int(p.api_min, 24, "API 1.24");
	is_int(p.api_max, 51, "to 1.51");
	ok(p.request_names == 16 && p.names == 200 && p.images == 200, "counts");
	policy_done(&p);
}

static void
all_words(void)
{
	struct policy p, copy;
	struct err e = { 0 };

	fresh(&p);
	is_int(
	    override(&p,
	        "{\"baseImages\":[\"a/*\",\"b\"],\"network\":\"net\",\"pull\":true,\"cache\":\"none\","
	        "\"addUrls\":true,\"extraHosts\":true,\"registryAuth\":true,\"memory\":\"4GiB\",\"cpus\":2}",
	        &e),
	    0, "every word is taken");
	policy_copy(&copy, &p);
	policy_done(&p);
	ok(copy.base_count == 2 && strcmp(copy.bases[1], "b") == 0, "bases");
	is_str(copy.network, "net", "network");
	is_int(copy.cache, CACHE_NONE, "cache");
	ok(copy.pull && copy.add_urls && copy.extra_hosts && copy.registry_auth, "booleans");
	is_int(copy.memory, 4LL << 30, "memory");
	is_int(copy.cpus, 2, "cpus");
	policy_done(&copy);
}

static void
wrong_words(void)
{
	static const char *const rows[] = {
		"[]",
		"{\"x\":1}",
		"{\"pull\":1}",
		"{\"pull\":\"true\"}",
		"{\"network\":\"host\"}",
		"{\"network\":\"container:x\"}",
		"{\"network\":\"ns:/proc/1/ns/net\"}",
		"{\"network\":null}",
		"{\"network\":\"a b\"}",
		"{\"cache\":\"shard\"}",
		"{\"cache\":true}",
		"{\"memory\":-1}",
		"{\"memory\":\"64m\"}",
		"{\"memory\":\"\"}",
		"{\"memory\":\"9999999TiB0\"}",
		"{\"memory\":\"99999999999999TiB\"}",
		"{\"cpus\":5000}",
		"{\"cpus\":\"2\"}",
		"{\"baseImages\":\"x\"}",
		"{\"baseImages\":[1]}",
		"{\"baseImages\":[\"\"]}",
		"{\"baseImages\":[\"a b\"]}",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct policy p;
		struct err e = { 0 };

		fresh(&p);
		ok(override(&p, rows[i], &e) < 0 && e.status == 400 && strcmp(e.rule, "policy") == 0,
		    rows[i]);
		policy_done(&p);
	}
}

static void
sizes(void)
{
	struct policy p;
	struct err e = { 0 };

	fresh(&p);
	ok(override(&p, "{\"memory\":4096}", &e) == 0 && p.memory == 4096, "bytes");
	ok(override(&p, "{\"memory\":\"64MiB\"}", &e) == 0 && p.memory == 64 << 20, "MiB");
	ok(override(&p, "{\"memory\":\"1TiB\"}", &e) == 0 && p.memory == 1LL << 40, "TiB");
	ok(override(&p, "{\"memory\":\"0\"}", &e) == 0 && p.memory == 0, "none");
	is_int(policy_override(&p, NULL, &e), 0, "no policy of its own changes nothing");
	policy_done(&p);
}

int
main(void)
{
	defaults();
	all_words();
	wrong_words();
	sizes();
	ok(policy_network_ok("") && policy_network_ok("none") && policy_network_ok("build-net.1"),
	    "networks");
	ok(!policy_network_ok("host") && !policy_network_ok("-x") && !policy_network_ok("container:a"),
	    "no networks");
	return tap_end();
}
