/* Artifacts of storage type "object": createUpload, (the bytes,) finishUpload, finishArtifact. */

#include <stdlib.h>
#include <string.h>

#include "artifact/sigv4.h"
#include "base/buf.h"
#include "base/mem.h"
#include "taskcluster_private.h"

/* --- finishArtifact */

/* It may be there although the queue could not say so. */
static void
on_info(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (r->good)
		tc_done(j);
	else
		tc_fail(j, STORE_AGAIN, TC_BY_SERVICE, &j->why);
}

static void
on_finished(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;
	struct buf path = { 0 };

	j->call = NULL;
	if (r->good) {
		tc_done(j);
		return;
	}
	if (r->class != RETRY_AGAIN) {
		tc_fail_call(j, r);
		return;
	}
	j->why = r->why;
	err_wrap(&j->why, "finishArtifact");
	buf_printf(&path, "queue/v1/task/%s/runs/%u/artifact-info/", j->item.record->task_id,
	    j->item.record->run_id);
	sigv4_escape(&path, j->item.record->name, 0);
	tc_ask(j, TC_INFO, "GET", buf_text(&path), NULL, on_info);
	buf_done(&path);
}

void
tc_object_finish(struct store_job *j)
{
	json_t *body = json_pack("{s:O}", "uploadId", json_object_get(j->note, "uploadId"));

	tc_ask(j, TC_FINISH, "PUT", j->path, body, on_finished);
}

/* --- the object service */

static void
on_upload_finished(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;

	j->call = NULL;
	if (!r->good) {
		tc_fail_call(j, r);
		return;
	}
	tc_note_stage(j, "finished");
	tc_object_finish(j);
}

void
tc_object_sent(struct store_job *j)
{
	char *path = tc_note_path(j, "finish-upload");

	j->sent = j->item.record->size;
	tc_ask(j, TC_FINISH_UPLOAD, "POST", path, tc_note_finish(j), on_upload_finished);
	free(path);
}

static void
on_upload_created(void *arg, const struct tc_reply *r)
{
	struct store_job *j = arg;
	struct err e = { 0 };
	int rc;

	j->call = NULL;
	if (!r->good && r->status == 409) {
		/* a put that never heard so has finished it; or that tells what is wrong */
		tc_object_sent(j);
		return;
	}
	if (!r->good) {
		tc_fail_call(j, r);
		return;
	}
	rc = tc_note_agreed(j, r->json, &e);
	if (rc < 0)
		tc_fail_answer(j, &e);
	else if (rc == 0)
		tc_send_data(j);
	else
		tc_object_sent(j);
}

void
tc_object_upload(struct store_job *j)
{
	struct err e = { 0 };
	json_t *body = tc_note_upload(j, &e);
	char *path;

	if (body == NULL) {
		tc_fail_here(j, &e);
		return;
	}
	path = tc_note_path(j, "upload");
	tc_ask(j, TC_UPLOAD, "PUT", path, body, on_upload_created);
	free(path);
}
