/* Finding an artifact in a bucket: the index entry, the task's runs, the record of one. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "local_private.h"
#include "s3_private.h"

enum { RUN_END = 10000000 /* no run has so high a number */ };

struct source_find {
	struct s3 *home;
	char *task_id, *index, *name, *key;
	int64_t run_id, below; /* below: of the runs that were looked at */
	int latest, listed;    /* whichever run has it; runs is filled */
	struct buf runs;       /* the list of them */
	struct s3_call *call;
	source_found_cb *cb;
	void *arg;
	struct event *turn;
};

static void next(struct source_find *f);

void
s3_source_free(struct source *source)
{
	struct s3_source *s = (struct s3_source *)source;

	source_done(source);
	free(s->key);
	free(s);
}

void
s3_find_cancel(struct source_find *f)
{
	s3_call_cancel(f->call);
	event_free(f->turn);
	buf_done(&f->runs);
	free(f->task_id);
	free(f->index);
	free(f->name);
	free(f->key);
	free(f);
}

/* f is gone. */
static void
end(struct source_find *f, struct source *found, enum source_end how, const struct err *why)
{
	source_found_cb *cb = f->cb;
	void *arg = f->arg;
	struct err e = *why;

	s3_find_cancel(f);
	cb(arg, found, how, 0, &e);
}

static void
fail(struct source_find *f, const struct err *why)
{
	struct err e = *why;

	if (e.status == 0)
		e.status = 502;
	e.rule = e.status < 500 ? "task" : "service";
	end(f, NULL, SOURCE_FAILED, &e);
}

/* The bucket's credentials are the worker's: what they may not do is no fault of the task's. */
void
s3_judge_out(const struct s3_reply *r, enum source_end *end_of, struct err *why)
{
	*why = r->why;
	*end_of = r->class == RETRY_AGAIN ? SOURCE_AGAIN : SOURCE_FAILED;
	why->status = r->class == RETRY_AGAIN ? 503 : 502;
	why->rule = r->class == RETRY_AGAIN ? "service" : "worker";
	if (r->status == 412 || r->status == 416)
		*end_of = SOURCE_CHANGED;
}

static void
fail_call(struct source_find *f, const struct s3_reply *r)
{
	struct err why;
	enum source_end how;

	s3_judge_out(r, &how, &why);
	end(f, NULL, SOURCE_FAILED, &why); /* the call has made all its tries */
}

static void
missing(struct source_find *f)
{
	struct err e = { 0 };
	char quoted[120];

	err_refuse(&e, 404, "task", "the store has no artifact '%s' of task %s",
	    log_quote(f->name, strlen(f->name), quoted, sizeof quoted), f->task_id);
	end(f, NULL, SOURCE_FAILED, &e);
}

/* --- the record */

static struct source *
make(struct source_find *f, const json_t *record)
{
	struct s3_source *s = mem_new(sizeof *s);

	s->source = (struct source){ .home = &f->home->store,
		.task_id = mem_str(f->task_id),
		.run_id = (unsigned)f->run_id,
		.content = mem_printf("sha256:%s", json_str(record, "sha256", "")),
		.sha256 = mem_str(json_str(record, "sha256", NULL)),
		.sha512 = mem_str(json_str(record, "sha512", NULL)),
		.image_id = mem_str(json_str(record, "imageId", NULL)),
		.size = json_num(record, "size", -1) };
	s->key = f->key;
	f->key = NULL;
	return &s->source;
}

static void
take_record(struct source_find *f, const struct buf *body)
{
	struct spool_record r = { 0 };
	struct err e = { 0 };
	json_t *record = json_parse(buf_ptr(body), buf_len(body), &e);

	if (record == NULL || spool_record_parse(&r, record, &e) < 0) {
		(void)err_wrap(&e, "s3://%s/%s.json is damaged", f->home->place.bucket, f->key);
		fail(f, &e);
	} else if (local_expired(record)) {
		err_refuse(&e, 410, "task", "artifact '%s' of task %s has expired (%s)", r.name, r.task_id,
		    r.expires);
		fail(f, &e);
	} else {
		end(f, make(f, record), SOURCE_DONE, &e);
	}
	spool_record_done(&r);
	json_decref(record);
}

static void
on_record(void *arg, const struct s3_reply *r)
{
	struct source_find *f = arg;

	f->call = NULL;
	if (r->good) {
		take_record(f, r->result->body);
	} else if (r->status != 404) {
		fail_call(f, r);
	} else if (f->latest) { /* an earlier run may have it */
		f->below = f->run_id;
		f->run_id = -1;
		next(f);
	} else {
		missing(f);
	}
}

static void
get(struct source_find *f, const char *key, s3_call_cb *cb)
{
	f->call = s3_call_start(f->home, &(struct s3_ask){ .method = "GET", .key = key }, cb, f);
}

