#include "control/api.h"

#include "base/buf.h"
#include "base/err.h"
#include "standin_life.h"
#include "tap.h"

static const struct {
	enum http_method method;
	const char *target;
	int status; /* 0 = found */
	enum api_id id;
	const char *task; /* or a word of the refusal */
} rows[] = {
	{ HTTP_POST, "/v1/tasks", 0, API_TASK_START, "" },
	{ HTTP_GET, "/v1/tasks", 0, API_TASK_LIST, "" },
	{ HTTP_GET, "/v1/tasks/abcdefghij234567abcd", 0, API_TASK_SHOW, "abcdefghij234567abcd" },
	{ HTTP_GET, "/v1/tasks/1Q6u4QNOSEe6H9sE3Yhkjw/0", 0, API_TASK_SHOW, "1Q6u4QNOSEe6H9sE3Yhkjw/0" },
	{ HTTP_GET, "/v1/tasks/A_-b", 0, API_TASK_SHOW, "A_-b" },
	{ HTTP_PUT, "/v1/tasks/abc/credentials", 0, API_TASK_CREDENTIALS, "abc" },
	{ HTTP_PUT, "/v1/tasks/abc/12/credentials", 0, API_TASK_CREDENTIALS, "abc/12" },
	{ HTTP_POST, "/v1/tasks/abc/finish", 0, API_TASK_FINISH, "abc" },
	{ HTTP_POST, "/v1/tasks/abc/0/finish", 0, API_TASK_FINISH, "abc/0" },
	{ HTTP_GET, "/v1/tasks/abc/artifacts", 0, API_TASK_ARTIFACTS, "abc" },
	{ HTTP_DELETE, "/v1/tasks/abc", 0, API_TASK_END, "abc" },
	{ HTTP_POST, "/v1/images/load", 0, API_IMAGE_LOAD, "" },
	{ HTTP_POST, "/v1/explain", 0, API_EXPLAIN, "" },
	{ HTTP_GET, "/healthz", 0, API_HEALTHZ, "" },
	{ HTTP_GET, "/readyz", 0, API_READYZ, "" },
	{ HTTP_GET, "/metrics", 0, API_METRICS, "" },
	/* other methods name the good ones */
	{ HTTP_PUT, "/v1/tasks", 405, 0, "POST, GET" },
	{ HTTP_POST, "/v1/tasks/abc", 405, 0, "GET, DELETE" },
	{ HTTP_HEAD, "/healthz", 405, 0, "GET" },
	{ HTTP_NONE, "/v1/explain", 405, 0, "POST" },
	/* other paths */
	{ HTTP_GET, "/", 404, 0, "no '/'" },
	{ HTTP_GET, "/v1/tasks/", 404, 0, "no '/v1/tasks/'" },
	{ HTTP_GET, "/v1/tasks//", 404, 0, "no" },
	{ HTTP_GET, "/v1/tasks/abc/", 404, 0, "no" },
	{ HTTP_GET, "/v1/tasks/../x", 404, 0, "no" },
	{ HTTP_GET, "/v1/tasks/a%2fb", 404, 0, "no" },
	{ HTTP_GET, "/v1/tasks/abc/0/0", 404, 0, "no" },
	{ HTTP_GET, "/v1/tasks/abc/0x", 404, 0, "no" },
	{ HTTP_GET, "/v1//tasks", 404, 0, "no" },
	{ HTTP_GET, "/V1/tasks", 404, 0, "no" },
	{ HTTP_GET, "/v1.41/images/json", 404, 0, "not a Docker engine" },
	{ HTTP_GET, "/_ping", 404, 0, "not a Docker engine" },
	{ HTTP_GET, "/\x1b[31m", 404, 0, "\\x1b" },
	{ HTTP_GET, "", 404, 0, "no" },
	/* an id that is too long: 130 bytes */
	{ HTTP_GET,
	    "/v1/tasks/"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    404, 0, "no" },
	/* a query */
	{ HTTP_GET, "/v1/tasks?all=1", 400, 0, "no query" },
	{ HTTP_GET, "/v1/tasks/abc?", 400, 0, "no query" },
	{ HTTP_GET, "/v1/tasks/abc/0?x", 400, 0, "no query" },
	{ HTTP_GET, "/nothing?x", 404, 0, "no '/nothing'" },
};

static void
finds(size_t i)
{
	struct api_call call = { 0 };
	struct err e;
	char name[256];
	int rc;

	err_clear(&e);
	rc = api_find(rows[i].method, rows[i].target, &call, &e);
	snprintf(name, sizeof name, "%s %.60s", http_method_name(rows[i].method), rows[i].target);
	if (rows[i].status == 0)
		ok(rc == 0 && call.row->id == rows[i].id && strcmp(call.id, rows[i].task) == 0, name);
	else if (!ok(rc < 0 && e.status == rows[i].status && e.rule != NULL && strstr(e.text, rows[i].task),
	             name))
		printf("# %d %s\n", e.status, e.text);
}

static char *said;
static int said_status;

static void
on_answer(void *arg, int status, json_t *answer)
{
	(void)arg;
	said_status = status;
	said = answer != NULL ? json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(answer);
}

static void
runs(enum http_method method, const char *target, const char *want)
{
	json_t *body = json_pack("{s:i}", "a", 1);
	struct life life = { 0 };
	struct api_call call;
	struct err e;

	if (api_find(method, target, &call, &e) == 0)
		api_run(&life, &call, call.row->body ? body : NULL, on_answer, NULL);
	is_str(said, want, target);
	free(said);
	said = NULL;
	json_decref(body);
}

int
main(void)
{
	struct buf doc = { 0 };
	size_t count;
	const struct api_row *all = api_rows(&count);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		finds(i);
	runs(HTTP_POST, "/v1/tasks", "{\"verb\":\"start\",\"id\":\"\",\"body\":{\"a\":1}}");
	runs(HTTP_GET, "/v1/tasks", "{\"verb\":\"list\",\"id\":\"\"}");
	runs(HTTP_GET, "/v1/tasks/x/1", "{\"verb\":\"show\",\"id\":\"x/1\"}");
	runs(HTTP_PUT, "/v1/tasks/x/credentials", NULL);
	is_int(said_status, 204, "credentials answer 204");
	runs(HTTP_POST, "/v1/tasks/x/finish", "{\"verb\":\"finish\",\"id\":\"x\"}");
	runs(HTTP_GET, "/v1/tasks/x/artifacts", "{\"verb\":\"artifacts\",\"id\":\"x\"}");
	runs(HTTP_DELETE, "/v1/tasks/x", "{\"verb\":\"end\",\"id\":\"x\"}");
	runs(HTTP_POST, "/v1/images/load", "{\"verb\":\"load\",\"id\":\"\",\"body\":{\"a\":1}}");
	runs(HTTP_POST, "/v1/explain", "{\"verb\":\"explain\",\"id\":\"\",\"body\":{\"a\":1}}");
	runs(HTTP_GET, "/healthz", "{\"ok\":true}");
	runs(HTTP_GET, "/readyz", "{\"verb\":\"ready\",\"id\":\"\"}");
	runs(HTTP_GET, "/metrics", "\"dind_tasks 2\\n\"");
	api_doc(&doc);
	for (size_t i = 0; i < count; i++)
		ok(strstr(buf_text(&doc), all[i].path) != NULL, all[i].path);
	buf_done(&doc);
	return tap_end();
}
