/* The statement about an artifact: made of its record, signed, kept in the spool, and put as an artifact
 * itself. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dsse.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/signer.h"
#include "task/evidence.h"
#include "task/provenance.h"
#include "upload_private.h"

enum { STORED_MAX = 64 * 1024 };

struct statement {
	char *path, *name;
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];
	struct spool_record record; /* borrows from the artifact's, and from here */
};

static char *
file_of(const struct upload *x, const char *file)
{
	return spool_path(x->home->root, SPOOL_UPLOADING, x->id, file);
}

static json_t *
sign(const struct upload *x, struct err *e)
{
	const struct signer *signer = x->home->signer;
	json_t *record = evidence_artifact(&x->record, NULL), *statement = provenance_statement(record);
	char *text = provenance_text(statement);
	uint8_t signature[SIGN_LEN];
	json_t *envelope = NULL;

	if (signer_sign(signer, text, strlen(text), signature, e) == 0)
		envelope =
		    dsse_envelope(PROVENANCE_PAYLOAD, text, strlen(text), signer_key_id(signer), signature);
	free(text);
	json_decref(statement);
	json_decref(record);
	return envelope;
}

int
attest(const struct upload *x, struct err *e)
{
	json_t *envelope = sign(x, e);
	char *dir, *path;
	int rc;

	if (envelope == NULL)
		return -1;
	dir = file_of(x, PROVENANCE_DIR);
	path = file_of(x, PROVENANCE_FILE);
	rc = fs_mkdirs(dir, 0700, e);
	if (rc == 0)
		rc = json_write(path, envelope, 0600, e);
	json_decref(envelope);
	free(path);
	free(dir);
	return rc;
}

static void
fill(struct statement *s, const struct spool_record *of, const struct buf *text)
{
	hash_once(HASH_SHA256, buf_ptr(text), buf_len(text), s->sha256);
	hash_once(HASH_SHA512, buf_ptr(text), buf_len(text), s->sha512);
	s->record = (struct spool_record){ .task_id = of->task_id,
		.run_id = of->run_id,
		.session = of->session,
		.name = s->name,
		.expires = of->expires,
		.content_type = PROVENANCE_CONTENT_TYPE,
		.sha256 = s->sha256,
		.sha512 = s->sha512,
		.size = buf_len(text),
		.kind = "provenance",
		.engine = of->engine,
		.version = of->version,
		.created = of->created };
}

struct statement *
statement_new(const struct upload *x, struct err *e)
{
	struct statement *s = mem_new(sizeof *s);
	struct buf text = { 0 };

	s->path = file_of(x, PROVENANCE_FILE);
	s->name = mem_printf("%s" PROVENANCE_SUFFIX, x->record.name);
	if (fs_read(s->path, PROVENANCE_MAX, &text, e) < 0) {
		statement_free(s);
		s = NULL;
	} else {
		fill(s, &x->record, &text);
	}
	buf_done(&text);
	return s;
}

struct store_job *
statement_put(struct statement *s, struct upload *x, store_end_cb *cb)
{
	struct store_item item = {
		.record = &s->record, .data = s->path, .last = x->tries + 1 >= x->home->pace.tries
	};

	return store_put(x->home->store, &item, cb, x);
}

const struct spool_record *
statement_record(const struct statement *s)
{
	return &s->record;
}

void
statement_free(struct statement *s)
{
	if (s == NULL)
		return;
	free(s->path);
	free(s->name);
	free(s);
}

int
stored_keep(const struct upload *x, const json_t *where, struct err *e)
{
	char *path = file_of(x, "stored.json");
	int rc = json_write(path, where, 0600, e);

	free(path);
	return rc;
}

json_t *
stored_read(const struct upload *x)
{
	char *path = file_of(x, "stored.json");
	struct err none;
	json_t *where = json_read(path, STORED_MAX, &none);

	free(path);
	return where;
}
