/* Evidence of artifacts and loads: shown, given to the chain of trust, verified. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sign.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/verify.h"
#include "task/evidence.h"
#include "task/provenance.h"

static json_t *
ask(struct cli *c, const char *behind, int *rc, struct err *e)
{
	char *path = verb_task_path(c, behind, e);
	struct client *k = path == NULL ? NULL : client_new(c, e);
	json_t *answer = NULL;

	*rc = path == NULL ? CLI_USAGE : CLI_FAILED;
	if (k != NULL && client_call(k, "GET", path, NULL, &answer, e) == 0)
		*rc = CLI_OK;
	client_free(k);
	free(path);
	return answer;
}

/* ---- artifact show ---- */

static const json_t *
find_artifact(const json_t *list, const char *name, struct err *e)
{
	char quoted[200];
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) if (strcmp(json_str(one, "name", ""), name) == 0) return one;
	err_set(e, ENOENT, "the task declared no artifact '%s'",
	    log_quote(name, strlen(name), quoted, sizeof quoted));
	return NULL;
}

/* One part of it, as a file to keep; -1 when it is not there (yet). */
static int
show_part(const struct cli *c, const json_t *artifact, const char *key, const char *why, struct err *e)
{
	const json_t *part = json_object_get(artifact, key);

	if (part == NULL)
		return err_set(
		    e, ENOENT, "the artifact is %s: %s", json_str(artifact, "state", "unknown"), why);
	text_json(c->out, part);
	return 0;
}

static int
show_artifact(const struct cli *c, const json_t *artifact, struct err *e)
{
	if (c->opt[OPT_RECORD] != NULL)
		return show_part(c, artifact, "evidence", "there is a record once it is sealed", e);
	if (c->opt[OPT_PROVENANCE] != NULL)
		return show_part(c, artifact, "provenance",
		    "there is a statement once the uploader has it, and has a key (evidence.key)", e);
	if (c->opt[OPT_JSON] != NULL)
		text_json(c->out, artifact);
	else
		text_show(c->out, artifact);
	return 0;
}

int
verb_artifact_show(struct cli *c, struct err *e)
{
	int rc;
	json_t *list = ask(c, "/artifacts", &rc, e);
	const json_t *artifact = rc == CLI_OK ? find_artifact(list, c->words[1], e) : NULL;

	if (rc == CLI_OK)
		rc = artifact != NULL && show_artifact(c, artifact, e) == 0 ? CLI_OK : CLI_FAILED;
	json_decref(list);
	return rc;
}

/* ---- task evidence ---- */

int
verb_task_evidence(struct cli *c, struct err *e)
{
	int rc;
	json_t *answer = ask(c, "/evidence", &rc, e), *chain = NULL;

	if (rc == CLI_OK) {
		chain = evidence_chain_of_trust(answer, c->opt[OPT_PATH], e);
		rc = chain != NULL ? CLI_OK : CLI_FAILED;
	}
	if (rc == CLI_OK)
		text_json(c->out, chain);
	json_decref(chain);
	json_decref(answer);
	return rc;
}

/* ---- artifact verify ---- */

struct proof {
	struct sign_key *key;
	json_t *record;    /* of --record, or the one in the statement */
	json_t *statement; /* of --provenance */
};

static int
read_record(const char *file, struct proof *p, struct err *e)
{
	struct buf text = { 0 };

	if (fs_read(file, PROVENANCE_MAX, &text, e) == 0 &&
	    (p->record = verify_record(buf_text(&text), buf_len(&text), e)) == NULL)
		err_wrap(e, "'%s'", file);
	buf_done(&text);
	return p->record != NULL ? 0 : -1;
}

static int
read_statement(const char *file, const char *key, struct proof *p, struct err *e)
{
	struct buf text = { 0 };

	p->key = sign_key_read(key, SIGN_PUBLIC, e);
	if (p->key != NULL && fs_read(file, PROVENANCE_MAX, &text, e) == 0 &&
	    (p->statement = verify_statement(buf_text(&text), buf_len(&text), p->key, e)) == NULL)
		err_wrap(e, "'%s'", file);
	buf_done(&text);
	return p->statement != NULL ? 0 : -1;
}

/* The statement alone is enough: it holds the record that it was made of, and says nothing that is not there.
 */
static int
join(struct proof *p, struct err *e)
{
	const json_t *inside;
	json_t *record;

	if (p->statement == NULL)
		return 0;
	inside = provenance_record(p->statement, e);
	if (inside == NULL || evidence_read((json_t *)(uintptr_t)inside, &record, e) < 0)
		return -1;
	if (p->record == NULL)
		p->record = record;
	else
		json_decref(record);
	return provenance_compare(p->statement, p->record, e);
}

static int
check_options(const struct cli *c, struct err *e)
{
	if (c->opt[OPT_RECORD] == NULL && c->opt[OPT_PROVENANCE] == NULL)
		return err_set(e, EINVAL, "--record or --provenance must say what the file is to be");
	if ((c->opt[OPT_PROVENANCE] == NULL) != (c->opt[OPT_KEY] == NULL))
		return err_set(e, EINVAL,
		    "--provenance and --key belong together: a statement proves nothing unless it is known "
		    "who "
		    "signed it");
	return 0;
}

static int
verify(const struct cli *c, struct proof *p, struct buf *said, struct err *e)
{
	char id[SIGN_ID_MAX];

	if (c->opt[OPT_RECORD] != NULL && read_record(c->opt[OPT_RECORD], p, e) < 0)
		return -1;
	if (c->opt[OPT_PROVENANCE] != NULL) {
		if (read_statement(c->opt[OPT_PROVENANCE], c->opt[OPT_KEY], p, e) < 0)
			return -1;
		sign_key_id(p->key, id);
		buf_printf(said, "signed by: %s\n", id);
	}
	if (join(p, e) < 0)
		return -1;
	return verify_file(c->words[0], p->record, said, e);
}

static void
say_good(const struct cli *c, const struct proof *p, struct buf *said)
{
	const json_t *by = json_object_get(p->record, "builtBy");

	if (c->opt[OPT_JSON] != NULL) {
		text_json(c->out, p->record);
		return;
	}
	fputs("artifact: ", c->out);
	text_put(c->out, json_str(p->record, "name", ""));
	fputs("\nbuilt by: ", c->out);
	text_put(c->out, json_str(by, "taskId", ""));
	fprintf(c->out, "/%lld\n", (long long)json_num(by, "runId", 0));
	fputs(buf_text(said), c->out);
	fputs(p->statement != NULL ? "good: the file is what was signed\n"
	                           : "good: the file is what the record says; who wrote that is not known\n",
	    c->out);
}

int
verb_artifact_verify(struct cli *c, struct err *e)
{
	struct proof p = { 0 };
	struct buf said = { 0 };
	int rc;

	if (check_options(c, e) < 0)
		return CLI_USAGE;
	rc = verify(c, &p, &said, e) == 0 ? CLI_OK : CLI_FAILED;
	if (rc == CLI_OK)
		say_good(c, &p, &said);
	buf_done(&said);
	sign_key_free(p.key);
	json_decref(p.record);
	json_decref(p.statement);
	return rc;
}
