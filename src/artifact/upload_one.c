/* One artifact on its way: read its record, put it, then say how it ended. */

#include <errno.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "task/evidence.h"
#include "task/provenance.h"
#include "upload_private.h"

static void on_pause_over(evutil_socket_t fd, short what, void *arg);

struct upload *
upload_new(struct uploader *u, const char *id)
{
	struct upload *x = mem_new(sizeof *x);

	x->home = u;
	memcpy(x->id, id, SPOOL_ID_MAX - 1);
	x->data = spool_path(u->root, SPOOL_UPLOADING, id, "data");
	x->pause = evtimer_new(u->base, on_pause_over, x);
	if (x->pause == NULL)
		abort();
	return x;
}

static void
stop(struct upload *x)
{
	if (x->job != NULL)
		store_cancel(x->home->store, x->job);
	x->job = NULL;
	statement_free(x->statement);
	x->statement = NULL;
	json_decref(x->where);
	x->where = NULL;
	spool_record_done(&x->record);
}

void
upload_free(struct upload *x)
{
	stop(x);
	event_free(x->pause);
	free(x->data);
	free(x);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct upload *x = arg;

	(void)fd;
	(void)what;
	x->state = UPLOAD_QUEUED;
	uploader_fill(x->home);
}

/* Full jitter: many artifacts that failed together do not come back together. */
static int64_t
next_pause(const struct upload *x)
{
	const struct upload_pace *p = &x->home->pace;
	int64_t most = p->pause_first;
	uint32_t dice;

	for (unsigned i = 1; i < x->tries && most < p->pause_most; i++)
		most *= 2;
	if (most > p->pause_most)
		most = p->pause_most;
	evutil_secure_rng_get_bytes(&dice, sizeof dice);
	return 1 + (int64_t)dice % most;
}

static void
say(const struct upload *x, enum spool_state end, const char *text)
{
	const struct spool_record *r = &x->record;
	char name[256];

	(void)log_quote(
	    r->name != NULL ? r->name : "", r->name != NULL ? strlen(r->name) : 0, name, sizeof name);
	if (end == SPOOL_DONE)
		log_info("upload",
		    "artifact=%s name=\"%s\" task=%s/%u size=%llu tries=%u ms=%lld: stored as %s", x->id,
		    name, r->task_id, r->run_id, (unsigned long long)r->size, x->tries + 1,
		    (long long)(stamp_now() - x->started), text);
	else if (end == SPOOL_FAILED)
		log_error("upload", "artifact=%s name=\"%s\" tries=%u: failed: %s", x->id, name, x->tries + 1,
		    text);
	else
		log_warn("upload", "artifact=%s name=\"%s\" try=%u of %u: %s", x->id, name, x->tries + 1,
		    x->home->pace.tries, text);
}

static json_t *
make_result(const struct upload *x, enum spool_state end, const json_t *where, const char *why)
{
	json_t *v = json_pack(
	    "{s:s, s:s*, s:i}", "state", spool_state_name(end), "error", why, "tries", (int)x->tries + 1);
	char from[STAMP_MAX], to[STAMP_MAX];

	stamp_print(x->started, from);
	stamp_print(stamp_now(), to);
	json_object_set_new(v, "started", json_string(from));
	json_object_set_new(v, "ended", json_string(to));
	if (where != NULL)
		json_object_update(v, (json_t *)(uintptr_t)where);
	return v;
}

void
upload_tidy(const struct uploader *u, enum spool_state state, const char *id)
{
	static const char *const files[] = {
		"progress.json",
		"upload.json", /* of a Taskcluster put that was given up: it has credentials */
		PROVENANCE_DIR "/upload.json", "stored.json", "data", /* the store has it */
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0] - (state != SPOOL_DONE); i++) {
		char *path = spool_path(u->root, state, id, files[i]);

		(void)unlink(path);
		free(path);
	}
}

static void
pause_for(struct upload *x, int64_t ms)
{
	struct timeval pause = { ms / 1000, ms % 1000 * 1000 };

	stop(x);
	x->state = UPLOAD_PAUSED;
	if (evtimer_add(x->pause, &pause) < 0)
		abort();
	uploader_fill(x->home);
}

/* The spool's disk does not take the result: the artifact stays in uploading/, the put is made again. */
static void
unsettled(struct upload *x, const char *why)
{
	struct uploader *u = x->home;

	log_error("upload", "artifact=%s: cannot say how it ended: %s", x->id, why);
	if (u->once) {
		u->failed++;
		event_base_loopbreak(u->base);
	}
	pause_for(x, u->pace.pause_most);
}

static void
settled(struct upload *x, enum spool_state end, const char *text)
{
	struct uploader *u = x->home;

	upload_tidy(u, end, x->id);
	say(x, end, text);
	u->done += end == SPOOL_DONE;
	u->failed += end == SPOOL_FAILED;
	uploader_drop(u, x);
}

/* result.json, then the move: whoever sees done/ or failed/ can read why. x is gone. */
static void
settle(struct upload *x, enum spool_state end, const json_t *where, const char *why)
{
	struct uploader *u = x->home;
	json_t *result = make_result(x, end, where, why);
	struct err e = { 0 };
	int rc = spool_write_result(u->root, SPOOL_UPLOADING, x->id, result, &e);

	if (rc == 0)
		rc = spool_move(u->root, x->id, SPOOL_UPLOADING, end, &e);
	json_decref(result);
	if (rc < 0)
		unsettled(x, e.text);
	else
		settled(
		    x, end, end == SPOOL_DONE ? json_str(where, "path", json_str(where, "url", "")) : why);
}

