#include "artifact/taskcluster.h"

#include <signal.h>

#include "../../../src/artifact/taskcluster_private.h"
#include "base/mem.h"
#include "seed.h"
#include "standin_web.h"

#define CUT "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
#define JSON(text) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" text
#define NO(status, text) "HTTP/1.1 " status "\r\n\r\n" text
#define DENIED NO("401 Unauthorized", "{\"code\": \"AuthenticationFailed\", \"message\": \"Bad mac\\n\\nx\"}")

static const char credentials[] =
    "{\"clientId\": \"task-client/x\", \"accessToken\": \"t0ken\", \"certificate\": "
    "\"{\\\"version\\\": 1, \\\"expiry\\\": 1000}\"}";
static const char others[] = "{\"clientId\": \"task-client/y\", \"accessToken\": \"t0ken\"}";

/* --- pure parts */

static void
test_urls(void)
{
	static const struct {
		const char *root, *url;
		int good;
	} rows[] = {
		{ "https://tc", "https://bucket/x?X-Amz-Signature=1", 1 },
		{ "http://tc", "https://bucket/x", 1 },
		{ "http://tc", "http://bucket/x", 1 },
		{ "https://tc", "http://bucket/x", 0 }, /* no way down from https */
		{ "http://tc", "file:///etc/passwd", 0 },
		{ "http://tc", "", 0 },
		{ "http://tc", "http://bucket/a b", 0 },
		{ "http://tc", "http://bucket/\r\nx", 0 },
		{ "http://tc", "http://bucket/\xc3\xa4", 0 },
	};
	char *longest = mem_printf("https://x/%08200d", 0);
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		is_int(tc_data_url(rows[i].root, rows[i].url, &e) == 0, rows[i].good, "a URL");
		ok(strstr(e.text, "Signature") == NULL, "no query in the text");
	}
	ok(tc_data_url("http://tc", longest, &e) < 0, "more than 8 KiB");
	free(longest);
}

static void
test_headers(void)
{
	static const struct {
		const char *json, *want; /* NULL: refused */
	} rows[] = {
		{ "{}", "" },
		{ "{\"Content-Type\": \"application/zstd\", \"Content-Length\": \"10\", "
		  "\"Content-Encoding\": "
		  "\"identity\"}",
		    "Content-Type: application/zstd\nContent-Encoding: identity\n" },
		{ "{\"content-length\": \"10\"}", "" },
		{ "{\"Content-Length\": \"11\"}", NULL },
		{ "{\"Content-Length\": \"010\"}", NULL },
		{ "{\"Content-Length\": 10}", NULL },
		{ "{\"a\": \"b\\nHost: x\"}", NULL },
		{ "{\"a\": \"b\\r\"}", NULL },
		{ "{\"a b\": \"c\"}", NULL },
		{ "{\"a:\": \"c\"}", NULL },
		{ "{\"\": \"c\"}", NULL },
		{ "{\"a\": \"\"}", NULL }, /* libcurl would take the header away */
		{ "{\"Host\": \"x\"}", NULL },
		{ "{\"transfer-encoding\": \"chunked\"}", NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };
		json_t *v = json_parse(rows[i].json, strlen(rows[i].json), &e);
		char *got = tc_data_headers(v, 10, &e);

		is_str(got, rows[i].want, rows[i].json);
		free(got);
		json_decref(v);
	}
}

