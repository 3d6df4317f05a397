#include "task/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/json.h"
#include "base/settings.h"
#include "http/target.h"
#include "policy/param.h"
#include "scratch.h"
#include "tap.h"

static const char task[] = "abcdefghijklmnopqrst";

/* What audit_query() makes of a query; values as they are in the URL. */
static const struct {
	const char *key, *value, *want;
} queries[] = {
	{ "t", "app:1", "{\"t\":\"app:1\"}" },
	{ "buildargs", "{\"TOKEN\":\"sekrit\",\"VERSION\":\"1.2\",\"EMPTY\":null}",
	    "{\"buildargs\":{\"TOKEN\":\"(redacted)\",\"VERSION\":\"1.2\",\"EMPTY\":\"(redacted)\"}}" },
	{ "buildargs", "{\"TOKEN\":\"sekrit\"", "{\"buildargs\":\"(redacted)\"}" },
	{ "buildargs", "[\"sekrit\"]", "{\"buildargs\":\"(redacted)\"}" },
	{ "BuildArgs", "{\"TOKEN\":\"sekrit\"}", "{\"BuildArgs\":{\"TOKEN\":\"(redacted)\"}}" },
	{ "labels", "{\"VERSION\":{\"a\":\"sekrit\"}}", "{\"labels\":{\"VERSION\":\"(redacted)\"}}" },
	{ "X-Registry-Config", "c2Vrcml0", "{\"X-Registry-Config\":\"(redacted)\"}" },
	{ "remote", "https://bob:sekrit@git.test/a?x=1@2",
	    "{\"remote\":\"https://(redacted)@git.test/a?x=1@2\"}" },
	{ "remote", "a://b://sekrit@c://d@e@f", "{\"remote\":\"a://b://(redacted)@c://(redacted)@f\"}" },
	{ "remote", "https://git.test/a@b", "{\"remote\":\"https://git.test/a@b\"}" },
	{ "remote", "://", "{\"remote\":\"://\"}" },
	{ "q", "\n\x1b[2J\xe2\x80\xae", "{\"q\":\"\\n\\u001B[2J\\u202E\"}" },
};

/* What is forwarded, for evidence. */
static void
test_call(void)
{
	static struct call c;
	char version[] = "VERSION", *public[] = { version };
	struct err e = { 0 };
	json_t *v;
	char *text;

	call_start(&c, ROUTE_BUILD, task, 41);
	is_int(
	    call_add(&c, PARAM_T, "dind.invalid/abcdefghijklmnopqrst/docker.io/library/app:1", &e), 0, "t");
	is_int(call_add(&c, PARAM_BUILDARGS, "{\"TOKEN\":\"sekrit\",\"VERSION\":\"1\"}", &e), 0, "buildargs");
	is_int(call_add(&c, PARAM_EXTRAHOSTS, "a:1.2.3.4", &e), 0, "extrahosts");
	is_int(call_add(&c, PARAM_EXTRAHOSTS, "b:1.2.3.4", &e), 0, "another");
	is_int(call_add(&c, PARAM_RM, "1", &e), 0, "rm");
	is_int(call_add(&c, PARAM_CACHEFROM, "[\"sha256:1\"]", &e), 0, "cachefrom");
	is_int(call_add(&c, PARAM_REGISTRY_CONFIG, "c2Vrcml0", &e), 0, "credentials");
	v = audit_call(&c, 1, public);
	text = json_text(v, 1);
	is_str(text,
	    "{\"buildargs\":{\"TOKEN\":\"(redacted)\",\"VERSION\":\"1\"},\"extrahosts\":[\"a:1.2.3.4\","
	    "\"b:1.2.3.4\"],\"rm\":\"1\",\"X-Registry-Config\":\"(redacted)\"}",
	    "parameters as forwarded, without secrets and names");
	free(text);
	json_decref(v);
}

static void
test_query(void)
{
	char version[] = "VERSION", *public[] = { version };

	for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
		char *key = mem_str(queries[i].key), *value = mem_str(queries[i].value), *text;
		struct target_pair pair = { key, value };
		struct target t = { .count = 1, .query = &pair };
		json_t *v = audit_query(&t, 1, public);

		text = json_text(v, 1);
		is_str(text, queries[i].want, queries[i].key);
		json_decref(v);
		free(text);
		free(key);
		free(value);
	}
}

