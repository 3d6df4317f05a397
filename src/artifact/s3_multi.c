/*
 * The multipart upload of a put begins, or goes on: what the journal and the store know of it. Then the
 * parts: s3_parts.c.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "s3_private.h"

/* --- the journal: {"begin": key, "at": .., "size", "part"}, {"upload": id}, {"part": n, "sha256", "etag"} */

static void
forget_parts(struct store_job *j)
{
	for (size_t i = 0; i < j->part_count; i++) {
		free(j->parts[i].etag);
		free(j->parts[i].kept_sha256);
		j->parts[i].etag = j->parts[i].kept_sha256 = NULL;
		j->parts[i].sent = 0;
	}
	j->done = 0;
	j->next = 0;
}

static void
play_part(struct store_job *j, const json_t *line)
{
	json_int_t n = json_num(line, "part", 0);
	const char *sha256 = json_str(line, "sha256", NULL), *etag = json_str(line, "etag", NULL);

	if (!j->begun || n < 1 || (uint64_t)n > j->part_count || sha256 == NULL || etag == NULL)
		return;
	free(j->parts[n - 1].etag);
	free(j->parts[n - 1].kept_sha256);
	j->parts[n - 1].etag = mem_str(etag);
	j->parts[n - 1].kept_sha256 = mem_str(sha256);
}

static void
on_line(void *arg, const json_t *line)
{
	struct store_job *j = arg;
	const char *begin = json_str(line, "begin", NULL), *upload = json_str(line, "upload", NULL);

	if (begin != NULL)
		j->begun = strcmp(begin, j->key) == 0 &&
		           strcmp(json_str(line, "at", ""), j->home->place.base) == 0 &&
		           strcmp(json_str(line, "bucket", ""), j->home->place.bucket) == 0 &&
		           (uint64_t)json_num(line, "size", -1) == j->item.record->size &&
		           (uint64_t)json_num(line, "partSize", -1) == j->part_size;
	else if (upload != NULL && j->begun) {
		free(j->upload_id);
		j->upload_id = mem_str(upload);
	} else {
		play_part(j, line);
	}
}

int
s3_multi_open(struct store_job *j, struct err *e)
{
	char *path =
	    mem_printf("%.*s/journal", (int)(strrchr(j->item.data, '/') - j->item.data), j->item.data);
	int rc = s3_journal_open(&j->journal, path, on_line, j, e);

	free(path);
	return rc;
}

int
s3_multi_note(struct store_job *j, json_t *line)
{
	struct err e = { 0 };

	if (s3_journal_add(&j->journal, line, &e) == 0)
		return 0;
	s3_job_fail(j, store_judge(e.code), &e);
	return -1;
}

/* --- begin */

static void create(struct store_job *j);

void
s3_multi_again(struct store_job *j, const struct s3_reply *r)
{
	struct err e = { 0 };

	s3_multi_stop(j);
	if (j->restarts++ >= S3_RESTARTS) {
		s3_job_refused(j, r);
		return;
	}
	log_info("s3", "the multipart upload is begun anew: %s", r->why.text);
	free(j->upload_id);
	j->upload_id = NULL;
	forget_parts(j);
	if (s3_journal_reset(&j->journal, &e) < 0)
		s3_job_fail(j, store_judge(e.code), &e);
	else
		create(j);
}

static int
is_other(void *arg, const char *key, const char *upload_id, int64_t initiated)
{
	const struct store_job *j = arg;

	(void)initiated;
	return strcmp(key, j->key) == 0 && strcmp(upload_id, j->upload_id) != 0;
}

static void
on_cleaned(void *arg, unsigned aborted, const struct err *why)
{
	struct store_job *j = arg;

	j->clean = NULL;
	if (why != NULL)
		log_warn("s3", "an upload that was left behind stays: %s", why->text); /* the sweep is next */
	else if (aborted > 0)
		log_info(
		    "s3", "%u multipart uploads of %s that were left behind are aborted", aborted, j->key);
	s3_parts_start(j);
}

static int
on_created_part(void *arg, const char *path, const char *text)
{
	struct store_job *j = arg;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && *text != '\0') {
		free(j->upload_id);
		j->upload_id = mem_str(text);
	}
	return 0;
}