static void
test_judge(void)
{
	static const struct {
		unsigned status;
		const char *body;
		enum tc_data_end end;
		const char *says;
	} rows[] = {
		{ 200, "", TC_DATA_SENT, "" },
		{ 201, "", TC_DATA_SENT, "" },
		{ 200, "<Error><Code>InternalError</Code></Error>", TC_DATA_AGAIN,
		    "status 200 InternalError" },
		{ 200, "<html>", TC_DATA_AGAIN, "status 200" },
		{ 503, "", TC_DATA_AGAIN, "status 503" },
		{ 502, "<html>x</html>", TC_DATA_AGAIN, "status 502" },
		{ 429, "", TC_DATA_AGAIN, "status 429" },
		{ 501, "", TC_DATA_FAILED, "status 501" },
		{ 307, "", TC_DATA_FAILED, "status 307: redirects are not followed" },
		{ 400, "<Error><Code>RequestTimeout</Code><Message>idle</Message></Error>", TC_DATA_AGAIN,
		    "status 400 RequestTimeout: idle" },
		{ 400, "<Error><Code>EntityTooLarge</Code></Error>", TC_DATA_FAILED,
		    "status 400 EntityTooLarge" },
		{ 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", TC_DATA_FAILED,
		    "status 403 SignatureDoesNotMatch" },
		{ 403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
		    TC_DATA_EXPIRED, "status 403 AccessDenied: Request has expired" },
		{ 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
		    TC_DATA_FAILED, "status 403 AccessDenied: Access Denied" },
		{ 400, "<Error><Code>ExpiredToken</Code></Error>", TC_DATA_EXPIRED,
		    "status 400 ExpiredToken" },
		{ 403, "<Code>no end", TC_DATA_FAILED, "status 403" },
		{ 403, "<Code>a\nb</Code>", TC_DATA_FAILED, "status 403 a\\x0Ab" },
		{ 404, "", TC_DATA_FAILED, "status 404" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf body = { 0 };
		struct transfer_result r = {
			.end = TRANSFER_ANSWERED, .status = rows[i].status, .body = &body
		};
		struct err e = { 0 };

		buf_adds(&body, rows[i].body);
		is_int(tc_data_judge(&r, &e), rows[i].end, rows[i].says);
		ok(strcasecmp(e.text, rows[i].says) == 0, e.text);
		buf_done(&body);
	}
}

static void
test_keys(void)
{
	static const char *const bad[] = { "{}", "[]", "{\"clientId\": \"a\"}",
		"{\"clientId\": \"\", \"accessToken\": \"s3cret\"}",
		"{\"clientId\": \"a\", \"accessToken\": \"s3cret\", \"certificate\": \"s3cret\"}",
		"{\"clientId\": \"a\", \"accessToken\": \"s3cret\", \"certificate\": \"[]\"}", "s3cret", "" };
	char *path = scratch_path("key"), age[80];
	struct err e = { 0 };
	struct tc_key k;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		scratch_write("key", bad[i]);
		ok(tc_key_read(&k, path, &e) < 0 && strstr(e.text, "s3cret") == NULL, e.text);
		tc_key_done(&k);
	}
	scratch_write("key", credentials);
	is_int(tc_key_read(&k, path, &e), 0, "credentials of a task");
	tc_key_age(&k, 2000, age, sizeof age);
	is_str(age, "; they expired at 1970-01-01T00:00:01.000Z", "their end");
	tc_key_age(&k, 500, age, sizeof age);
	is_str(age, "", "not yet");
	tc_key_done(&k);
	free(path);
}

/* --- puts, to a deployment that says what the script says */

static struct outcome {
	int called;
	enum store_end end;
	char where[512], fault[16], why[600];
} out;

static void
on_end(void *arg, enum store_end end, const json_t *where, const struct err *why)
{
	(void)arg;
	out.called++;
	out.end = end;
	(void)snprintf(out.where, sizeof out.where, "%s", json_str(where, "url", ""));
	(void)snprintf(out.fault, sizeof out.fault, "%s", why->rule != NULL ? why->rule : "");
	(void)snprintf(out.why, sizeof out.why, "%s", end == STORE_DONE ? "" : why->text);
}

static const struct seed one = { "Task_A", "public/image.tar.zst", "some bytes", "2099-01-01T00:00:00Z", 0 };

