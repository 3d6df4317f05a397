/*
 * One put: is it there already? the object, a look at it, then its record. Callbacks bring what a state's
 * request was answered, and call the function of the state that is next.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "s3_private.h"

enum { MIB = 1024 * 1024, LOOKS_MAX = 3, ABORT_TRIES = 3 };

/* --- the end */

static void
job_free(struct store_job *j)
{
	struct store_job **at = &j->home->jobs;

	while (*at != j)
		at = &(*at)->next_job;
	*at = j->next_job;
	s3_multi_stop(j);
	s3_digest_free(j->digest);
	s3_journal_done(&j->journal, 0);
	event_free(j->turn);
	if (j->fd >= 0)
		close(j->fd);
	for (size_t i = 0; i < j->part_count; i++) {
		free(j->parts[i].etag);
		free(j->parts[i].kept_sha256);
	}
	free(j->parts);
	free(j->key);
	free(j->record_key);
	free(j->upload_id);
	buf_done(&j->record_text);
	buf_done(&j->manifest);
	free(j);
}

static void
end(struct store_job *j)
{
	json_t *where = NULL;

	if (j->end == STORE_DONE) {
		char *url = mem_printf("s3://%s/%s", j->home->place.bucket, j->key);

		where = json_pack("{s:s,s:s}", "url", url, "endpoint", j->home->place.base);
		free(url);
	}
	j->cb(j->arg, j->end, where, &j->why);
	json_decref(where);
	job_free(j);
}

static void
on_aborted(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (r->good || r->status == 404)
		s3_journal_done(&j->journal, 1);
	else if (j->end != STORE_DONE)
		(void)err_wrap(&j->why, "(its multipart upload could not be aborted)"); /* the sweep will */
	end(j);
}

/* An upload that is not taken up again takes room in the bucket for ever. */
static void
abort_then_end(struct store_job *j)
{
	j->state = JOB_ABORT;
	j->call = s3_call_start(j->home,
	    &(struct s3_ask){ .method = "DELETE",
	        .key = j->key,
	        .query = { { "uploadId", j->upload_id } },
	        .tries = ABORT_TRIES },
	    on_aborted, j);
}

void
s3_job_fail(struct store_job *j, enum store_end how, const struct err *why)
{
	int over = how == STORE_FAILED || (j->item.last && j->fresh == 0);

	j->end = how;
	j->why = *why;
	s3_multi_stop(j);
	s3_digest_free(j->digest);
	j->digest = NULL;
	if (over && j->upload_id != NULL) {
		abort_then_end(j);
		return;
	}
	if (over)
		s3_journal_done(&j->journal, 1);
	end(j);
}

void
s3_job_refused(struct store_job *j, const struct s3_reply *r)
{
	struct err e = r->why;

	if (r->tries > 1)
		(void)err_wrap(&e, "after %u tries", r->tries);
	e.rule = r->class == RETRY_AGAIN ? "service" : "worker";
	s3_job_fail(j, r->class == RETRY_AGAIN ? STORE_AGAIN : STORE_FAILED, &e);
}

static void
succeed(struct store_job *j)
{
	j->end = STORE_DONE;
	if (j->upload_id != NULL) { /* of an earlier run; the object came by another way */
		abort_then_end(j);
		return;
	}
	s3_journal_done(&j->journal, 1);
	end(j);
}

/* --- the record */

static void look(struct store_job *j);
static void put_record(struct store_job *j);

static void
on_recorded(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (r->good)
		succeed(j);
	else if (r->status == 412 && j->looks < LOOKS_MAX)
		look(j); /* there is one by now: perhaps of our own try whose answer was lost */
	else if (r->status == 501 && !j->replace) {
		j->replace = 1; /* a store without conditions (Swift 2.30): we have looked, and one puts */
		put_record(j);
	} else
		s3_job_refused(j, r);
}

static void
put_record(struct store_job *j)
{
	struct s3_ask ask = {
		.method = "PUT", .key = j->record_key, .headers = { { "content-type", "application/json" } }
	};

	j->state = JOB_RECORD;
	s3_record_print(j->item.record, &j->record_text);
	if (!j->replace)
		ask.headers[1] = (struct sigv4_pair){ "if-none-match", "*" };
	ask.bytes = buf_ptr(&j->record_text);
	ask.length = buf_len(&j->record_text);
	j->call = s3_call_start(j->home, &ask, on_recorded, j);
}

/* --- the object */

static void
on_verified(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;
	struct err e = { 0 };

	j->call = NULL;
	if (r->good && s3_object_is(j->item.record, r->result)) {
		put_record(j);
	} else if (!r->good && r->status != 404) {
		s3_job_refused(j, r);
	} else if (!r->good && j->part_count > 1) { /* what was put together is not there */
		j->state = JOB_SEND;
		s3_multi_again(j, r);
	} else {
		err_set(&e, 0, "the store took s3://%s/%s but has something else there",
		    j->home->place.bucket, j->key);
		s3_job_fail(j, STORE_FAILED, &e);
	}
}

static void
head(struct store_job *j, enum job_state state, s3_call_cb *cb)
{
	j->state = state;
	j->call = s3_call_start(j->home, &(struct s3_ask){ .method = "HEAD", .key = j->key }, cb, j);
}