static void
test_query_lists(void)
{
	char t[] = "t", a[] = "a", b[] = "b", c[] = "c", longkey[100], longvalue[1999];
	struct target_pair pairs[] = { { t, a }, { longkey, longvalue }, { t, b }, { t, c } };
	struct target target = { .count = 4, .query = pairs };
	json_t *v;

	memset(longkey, 'k', sizeof longkey);
	longkey[sizeof longkey - 1] = '\0';
	for (size_t i = 0; i + 3 < sizeof longvalue; i += 3)
		memcpy(longvalue + i, "\xe2\x82\xac", 3); /* 666 euro signs: 256 is inside of one */
	longvalue[1998] = '\0';
	v = audit_query(&target, 0, NULL);
	is_int(json_array_size(json_object_get(v, "t")), 3, "a key that comes again is a list");
	is_int(json_object_size(v), 2, "and one key");
	json_object_del(v, "t");
	is_int(strlen(json_object_iter_key(json_object_iter(v))), 67, "a long key is cut");
	is_int(json_string_length(json_object_iter_value(json_object_iter(v))), 258,
	    "a long value too, at a character's end");
	json_decref(v);
}

static int
count_record(void *arg, const json_t *record)
{
	json_int_t *last = arg;

	if (json_num(record, "seq", -1) <= *last)
		return 7;
	*last = json_num(record, "seq", -1);
	return 0;
}

static json_int_t
last_seq(const char *name, int want, struct err *e)
{
	char *path = scratch_path(name);
	json_int_t last = 0;

	is_int(audit_read(path, count_record, &last, e), want, "read back, seq rises");
	free(path);
	return last;
}

static struct audit *
open_audit(void)
{
	struct settings s;
	struct err e = { 0 };
	struct audit *a;

	settings_init(&s);
	free(s.audit_dir);
	s.audit_dir = scratch_path("log");
	a = audit_open(&s, -1, &e);
	ok(a != NULL, e.text);
	settings_done(&s);
	return a;
}

static int
write_one(struct audit *a, const char *id, const char *key, const char *value, struct err *e)
{
	json_t *v = json_pack("{s:s}", key, value);
	int rc = audit_write(a, id, v, e);

	json_decref(v);
	return rc;
}

static void
test_write(void)
{
	struct audit *a = open_audit();
	struct err e = { 0 };
	char *text;

	is_int(write_one(a, NULL, "path", "/a\xc3\xa9\x1b", &e), 0, "the host's log");
	is_int(write_one(a, task, "rule", "ping", &e), 0, "and a task's");
	is_int(write_one(a, "../../etc/passwd", "rule", "x", &e), -1, "a task is a namespace");
	text = scratch_read("log/audit.jsonl");
	ok(strstr(text, "\"seq\":1,\"prev\":\"0000") != NULL, "time, seq and prev first");
	ok(strstr(text, "0000\",\"path\":\"/a\\u00E9\\u001B\"}\n") != NULL, "ASCII");
	ok(strncmp(text, "{\"time\":\"20", 11) == 0 && text[32] == 'Z', "milliseconds, UTC");
	free(text);
	text = scratch_read("log/tasks/abcdefghijklmnopqrst.jsonl");
	ok(strstr(text, "\"seq\":2,\"prev\":") != NULL && strstr(text, ",\"rule\":\"ping\"}\n") != NULL &&
	        strchr(text, '\n')[1] == '\0',
	    "one record");
	free(text);
	audit_close(a);
	a = open_audit();
	is_int(write_one(a, task, "rule", "again", &e), 0, "after a restart");
	is_int(last_seq("log/audit.jsonl", 0, &e), 4, "seq goes on");
	audit_close(a);
}