static const struct row {
	const char *name, *type, *credentials;
	enum store_end end;
	const char *fault, *why;
	unsigned asked;
	struct web_step steps[6];
} rows[] = {
	{ "an answer that never comes", "s3", credentials, STORE_AGAIN, "service",
	    "createArtifact: too slow: 127.0.0.1", 1, { { WEB_SILENT, NULL, 0 } } },
	{ "half of an answer", "s3", credentials, STORE_AGAIN, "service",
	    "createArtifact: the connection was cut", 1, { { WEB_CLOSE, CUT, 0 } } },
	{ "any body is borne", "s3", credentials, STORE_AGAIN, "service",
	    "createArtifact: status 502 without a reason", 1,
	    { { WEB_CLOSE, NO("502 Bad", "<html>\xff"), 0 } } },
	{ "a code and a message that are none", "s3", credentials, STORE_FAILED, "worker",
	    "createArtifact: status 400 without a reason", 1,
	    { { WEB_CLOSE, NO("400 Bad", "{\"code\": 1, \"message\": []}"), 0 } } },
	{ "what a peer says is quoted, and only its first line", "s3", credentials, STORE_FAILED, "worker",
	    "createArtifact: status 400 a\\x1bb: c\\x07d", 1,
	    { { WEB_CLOSE, NO("400 Bad", "{\"code\": \"a\\u001bb\", \"message\": \"c\\u0007d\\ne\"}"),
	        0 } } },
	{ "no URL in the answer", "s3", credentials, STORE_AGAIN, "service",
	    "createArtifact: the URL for the upload is none", 1, { { WEB_CLOSE, JSON("{}"), 0 } } },
	{ "an object without its upload", "object", credentials, STORE_AGAIN, "service",
	    "createArtifact: the answer lacks one of name", 1,
	    { { WEB_CLOSE,
	        JSON("{\"name\": \"n\", \"projectId\": \"p\", \"uploadId\": \"u\", \"expires\": \"e\"}"),
	        0 } } },
	{ "credentials that are refused, and no others come", "s3", credentials, STORE_FAILED, "worker",
	    "createArtifact: the task's credentials were refused (status 401 AuthenticationFailed: Bad mac; "
	    "they "
	    "expired at 1970-01-01T00:00:01.000Z); the worker has sent no fresh credentials",
	    1, { { WEB_CLOSE, DENIED, 0 } } },
	{ "no credentials, and none come", "s3", NULL, STORE_FAILED, "worker",
	    "createArtifact: the task was registered without credentials; the worker has sent no fresh", 0,
	    { { WEB_CLOSE, DENIED, 0 } } },
	{ "credentials that are none", "s3", "{}", STORE_FAILED, "worker",
	    "createArtifact: the credentials have no clientId or no accessToken; the worker has sent no", 0,
	    { { WEB_CLOSE, DENIED, 0 } } },
	{ "a clientId that is no header", "s3", "{\"clientId\": \"a\\\"\", \"accessToken\": \"t0ken\"}",
	    STORE_FAILED, "worker", "createArtifact: the credentials' clientId is not printable ASCII", 0,
	    { { WEB_CLOSE, DENIED, 0 } } },
};

static char *task_dir;

static void
give(const char *text)
{
	struct err e = { 0 };
	char *file = mem_printf("%s/credentials.json", task_dir);

	if (fs_mkdirs(task_dir, 0700, &e) < 0 ||
	    (text != NULL && fs_replace(file, text, strlen(text), 0600, &e) < 0))
		ok(0, e.text);
	if (text == NULL)
		(void)unlink(file);
	free(file);
}

static struct store *
open_store(const struct web *w, const char *type)
{
	struct err e = { 0 };
	struct taskcluster *t;

	free(settings.store_type);
	free(settings.taskcluster_root);
	free(settings.taskcluster_storage);
	settings.store_type = mem_str("taskcluster");
	settings.taskcluster_root = mem_printf("http://127.0.0.1:%d/", w->port);
	settings.taskcluster_storage = mem_str(type);
	t = (struct taskcluster *)store_open(base, &settings, &e);
	if (t == NULL) {
		printf("Bail out! %s\n", e.text);
		exit(1);
	}
	t->poll = 5;
	t->patience = 60;
	transfers_hurry(t->transfers, 0, 300, 400);
	return &t->store;
}

static void
put(struct store *s, const struct seed *seed)
{
	char *data = scratch_path("data"), *note = scratch_path("upload.json");
	struct spool_record r;
	struct store_item item = { .record = &r, .data = data };

	(void)unlink(note);
	scratch_write("data", seed->bytes);
	seed_record(&r, seed);
	out = (struct outcome){ 0 };
	(void)store_put(s, &item, on_end, NULL);
	ok(out.called == 0, "never called from inside");
	event_base_dispatch(base);
	is_int(out.called, 1, "called once");
	ok(strstr(out.why, "t0ken") == NULL, "no secret in it");
	free(data);
	free(note);
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		struct web w;
		struct store *s;

		give(r->credentials);
		web_start(&w, r->steps, 6);
		s = open_store(&w, r->type);
		put(s, &one);
		is_int(out.end, r->end, r->name);
		is_str(out.fault, r->fault, r->name);
		if (!ok(strstr(out.why, r->why) == out.why, r->name))
			printf("#  got: %s\n# want: %s\n", out.why, r->why);
		is_int(atomic_load(&w.asked), r->asked, "requests");
		store_free(s);
		web_stop(&w);
	}
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	give(others);
}