static void
get_record(struct source_find *f)
{
	struct err e = { 0 };
	char *key;

	free(f->key);
	f->key = s3_object_key(&f->home->place, f->task_id, (unsigned)f->run_id, f->name, &e);
	if (f->key == NULL) {
		fail(f, &e);
		return;
	}
	key = mem_printf("%s.json", f->key);
	get(f, key, on_record);
	free(key);
}

/* --- the runs of a task */

struct runs {
	const char *prefix;
	int64_t below, best;
};

static int
on_prefix(void *arg, const char *path, const char *text)
{
	struct runs *r = arg;
	size_t len = strlen(r->prefix), digits;
	int64_t run;

	if (strcmp(path, "ListBucketResult/CommonPrefixes/Prefix") != 0 || strncmp(text, r->prefix, len) != 0)
		return 0;
	digits = strspn(text + len, "0123456789");
	if (digits < 1 || digits > 7 || strcmp(text + len + digits, "/") != 0)
		return 0;
	run = strtoll(text + len, NULL, 10);
	if (run < r->below && run > r->best)
		r->best = run;
	return 0;
}

int64_t
s3_find_run(const char *text, size_t len, const char *prefix, int64_t below, struct err *e)
{
	struct runs r = { prefix, below, -1 };

	return s3_xml_walk(text, len, on_prefix, &r, e) < 0 ? -1 : r.best;
}

static char *
prefix_of(const struct source_find *f)
{
	return mem_printf("%s%s/", f->home->place.prefix, f->task_id);
}

static void
on_runs(void *arg, const struct s3_reply *r)
{
	struct source_find *f = arg;

	f->call = NULL;
	if (!r->good) {
		fail_call(f, r);
		return;
	}
	f->listed = 1;
	f->below = RUN_END;
	buf_add(&f->runs, buf_ptr(r->result->body), buf_len(r->result->body));
	next(f);
}

/* One page has a thousand: a task that was run more often is not served by number. */
static void
list_runs(struct source_find *f)
{
	char *prefix = prefix_of(f);

	f->call = s3_call_start(f->home,
	    &(struct s3_ask){ .method = "GET",
	        .query = { { "list-type", "2" }, { "prefix", prefix }, { "delimiter", "/" } } },
	    on_runs, f);
	free(prefix);
}

static void
choose_run(struct source_find *f)
{
	struct err e = { 0 };
	char *prefix = prefix_of(f);

	f->run_id = s3_find_run((const char *)buf_ptr(&f->runs), buf_len(&f->runs), prefix, f->below, &e);
	free(prefix);
	if (f->run_id >= 0)
		get_record(f);
	else if (e.text[0] != '\0')
		fail(f, &e);
	else
		missing(f);
}

/* --- the index: <prefix>.index/<namespace>.json; no taskId has a dot */

static void
on_index(void *arg, const struct s3_reply *r)
{
	struct source_find *f = arg;
	struct source_place place;
	struct err e = { 0 };

	f->call = NULL;
	if (!r->good && r->status == 404) {
		err_refuse(&e, 404, "task", "the store's index has no task under '%s'", f->index);
		fail(f, &e);
	} else if (!r->good) {
		fail_call(f, r);
	} else if (source_read_index(&place, buf_ptr(r->result->body), buf_len(r->result->body), &e) < 0) {
		fail(f, &e);
	} else {
		f->task_id = place.task_id;
		f->run_id = place.run_id;
		next(f);
	}
}

static void
look_up(struct source_find *f)
{
	struct err e = { 0 };
	char *key;

	if (source_check_index(f->index, &e) < 0) {
		fail(f, &e);
		return;
	}
	key = mem_printf("%s.index/%s.json", f->home->place.prefix, f->index);
	get(f, key, on_index);
	free(key);
}

static void
next(struct source_find *f)
{
	struct err e = { 0 };
	struct local_names n;
	int rc;

	if (f->task_id == NULL) {
		look_up(f);
		return;
	}
	rc = local_names_init(&n, "", f->task_id, 0, f->name, &e); /* a taskId becomes a prefix as well */
	local_names_done(&n);
	if (rc < 0) {
		fail(f, &e);
	} else if (f->run_id >= 0) {
		get_record(f);
	} else {
		f->latest = 1;
		if (f->listed)
			choose_run(f);
		else
			list_runs(f);
	}
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	next(arg);
}

struct source_find *
s3_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg)
{
	struct source_find *f = mem_new(sizeof *f);
	struct timeval at_once = { 0, 0 };

	*f = (struct source_find){ .home = (struct s3 *)s,
		.task_id = mem_str(w->task_id),
		.index = mem_str(w->index),
		.name = mem_str(w->name),
		.run_id = w->run_id,
		.cb = cb,
		.arg = arg };
	f->turn = evtimer_new(f->home->base, on_turn, f);
	if (f->turn == NULL || evtimer_add(f->turn, &at_once) < 0)
		abort();
	return f;
}
