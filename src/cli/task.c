#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/start.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

enum { FILE_MAX = 1024 * 1024 }; /* as the service takes it */

char *
verb_task_path(const struct cli *c, const char *behind, struct err *e)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-/";
	const char *id = c->words[0];

	if (id[0] == '\0' || id[strspn(id, plain)] != '\0') {
		err_set(e, EINVAL, "an ID is what 'dindctl task list' shows, a taskId, or taskId/runId");
		return NULL;
	}
	return mem_printf("/v1/tasks/%s%s", id, behind);
}

/* A file of at most 1 MiB, or standard input for "-". */
int
verb_read_file(const struct cli *c, const char *file, struct buf *out, struct err *e)
{
	size_t n;

	if (strcmp(file, "-") != 0)
		return fs_read(file, FILE_MAX, out, e);
	if (isatty(fileno(c->in)))
		fputs("dindctl: reads JSON from the terminal; Ctrl-D ends it\n", c->err);
	do {
		if (buf_len(out) > FILE_MAX)
			return err_set(e, EFBIG, "standard input is larger than 1 MiB");
		n = fread(buf_reserve(out, 65536), 1, 65536, c->in);
		buf_commit(out, n);
	} while (n > 0);
	return ferror(c->in) ? err_set(e, EIO, "cannot read standard input") : 0;
}

json_t *
verb_read_json(const struct cli *c, const char *file, struct err *e)
{
	struct buf b = { 0 };
	json_t *value = NULL;

	if (verb_read_file(c, file, &b, e) == 0) {
		value = json_parse(buf_text(&b), buf_len(&b), e);
		if (value == NULL)
			err_wrap(e, "'%s' is not JSON", strcmp(file, "-") == 0 ? "standard input" : file);
	}
	if (b.data != NULL)
		mem_wipe(b.data, b.cap); /* it may hold credentials */
	buf_done(&b);
	return value;
}

/* One call to the service. */
static int
call(const struct cli *c, const char *method, const char *path, const json_t *body, json_t **answer,
    struct err *e)
{
	struct client *k = client_new(c, e);
	int rc = k == NULL ? -1 : client_call(k, method, path, body, answer, e);

	client_free(k);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

/* One call about the task that the first word names. */
static int
call_task(
    struct cli *c, const char *method, const char *behind, const json_t *body, json_t **answer, struct err *e)
{
	char *path = verb_task_path(c, behind, e);
	int rc = path == NULL ? CLI_USAGE : call(c, method, path, body, answer, e);

