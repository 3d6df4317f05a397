#include <jansson.h>

#include "base/err.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"
#include "cli/verbs.h"

static int
call(const struct cli *c, const char *method, const char *path, json_t **answer, struct err *e)
{
	struct client *k = client_new(c, e);
	int rc = k == NULL ? -1 : client_call(k, method, path, NULL, answer, e);

	client_free(k);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

/* "policy 3 (1f2e3d4c5b6a, enforce)" */
static void
put_policy(const struct cli *c, const json_t *p)
{
	fprintf(c->out, "policy %d (", (int)json_num(p, "version", 0));
	text_put(c->out, json_str(p, "hash", "?"));
	fputs(", ", c->out);
	text_put(c->out, json_str(p, "mode", "?"));
	fputs(")\n", c->out);
}

static void
show_reload(const struct cli *c, const json_t *answer)
{
	static const char *const heads[] = { "CHANGED", "FROM", "TO" };
	struct table *t = table_new(heads, sizeof heads / sizeof heads[0]);
	const char *key;
	json_t *v;
	size_t i;

	put_policy(c, json_object_get(answer, "policy"));
	json_object_foreach(json_object_get(answer, "changed"), key, v)
	{
		const char *cells[] = { key, json_str(v, "from", ""), json_str(v, "to", "") };

		table_row(t, cells);
	}
	table_print(t, c->out);
	table_free(t);
	json_array_foreach(json_object_get(answer, "restart"), i, v)
	{
		text_put(c->out, json_is_string(v) ? json_string_value(v) : "?");
		fputs(" waits for a restart\n", c->out);
	}
}

int
verb_reload(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call(c, "POST", "/v1/reload", &answer, e);

	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK)
		show_reload(c, answer);
	json_decref(answer);
	return rc;
}

int
verb_policy_show(struct cli *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = call(c, "GET", "/v1/policy", &answer, e);

	if (rc == CLI_OK && c->opt[OPT_JSON] != NULL)
		text_json(c->out, answer);
	else if (rc == CLI_OK)
		text_show(c->out, answer);
	json_decref(answer);
	return rc;
}