/* A crash left half a line: the next record is whole, the damage is reported by number. */
static void
test_crash(void)
{
	struct err e = { 0 };
	struct audit *a;

	scratch_append("log/audit.jsonl", "{\"time\":\"2026-");
	a = open_audit();
	is_int(write_one(a, NULL, "rule", "x", &e), 0, "a record after half a line");
	is_int(last_seq("log/audit.jsonl", -1, &e), 6, "one that tells of it stands before it");
	is_int(e.code, EBADMSG, "damage is an error");
	ok(strstr(e.text, "has 1 damaged line, the first is line 5") != NULL, e.text);
	audit_close(a);
}

/* The disk takes only part of a line: the write fails, the next one starts on a line of its own. */
static void
test_short_write(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, full;
	struct err e = { 0 };
	struct audit *a = open_audit();
	char *text = scratch_read("log/audit.jsonl");

	full = (struct rlimit){ strlen(text) + 20, RLIM_INFINITY };
	free(text);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &full);
	is_int(write_one(a, NULL, "rule", "lost", &e), -1, "a record that is written in part is an error");
	is_int(e.code, ENOSPC, e.text);
	is_int(write_one(a, NULL, "rule", "lost too", &e), -1, "and one that is not written at all");
	setrlimit(RLIMIT_FSIZE, &none);
	is_int(write_one(a, NULL, "rule", "kept", &e), 0, "then there is room again");
	is_int(last_seq("log/audit.jsonl", -1, &e), 8, "a record tells of it, the sequence has no gap");
	ok(strstr(e.text, "has 2 damaged lines") != NULL, e.text);
	text = scratch_read("log/audit.jsonl");
	ok(strstr(text, "\"seq\":7,") != NULL &&
	        strstr(text, "\"what\":\"resumed\",\"refused\":2,\"torn\":{") != NULL,
	    "how many records there are not");
	free(text);
	audit_close(a);
}

static const json_t *
last_record(json_t **keep)
{
	char *text = scratch_read("log/audit.jsonl"), *line;
	struct err e;

	text[strlen(text) - 1] = '\0';
	line = strrchr(text, '\n') + 1;
	ok(strlen(line) < 4096, "not above 4 KiB");
	*keep = json_parse(line, strlen(line), &e);
	free(text);
	return *keep;
}

static void
test_long(void)
{
	struct audit *a = open_audit();
	struct err e = { 0 };
	char *big = mem_new(100001);
	json_t *v, *query = json_object(), *got;

	memset(big, 'x', 100000);
	v = json_pack("{s:s, s:s, s:[s, s]}", "rule", "ping", "path", big, "names", big, "short");
	is_int(audit_write(a, NULL, v, &e), 0, "a long record");
	last_record(&got);
	is_str(json_str(got, "rule", NULL), "ping", "short texts stay");
	ok(json_is_true(json_object_get(got, "cut")), "it says that it was cut");
	is_int(strlen(json_str(got, "path", "")), 1027, "long ones are cut");
	json_decref(got);
	json_decref(v);
	big[60] = '\0';
	for (int i = 0; i < 400; i++) {
		(void)sprintf(big, "%059d", i);
		json_object_set_new(query, big, json_integer(i));
	}
	v = json_pack("{s:s, s:o, s:s}", "rule", "ping", "query", query, "reason", "why");
	is_int(audit_write(a, NULL, v, &e), 0, "a record of too many keys");
	last_record(&got);
	is_str(json_str(got, "query", NULL), "(cut)", "the largest member goes");
	is_str(json_str(got, "reason", NULL), "why", "the others stay");
	json_decref(got);
	json_decref(v);
	free(big);
	audit_close(a);
}

static int
stop_at_two(void *arg, const json_t *record)
{
	(void)record;
	return ++*(int *)arg == 2 ? 42 : 0;
}

static void
test_read(void)
{
	char *path = scratch_path("log/audit.jsonl");
	struct err e = { 0 };
	int n = 0;

	is_int(audit_read(path, stop_at_two, &n, &e), 42, "a visit ends the reading");
	is_int(audit_read("/nonexistent", stop_at_two, &n, &e), -1, "no file");
	is_int(e.code, ENOENT, e.text);
	free(path);
}

int
main(void)
{
	scratch_make();
	test_query();
	test_call();
	test_query_lists();
	test_write();
	test_crash();
	test_short_write();
	test_long();
	test_read();
	scratch_remove();
	return tap_end();
}