void
s3_job_sent(struct store_job *j)
{
	head(j, JOB_VERIFY, on_verified);
}

static void
on_put(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (!r->good) {
		s3_job_refused(j, r);
		return;
	}
	j->done = j->fresh = j->item.record->size;
	s3_job_sent(j);
}

static void
put_whole(struct store_job *j)
{
	char sum[48];
	struct s3_ask ask = { .method = "PUT",
		.key = j->key,
		.fd = j->fd,
		.length = j->item.record->size,
		.sha256 = j->parts[0].sha256 };

	s3_base64(j->parts[0].sha256, sum);
	s3_object_headers(j->item.record, ask.headers);
	ask.headers[2] = (struct sigv4_pair){ "x-amz-checksum-sha256", sum };
	ask.headers[3] = (struct sigv4_pair){ "x-amz-sdk-checksum-algorithm", "SHA256" };
	j->call = s3_call_start(j->home, &ask, on_put, j);
}

static void
on_digest(void *arg, const struct err *why)
{
	struct store_job *j = arg;

	if (why != NULL)
		s3_job_fail(j, store_judge(why->code), why);
	else if (j->part_count > 1)
		s3_multi_pump(j);
	else
		put_whole(j);
}

static void
send_object(struct store_job *j)
{
	j->state = JOB_SEND;
	j->digest = s3_digest_new(j->home->base, j->fd, j->item.record, j->parts, j->part_size, on_digest, j);
	if (j->part_count > 1)
		s3_multi_start(j);
	else
		s3_digest_want(j->digest, 1);
}

static void
on_checked(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;
	int there = r->good && s3_object_is(j->item.record, r->result);

	j->call = NULL;
	if (!r->good && r->status != 404) {
		s3_job_refused(j, r);
		return;
	}
	if (there)
		j->done = j->item.record->size;
	if (there && j->record_there)
		succeed(j);
	else if (there)
		put_record(j);
	else
		send_object(j);
}

/* --- is it there already? */

static void
on_looked(void *arg, const struct s3_reply *r)
{
	struct store_job *j = arg;
	struct err e = { 0 };

	j->call = NULL;
	if (!r->good && (r->status != 404 || strcmp(r->code, "NoSuchBucket") == 0)) {
		s3_job_refused(j, r);
		return;
	}
	j->record_there = r->good ? s3_record_is(j->item.record, r->result->body, &e) : 0;
	j->replace = r->good && j->record_there == 0;
	if (j->record_there < 0) {
		s3_job_fail(j, STORE_FAILED, &e);
		return;
	}
	head(j, JOB_CHECK, on_checked);
}

static void
look(struct store_job *j)
{
	j->state = JOB_LOOK;
	j->looks++;
	j->call =
	    s3_call_start(j->home, &(struct s3_ask){ .method = "GET", .key = j->record_key }, on_looked, j);
}

/* --- begin */

static void
cut_in_parts(struct store_job *j)
{
	uint64_t size = j->item.record->size, least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	j->part_size = S3_PART;
	if (least > j->part_size)
		j->part_size = (least + MIB - 1) / MIB * MIB;
	j->part_count = size == 0 ? 1 : (size_t)((size + j->part_size - 1) / j->part_size);
	j->parts = mem_array(j->part_count, sizeof *j->parts);
}

static int
begin(struct store_job *j, struct err *e)
{
	const struct spool_record *r = j->item.record;
	struct stat st;

	j->key = s3_object_key(&j->home->place, r->task_id, r->run_id, r->name, e);
	if (j->key == NULL)
		return -1;
	j->record_key = mem_printf("%s.json", j->key);
	j->fd = open(j->item.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return err_set(e, errno, "cannot open '%s': %m", j->item.data);
	if ((uint64_t)st.st_size != r->size)
		return err_set(e, EBADMSG, "damaged in the spool: it has %lld bytes, %llu were sealed",
		    (long long)st.st_size, (unsigned long long)r->size);
	cut_in_parts(j);
	return j->part_count > 1 ? s3_multi_open(j, e) : 0;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct store_job *j = arg;
	struct err e = { 0 };

	(void)fd;
	(void)what;
	if (begin(j, &e) < 0)
		s3_job_fail(j, store_judge(e.status != 0 ? EINVAL : e.code), &e);
	else
		look(j);
}

struct store_job *
s3_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg)
{
	struct s3 *home = (struct s3 *)s;
	struct store_job *j = mem_new(sizeof *j);
	struct timeval at_once = { 0, 0 };

	*j = (struct store_job){ .home = home,
		.item = *item,
		.cb = cb,
		.arg = arg,
		.fd = -1,
		.journal = { .fd = -1 },
		.next_job = home->jobs };
	home->jobs = j;
	j->turn = evtimer_new(home->base, on_turn, j);
	if (j->turn == NULL || evtimer_add(j->turn, &at_once) < 0)
		abort();
	return j;
}

uint64_t
s3_put_sent(const struct store_job *j)
{
	if (j->state == JOB_SEND && j->part_count == 1 && j->call != NULL)
		return s3_call_sent(j->call);
	return s3_multi_sent(j);
}

void
s3_put_cancel(struct store_job *j)
{
	job_free(j);
}
