/* Artifacts of storage type "object": what must not be forgotten, and what is asked and agreed. */

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/sigv4.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "taskcluster_private.h"

enum { NOTE_MAX = 64 * 1024, WORD_MAX = 4096 };

static const char *const strings[] = { "name", "projectId", "uploadId", "expires" };

static int
has_all(const json_t *v)
{
	for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
		const char *s = json_str(v, strings[i], "");

		if (s[0] == '\0' || strlen(s) > WORD_MAX)
			return 0;
	}
	return json_is_object(json_object_get(v, "credentials"));
}

/* A disk that does not take it costs a repeated step, or, if we die as well, the artifact's name. */
static void
save(struct store_job *j)
{
	struct err ignored = { 0 };

	(void)json_write(j->note_path, j->note, 0600, &ignored);
}

void
tc_note_open(struct store_job *j)
{
	char *dir = mem_str(j->item.data), *slash = strrchr(dir, '/');
	struct err ignored = { 0 };

	if (slash != NULL)
		*slash = '\0';
	j->note_path = mem_printf("%s/upload.json", dir);
	free(dir);
	j->note = json_read(j->note_path, NOTE_MAX, &ignored); /* damaged: as if there was none */
	if (!json_is_object(j->note)) {
		json_decref(j->note);
		j->note = json_object();
	}
	if (json_object_get(j->note, "stage") == NULL)
		return;
	if (!has_all(j->note) || tc_key_parse(&j->key, json_object_get(j->note, "credentials"), &ignored) < 0)
		json_object_clear(j->note);
}

int
tc_note_is(const struct store_job *j, const char *stage)
{
	return strcmp(json_str(j->note, "stage", ""), stage) == 0;
}

/* What the queue says only once: on the disk before anything else is done with it. */
int
tc_note_begin(struct store_job *j, const json_t *created, struct err *e)
{
	if (!has_all(created))
		return err_set(
		    e, EBADMSG, "the answer lacks one of name, projectId, uploadId, expires, credentials");
	tc_key_done(&j->key);
	if (tc_key_parse(&j->key, json_object_get(created, "credentials"), e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
		json_object_set(j->note, strings[i], json_object_get(created, strings[i]));
	json_object_set(j->note, "credentials", json_object_get(created, "credentials"));
	tc_note_stage(j, "created");
	return 0;
}

void
tc_note_stage(struct store_job *j, const char *stage)
{
	json_object_set_new(j->note, "stage", json_string(stage));
	save(j);
}

unsigned
tc_note_lost(struct store_job *j)
{
	json_int_t count = json_num(j->note, "lost", 0) + 1;

	json_object_set_new(j->note, "lost", json_integer(count));
	save(j);
	return count > 0 && count < TC_CREATE_MAX ? (unsigned)count : TC_CREATE_MAX;
}

char *
tc_note_path(const struct store_job *j, const char *verb)
{
	struct buf b = { 0 };
	char *path;

	buf_printf(&b, "object/v1/%s/", verb);
	sigv4_escape(&b, json_str(j->note, "name", ""), 0); /* slashes as well, or it is not found */
	path = mem_str(buf_text(&b));
	buf_done(&b);
	return path;
}

/* Small ones go inside of the request. */
static int
add_inline(const struct store_job *j, json_t *methods, struct err *e)
{
	const struct spool_record *r = j->item.record;
	uint8_t bytes[TC_INLINE_MAX];
	char text[(TC_INLINE_MAX + 2) / 3 * 4 + 1];

	if (r->size > sizeof bytes)
		return 0;
	if (pread(j->fd, bytes, (size_t)r->size, 0) != (ssize_t)r->size)
		return err_set(e, EBADMSG, "the spool's data is shorter than it was");
	(void)EVP_EncodeBlock((uint8_t *)text, bytes, (int)r->size);
	json_object_set_new(methods, "dataInline",
	    json_pack("{s:s,s:s}", "contentType", r->content_type, "objectData", text));
	return 0;
}

json_t *
tc_note_upload(const struct store_job *j, struct err *e)
{
	const struct spool_record *r = j->item.record;
	json_t *methods = json_pack(
	    "{s:{s:s,s:I}}", "putUrl", "contentType", r->content_type, "contentLength", (json_int_t)r->size);

	if (add_inline(j, methods, e) < 0) {
		json_decref(methods);
		return NULL;
	}
	return json_pack("{s:O,s:O,s:O,s:o}", "projectId", json_object_get(j->note, "projectId"), "uploadId",
	    json_object_get(j->note, "uploadId"), "expires", json_object_get(j->note, "expires"),
	    "proposedUploadMethods", methods);
}

json_t *
tc_note_finish(const struct store_job *j)
{
	return json_pack("{s:O,s:O,s:{s:s,s:s}}", "projectId", json_object_get(j->note, "projectId"),
	    "uploadId", json_object_get(j->note, "uploadId"), "hashes", "sha256", j->item.record->sha256,
	    "sha512", j->item.record->sha512);
}

int
tc_note_agreed(struct store_job *j, const json_t *answer, struct err *e)
{
	const json_t *method = json_object_get(answer, "uploadMethod"),
	             *put = json_object_get(method, "putUrl");
	const char *url = json_str(put, "url", NULL);

	if (json_is_true(json_object_get(method, "dataInline")) && j->item.record->size <= TC_INLINE_MAX)
		return 1;
	if (url == NULL)
		return err_set(e, EPROTO, "the object service takes no upload by URL");
	if (tc_data_url(j->home->root, url, e) < 0)
		return -1;
	free(j->headers);
	j->headers = tc_data_headers(json_object_get(put, "headers"), j->item.record->size, e);
	if (j->headers == NULL)
		return -1;
	free(j->url);
	j->url = mem_str(url);
	return 0;
}

void
tc_note_done(struct store_job *j, int forget)
{
	if (forget && j->note_path != NULL)
		(void)unlink(j->note_path);
	json_decref(j->note);
	free(j->note_path);
	tc_key_done(&j->key);
}
