/* The parts of a multipart upload that are missing, a few at a time, then Complete. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "s3_private.h"

static void complete(struct store_job *j);

void
s3_parts_start(struct store_job *j)
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
	if (s3_multi_note(j, json_pack("{s:I,s:s,s:s}", "part", (json_int_t)slot->part + 1, "sha256",
	                         p->sha256, "etag", p->etag)) == 0)
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
