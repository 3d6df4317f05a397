#include "task/want.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/json.h"
#include "scratch.h"
#include "tap.h"

#define A "0123456789abcdef"
#define B "00000000000000ff"
#define NS "abcdefghijklmnopqrst"

static json_t *
request(const char *text)
{
	struct err e;

	return json_parse(text, strlen(text), &e);
}

static int
there(enum want_state state, const char *id, const char *file)
{
	char *path = want_path(scratch, state, id, file);
	int rc = access(path, F_OK) == 0;

	free(path);
	return rc;
}

static void
test_parse(void)
{
	static const struct {
		const char *text;
		int good;
	} rows[] = {
		{ "{\"taskId\": \"T\", \"runId\": -1, \"name\": \"a.tar\", \"session\": \"" NS "\"}", 1 },
		{ "{\"index\": \"a.b\", \"name\": \"a.tar\", \"session\": \"" NS "\"}", 1 },
		{ "{\"get\": true, \"taskId\": \"T\", \"runId\": 0, \"name\": \"a\", \"session\": \"" NS
		  "\"}",
		    1 },
		{ "{\"get\": true, \"taskId\": \"T\", \"name\": \"a\", \"session\": \"" NS "\"}", 0 },
		{ "{\"taskId\": \"T\", \"index\": \"a\", \"name\": \"a\", \"session\": \"" NS "\"}", 0 },
		{ "{\"name\": \"a\", \"session\": \"" NS "\"}", 0 },
		{ "{\"taskId\": \"T\", \"session\": \"" NS "\"}", 0 },
		{ "{\"taskId\": \"T\", \"name\": \"a\", \"session\": \"../../etc\"}", 0 },
		{ "{\"taskId\": \"T\", \"name\": \"a\"}", 0 },
		{ "{\"taskId\": \"T\", \"runId\": -2, \"name\": \"a\", \"session\": \"" NS "\"}", 0 },
		{ "{\"taskId\": \"T\", \"runId\": 9999999999, \"name\": \"a\", \"session\": \"" NS "\"}", 0 },
		{ "[]", 0 },
		{ "7", 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *v = request(rows[i].text);
		struct want w;
		struct err e;

		is_int(want_parse(&w, v, &e) == 0, rows[i].good, rows[i].text);
		want_done(&w);
		json_decref(v);
	}
}

static void
test_ids(void)
{
	static const char *const bad[] = { "", "..", "0123456789abcde", "0123456789abcdeg",
		"0123456789ABCDEF", "0123456789abcdef0", "../../../../etcx" };
	json_t *v = json_object();
	struct err e;

	ok(want_is_id(A) && !want_is_id(NULL), "an id");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct want w;

		ok(!want_is_id(bad[i]) && want_path(scratch, WANT_TAKEN, bad[i], NULL) == NULL, "no id");
		ok(want_ask(scratch, bad[i], v, NULL, &e) < 0 && e.code == EINVAL, "asks nothing");
		ok(want_move(scratch, bad[i], WANT_ASKED, WANT_TAKEN, &e) < 0 && e.code == EINVAL,
		    "moves nothing");
		ok(want_remove(scratch, bad[i], &e) < 0 && e.code == EINVAL, "removes nothing");
		ok(want_read(scratch, bad[i], &w, &e) < 0 && want_result(scratch, bad[i], &e) == NULL,
		    "reads nothing");
		ok(want_end(scratch, bad[i], v, &e) < 0 && e.code == EINVAL, "ends nothing");
	}
	json_decref(v);
}

static void
test_life(void)
{
	json_t *v = request("{\"taskId\": \"T\", \"name\": \"a.tar\", \"session\": \"" NS "\"}");
	json_t *keys = json_pack("{s:s,s:s}", "clientId", "c", "accessToken", "t");
	json_t *wrong = json_pack("{s:i}", "clientId", 1), *result;
	struct want w;
	struct stat st;
	struct err e = { 0 };
	char *path;

	ok(want_ask(scratch, A, v, wrong, &e) < 0 && e.status == 400, "credentials that are none");
	ok(!there(WANT_NEW, A, NULL) && !there(WANT_ASKED, A, NULL), "leave nothing");
	is_int(want_ask(scratch, A, v, keys, &e), 0, "asked");
	path = want_path(scratch, WANT_ASKED, A, "credentials.json");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "credentials are the owner's alone");
	free(path);
	is_int(want_shown(scratch, A), -1, "no sign of life yet");
	is_int(want_move(scratch, A, WANT_ASKED, WANT_TAKEN, &e), 0, "taken");
	ok(want_move(scratch, A, WANT_ASKED, WANT_TAKEN, &e) < 0 && e.code == ENOENT, "only once");
	want_show(scratch, A, 5, 10);
	ok(want_shown(scratch, A) > 0, "a sign of life");
	is_int(want_read(scratch, A, &w, &e), 0, "read");
	is_str(w.task_id, "T", "its taskId");
	want_done(&w);
	result = json_pack("{s:s}", "state", "found");
	is_int(want_end(scratch, A, result, &e), 0, "ended");
	json_decref(result);
	ok(there(WANT_ENDED, A, "result.json") && !there(WANT_ENDED, A, "credentials.json"),
	    "the credentials are gone by then");
	result = want_result(scratch, A, &e);
	is_str(json_str(result, "state", ""), "found", "the result");
	json_decref(result);
	is_int(want_remove(scratch, A, &e), 0, "removed");
	is_int(want_remove(scratch, A, &e), 0, "twice is fine");
	ok(want_result(scratch, A, &e) == NULL && e.code == ENOENT, "nothing is left");
	json_decref(v);
	json_decref(keys);
	json_decref(wrong);
}

static int
is_b(void *arg, const char *id)
{
	(void)arg;
	return strcmp(id, B) == 0;
}

static void
test_sweep(void)
{
	json_t *v = json_object();
	struct err e = { 0 };
	char *strange = mem_printf("%s/fetch/asked/strange", scratch);

	(void)mkdir(strange, 0700);
	is_int(want_ask(scratch, A, v, NULL, &e), 0, "asked");
	is_int(want_ask(scratch, B, v, NULL, &e), 0, "asked");
	is_int(want_move(scratch, B, WANT_ASKED, WANT_TAKEN, &e), 0, "taken");
	is_int(want_sweep(scratch, is_b, NULL, &e), 0, "sweep");
	ok(!there(WANT_ASKED, A, NULL) && there(WANT_TAKEN, B, NULL), "what is known stays");
	is_int(want_sweep(scratch, NULL, NULL, &e), 0, "all of it");
	ok(!there(WANT_TAKEN, B, NULL), "is gone");
	ok(access(strange, F_OK) == 0, "what has no id of ours is not ours");
	free(strange);
	json_decref(v);
}

int
main(void)
{
	struct err e = { 0 };

	scratch_make();
	is_int(want_make_dirs(scratch, &e), 0, "directories");
	is_int(want_make_dirs(scratch, &e), 0, "again is fine");
	test_parse();
	test_ids();
	test_life();
	test_sweep();
	scratch_remove();
	return tap_end();
}
