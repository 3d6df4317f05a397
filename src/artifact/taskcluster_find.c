/*
 * Finding an artifact: the index, the task's last run, what the queue says of the artifact (artifact-content:
 * it judges the scopes of who asks), the object service, and a look at the first byte. Everything is a GET,
 * or the object service's own credentials: none of it needs to be narrowed to a scope, and links need
 * several.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/sigv4.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "taskcluster_private.h"

enum find_step { FIND_INDEX = 0, FIND_RUN, FIND_CONTENT, FIND_DOWNLOAD, FIND_LOOK };

static const char *const step_names[] = {
	[FIND_INDEX] = "findTask",
	[FIND_RUN] = "status",
	[FIND_CONTENT] = "artifact",
	[FIND_DOWNLOAD] = "startDownload",
	[FIND_LOOK] = "download",
};

struct source_find {
	struct taskcluster *home;
	char *task_id, *index, *name, *keys;
	int64_t run_id;
	source_found_cb *cb;
	void *arg;
	enum find_step step;
	struct tc_call *call;
	struct transfer *look;
	struct tc_key key; /* of the object service */
	struct tc_source *found;
	int seen; /* the head of the look's answer */
	struct event *turn;
};

static void next(struct source_find *f);

void
tc_find_cancel(struct source_find *f)
{
	tc_call_cancel(f->call);
	transfer_cancel(f->look);
	event_free(f->turn);
	if (f->found != NULL)
		tc_source_free(&f->found->source);
	tc_key_done(&f->key);
	free(f->task_id);
	free(f->index);
	free(f->name);
	free(f->keys);
	free(f);
}

/* f is gone. */
static void
end(struct source_find *f, enum source_end how, int64_t after, const struct err *why)
{
	source_found_cb *cb = f->cb;
	void *arg = f->arg;
	struct source *found = how == SOURCE_DONE ? &f->found->source : NULL;
	struct err e = { 0 };

	if (why != NULL)
		e = *why;
	if (found != NULL)
		f->found = NULL;
	tc_find_cancel(f);
	cb(arg, found, how, after, &e);
}

static void
fail(struct source_find *f, const struct err *why)
{
	struct err e = *why;

	if (e.status == 0) {
		e.status = 502;
		e.rule = TC_BY_SERVICE;
	}
	(void)err_wrap(&e, "%s", step_names[f->step]);
	end(f, SOURCE_FAILED, 0, &e);
}

/* 403, 404, 410 and 424 are about what the task wants; 401 is about what the worker gave us to ask with. */
static void
fail_call(struct source_find *f, const struct tc_reply *r)
{
	struct err e = r->why;
	int of_task = r->status >= 400 && r->status < 500 && r->status != 401;

	if (r->class == RETRY_AGAIN) {
		e.status = 503;
		e.rule = TC_BY_SERVICE;
	} else if (of_task && f->step != FIND_DOWNLOAD) {
		e.status = (int)r->status;
		e.rule = TC_BY_TASK;
	} else {
		e.status = 502;
		e.rule = e.rule != NULL || r->status == 401 ? TC_BY_WORKER : TC_BY_SERVICE;
	}
	(void)err_wrap(&e, "%s", step_names[f->step]);
	end(f, r->class == RETRY_AGAIN ? SOURCE_AGAIN : SOURCE_FAILED, r->after, &e);
}

/* --- a look at the first byte: how long it is, and which bytes it is */

static int
on_head(void *arg, const struct transfer_result *head)
{
	struct source_find *f = arg;
	struct source *s = &f->found->source;
	char text[128], etag[128], size[32];
	const char *total;

	f->seen = 1;
	if (head->status == 206 && transfer_header(head, "Content-Range", text, sizeof text) &&
	    (total = strrchr(text, '/')) != NULL && total[1] >= '0' && total[1] <= '9')
		s->size = strtoll(total + 1, NULL, 10);
	else if (head->status == 200 && transfer_header(head, "Content-Length", size, sizeof size))
		s->size = strtoll(size, NULL, 10);
	if (s->size < 0 || s->size == INT64_MAX)
		s->size = -1;
	if (transfer_header(head, "ETag", etag, sizeof etag) && etag[0] == '"')
		s->etag = mem_str(etag);
	if (s->sha256 != NULL || s->sha512 != NULL)
		s->content = s->sha256 != NULL ? mem_printf("sha256:%s", s->sha256)
		                               : mem_printf("sha512:%s", s->sha512);
	else if (s->size >= 0 && s->etag != NULL)
		s->content = mem_printf("etag:%s/%lld", s->etag, (long long)s->size);
	else
		s->content = mem_str("");
	return head->status != 206; /* all of it is not wanted now */
}

static int
on_byte(void *arg, const void *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
	return 0;
}

enum source_end
tc_judge_read(const struct transfer_result *r, int seen, struct err *why)
{
	enum tc_data_end how;

	if (r->status == 200 || r->status == 206)
		if (r->end == TRANSFER_ANSWERED || (r->end == TRANSFER_EXCESS && seen))
			return SOURCE_DONE;
	if (r->end == TRANSFER_ANSWERED && (r->status == 412 || r->status == 416)) {
		err_set(why, 0, "status %u: it is not what it was before", r->status);
		return SOURCE_CHANGED;
	}
	how = tc_data_refused(r, why);
	why->rule = r->end == TRANSFER_IMPOSSIBLE ? TC_BY_WORKER : TC_BY_SERVICE;
	why->status = how == TC_DATA_AGAIN || how == TC_DATA_EXPIRED ? 503 : 502;
	if (r->end == TRANSFER_ANSWERED && r->status == 404) {
		why->rule = TC_BY_TASK; /* made known, and never uploaded */
		why->status = 404;
	}
	return how == TC_DATA_AGAIN ? SOURCE_AGAIN : how == TC_DATA_EXPIRED ? SOURCE_EXPIRED : SOURCE_FAILED;
}