	free(path);
	return rc;
}

/* ---- start ---- */

static void
show_started(const struct cli *c, const json_t *answer)
{
	const json_t *mounts = json_object_get(answer, "mounts");
	json_t *value, *env = json_object_get(answer, "env");
	const char *key;
	size_t i;

	fputs("task    ", c->out);
	text_put(c->out, json_str(answer, "id", "?"));
	fputs("\nsocket  ", c->out);
	text_put(c->out, json_str(answer, "socket", "?"));
	json_array_foreach(mounts, i, value)
	{
		fputs("\nmount   ", c->out);
		text_put(c->out, json_str(value, "source", "?"));
		fputs(" -> ", c->out);
		text_put(c->out, json_str(value, "target", "?"));
		if (json_is_true(json_object_get(value, "readOnly")))
			fputs(" (read-only)", c->out);
	}
	json_object_foreach(env, key, value)
	{
		fputs("\nenv     ", c->out);
		text_put(c->out, key);
		fputc('=', c->out);
		text_put(c->out, json_is_string(value) ? json_string_value(value) : "");
	}
	fputc('\n', c->out);
}

static int
put_docker_args(const struct cli *c, const json_t *answer, struct err *e)
{
	struct buf line = { 0 };
	int rc = start_docker_args(answer, &line, e);

	if (rc == 0)
		fprintf(c->out, "%s\n", buf_text(&line));
	buf_done(&line);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

static int
show_start(const struct cli *c, const json_t *answer, struct err *e)
{
	if (c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (!json_is_true(json_object_get(answer, "enabled")))
		fputs("dindctl: this task gets no socket: payload.features.dind is not true\n", c->err);
	else if (c->opt[OPT_DOCKER_ARGS] != NULL)
		return put_docker_args(c, answer, e);
	else
		show_started(c, answer);
	return CLI_OK;
}

int
verb_task_start(struct cli *c, struct err *e)
{
	json_t *file = verb_read_json(c, c->opt[OPT_TASK], e), *body, *answer = NULL;
	int rc = CLI_FAILED;

	if (file == NULL)
		return CLI_FAILED;
	body = start_body(file, c->opt[OPT_TASK_ID], c->opt[OPT_RUN_ID], e);
	json_decref(file);
	if (body == NULL)
		return CLI_USAGE;
	rc = call(c, "POST", "/v1/tasks", body, &answer, e);
	if (rc == CLI_OK)
		rc = show_start(c, answer, e);
	json_decref(body);
	json_decref(answer);
	return rc;
}

/* ---- list, show, credentials, end ---- */

static char *
age_of(const json_t *task)
{
	char age[TEXT_MAX];
	int64_t created;

	if (stamp_parse(json_str(task, "created", ""), &created) < 0)
		return mem_str("");
	return mem_str(text_age((stamp_now() - created) / 1000, age));
}

static void
list_task(struct table *t, const json_t *task)
{
	const json_t *now = json_object_get(task, "now");
	char *cells[] = { text_cell(json_object_get(task, "id")),
		mem_printf("%s/%d", json_str(task, "taskId", "?"), (int)json_num(task, "runId", 0)),
		text_cell(json_object_get(task, "state")), age_of(task),
		text_cell(json_object_get(task, "images")), text_cell(json_object_get(task, "names")),
		text_cell(json_object_get(now, "builds")), text_cell(json_object_get(now, "requests")),
		text_cell(json_object_get(now, "refused")) };

	table_row(t, (const char *const *)cells);
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
		free(cells[i]);
}

static void
list_tasks(const struct cli *c, const json_t *list)
{
	static const char *const heads[] = { "ID", "TASK", "STATE", ">AGE", ">IMAGES", ">NAMES", ">BUILDS",
		">REQUESTS", ">REFUSED" };
	struct table *t = table_new(heads, sizeof heads / sizeof heads[0]);
	json_t *task;
	size_t i;

	json_array_foreach(list, i, task) list_task(t, task);
	table_print(t, c->out);
	if (json_array_size(list) == 0)
		fputs("no tasks\n", c->out);
	table_free(t);
}

int
verb_task_list(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call(c, "GET", "/v1/tasks", NULL, &answer, e);

	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK)
		list_tasks(c, answer);
	json_decref(answer);
	return rc;
}

int
verb_task_show(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call_task(c, "GET", "", NULL, &answer, e);

	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK)
		text_show(c->out, answer);
	json_decref(answer);
	return rc;
}

int
verb_task_credentials(struct cli *c, struct err *e)
{
	json_t *file = verb_read_json(c, "-", e), *answer = NULL;
	const json_t *inner = json_object_get(file, "credentials"), *body = inner != NULL ? inner : file;
	int rc = file == NULL ? CLI_FAILED : call_task(c, "PUT", "/credentials", body, &answer, e);

	json_decref(file);
	json_decref(answer);
	return rc;
}

int
verb_task_end(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call_task(c, "DELETE", "", NULL, &answer, e);

	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK)
		text_show(c->out, answer);
	json_decref(answer);
	return rc;
}

/* ---- finish, artifacts ---- */

static int
show_artifacts(const struct cli *c, const json_t *answer, int judge, struct err *e)
{
	if (c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else
		watch_table(watch_list(answer), c->out);
	return judge && watch_result(watch_list(answer), e) < 0 ? CLI_FAILED : CLI_OK;
}

static int
wait_artifacts(struct cli *c, struct client *k, long timeout, struct err *e)
{
	char *path = verb_task_path(c, "/artifacts", e);
	json_t *answer = NULL;
	int rc = CLI_FAILED;

	if (path == NULL)
		return CLI_USAGE;
	if (watch_wait(k, path, timeout, c->err, &answer, e) == 0)
		rc = show_artifacts(c, answer, 1, e);
	json_decref(answer);
	free(path);
	return rc;
}

static int
timeout_of(const struct cli *c, long *out, struct err *e)
{
	const char *text = c->opt[OPT_TIMEOUT];

	*out = text == NULL ? 0 : cli_seconds(text);
	if (*out < 0 || (text != NULL && *out == 0)) {
		err_set(e, EINVAL, "--timeout takes a time: 90, 90s, 10m or 2h");
		return -1;
	}
	return 0;
}

int
verb_task_finish(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	struct client *k;
	long timeout;
	int rc;

	if (timeout_of(c, &timeout, e) < 0)
		return CLI_USAGE;
	rc = call_task(c, "POST", "/finish", NULL, &answer, e);
	if (rc == CLI_OK && c->opt[OPT_WAIT] == NULL)
		rc = show_artifacts(c, answer, 0, e);
	else if (rc == CLI_OK) {
		k = client_new(c, e);
		rc = k == NULL ? CLI_FAILED : wait_artifacts(c, k, timeout, e);
		client_free(k);
	}
	json_decref(answer);
	return rc;
}

int
verb_artifact_list(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call_task(c, "GET", "/artifacts", NULL, &answer, e);

	if (rc == CLI_OK)
		rc = show_artifacts(c, answer, 0, e);
	json_decref(answer);
	return rc;
}

int
verb_artifact_wait(struct cli *c, struct err *e)
{
	struct client *k;
	long timeout;
	int rc;

	if (timeout_of(c, &timeout, e) < 0)
		return CLI_USAGE;
	k = client_new(c, e);
	rc = k == NULL ? CLI_FAILED : wait_artifacts(c, k, timeout, e);
	client_free(k);
	return rc;
}
