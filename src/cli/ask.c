#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "policy/explain.h"
#include "policy/owned.h"
#include "policy/policy.h"

/* One POST with a body that is taken. */
static int
post(
    const struct cli *c, const char *path, json_t *body, const char *patience, json_t **answer, struct err *e)
{
	struct client *k = client_new(c, e);
	int rc = -1;

	*answer = NULL;
	if (k != NULL) {
		client_patience(k, c->err, patience);
		rc = client_call(k, "POST", path, body, answer, e);
	}
	client_free(k);
	json_decref(body);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

/* ---- image load ---- */

/* "TASK/RUN", or "TASK" for run 0. */
static int
put_for(json_t *body, const char *text, struct err *e)
{
	const char *slash = strrchr(text, '/');
	char *end = NULL;
	long run = 0;

	if (slash != NULL) {
		run = strtol(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || run > 1000000)
			return err_set(
			    e, EINVAL, "--for takes TASKID/RUNID, such as 1Q6u4QNOSEe6H9sE3Yhkjw/0");
	}
	json_object_set_new(
	    body, "taskId", json_stringn(text, slash != NULL ? (size_t)(slash - text) : strlen(text)));
	json_object_set_new(body, "runId", json_integer(run));
	return 0;
}

/* By the task that made it, or by what the index has under a name. */
static json_t *
load_image(const struct cli *c, struct err *e)
{
	const char *task = c->opt[OPT_TASK_ID], *space = c->opt[OPT_NAMESPACE], *path = c->opt[OPT_PATH];
	json_t *image;
	long run;

	if ((task == NULL) == (space == NULL)) {
		err_set(e, EINVAL, "give one of --task-id and --namespace");
		return NULL;
	}
	if (space != NULL && c->opt[OPT_RUN_ID] != NULL) {
		err_set(e, EINVAL, "--run-id goes with --task-id");
		return NULL;
	}
	if (cli_number(c, OPT_RUN_ID, "--run-id", 0, 1000000, -1, &run, e) < 0)
		return NULL;
	if (space != NULL)
		return json_pack(
		    "{s:s, s:s, s:s}", "type", "indexed-image", "namespace", space, "path", path);
	image = json_pack("{s:s, s:s, s:s}", "type", "task-image", "taskId", task, "path", path);
	if (run >= 0)
		json_object_set_new(image, "runId", json_integer(run));
	return image;
}

static json_t *
load_body(const struct cli *c, struct err *e)
{
	json_t *body = json_object(), *image = load_image(c, e);

	if (image != NULL)
		json_object_set_new(body, "image", image);
	if (image != NULL && put_for(body, c->opt[OPT_FOR], e) == 0)
		return body;
	json_decref(body);
	return NULL;
}

int
verb_image_load(struct cli *c, struct err *e)
{
	json_t *body = load_body(c, e), *answer;
	int rc;

	if (body == NULL)
		return CLI_USAGE;
	rc = post(c, "/v1/images/load", body, "loading", &answer, e);
	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK) {
		text_put(c->out, json_str(answer, "name", ""));
		fputc('\n', c->out);
	}
	json_decref(answer);
	return rc;
}

/* ---- explain ---- */

static int
put_header(json_t *headers, const char *line, struct err *e)
{
	const char *colon = strchr(line, ':'), *value;
	char *name;

	if (colon == NULL || colon == line)
		return err_set(e, EINVAL, "--header takes 'Name: value'");
	name = mem_strn(line, (size_t)(colon - line));
	value = colon + 1 + strspn(colon + 1, " \t");
	json_object_set_new(headers, name, json_string(value));
	free(name);
	return 0;
}

static json_t *
explain_body(const struct cli *c, struct err *e)
{
	struct buf text = { 0 };
	json_t *body = json_pack("{s:s, s:s, s:{}}", "method", c->words[0], "target", c->words[1], "headers");

	for (size_t i = 0; i < c->header_count; i++)
		if (put_header(json_object_get(body, "headers"), c->headers[i], e) < 0) {
			json_decref(body);
			return NULL;
		}
	if (c->opt[OPT_TASK] != NULL)
		json_object_set_new(body, "task", json_string(c->opt[OPT_TASK]));
	if (c->opt[OPT_DOCKERFILE] != NULL && verb_read_file(c, c->opt[OPT_DOCKERFILE], &text, e) < 0) {
		json_decref(body);
		body = NULL;
	} else if (c->opt[OPT_DOCKERFILE] != NULL)
		json_object_set_new(body, "dockerfile", json_string(buf_text(&text)));
	buf_done(&text);
	return body;
}

/* By the words of a settings file, as a task that owns nothing: no service is asked. */
static int
explain_offline(const struct cli *c, const json_t *body, json_t **answer, struct err *e)
{
	struct settings s;
	struct policy *p;
	struct owned nothing;
	int rc = settings_load(&s, c->opt[OPT_POLICY], e);

	if (rc == 0) {
		p = policy_new(&s, 1);
		owned_init(&nothing, "aaaaaaaaaaaaaaaaaaaa");
		*answer = explain_request(&(struct explain_ask){ .policy = p,
		    .owned = &nothing,
		    .method = c->words[0],
		    .target = c->words[1],
		    .headers = json_object_get(body, "headers"),
		    .dockerfile = json_str(body, "dockerfile", NULL) });
		owned_done(&nothing);
		policy_unref(p);
	}
	settings_done(&s);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

int
verb_policy_explain(struct cli *c, struct err *e)
{
	json_t *body = explain_body(c, e), *answer = NULL;
	int rc;

	if (body == NULL)
		return CLI_USAGE;
	if (c->opt[OPT_POLICY] != NULL) {
		rc = c->opt[OPT_TASK] == NULL ? explain_offline(c, body, &answer, e)
		                              : err_set(e, EINVAL,
		                                    "--policy and --task exclude each other: a task's policy "
		                                    "is known to the service only");
		json_decref(body);
		if (rc < 0)
			return CLI_USAGE;
	} else
		rc = post(c, "/v1/explain", body, "judging", &answer, e);
	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK) {
		if (json_num(answer, "status", 0) == 0)
			json_object_del(answer, "status"); /* it is the engine's to say */
		text_show(c->out, answer);
	}
	json_decref(answer);
	return rc;
}
