/*
 * A put, step by step. s3: check the spool, createArtifact, send the bytes. object: check, createArtifact,
 * createUpload, send, finishUpload, finishArtifact.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/sigv4.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "task/task.h"
#include "taskcluster_private.h"

static const struct {
	const char *name, *fault; /* of a 4xx */
} steps[] = {
	[TC_CREATE] = { "createArtifact", TC_BY_WORKER },
	[TC_UPLOAD] = { "createUpload", TC_BY_SERVICE },
	[TC_DATA] = { "upload", TC_BY_SERVICE },
	[TC_FINISH_UPLOAD] = { "finishUpload", TC_BY_SERVICE },
	[TC_FINISH] = { "finishArtifact", TC_BY_SERVICE },
	[TC_INFO] = { "artifactInfo", TC_BY_SERVICE },
	[TC_ERROR] = { "createArtifact", TC_BY_TASK },
};

static void create(struct store_job *j);

/* What was begun is ended, whatever the settings say since. */
int
tc_is_object(const struct store_job *j)
{
	return strcmp(j->home->storage_type, "object") == 0 || !tc_note_is(j, "");
}

/* --- ends */

static void
job_free(struct store_job *j, int forget)
{
	tc_check_cancel(j->check);
	tc_call_cancel(j->call);
	transfer_cancel(j->data);
	event_free(j->turn);
	tc_note_done(j, forget);
	if (j->fd >= 0)
		close(j->fd);
	if (j->url != NULL)
		mem_wipe(j->url, strlen(j->url));
	free(j->url);
	free(j->headers);
	free(j->path);
	free(j->scope);
	free(j);
}

static void
arm(struct store_job *j, int64_t ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (j->turn == NULL || evtimer_add(j->turn, &t) < 0)
		abort();
}

static void
end(struct store_job *j)
{
	json_t *where = NULL;

	if (j->how == STORE_DONE)
		where = json_pack("{s:o,s:s}", "url", json_sprintf("%s/api/%s", j->home->root, j->path),
		    "storageType", tc_is_object(j) ? "object" : "s3");
	j->cb(j->arg, j->how, where, &j->why);
	json_decref(where);
	job_free(j, j->how != STORE_AGAIN);
}

/* why is copied; its rule becomes the fault. */
void
tc_fail(struct store_job *j, enum store_end how, const char *fault, const struct err *why)
{
	j->over = 1;
	j->how = how;
	j->why = *why;
	j->why.rule = fault;
	end(j);
}

/* Of the disk: its code says whether it passes. */
void
tc_fail_here(struct store_job *j, const struct err *why)
{
	tc_fail(j, store_judge(why->code), TC_BY_WORKER, why);
}

void
tc_done(struct store_job *j)
{
	j->how = STORE_DONE;
	j->sent = j->item.record->size;
	end(j);
}

static const char *
fault_of(enum tc_step step, const struct tc_reply *r)
{
	if (r->why.rule != NULL)
		return r->why.rule;
	if (r->status < 400 || r->status >= 500 || r->class == RETRY_AGAIN)
		return TC_BY_SERVICE;
	if (step == TC_CREATE && r->status == 409)
		return TC_BY_TASK; /* another artifact of that name, or the run is over */
	if (step == TC_FINISH && (r->status == 401 || r->status == 403))
		return TC_BY_WORKER;
	return steps[step].fault;
}

/* After the pause that the service wished for. */
void
tc_fail_call(struct store_job *j, const struct tc_reply *r)
{
	j->over = 1;
	j->how = r->class == RETRY_AGAIN ? STORE_AGAIN : STORE_FAILED;
	j->why = r->why;
	j->why.rule = fault_of(j->step, r);
	err_wrap(&j->why, "%s", steps[j->step].name);
	if (j->how == STORE_AGAIN && r->after > 0)
		arm(j, r->after < retry_pace.after_most ? r->after : retry_pace.after_most);
	else
		end(j);
}

/* 2xx, and not what it must be: something between us and the service, perhaps. */
void
tc_fail_answer(struct store_job *j, const struct err *why)
{
	struct err e = *why;

	err_wrap(&e, "%s", steps[j->step].name);
	tc_fail(j, why->code == EPROTO ? STORE_FAILED : STORE_AGAIN, TC_BY_SERVICE, &e);
}

/* --- requests; takes body */