/* Refused; others come while it waits; they are good. The task's end ends the waiting. */
static void
test_fresh(void)
{
	static const struct web_step steps[] = { { WEB_CLOSE, DENIED, 0 },
		{ WEB_CLOSE, NO("409 Conflict", "{\"code\": \"RequestConflict\", \"message\": \"over\"}"),
		    0 } };
	struct timeval soon = { 0, 20000 };
	struct event *later = evtimer_new(base, on_later, NULL);
	struct store *s;
	struct web w;
	struct err e;

	give(credentials);
	web_start(&w, steps, 2);
	s = open_store(&w, "s3");
	evtimer_add(later, &soon);
	put(s, &one);
	is_str(out.why, "createArtifact: status 409 RequestConflict: over", "the second answer counts");
	is_str(out.fault, "task", "whose fault");
	ok(strstr(w.requests[0].head, "id=\"task-client/x\"") != NULL, "with the first");
	ok(strstr(w.requests[1].head, "id=\"task-client/y\"") != NULL, "with the fresh ones");
	ok(fs_remove_tree(task_dir, &e) == 0, "the task has ended");
	put(s, &one);
	ok(strstr(out.why, "createArtifact: the task has ended, and its credentials went with it") == out.why,
	    out.why);
	is_str(out.fault, "worker", "whose fault");
	event_free(later);
	store_free(s);
	web_stop(&w);
}

static void
test_cancel(void)
{
	static const struct web_step steps[] = { { WEB_SILENT, NULL, 0 } };
	char *data = scratch_path("data");
	struct timeval soon = { 0, 50000 };
	struct spool_record r;
	struct store_item item = { .record = &r, .data = data };
	struct store_job *j;
	struct store *s;
	struct web w;

	give(credentials);
	web_start(&w, steps, 1);
	s = open_store(&w, "object");
	seed_record(&r, &one);
	for (int at = 0; at < 3; at++) {
		j = store_put(s, &item, on_end, NULL);
		out.called = 0;
		if (at == 1)
			event_base_loop(base, EVLOOP_NONBLOCK);
		if (at == 2) {
			event_base_loopexit(base, &soon);
			event_base_dispatch(base);
		}
		is_int(store_sent(s, j), 0, "nothing is through");
		store_cancel(s, j);
		event_base_loop(base, EVLOOP_NONBLOCK);
		is_int(out.called, 0, "no callback");
	}
	store_free(s);
	web_stop(&w);
	free(data);
}

static void
test_records(void)
{
	static const struct seed bad[] = {
		{ "Task_A", "public/../x.tar", "b", "2099-01-01T00:00:00Z", 0 },
		{ "Task_A", "public/image.tar", "b", NULL, 0 },
		{ "Task_A", "public/image.tar", "b", "tomorrow", 0 },
		{ "Task_A", "public/image.tar", "b", "2001-01-01T00:00:00Z", 0 },
	};
	static const char *const whose[] = { "task", "worker", "worker", "task" };
	static const struct web_step none = { WEB_CLOSE, NULL, 0 };
	struct store *s;
	struct web w;

	web_start(&w, &none, 1);
	s = open_store(&w, "s3");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put(s, &bad[i]);
		is_int(out.end, STORE_FAILED, out.why);
		is_str(out.fault, whose[i], out.why);
	}
	is_int(atomic_load(&w.asked), 0, "nobody was asked");
	store_free(s);
	web_stop(&w);
}

static void
test_settings(void)
{
	static const char *const bad[] = { "", "tc.example.com", "ftp://x", "https://", "https://a b",
		"https://x/?y" };
	struct err e = { 0 };
	struct buf text = { 0 };
	struct store *s;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		free(settings.taskcluster_root);
		settings.taskcluster_root = mem_str(bad[i]);
		ok(store_open(base, &settings, &e) == NULL && strstr(e.text, "store.taskcluster.rootUrl"),
		    e.text);
	}
	free(settings.taskcluster_root);
	settings.taskcluster_root = mem_str("https://tc.example.com//");
	s = store_open(base, &settings, &e);
	store_describe(s, &text);
	is_str(buf_text(&text), "Taskcluster https://tc.example.com, storage type s3", "for the log");
	is_int(store_sweep(s, &e), 0, "nothing to sweep");
	buf_done(&text);
	store_free(s);
}

int
main(void)
{
	struct spool_record r;

	signal(SIGPIPE, SIG_IGN);
	seed_start();
	seed_record(&r, &one);
	task_dir = mem_printf("%s/tasks/%s", settings.state_dir, r.session);
	test_urls();
	test_headers();
	test_judge();
	test_keys();
	test_rows();
	test_fresh();
	test_cancel();
	test_records();
	test_settings();
	free(task_dir);
	return seed_end();
}
