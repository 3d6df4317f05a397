#include "base/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

static const struct {
	const char *text;
	const char *key; /* of the setting to look at */
	const char *want;
} good[] = {
	{ "{}", "limits.builds", "2" },
	{ "{}", "policy.baseImages", "docker.io/library/*" },
	{ "{}", "audit.publicBuildArgs", "" },
	{ "{}", "limits.contextBytes", "16GiB" },
	{ "{}", "limits.buildTime", "2h" },
	{ "{}", "policy.memory", "0" },
	{ "{\"limits\": {\"builds\": 7}}", "limits.builds", "7" },
	{ "{\"limits\": {\"contextBytes\": 4096}}", "limits.contextBytes", "4KiB" },
	{ "{\"limits\": {\"contextBytes\": \"4097\"}}", "limits.contextBytes", "4097" },
	{ "{\"limits\": {\"contextBytes\": \"1536MiB\"}}", "limits.contextBytes", "1536MiB" },
	{ "{\"limits\": {\"contextBytes\": \"2TiB\"}}", "limits.contextBytes", "2TiB" },
	{ "{\"limits\": {\"buildTime\": \"90s\"}}", "limits.buildTime", "90s" },
	{ "{\"limits\": {\"buildTime\": \"7d\"}}", "limits.buildTime", "7d" },
	{ "{\"limits\": {\"buildTime\": 60}}", "limits.buildTime", "1m" },
	{ "{\"policy\": {\"pull\": true}}", "policy.pull", "true" },
	{ "{\"policy\": {\"cache\": \"none\"}}", "policy.cache", "none" },
	{ "{\"policy\": {\"network\": \"ci-build.1\"}}", "policy.network", "ci-build.1" },
	{ "{\"policy\": {\"baseImages\": [\"a/*\", \"b\"]}}", "policy.baseImages", "a/*, b" },
	{ "{\"policy\": {\"baseImages\": []}}", "policy.baseImages", "" },
	{ "{\"runDir\": \"/run/x\"}", "runDir", "/run/x" },
	{ "{\"audit\": {\"publicBuildArgs\": [\"VERSION\"]}}", "audit.publicBuildArgs", "VERSION" },
};