static void
on_looked(void *arg, const struct transfer_result *r)
{
	struct source_find *f = arg;
	struct err why = { 0 };
	enum source_end how = tc_judge_read(r, f->seen, &why);

	f->look = NULL;
	if (how == SOURCE_DONE) {
		end(f, SOURCE_DONE, 0, NULL);
		return;
	}
	(void)err_wrap(&why, "%s", step_names[FIND_LOOK]);
	if (how == SOURCE_EXPIRED || how == SOURCE_CHANGED) {
		why.rule = TC_BY_SERVICE; /* a URL that was made a moment ago; a byte of something empty */
		why.status = 502;
		how = SOURCE_FAILED;
	}
	end(f, how, 0, &why);
}

static void
look(struct source_find *f)
{
	f->step = FIND_LOOK;
	f->look = transfer_start(f->home->transfers,
	    &(struct transfer_ask){ .method = "GET",
	        .url = f->found->url,
	        .headers = "Range: bytes=0-0\n",
	        .answer_max = TC_ANSWER_MAX,
	        .begin = on_head,
	        .sink = on_byte },
	    on_looked, f);
}

/* --- the calls */

static void on_answer(void *arg, const struct tc_reply *r);

static void
ask(struct source_find *f, enum find_step step, const char *path)
{
	struct tc_ask a = { .method = "GET", .path = path, .keys = f->keys };

	f->step = step;
	f->call = tc_call_start(f->home, &a, on_answer, f);
}

static void
start_download(struct source_find *f, const char *name)
{
	struct buf path = { 0 };
	json_t *body = json_pack("{s:{s:b}}", "acceptDownloadMethods", "getUrl", 1);
	struct tc_ask a = { .method = "PUT", .body = body, .key = &f->key };

	buf_adds(&path, "object/v1/start-download/");
	sigv4_escape(&path, name, 0);
	a.path = buf_text(&path);
	f->step = FIND_DOWNLOAD;
	f->call = tc_call_start(f->home, &a, on_answer, f);
	json_decref(body);
	buf_done(&path);
}

static void
take_content(struct source_find *f, const json_t *content)
{
	struct err e = { 0 };
	char *name = NULL;
	int rc;

	f->found = tc_source_new(f->home);
	f->found->source.task_id = mem_str(f->task_id);
	f->found->source.run_id = (unsigned)f->run_id;
	rc = tc_find_content(f->found, content, &name, &f->key, &e);
	if (rc < 0)
		fail(f, &e);
	else if (rc == 0)
		start_download(f, name);
	else
		look(f);
	free(name);
}

static void
take_task(struct source_find *f, const json_t *indexed)
{
	const char *task_id = json_str(indexed, "taskId", NULL);
	struct err e = { 0 };

	if (task_id == NULL) {
		err_set(&e, EPROTO, "the index says no taskId");
		fail(f, &e);
		return;
	}
	f->task_id = mem_str(task_id);
	next(f);
}

static void
on_answer(void *arg, const struct tc_reply *r)
{
	struct source_find *f = arg;
	struct err e = { 0 };

	f->call = NULL;
	if (!r->good) {
		fail_call(f, r);
	} else if (f->step == FIND_INDEX) {
		take_task(f, r->json);
	} else if (f->step == FIND_CONTENT) {
		take_content(f, r->json);
	} else if (f->step == FIND_DOWNLOAD) {
		if (tc_find_download(f->found, r->json, &e) < 0)
			fail(f, &e);
		else
			look(f);
	} else if ((f->run_id = tc_find_run(r->json, &e)) < 0) {
		fail(f, &e);
	} else {
		next(f);
	}
}

/* What is not known yet is asked, in this order: the run is settled once, whatever runs come after. */
static void
next(struct source_find *f)
{
	struct buf path = { 0 };

	if (f->task_id == NULL) {
		buf_adds(&path, "index/v1/task/");
		sigv4_escape(&path, f->index, 0);
		ask(f, FIND_INDEX, buf_text(&path));
	} else if (f->run_id < 0) {
		buf_adds(&path, "queue/v1/task/");
		sigv4_escape(&path, f->task_id, 0);
		buf_adds(&path, "/status");
		ask(f, FIND_RUN, buf_text(&path));
	} else {
		buf_adds(&path, "queue/v1/task/");
		sigv4_escape(&path, f->task_id, 0);
		buf_printf(&path, "/runs/%lld/artifact-content/", (long long)f->run_id);
		sigv4_escape(&path, f->name, 0);
		ask(f, FIND_CONTENT, buf_text(&path));
	}
	buf_done(&path);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct source_find *f = arg;
	struct err e = { 0 };

	(void)fd;
	(void)what;
	if (f->index != NULL && f->task_id == NULL && source_check_index(f->index, &e) < 0)
		fail(f, &e);
	else
		next(f);
}

struct source_find *
tc_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg)
{
	struct source_find *f = mem_new(sizeof *f);
	struct timeval at_once = { 0, 0 };

	*f = (struct source_find){ .home = (struct taskcluster *)s,
		.task_id = mem_str(w->task_id),
		.index = mem_str(w->index),
		.name = mem_str(w->name),
		.keys = mem_str(w->keys),
		.run_id = w->run_id,
		.cb = cb,
		.arg = arg };
	f->turn = evtimer_new(f->home->base, on_turn, f);
	if (f->turn == NULL || evtimer_add(f->turn, &at_once) < 0)
		abort();
	return f;
}