static void
try_again(struct upload *x, const char *why)
{
	say(x, SPOOL_UPLOADING, why);
	x->tries++;
	pause_for(x, next_pause(x));
}

/* {"fault": whose it was}, when the store knows; new or NULL. */
static json_t *
fault_of(const struct err *why)
{
	static const char *const words[] = { "task", "worker", "service" };

	for (size_t i = 0; why->rule != NULL && i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i], why->rule) == 0)
			return json_pack("{s:s}", "fault", words[i]);
	return NULL;
}

/* Something is in the way: for good, for now, or the artifact was taken from us because its task was removed.
 */
static void
hinder(struct upload *x, enum store_end how, const struct err *why)
{
	json_t *fault;
	char *text;

	if (spool_find(x->home->root, x->id) != SPOOL_UPLOADING) {
		log_info("upload", "artifact=%s: it was removed from the spool", x->id);
		uploader_drop(x->home, x);
		return;
	}
	if (how == STORE_AGAIN && x->tries + 1 < x->home->pace.tries) {
		try_again(x, why->text);
		return;
	}
	if (how == STORE_AGAIN)
		text = mem_printf("given up after %u tries: %s", x->tries + 1, why->text);
	else
		text = mem_str(why->text);
	fault = fault_of(why);
	settle(x, SPOOL_FAILED, fault, text);
	json_decref(fault);
	free(text);
}

static void on_end(void *arg, enum store_end how, const json_t *where, const struct err *why);

/* The artifact is stored: what is missing is its statement. */
static void
put_statement(struct upload *x)
{
	struct err e = { 0 };

	x->statement = statement_new(x, &e);
	if (x->statement == NULL)
		hinder(x, store_judge(e.code), &e);
	else
		x->job = statement_put(x->statement, x, on_end);
}

/* Where the statement is to be an artifact, this is half of it. */
static void
stored(struct upload *x, const json_t *where)
{
	struct err e = { 0 };

	if (x->home->signer == NULL || !evidence_wants_upload(&x->record)) {
		settle(x, SPOOL_DONE, where, NULL);
		return;
	}
	x->where = json_deep_copy(where);
	if (stored_keep(x, where, &e) < 0)
		hinder(x, store_judge(e.code), &e);
	else
		put_statement(x);
}

static void
stored_both(struct upload *x)
{
	const struct spool_record *r = statement_record(x->statement);
	json_t *where = json_incref(x->where);

	json_object_set_new(where, "provenanceArtifact",
	    json_pack("{s:s,s:s,s:s,s:I}", "name", r->name, "sha256", r->sha256, "contentType",
	        r->content_type, "size", (json_int_t)r->size));
	settle(x, SPOOL_DONE, where, NULL);
	json_decref(where);
}

static void
on_end(void *arg, enum store_end how, const json_t *where, const struct err *why)
{
	struct upload *x = arg;
	uint64_t sent = store_sent(x->home->store, x->job);
	struct err e;

	x->job = NULL;
	if (how == STORE_DONE && x->statement != NULL) {
		stored_both(x);
		return;
	}
	if (how == STORE_DONE) {
		stored(x, where);
		return;
	}
	if (x->statement != NULL) {
		e = *why;
		err_wrap(&e, "the artifact is stored, its statement is not");
		hinder(x, how, &e);
		return;
	}
	if (sent > x->best)
		x->tries = 0; /* it got further than ever: that is no dead end */
	x->best = sent > x->best ? sent : x->best;
	hinder(x, how, why);
}

/* There is no artifact, and this store has no way to say so. */
static const struct err *
say_why(const struct spool_record *r, struct err *e)
{
	err_set(e, 0, "%s", r->error_message);
	return e;
}

/* Signed before the first byte leaves: whatever is stored has its statement here. -1: x may be gone. */
static int
sign_statement(struct upload *x)
{
	struct err e = { 0 };

	if (x->home->signer == NULL || x->attested || x->record.error_message != NULL ||
	    x->record.kind != NULL) /* statements are about images */
		return 0;
	if (attest(x, &e) < 0) {
		if (e.code == EPIPE)
			uploader_lost_signer(x->home);
		hinder(x, STORE_AGAIN, &e);
		return -1;
	}
	x->attested = 1;
	return 0;
}

/* From its start, or from where an uploader before this one had come to. */
static void
put(struct upload *x)
{
	struct store_item item = {
		.record = &x->record, .data = x->data, .last = x->tries + 1 >= x->home->pace.tries
	};

	if (sign_statement(x) < 0)
		return;
	x->where = x->home->signer != NULL ? stored_read(x) : NULL;
	if (x->where != NULL)
		put_statement(x);
	else
		x->job = store_put(x->home->store, &item, on_end, x);
}

void
upload_start(struct upload *x)
{
	struct uploader *u = x->home;
	struct err e = { 0 };

	x->state = UPLOAD_RUNNING;
	if (x->started == 0)
		x->started = stamp_now();
	if (spool_read_record(u->root, SPOOL_UPLOADING, x->id, &x->record, &e) < 0)
		hinder(x, store_judge(e.code), &e);
	else if (x->record.error_message != NULL && !u->store->ops->errors)
		hinder(x, STORE_FAILED, say_why(&x->record, &e));
	else
		put(x);
}

void
upload_show(struct upload *x)
{
	uint64_t sent = x->statement != NULL ? x->record.size
	                : x->job != NULL     ? store_sent(x->home->store, x->job)
	                                     : x->shown;
	struct err ignored;

	if (sent != x->shown &&
	    spool_write_progress(x->home->root, SPOOL_UPLOADING, x->id, sent, x->record.size, &ignored) == 0)
		x->shown = sent;
}