static const struct {
	const char *text;
	const char *error;
} bad[] = {
	{ "{\n\n\"limits\": {\n \"images\": 3,\n\n\n \"builds\": \"many\"}}",
	    "config.json line 7: 'limits.builds' must be an integer from 1 to 1000, not \"many\"" },
	{ "{\"limits\": {\"builds\": 0}}",
	    "config.json line 1: 'limits.builds' must be an integer from 1 to 1000, not 0" },
	{ "{\"limits\": {\"builds\": \"2\"}}",
	    "config.json line 1: 'limits.builds' must be an integer from 1 to 1000, not \"2\"" },
	{ "{\"limits\": {\"builds\": 1.5}}",
	    "config.json line 1: 'limits.builds' must be an integer from 1 to 1000, not 1.5" },
	{ "{\"limits\":\n{\"bui\\u006cds\": null}}",
	    "config.json line 2: 'limits.builds' must be an integer from 1 to 1000, not null" },
	{ "{\"runDir\": \"builds\",\n \"limits\": {\"builds\": []}}",
	    "config.json line 1: 'runDir' must be an absolute path, not \"builds\"" },
	{ "{\"limits\": {\"contextBytes\": \"64MB\"}}", "config.json line 1: 'limits.contextBytes' must be "
	                                                "bytes, or a size such as \"64MiB\" (KiB, MiB, GiB, "
	                                                "TiB), at least 1, not \"64MB\"" },
	{ "{\"limits\": {\"contextBytes\": \"8388608TiB\"}}",
	    "config.json line 1: 'limits.contextBytes' must be bytes, or a size such as \"64MiB\" (KiB, MiB, "
	    "GiB, "
	    "TiB), at least 1, not \"8388608TiB\"" },
	{ "{\"limits\": {\"contextBytes\": \"99999999999999999999\"}}",
	    "config.json line 1: 'limits.contextBytes' must be bytes, or a size such as \"64MiB\" (KiB, MiB, "
	    "GiB, "
	    "TiB), at least 1, not \"99999999999999999999\"" },
	{ "{\"limits\": {\"headTime\": \"2h\"}}", "config.json line 1: 'limits.headTime' must be seconds, or "
	                                          "a time such as \"10m\" (s, m, h, d), from "
	                                          "1s to 1h, not \"2h\"" },
	{ "{\"limits\": {\"headTime\": \" 2s\"}}", "config.json line 1: 'limits.headTime' must be seconds, "
	                                           "or a time such as \"10m\" (s, m, h, d), from "
	                                           "1s to 1h, not \" 2s\"" },
	{ "{\"policy\": {\"pull\": 1}}", "config.json line 1: 'policy.pull' must be true or false, not 1" },
	{ "{\"policy\": {\"cache\": \"private none\"}}",
	    "config.json line 1: 'policy.cache' must be one of private, none, shared, not \"private none\"" },
	{ "{\"policy\": {\"network\": \"host\"}}", "config.json line 1: 'policy.network' must be empty, or a "
	                                           "name of letters, digits, '_', '.' and '-', "
	                                           "never host, not \"host\"" },
	{ "{\"policy\": {\"network\": \"container:x\"}}",
	    "config.json line 1: 'policy.network' must be empty, or a name of letters, digits, '_', '.' and "
	    "'-', "
	    "never host, not \"container:x\"" },
	{ "{\"policy\": {\"baseImages\": \"debian\"}}",
	    "config.json line 1: 'policy.baseImages' must be an array of strings, not \"debian\"" },
	{ "{\"policy\": {\"baseImages\": [\"a\", {\"baseImages\": 1}]}}",
	    "config.json line 1: 'policy.baseImages' must be an array of strings, not "
	    "[\"a\",{\"baseImages\":1}]" },
	{ "{\"runDir\": \"run\"}", "config.json line 1: 'runDir' must be an absolute path, not \"run\"" },
	{ "{\n\"spool\": {\"dri\": \"/x\"}}",
	    "config.json line 2: unknown key 'spool.dri'; expected one of dir" },
	{ "{\n\n\"limit\": {}}",
	    "config.json line 3: unknown key 'limit'; expected one of engine, runDir, "
	    "stateDir, audit, spool, "
	    "store, load, evidence, programs, user, task, policy, limits, metrics, log" },
	{ "{\n\"limits.builds\": 3}",
	    "config.json line 2: unknown key 'limits.builds'; expected one of "
	    "engine, runDir, stateDir, audit, "
	    "spool, store, load, evidence, programs, user, task, policy, limits, metrics, log" },
	{ "{\"\": 3}",
	    "config.json line 1: unknown key ''; expected one of engine, runDir, stateDir, audit, spool, "
	    "store, load, evidence, programs, user, task, policy, limits, metrics, log" },
	{ "{\"limits\": 3}", "config.json line 1: 'limits' must be an object" },
	{ "[]", "config.json line 1: must be an object, such as {\"runDir\": \"/run/dind-proxy\"}" },
	{ "{\"spool\": {\"a\\nb\\\"\": 1}}",
	    "config.json line 1: unknown key 'spool.a\\x0ab\\x22'; expected one of dir" },
};

static const struct setting_row *
row_of(const char *key)
{
	size_t count;
	const struct setting_row *rows = settings_rows(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

static void
test_good(void)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct settings s;
		struct err e = { 0 };
		struct buf out = { 0 };

		is_int(settings_parse(&s, "config.json", good[i].text, strlen(good[i].text), &e), 0, e.text);
		settings_print(&s, row_of(good[i].key), &out);
		is_str(buf_text(&out), good[i].want, good[i].text);
		settings_done(&s);
		buf_done(&out);
	}
}