void
tc_ask(struct store_job *j, enum tc_step step, const char *method, const char *path, json_t *body,
    tc_call_cb *cb)
{
	int to_object = step == TC_UPLOAD || step == TC_FINISH_UPLOAD;
	struct tc_ask a = { .method = method,
		.path = path,
		.body = body,
		.key = to_object ? &j->key : NULL,
		.session = j->item.record->session,
		.scope = j->scope };

	j->step = step;
	j->call = tc_call_start(j->home, &a, cb, j);
	json_decref(body);
}

/* --- the bytes */

static void
on_data(void *arg, const struct transfer_result *r)
{
	struct store_job *j = arg;
	struct err why = { 0 };
	enum tc_data_end end_of = tc_data_judge(r, &why);

	j->data = NULL;
	j->sent = r->sent;
	if (end_of == TC_DATA_EXPIRED && !j->renewed) {
		j->renewed = 1;
		if (tc_is_object(j))
			tc_object_upload(j);
		else
			create(j);
		return;
	}
	if (end_of == TC_DATA_SENT && !tc_is_object(j)) {
		tc_done(j);
	} else if (end_of == TC_DATA_SENT) {
		tc_note_stage(j, "sent");
		tc_object_sent(j);
	} else {
		err_wrap(&why, "upload");
		tc_fail(j, end_of == TC_DATA_AGAIN ? STORE_AGAIN : STORE_FAILED,
		    r->end == TRANSFER_IMPOSSIBLE ? TC_BY_WORKER : TC_BY_SERVICE, &why);
	}
}

void
tc_send_data(struct store_job *j)
{
	j->step = TC_DATA;
	j->data = transfer_start(j->home->transfers,
	    &(struct transfer_ask){ .method = "PUT",
	        .url = j->url,
	        .headers = j->headers,
	        .fd = j->fd,
	        .length = j->item.record->size,
	        .answer_max = TC_ANSWER_MAX },
	    on_data, j);
}

/* --- createArtifact */

/* The queue's answer to a second createArtifact is a 500, too: when its first answer got lost, the name is.
 */
static void
fail_create(struct store_job *j, const struct tc_reply *r)
{
	struct err e = r->why;

	if (!tc_is_object(j) || r->status != 500 || tc_note_lost(j) < TC_CREATE_MAX) {
		tc_fail_call(j, r);
		return;
	}
	err_wrap(&e, "createArtifact, %d times; if an answer was lost, the name is used up for this run",
	    TC_CREATE_MAX);
	tc_fail(j, STORE_FAILED, TC_BY_SERVICE, &e);
}

static int
take_put_url(struct store_job *j, const json_t *created, struct err *e)
{
	const char *url = json_str(created, "putUrl", "");
	json_t *wanted;

	if (tc_data_url(j->home->root, url, e) < 0)
		return -1;
	wanted = json_pack(
	    "{s:s}", "Content-Type", json_str(created, "contentType", j->item.record->content_type));
	free(j->headers);
	j->headers = tc_data_headers(wanted, j->item.record->size, e);
	json_decref(wanted);
	if (j->headers == NULL)
		return -1;
	free(j->url);
	j->url = mem_str(url);
	return 0;
}

static void
on_created(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;
	struct err e = { 0 };

	j->call = NULL;
	if (!r->good)
		fail_create(j, r);
	else if (tc_is_object(j) && tc_note_begin(j, r->json, &e) == 0)
		tc_object_upload(j);
	else if (!tc_is_object(j) && take_put_url(j, r->json, &e) == 0)
		tc_send_data(j);
	else
		tc_fail_answer(j, &e);
}

/* Never contentLength with "object": finishArtifact would answer 500 for ever (taskcluster.md, bug 1). */
static void
create(struct store_job *j)
{
	const struct spool_record *r = j->item.record;
	json_t *body = json_pack("{s:s,s:s,s:s}", "storageType", j->home->storage_type, "expires", j->expires,
	    "contentType", r->content_type);

	if (!tc_is_object(j))
		json_object_set_new(body, "contentLength", json_integer((json_int_t)r->size));
	tc_ask(j, TC_CREATE, "POST", j->path, body, on_created);
}

/* --- the start */

/* The put fails in any case, with the reason that is in why; the queue only tells those who look for it. */
static void
on_error_created(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;
	char *text;

	j->call = NULL;
	if (!r->good && r->class == RETRY_AGAIN) {
		text = mem_str(j->why.text);
		err_set(&j->why, 0, "%s; createArtifact: %s", text, r->why.text);
		free(text);
		tc_fail(j, STORE_AGAIN, TC_BY_SERVICE, &j->why);
		return;
	}
	end(j);
}

