/* The requests of audit logs under other settings: what belongs together is put together, and judged again.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "policy/explain.h"
#include "task/audit.h"

struct replaying {
	struct cli *c;
	struct settings settings;
	json_t *given;  /* id of a task -> what it was registered with, when that is anything */
	json_t *known;  /* id of a task -> true: its registration was read */
	json_t *open;   /* "id/conn/req" -> {"first", "final"}: its end has not been read */
	json_t *shown;  /* changes, for --json */
	json_t *unsure; /* ids of tasks whose own policy is not in these logs */
	struct table *table;
	size_t judged, changed, stands, blind;
};

static void
show_change(struct replaying *r, const json_t *record, const struct replay *v)
{
	char *task = mem_printf("%s/%d", json_str(record, "task", "?"), (int)json_num(record, "run", 0));
	char *what = mem_printf("%s %s", json_str(record, "method", "?"), json_str(record, "judged", "?"));
	const char *cells[] = { json_str(record, "time", "-"), task, v->was, v->is, what };

	table_row(r->table, cells);
	if (v->why[0] != '\0')
		table_note(r->table, "why", v->why);
	json_array_append_new(r->shown,
	    json_pack("{s:O?,s:O?,s:s,s:s,s:s,s:s}", "time", json_object_get(record, "time"), "seq",
	        json_object_get(record, "seq"), "task", task, "request", what, "was", v->was, "is", v->is));
	free(task);
	free(what);
}

/* One request, whole. */
static void
judge(struct replaying *r, const json_t *pair, const json_t *end)
{
	const json_t *first = json_object_get(pair, "first");
	const char *id = json_str(first, "id", "");
	struct replay v;

	replay_judge(&(struct replay_ask){ .settings = &r->settings,
	                 .decision = first,
	                 .final = json_object_get(pair, "final"),
	                 .end = end,
	                 .given = json_object_get(r->given, id) },
	    &v);
	if (json_is_true(json_object_get(json_object_get(first, "policy"), "own")) &&
	    json_object_get(r->known, id) == NULL)
		json_object_set_new(r->unsure, id, json_true());
	r->stands += v.kind == REPLAY_STANDS;
	r->blind += v.kind == REPLAY_BLIND;
	r->judged += v.kind == REPLAY_SAME || v.kind == REPLAY_CHANGED;
	r->changed += v.kind == REPLAY_CHANGED;
	if (v.kind == REPLAY_CHANGED)
		show_change(r, first, &v);
}

static void
judge_open(struct replaying *r)
{
	const char *key;
	json_t *pair;

	json_object_foreach(r->open, key, pair) judge(r, pair, NULL);
	json_object_clear(r->open);
}

/* A later decision of the same request: a refusal counts, an observation only when there was none. */
static void
take_decision(struct replaying *r, const char *key, const json_t *record)
{
	json_t *pair = json_object_get(r->open, key), *v = (json_t *)(uintptr_t)record;
	const char *now = json_str(record, "decision", "");

	if (pair == NULL)
		json_object_set_new(r->open, key, json_pack("{s:O,s:O}", "first", v, "final", v));
	else if (strcmp(now, "deny") == 0 ||
	         strcmp(json_str(json_object_get(pair, "final"), "decision", ""), "allow") == 0)
		json_object_set(pair, "final", v);
}

static void
take_task(struct replaying *r, const json_t *record)
{
	const char *id = json_str(record, "id", "");
	json_t *given = json_object_get(record, "given");

	if (strcmp(json_str(record, "what", ""), "start") != 0)
		return;
	json_object_set_new(r->known, id, json_true());
	if (given != NULL)
		json_object_set(r->given, id, given);
	else
		json_object_del(r->given, id);
}

static int
on_record(void *arg, const json_t *record)
{
	struct replaying *r = arg;
	const char *event = json_str(record, "event", "");
	char key[128];

	(void)snprintf(key, sizeof key, "%.40s/%lld/%lld", json_str(record, "id", ""),
	    (long long)json_num(record, "conn", 0), (long long)json_num(record, "req", 0));
	if (strcmp(event, "service") == 0)
		judge_open(r); /* connections are counted anew */
	else if (strcmp(event, "task") == 0)
		take_task(r, record);
	else if (strcmp(event, "decision") == 0)
		take_decision(r, key, record);
	else if (strcmp(event, "end") == 0 && json_object_get(r->open, key) != NULL) {
		judge(r, json_object_get(r->open, key), record);
		json_object_del(r->open, key);
	}
	return 0;
}

static void
report(const struct replaying *r)
{
	FILE *f = r->c->out;

	if (r->c->opt[OPT_JSON] != NULL) {
		json_t *all = json_pack("{s:O,s:I,s:I,s:I,s:I}", "changes", r->shown, "judged",
		    (json_int_t)r->judged, "changed", (json_int_t)r->changed, "stand", (json_int_t)r->stands,
		    "blind", (json_int_t)r->blind);

		text_json(f, all);
		json_decref(all);
		return;
	}
	table_print(r->table, f);
	fprintf(f,
	    "%zu verdicts of %zu change; %zu more stand, because no policy decides them; of %zu the log "
	    "does not have enough\n",
	    r->changed, r->judged, r->stands, r->blind);
	if (json_object_size(r->unsure) > 0)
		fprintf(f,
		    "%zu tasks had words of their own, but were registered before these logs begin: they "
		    "were "
		    "judged without\n",
		    json_object_size(r->unsure));
}

static int
replay(struct replaying *r, struct err *e)
{
	static const char *const heads[] = { "TIME", "TASK", "WAS", "IS", "REQUEST" };
	int rc = 0;

	r->given = json_object();
	r->known = json_object();
	r->open = json_object();
	r->unsure = json_object();
	r->shown = json_array();
	r->table = table_new(heads, sizeof heads / sizeof heads[0]);
	for (size_t i = 0; rc == 0 && i < r->c->count; i++)
		rc = audit_read(r->c->words[i], on_record, r, e);
	judge_open(r);
	if (rc == 0 || e->code == EBADMSG) /* damaged lines are passed over, and told of */
		report(r);
	table_free(r->table);
	json_decref(r->given);
	json_decref(r->known);
	json_decref(r->open);
	json_decref(r->unsure);
	json_decref(r->shown);
	return rc;
}

int
verb_policy_replay(struct cli *c, struct err *e)
{
	struct replaying r = { .c = c };
	int rc = settings_load(&r.settings, c->opt[OPT_POLICY], e);

	if (rc == 0)
		rc = replay(&r, e);
	settings_done(&r.settings);
	if (rc < 0)
		return CLI_FAILED;
	if (r.changed == 0)
		return CLI_OK;
	err_set(e, 0, "%zu verdict%s would change", r.changed, r.changed == 1 ? "" : "s");
	return CLI_FAILED;
}