static void
test_bad(void)
{
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct settings s;
		struct err e = { 0 };

		is_int(
		    settings_parse(&s, "config.json", bad[i].text, strlen(bad[i].text), &e), -1, "refused");
		is_str(e.text, bad[i].error, bad[i].error);
		settings_done(&s);
	}
}

static void
test_syntax(void)
{
	static const char twice[] = "{\"runDir\": \"/a\",\n\"runDir\": \"/b\"}";
	struct settings s;
	struct err e = { 0 };

	is_int(settings_parse(&s, "config.json", "{\n\"a\" 1}", 8, &e), -1, "no JSON");
	ok(strncmp(e.text, "config.json: line 2, column ", 28) == 0, e.text);
	settings_done(&s);
	is_int(settings_parse(&s, "config.json", twice, sizeof twice - 1, &e), -1, "a key twice");
	ok(strncmp(e.text, "config.json: line 2", 19) == 0, e.text);
	settings_done(&s);
	is_int(settings_load(&s, "/nonexistent/config.json", &e), -1, "no file");
	is_int(e.code, ENOENT, "says ENOENT");
	is_str(s.run_dir, "/run/dind-proxy", "defaults are there all the same");
	settings_done(&s);
}

/* A value that is far too long is cut in the error. */
static void
test_long(void)
{
	char text[2000];
	struct settings s;
	struct err e = { 0 };
	int n = snprintf(text, sizeof text, "{\"runDir\": \"%0*d\"}", 1500, 7);

	is_int(settings_parse(&s, "c", text, (size_t)n, &e), -1, "a long value");
	ok(strlen(e.text) < 200 && strstr(e.text, "000...") != NULL, e.text);
	settings_done(&s);
}

static void
test_rows(void)
{
	size_t count;
	const struct setting_row *rows = settings_rows(&count);
	struct buf help = { 0 };

	settings_help(&help);
	for (size_t i = 0; i < count; i++) {
		ok(strstr(buf_text(&help), rows[i].key) != NULL && rows[i].help[0] != '\0', rows[i].key);
		for (size_t k = 0; k < i; k++)
			if (strcmp(rows[i].key, rows[k].key) == 0)
				ok(0, "a key stands twice in the table");
	}
	buf_done(&help);
}

struct seen {
	int reload, restart;
};

static void
see(void *arg, const struct setting_row *row, const struct settings *was, const struct settings *is)
{
	struct seen *seen = arg;

	if (row->when == SETTING_RELOAD)
		seen->reload++;
	else
		seen->restart++;
	(void)was;
	(void)is;
}

static void
test_reload(void)
{
	static const char text[] = "{\"runDir\": \"/elsewhere\", \"policy\": {\"baseImages\": [\"a\", "
	                           "\"b\"], \"network\": \"none\"}, "
	                           "\"limits\": {\"builds\": 7}}";
	struct settings s, fresh;
	struct seen seen = { 0, 0 };
	struct err e = { 0 };

	settings_init(&s);
	is_int(settings_parse(&fresh, "c", text, sizeof text - 1, &e), 0, "the new file");
	settings_compare(&s, &fresh, see, &seen);
	settings_reload(&s, &fresh);
	is_int(seen.reload, 3, "three changes are taken");
	is_int(seen.restart, 1, "one waits for a restart");
	is_int(s.builds, 7, "a number");
	is_str(s.network, "none", "a text");
	is_int((int)s.base_images.count, 2, "a list");
	is_str(s.run_dir, "/run/dind-proxy", "what a restart takes stays as it is");
	is_str(fresh.base_images.item[0], "docker.io/library/*", "the old value is the other's to free");
	settings_reload(&s, &fresh);
	is_int(s.builds, 2, "and back");
	settings_done(&s);
	settings_done(&fresh);
}

int
main(void)
{
	test_reload();
	test_good();
	test_bad();
	test_syntax();
	test_long();
	test_rows();
	return tap_end();
}