/* An artifact that says why there is none. */
static void
create_error(struct store_job *j, const char *reason, const char *message)
{
	j->how = STORE_FAILED;
	err_set(&j->why, 0, "%s", message);
	j->why.rule = strcmp(reason, SPOOL_ERROR_UNREADABLE) == 0 ? TC_BY_WORKER : TC_BY_TASK;
	tc_ask(j, TC_ERROR, "POST", j->path,
	    json_pack("{s:s,s:s,s:s,s:s}", "storageType", "error", "expires", j->expires, "reason", reason,
	        "message", message),
	    on_error_created);
}

static void
on_checked(void *arg, int rc, const struct err *why)
{
	struct store_job *j = arg;

	j->check = NULL;
	if (rc < 0)
		tc_fail_here(j, why);
	else if (tc_note_is(j, "created"))
		tc_object_upload(j);
	else
		create(j);
}

/* The queue wants an end, and compares it with that of an earlier call: it must always be the same. */
static int
read_expires(struct store_job *j, const char **fault, struct err *e)
{
	const char *given = j->item.record->expires;
	int64_t ms;

	*fault = TC_BY_WORKER;
	if (given == NULL)
		return err_set(e, EINVAL,
		    "the artifact has no 'expires': the worker must register its task with the task's own");
	if (stamp_parse(given, &ms) < 0)
		return err_set(e, EINVAL, "the artifact's 'expires' is not a time");
	*fault = TC_BY_TASK;
	if (ms <= stamp_now() + j->home->skew)
		return err_set(e, EINVAL, "the artifact has expired at %s already", given);
	stamp_print(ms, j->expires);
	return 0;
}

static int
open_data(struct store_job *j, struct err *e)
{
	struct stat st;

	j->fd = open(j->item.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0 || fstat(j->fd, &st) < 0)
		return err_set(e, errno, "cannot open '%s': %m", j->item.data);
	if ((uint64_t)st.st_size != j->item.record->size)
		return err_set(e, EBADMSG, "damaged in the spool: it has %lld bytes, %llu were sealed",
		    (long long)st.st_size, (unsigned long long)j->item.record->size);
	return 0;
}

static void
make_names(struct store_job *j)
{
	const struct spool_record *r = j->item.record;
	struct buf b = { 0 };

	buf_printf(&b, "queue/v1/task/%s/runs/%u/artifacts/", r->task_id, r->run_id);
	sigv4_escape(&b, r->name, 0);
	j->path = mem_str(buf_text(&b));
	buf_done(&b);
	j->scope = mem_printf("queue:create-artifact:%s/%u", r->task_id, r->run_id);
}

static void
start(struct store_job *j)
{
	const char *fault = TC_BY_TASK;
	struct err e = { 0 };

	make_names(j);
	tc_note_open(j);
	if (task_check_stored(j->item.record->name, &e) < 0 || read_expires(j, &fault, &e) < 0) {
		tc_fail(j, STORE_FAILED, fault, &e);
		return;
	}
	if (j->item.record->error_reason != NULL) {
		create_error(j, j->item.record->error_reason, j->item.record->error_message);
		return;
	}
	if (open_data(j, &e) < 0) {
		tc_fail_here(j, &e);
		return;
	}
	if (j->item.record->size > (uint64_t)TC_PUT_MAX) {
		err_set(&e, EFBIG, "the artifact has %llu bytes: one upload takes 5 GiB at most",
		    (unsigned long long)j->item.record->size);
		create_error(j, SPOOL_ERROR_LARGE, e.text);
	} else if (tc_note_is(j, "sent")) {
		tc_object_sent(j);
	} else if (tc_note_is(j, "finished")) {
		j->sent = j->item.record->size;
		tc_object_finish(j);
	} else {
		j->check = tc_check_start(j->home->base, j->fd, j->item.record, on_checked, j);
	}
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct store_job *j = arg;

	(void)fd;
	(void)what;
	if (j->over)
		end(j);
	else
		start(j);
}

struct store_job *
tc_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg)
{
	struct taskcluster *t = (struct taskcluster *)s;
	struct store_job *j = mem_new(sizeof *j);

	*j = (struct store_job){ .home = t, .item = *item, .cb = cb, .arg = arg, .fd = -1 };
	j->turn = evtimer_new(t->base, on_turn, j);
	arm(j, 0);
	return j;
}

uint64_t
tc_sent(const struct store_job *j)
{
	return j->data != NULL ? transfer_sent(j->data) : j->sent;
}

void
tc_cancel(struct store_job *j)
{
	job_free(j, 0);
}