static void
on_created(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;
	struct buf *body = r->result->body;
	struct err e = { 0 };

	j->call = NULL;
	if (!r->good) {
		s3_job_refused(j, r);
		return;
	}
	if (s3_xml_walk(buf_text(body), buf_len(body), on_created_part, j, &e) != 0 || j->upload_id == NULL) {
		err_set(&e, 0, "the store begins a multipart upload but does not name it");
		s3_job_fail(j, STORE_FAILED, &e);
		return;
	}
	if (s3_multi_note(j, json_pack("{s:s}", "upload", j->upload_id)) < 0)
		return;
	if (j->suspect || r->tries > 1) /* an answer that never came may have begun one as well */
		j->clean = s3_clean_start(j->home, j->key, is_other, on_cleaned, j);
	else
		s3_parts_start(j);
}

static void
create(struct store_job *j)
{
	struct s3_ask ask = { .method = "POST", .key = j->key, .query = { { "uploads", "" } } };

	j->suspect = j->begun;
	j->begun = 1;
	if (s3_multi_note(j, json_pack("{s:s,s:s,s:s,s:I,s:I}", "begin", j->key, "at", j->home->place.base,
	                         "bucket", j->home->place.bucket, "size", (json_int_t)j->item.record->size,
	                         "partSize", (json_int_t)j->part_size)) < 0)
		return;
	s3_object_headers(j->item.record, ask.headers);
	ask.headers[2] = (struct sigv4_pair){ "x-amz-checksum-algorithm", "SHA256" };
	j->call = s3_call_start(j->home, &ask, on_created, j);
}

/* --- resume: of the journal's parts those count that the store lists with the same size and etag */

struct listed {
	struct store_job *job;
	unsigned long number, next;
	uint64_t size;
	char etag[S3_TEXT_MAX];
	int truncated;
};

static void
compare_listed(const struct listed *l)
{
	struct store_job *j = l->job;
	struct s3_part *p;

	if (l->number < 1 || l->number > j->part_count)
		return;
	p = &j->parts[l->number - 1];
	if (p->etag != NULL && strcmp(p->etag, l->etag) == 0 && s3_part_length(j, l->number - 1) == l->size)
		p->sent = 1; /* if its bytes are still those: s3_digest.c has not come here yet */
}

#define ROOT "ListPartsResult/"

static int
on_listed(void *arg, const char *path, const char *text)
{
	struct listed *l = arg;

	if (strcmp(path, ROOT "Part/PartNumber") == 0)
		l->number = strtoul(text, NULL, 10);
	else if (strcmp(path, ROOT "Part/Size") == 0)
		l->size = strtoull(text, NULL, 10);
	else if (strcmp(path, ROOT "Part/ETag") == 0)
		(void)snprintf(l->etag, sizeof l->etag, "%s", text);
	else if (strcmp(path, ROOT "NextPartNumberMarker") == 0)
		l->next = strtoul(text, NULL, 10);
	else if (strcmp(path, ROOT "IsTruncated") == 0)
		l->truncated = strcmp(text, "true") == 0;
	else if (strcmp(path, ROOT "Part") == 0) {
		compare_listed(l);
		l->number = 0;
		l->size = 0;
		l->etag[0] = '\0';
	}
	return 0;
}

static void ask_list(struct store_job *j);

/* What the store has not listed is sent again. */
static void
keep_listed(struct store_job *j)
{
	size_t kept = 0;

	for (size_t i = 0; i < j->part_count; i++) {
		struct s3_part *p = &j->parts[i];

		kept += p->sent != 0;
		if (p->sent)
			continue;
		free(p->etag);
		p->etag = NULL;
	}
	log_info(
	    "s3", "going on with a multipart upload: the store has %zu of %zu parts", kept, j->part_count);
	s3_parts_start(j);
}

static void
on_list(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;
	struct listed l = { .job = j };
	struct err e = { 0 };

	j->call = NULL;
	if (!r->good && r->status == 404) {
		s3_multi_again(j, r);
	} else if (!r->good) {
		s3_job_refused(j, r);
	} else if (s3_xml_walk(buf_text(r->result->body), buf_len(r->result->body), on_listed, &l, &e) != 0) {
		s3_job_fail(j, STORE_FAILED, &e);
	} else if (l.truncated && l.next > j->marker) {
		j->marker = l.next;
		ask_list(j);
	} else {
		keep_listed(j);
	}
}

static void
ask_list(struct store_job *j)
{
	char marker[24];

	(void)snprintf(marker, sizeof marker, "%lu", j->marker);
	j->call = s3_call_start(j->home,
	    &(struct s3_ask){ .method = "GET",
	        .key = j->key,
	        .query = { { "uploadId", j->upload_id }, { "max-parts", "500" },
	            { "part-number-marker", marker } } },
	    on_list, j);
}

void
s3_multi_start(struct store_job *j)
{
	if (j->upload_id != NULL) {
		j->marker = 0;
		ask_list(j);
	} else {
		create(j);
	}
}
