/*
 * The multipart upload of a put: what the journal and the store know of it already, then the parts that are
 * missing, then Complete. Each step ends in one of the on_..() below; what a reply means for the put is said
 * there.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "s3_private.h"

enum { LIST_PAGE = 500 };

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

static int
note(struct store_job *j, json_t *line)
{
	struct err e = { 0 };

	if (s3_journal_add(&j->journal, line, &e) == 0)
		return 0;
	s3_job_fail(j, store_judge(e.code), &e);
	return -1;
}

/* --- begin */

static void create(struct store_job *j);
static void start_parts(struct store_job *j);

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
	start_parts(j);
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
	if (note(j, json_pack("{s:s}", "upload", j->upload_id)) < 0)
		return;
	if (j->suspect || r->tries > 1) /* an answer that never came may have begun one as well */
		j->clean = s3_clean_start(j->home, j->key, is_other, on_cleaned, j);
	else
		start_parts(j);
}

static void
create(struct store_job *j)
{
	struct s3_ask ask = { .method = "POST", .key = j->key, .query = { { "uploads", "" } } };

	j->suspect = j->begun;
	j->begun = 1;
	if (note(j, json_pack("{s:s,s:s,s:s,s:I,s:I}", "begin", j->key, "at", j->home->place.base, "bucket",
	                j->home->place.bucket, "size", (json_int_t)j->item.record->size, "partSize",
	                (json_int_t)j->part_size)) < 0)
		return;
	s3_job_headers(j, ask.headers);
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
	start_parts(j);
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

/* --- parts */

static void complete(struct store_job *j);

static void
start_parts(struct store_job *j)
{
	s3_digest_want(j->digest, S3_PARALLEL + S3_AHEAD);
	s3_multi_pump(j);
}

uint64_t
s3_part_length(const struct store_job *j, size_t part)
{
	uint64_t left = j->item.record->size - part * j->part_size;

	return left < j->part_size ? left : j->part_size;
}

static void
on_part(void *arg, const struct s3_reply *r)
{
	struct s3_slot *slot = arg;
	struct store_job *j = slot->job;
	struct s3_part *p = &j->parts[slot->part];
	char etag[256];

	slot->call = NULL;
	if (!r->good) {
		if (r->status == 404 && strcmp(r->code, "NoSuchUpload") == 0)
			s3_multi_again(j, r);
		else
			s3_job_refused(j, r);
		return;
	}
	if (!transfer_header(r->result, "etag", etag, sizeof etag)) {
		struct err e = { 0 };

		err_set(&e, 0, "the store takes a part but gives no ETag for it: it is no S3");
		s3_job_fail(j, STORE_FAILED, &e);
		return;
	}
	free(p->etag);
	p->etag = mem_str(etag);
	p->sent = 1;
	j->done += s3_part_length(j, slot->part);
	j->fresh += s3_part_length(j, slot->part);
	if (note(j, json_pack("{s:I,s:s,s:s}", "part", (json_int_t)slot->part + 1, "sha256", p->sha256,
	                "etag", p->etag)) == 0)
		s3_multi_pump(j);
}

static void
send_part(struct store_job *j, struct s3_slot *slot, size_t part)
{
	char sum[48];
	struct s3_ask ask = { .method = "PUT",
		.key = j->key,
		.query = { { "partNumber", slot->number }, { "uploadId", j->upload_id } },
		.headers = { { "x-amz-checksum-sha256", sum }, { "x-amz-sdk-checksum-algorithm", "SHA256" } },
		.fd = j->fd,
		.offset = part * j->part_size,
		.length = s3_part_length(j, part),
		.sha256 = j->parts[part].sha256 };

	slot->job = j;
	slot->part = part;
	(void)snprintf(slot->number, sizeof slot->number, "%zu", part + 1);
	s3_base64(j->parts[part].sha256, sum);
	slot->call = s3_call_start(j->home, &ask, on_part, slot);
}

/* The next hashed part that the store lacks; counts those on the way that it has. */
static int
find_part(struct store_job *j, size_t *part)
{
	for (; j->next < s3_digest_ready(j->digest); j->next++) {
		struct s3_part *p = &j->parts[j->next];
		int same = p->sent && strcmp(p->kept_sha256, p->sha256) == 0;

		free(p->kept_sha256);
		p->kept_sha256 = NULL;
		p->sent = same;
		if (!same) {
			*part = j->next++;
			return 1;
		}
		j->done += s3_part_length(j, j->next);
	}
	return 0;
}

void
s3_multi_pump(struct store_job *j)
{
	size_t busy = 0, part;

	for (size_t i = 0; i < S3_PARALLEL; i++) {
		if (j->slots[i].call == NULL && find_part(j, &part))
			send_part(j, &j->slots[i], part);
		busy += j->slots[i].call != NULL;
	}
	s3_digest_want(j->digest, j->next + S3_AHEAD);
	if (busy == 0 && j->next == j->part_count && s3_digest_whole(j->digest))
		complete(j);
}

/* --- Complete */

static void
print_manifest(struct store_job *j)
{
	char sum[48];

	buf_clear(&j->manifest);
	buf_adds(&j->manifest, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < j->part_count; i++) {
		s3_base64(j->parts[i].sha256, sum);
		buf_printf(&j->manifest, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		s3_xml_escape(&j->manifest, j->parts[i].etag);
		buf_printf(&j->manifest, "</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", sum);
	}
	buf_adds(&j->manifest, "</CompleteMultipartUpload>");
}

/*
 * NoSuchUpload: an earlier try may have done it although its answer was lost. s3_put.c looks, and comes back
 * to s3_multi_again() when the object is not there.
 */
static void
on_completed(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (r->good || (r->status == 404 && strcmp(r->code, "NoSuchUpload") == 0)) {
		free(j->upload_id);
		j->upload_id = NULL;
		s3_job_sent(j);
	} else if (r->status == 400 && strncmp(r->code, "InvalidPart", 11) == 0) {
		s3_multi_again(j, r);
	} else {
		s3_job_refused(j, r);
	}
}

static void
complete(struct store_job *j)
{
	print_manifest(j);
	j->call = s3_call_start(j->home,
	    &(struct s3_ask){ .method = "POST",
	        .key = j->key,
	        .query = { { "uploadId", j->upload_id } },
	        .headers = { { "content-type", "application/xml" } },
	        .bytes = buf_ptr(&j->manifest),
	        .length = buf_len(&j->manifest),
	        .reply_seconds = S3_COMPLETE_SECONDS },
	    on_completed, j);
}

/* --- */

void
s3_multi_stop(struct store_job *j)
{
	for (size_t i = 0; i < S3_PARALLEL; i++) {
		s3_call_cancel(j->slots[i].call);
		j->slots[i].call = NULL;
	}
	s3_call_cancel(j->call);
	j->call = NULL;
	s3_clean_cancel(j->clean);
	j->clean = NULL;
}

uint64_t
s3_multi_sent(const struct store_job *j)
{
	uint64_t sent = j->done;

	for (size_t i = 0; i < S3_PARALLEL; i++)
		if (j->slots[i].call != NULL)
			sent += s3_call_sent(j->slots[i].call);
	return sent;
}
