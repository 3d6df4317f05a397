/* What the way out of the stores makes of foreign bytes: pure parts. */

#include "../../../src/artifact/fetch_private.h"
#include "../../../src/artifact/taskcluster_private.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/reference.h"
#include "tap.h"

static void
test_content_range(void)
{
	static const struct {
		const char *text, *got;
	} rows[] = {
		{ "bytes 5-9/10", "5 9 10" },
		{ "bytes 0-0/1", "0 0 1" },
		{ "bytes 0-999999999999999998/999999999999999999",
		    "0 999999999999999998 999999999999999999" },
		{ "bytes 5-9/*", "" },
		{ "bytes 9-5/10", "" },
		{ "bytes 5-10/10", "" },
		{ "bytes */10", "" },
		{ "bytes 5-9/10 ", "" },
		{ "bytes 5-9/10/11", "" },
		{ "bytes +5-9/10", "" },
		{ "bytes 0x5-9/10", "" },
		{ "bytes 5-9999999999999999999/99999999999999999999", "" },
		{ "items 5-9/10", "" },
		{ "bytes", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t from, to, total;
		char got[80] = "";

		if (pull_parse_range(rows[i].text, &from, &to, &total) == 0)
			(void)snprintf(got, sizeof got, "%llu %llu %llu", (unsigned long long)from,
			    (unsigned long long)to, (unsigned long long)total);
		is_str(got, rows[i].got, rows[i].text);
	}
}

static void
test_range(void)
{
	static const struct {
		uint64_t offset, length;
		const char *want;
	} rows[] = { { 0, 0, "" }, { 0, 1, "bytes=0-0" }, { 5, 0, "bytes=5-" }, { 5, 10, "bytes=5-14" } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct source_range r = { .offset = rows[i].offset, .length = rows[i].length };
		char got[SOURCE_RANGE_MAX];

		source_range_print(&r, got);
		is_str(got, rows[i].want, "a range");
	}
}

static void
test_index(void)
{
	static const char *const good[] = { "a", "project.images.v2.app.latest", "a-b_c.!~*'()%" };
	static const char *const bad[] = { "", ".", "a..b", ".a", "a.", "a/b", "../a", "a b", "a\nb",
		"\xc3\xa4" };
	char *longest = mem_printf("%0240d", 0), *longer = mem_printf("%0241d", 0);
	struct err e;

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		is_int(source_check_index(good[i], &e), 0, good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		is_int(source_check_index(bad[i], &e), -1, "no namespace");
		is_int(e.status, 400, "said to the task");
		is_str(e.rule, "task", "whose fault it is");
	}
	is_int(source_check_index(longest, &e), 0, "240 bytes");
	is_int(source_check_index(longer, &e), -1, "241 bytes");
	free(longest);
	free(longer);
}

static void
test_index_entry(void)
{
	static const struct {
		const char *text, *task_id;
		int64_t run_id;
	} rows[] = {
		{ "{\"taskId\": \"T\"}", "T", -1 },
		{ "{\"taskId\": \"T\", \"runId\": 3, \"rank\": 1}", "T", 3 },
		{ "{\"taskId\": 1}", NULL, 0 },
		{ "{}", NULL, 0 },
		{ "[]", NULL, 0 },
		{ "<html>", NULL, 0 },
		{ "", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct source_place p;
		struct err e;
		int rc = source_read_index(&p, rows[i].text, strlen(rows[i].text), &e);

		is_str(p.task_id, rows[i].task_id, rows[i].text);
		is_int(rc, rows[i].task_id != NULL ? 0 : -1, "taken or not");
		if (rc == 0)
			is_int(p.run_id, rows[i].run_id, "its run");
		free(p.task_id);
	}
}

static json_t *
parse(const char *text)
{
	struct err e;

	return json_parse(text, strlen(text), &e);
}

static void
test_runs(void)
{
	static const struct {
		const char *text;
		int64_t run;
		int status;
	} rows[] = {
		{ "{\"status\": {\"runs\": [{\"runId\": 0}, {\"runId\": 1, \"state\": \"pending\"}]}}", 1,
		    0 },
		{ "{\"status\": {\"runs\": []}}", -1, 404 },
		{ "{\"status\": {}}", -1, 404 },
		{ "{}", -1, 404 },
		{ "{\"status\": {\"runs\": [{\"runId\": -4}]}}", -1, 502 },
		{ "{\"status\": {\"runs\": [{\"runId\": 99999999999}]}}", -1, 502 },
		{ "{\"status\": {\"runs\": [{\"runId\": \"1\"}]}}", -1, 502 },
		{ "{\"status\": {\"runs\": [7]}}", -1, 502 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *v = parse(rows[i].text);
		struct err e = { 0 };

		is_int(tc_find_run(v, &e), rows[i].run, rows[i].text);
		is_int(e.status, rows[i].status, "status");
		json_decref(v);
	}
}

static void
test_content(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *holds;
	} rows[] = {
		{ "{\"storageType\": \"s3\", \"url\": \"https://b/x?s=1\"}", 1, "" },
		{ "{\"storageType\": \"s3\", \"url\": \"http://b/x\"}", -1, "not https" },
		{ "{\"storageType\": \"s3\"}", -1, "none" },
		{ "{\"storageType\": \"object\", \"name\": \"a/b\", \"credentials\": {\"clientId\": \"c\", "
		  "\"accessToken\": \"t\"}}",
		    0, "" },
		{ "{\"storageType\": \"object\", \"credentials\": {}}", -1, "without a name" },
		{ "{\"storageType\": \"object\", \"name\": \"a\"}", -1, "clientId" },
		{ "{\"storageType\": \"error\", \"reason\": \"r\", \"message\": \"m\\u001b\"}", -1,
		    "error: r: m\\x1b" },
		{ "{\"storageType\": \"reference\", \"url\": \"http://169.254.169.254/\"}", -1,
		    "not fetched from the host's network" },
		{ "{\"storageType\": \"link\"}", -1, "'link'; expected s3 or object" },
		{ "{}", -1, "''; expected" },
	};
	struct taskcluster home = { .root = (char *)(uintptr_t) "https://tc" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct tc_source *s = tc_source_new(&home);
		json_t *v = parse(rows[i].text);
		struct tc_key key = { 0 };
		struct err e = { 0 };
		char *name = NULL;

		is_int(tc_find_content(s, v, &name, &key, &e), rows[i].rc, rows[i].text);
		ok(strstr(e.text, rows[i].holds) != NULL, e.text);
		ok((name != NULL && key.id != NULL) == (rows[i].rc == 0),
		    "what the object service is asked with");
		free(name);
		tc_key_done(&key);
		json_decref(v);
		tc_source_free(&s->source);
	}
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define URL "\"method\": \"getUrl\", \"url\": \"https://b/x\""

static void
test_download(void)
{
	static const struct {
		const char *text, *sha256, *sha512;
		int rc;
	} rows[] = {
		{ "{" URL ", \"hashes\": {\"sha256\": \"" HEX64 "\", \"md5\": \"x\"}}", HEX64, NULL, 0 },
		{ "{" URL ", \"hashes\": {\"sha512\": \"" HEX64 HEX64 "\"}}", NULL, HEX64 HEX64, 0 },
		{ "{" URL ", \"hashes\": {\"sha256\": \"" HEX64 "0\"}}", NULL, NULL, -1 },
		{ "{" URL ", \"hashes\": {\"sha256\": \"G\"}}", NULL, NULL, -1 },
		{ "{" URL ", \"hashes\": {\"md5\": \"x\"}}", NULL, NULL, -1 },
		{ "{" URL "}", NULL, NULL, -1 },
		{ "{\"method\": \"simple\", \"url\": \"https://b/x\"}", NULL, NULL, -1 },
		{ "{\"method\": \"getUrl\", \"url\": \"file:///etc/passwd\"}", NULL, NULL, -1 },
		{ "{}", NULL, NULL, -1 },
	};
	struct taskcluster home = { .root = (char *)(uintptr_t) "https://tc" };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct tc_source *s = tc_source_new(&home);
		json_t *v = parse(rows[i].text);
		struct err e = { 0 };

		is_int(tc_find_download(s, v, &e), rows[i].rc, rows[i].text);
		is_str(s->source.sha256, rows[i].sha256, "sha256");
		is_str(s->source.sha512, rows[i].sha512, "sha512");
		json_decref(v);
		tc_source_free(&s->source);
	}
}

/* --- what is left out */

enum { MIB = 1024 * 1024 };

/* An image of three layers of a MiB each, and its index. */
static struct frames *
make_index(struct buf *tail)
{
	struct frames *f = mem_new(sizeof *f);
	struct err e = { 0 };

	(void)snprintf(f->image_id, sizeof f->image_id, "sha256:%s", HEX64);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(f->layers[i], sizeof f->layers[i], "sha256:%064u", i + 1);
		f->layer_count = i + 1;
		frames_add(f, MIB, 2 * MIB, HEX64, f->layers[i]);
	}
	frames_add(f, 1000, 10240, HEX64, NULL);
	is_int(frames_print(f, tail, &e), 0, "an index");
	return f;
}

static json_t *
chains_of(const struct frames *f, size_t from, size_t to)
{
	char chain[REFERENCE_ID_MAX] = "";
	json_t *v = json_array();

	for (size_t i = 0; i < to; i++) {
		reference_chain(chain, f->layers[i]);
		if (i >= from)
			json_array_append_new(v, json_string(chain));
	}
	return v;
}

static void
test_plan(void)
{
	static const struct {
		size_t from, to;
		int rc;
		size_t kept;
	} rows[] = {
		{ 0, 0, 0, 0 }, { 0, 1, 1, 1 }, { 0, 2, 1, 2 }, { 0, 3, 1, 3 },
		{ 1, 3, 0, 0 }, /* the base is not there: what lies on it is of no use */
	};
	struct buf tail = { 0 };
	struct frames *made = make_index(&tail), *f = mem_new(sizeof *f);
	uint64_t size = made->index_offset + buf_len(&tail);
	struct frames_plan plan;
	char note[300];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *chains = chains_of(made, rows[i].from, rows[i].to);

		is_int(errand_plan(f, &plan, &tail, size, chains, note, sizeof note), rows[i].rc, note);
		if (rows[i].rc == 1)
			is_int(plan.kept, rows[i].kept, "layers that are left out");
		json_decref(chains);
	}
	json_t *one = json_pack("[s, i, n]", made->layers[0], 1);

	is_int(
	    errand_plan(f, &plan, &tail, size, one, note, sizeof note), 1, "the base's chain is its diff id");
	is_int(errand_plan(f, &plan, &tail, size + 1, one, note, sizeof note), 0, "of another file");
	tail.data[tail.tail - 1] ^= 1;
	is_int(errand_plan(f, &plan, &tail, size, one, note, sizeof note), 0, "no index");
	json_decref(one);
	buf_done(&tail);
	free(made);
	free(f);
}

int
main(void)
{
	test_content_range();
	test_range();
	test_index();
	test_index_entry();
	test_runs();
	test_content();
	test_download();
	test_plan();
	return tap_end();
}
