#include "cli/start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* What is taken over from a queue's task definition. */
static const char *const of_task[] = { "payload", "scopes", "expires" };

static void
copy(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (value != NULL)
		json_object_set(to, key, value);
}

static json_t *
from_claim(const json_t *claim)
{
	json_t *body = json_object(), *task = json_object_get(claim, "task");

	copy(body, json_object_get(claim, "status"), "taskId");
	copy(body, claim, "runId");
	for (size_t i = 0; i < sizeof of_task / sizeof of_task[0]; i++)
		copy(body, task, of_task[i]);
	copy(body, claim, "credentials");
	return body;
}

static json_t *
from_definition(const json_t *task)
{
	json_t *body = json_object();

	for (size_t i = 0; i < sizeof of_task / sizeof of_task[0]; i++)
		copy(body, task, of_task[i]);
	return body;
}

static int
set_ids(json_t *body, const char *task_id, const char *run_id, struct err *e)
{
	char *end;
	long n;

	if (task_id != NULL)
		json_object_set_new(body, "taskId", json_string(task_id));
	if (json_object_get(body, "taskId") == NULL)
		return err_set(e, EINVAL,
		    "the file is a task definition, which does not know its own taskId: give --task-id (and "
		    "--run-id when it is not run 0)");
	if (run_id != NULL) {
		n = strtol(run_id, &end, 10);
		if (*run_id < '0' || *run_id > '9' || *end != '\0' || n > 1000000)
			return err_set(e, EINVAL, "--run-id takes a number, 0 for the first run");
		json_object_set_new(body, "runId", json_integer(n));
	}
	if (json_object_get(body, "runId") == NULL)
		json_object_set_new(body, "runId", json_integer(0));
	return 0;
}

json_t *
start_body(const json_t *file, const char *task_id, const char *run_id, struct err *e)
{
	json_t *body;

	if (json_is_object(json_object_get(file, "task")))
		body = from_claim(file);
	else if (json_object_get(file, "taskId") != NULL)
		body = json_copy((json_t *)(uintptr_t)file);
	else
		body = from_definition(file);
	if (!json_is_object(json_object_get(body, "payload")))
		err_set(e, EINVAL,
		    "the file has no \"payload\" object: expected the body of POST /v1/tasks, a queue claim "
		    "({status, runId, task}) or a task definition");
	else if (set_ids(body, task_id, run_id, e) == 0)
		return body;
	json_decref(body);
	return NULL;
}

/* Words that every shell takes as they are. */
static int
add_word(struct buf *out, const char *text, struct err *e)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";

	if (text[strspn(text, plain)] != '\0')
		return err_set(e, EINVAL,
		    "a value in the answer cannot stand in a shell without quotes; use --json instead");
	buf_adds(out, text);
	return 0;
}

static int
add_mount(struct buf *out, const json_t *mount, struct err *e)
{
	buf_printf(out, "%s-v ", buf_len(out) > 0 ? " " : "");
	if (add_word(out, json_str(mount, "source", ""), e) < 0)
		return -1;
	buf_adds(out, ":");
	if (add_word(out, json_str(mount, "target", ""), e) < 0)
		return -1;
	if (json_is_true(json_object_get(mount, "readOnly")))
		buf_adds(out, ":ro");
	return 0;
}

int
start_docker_args(const json_t *answer, struct buf *out, struct err *e)
{
	const char *key;
	json_t *value;
	size_t i;

	json_array_foreach(
	    json_object_get(answer, "mounts"), i, value) if (add_mount(out, value, e) < 0) return -1;
	json_object_foreach(json_object_get(answer, "env"), key, value)
	{
		if (!json_is_string(value))
			continue;
		buf_printf(out, "%s-e ", buf_len(out) > 0 ? " " : "");
		if (add_word(out, key, e) < 0)
			return -1;
		buf_adds(out, "=");
		if (add_word(out, json_string_value(value), e) < 0)
			return -1;
	}
	return 0;
}
