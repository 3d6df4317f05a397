#include "cli/start.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

static const struct {
	const char *name, *file, *task_id, *run_id;
	const char *body; /* or a part of the error */
	int good;
} rows[] = {
	{ "the body itself", "{\"taskId\":\"T\",\"runId\":3,\"payload\":{},\"limits\":{\"builds\":1}}", NULL,
	    NULL, "{\"taskId\":\"T\",\"runId\":3,\"payload\":{},\"limits\":{\"builds\":1}}", 1 },
	{ "the body without a run", "{\"taskId\":\"T\",\"payload\":{}}", NULL, NULL,
	    "{\"taskId\":\"T\",\"payload\":{},\"runId\":0}", 1 },
	{ "options win", "{\"taskId\":\"T\",\"runId\":3,\"payload\":{}}", "U", "4",
	    "{\"taskId\":\"U\",\"runId\":4,\"payload\":{}}", 1 },
	{ "a claim",
	    "{\"status\":{\"taskId\":\"T\",\"x\":1},\"runId\":2,\"workerId\":\"w\",\"task\":{\"payload\":{"
	    "\"a\":1},"
	    "\"scopes\":[\"s\"],\"expires\":\"e\",\"metadata\":{}},\"credentials\":{\"clientId\":\"c\"}}",
	    NULL, NULL,
	    "{\"taskId\":\"T\",\"runId\":2,\"payload\":{\"a\":1},\"scopes\":[\"s\"],\"expires\":\"e\","
	    "\"credentials\":{"
	    "\"clientId\":\"c\"}}",
	    1 },
	{ "a definition", "{\"payload\":{\"a\":1},\"scopes\":[],\"metadata\":{}}", "T", NULL,
	    "{\"payload\":{\"a\":1},\"scopes\":[],\"taskId\":\"T\",\"runId\":0}", 1 },
	{ "a definition without an id", "{\"payload\":{}}", NULL, NULL, "give --task-id", 0 },
	{ "no payload", "{\"taskId\":\"T\"}", NULL, NULL, "no \"payload\"", 0 },
	{ "a claim without a payload", "{\"task\":{},\"status\":{\"taskId\":\"T\"}}", NULL, NULL,
	    "no \"payload\"", 0 },
	{ "no object", "[1]", NULL, NULL, "no \"payload\"", 0 },
	{ "a run that is no number", "{\"payload\":{}}", "T", "1x", "--run-id takes a number", 0 },
	{ "a negative run", "{\"payload\":{}}", "T", "-1", "--run-id takes a number", 0 },
	{ "an empty run", "{\"payload\":{}}", "T", "", "--run-id takes a number", 0 },
};

static void
makes(size_t i)
{
	json_t *file = json_loads(rows[i].file, 0, NULL), *body;
	char *text = NULL;
	struct err e;

	body = start_body(file, rows[i].task_id, rows[i].run_id, &e);
	if (rows[i].good) {
		text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
		is_str(text, rows[i].body, rows[i].name);
	} else if (!ok(body == NULL && strstr(e.text, rows[i].body) != NULL, rows[i].name))
		printf("# %s\n", e.text);
	free(text);
	json_decref(body);
	json_decref(file);
}

static const struct {
	const char *answer, *args; /* NULL: refused */
} lines[] = {
	{ "{\"mounts\":[{\"source\":\"/s\",\"target\":\"/var/run/docker.sock\",\"readOnly\":true}],"
	  "\"env\":{\"DOCKER_BUILDKIT\":\"0\",\"DOCKER_HOST\":\"unix:///var/run/docker.sock\"}}",
	    "-v /s:/var/run/docker.sock:ro -e DOCKER_BUILDKIT=0 -e DOCKER_HOST=unix:///var/run/docker.sock" },
	{ "{\"mounts\":[{\"source\":\"/s\",\"target\":\"/t\"},{\"source\":\"/u\",\"target\":\"/v\"}]}",
	    "-v /s:/t -v /u:/v" },
	{ "{\"env\":{\"A\":\"\"}}", "-e A=" },
	{ "{}", "" },
	{ "{\"mounts\":[{\"source\":\"/s p\",\"target\":\"/t\"}]}", NULL },
	{ "{\"mounts\":[{\"source\":\"/s\",\"target\":\"/$(id)\"}]}", NULL },
	{ "{\"env\":{\"A\":\"x;y\"}}", NULL },
	{ "{\"env\":{\"A B\":\"x\"}}", NULL },
};

static void
prints(size_t i)
{
	json_t *answer = json_loads(lines[i].answer, 0, NULL);
	struct buf out = { 0 };
	struct err e;
	int rc = start_docker_args(answer, &out, &e);

	is_str(rc < 0 ? NULL : buf_text(&out), lines[i].args, lines[i].answer);
	buf_done(&out);
	json_decref(answer);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		makes(i);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		prints(i);
	return tap_end();
}
