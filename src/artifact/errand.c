/* One request: find it, fetch what is missing of it, say how it ended. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "fetch_private.h"

enum { SIGN_OF_LIFE = 5 * 1000 /* ms between two progress.json when nothing moves */ };

static void find(struct errand *x);
static void on_pulled(void *arg, enum source_end how, const struct err *why);

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	find(arg);
}

struct errand *
errand_new(struct fetcher *f, const char *id)
{
	struct errand *x = mem_new(sizeof *x);

	x->home = f;
	memcpy(x->id, id, WANT_ID_LEN);
	x->keep.fd = -1;
	x->pause = evtimer_new(f->base, on_pause_over, x);
	if (x->pause == NULL)
		abort();
	return x;
}

void
errand_free(struct errand *x)
{
	pull_done(&x->pull);
	source_find_cancel(x->home->store, x->find);
	source_free(x->source);
	keep_done(&x->keep);
	event_free(x->pause);
	want_done(&x->want);
	buf_done(&x->tail);
	free(x->frames);
	free(x->keys);
	free(x);
}

/* --- the end */

static void
settle(struct errand *x, json_t *result, int good)
{
	struct err e = { 0 };

	if (want_end(x->home->root, x->id, result, &e) < 0 && e.code != ENOENT)
		log_error("fetch", "request=%s: cannot say how it ended: %s", x->id, e.text);
	json_decref(result);
	fetcher_drop(x->home, x, good); /* x is gone */
}

static void
fail(struct errand *x, const struct err *why)
{
	int status = why->status != 0 ? why->status : 503;
	const char *fault = why->rule != NULL ? why->rule : "worker";
	char name[256] = "";

	if (x->want.name != NULL)
		(void)log_quote(x->want.name, strlen(x->want.name), name, sizeof name);
	log_warn("fetch", "request=%s name=\"%s\": %s", x->id, name, why->text);
	settle(x,
	    json_pack(
	        "{s:s,s:i,s:s,s:s}", "state", "failed", "status", status, "fault", fault, "error", why->text),
	    0);
}

static void
set_optional(json_t *to, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(to, key, json_string(text));
}

static json_t *
describe(const struct errand *x, const char *state)
{
	const struct source *s = x->source;
	json_t *v = json_pack("{s:s,s:s,s:I,s:s,s:s}", "state", state, "taskId", s->task_id, "runId",
	    (json_int_t)s->run_id, "name", x->want.name, "content", s->content);

	set_optional(v, "sha256", s->sha256);
	set_optional(v, "sha512", s->sha512);
	set_optional(v, "imageId", s->image_id);
	set_optional(v, "path", s->path);
	if (s->size >= 0)
		json_object_set_new(v, "size", json_integer(s->size));
	return v;
}

/* --- what came */

static int
check_hashes(const struct errand *x, const char *sha256, const char *sha512, struct err *e)
{
	const struct source *s = x->source;

	if ((s->sha256 == NULL || strcmp(s->sha256, sha256) == 0) &&
	    (s->sha512 == NULL || strcmp(s->sha512, sha512) == 0))
		return 0;
	return err_refuse(e, 502, "service",
	    "what the store sent is not the artifact: it has sha256 %s, %s %s was recorded", sha256,
	    s->sha256 != NULL ? "sha256" : "sha512", s->sha256 != NULL ? s->sha256 : s->sha512);
}

static void
add_omitted(const struct errand *x, json_t *v)
{
	json_t *omitted = json_array();

	for (size_t i = 0; i < x->plan.kept; i++)
		json_array_append_new(omitted, json_string(x->frames->layers[i]));
	json_object_set_new(v, "omitted", omitted);
	json_object_set_new(v, "imageId", json_string(x->frames->image_id));
}

static json_t *
report(const struct errand *x, const char *sha256)
{
	json_t *v = describe(x, "fetched");
	uint64_t saved = x->partial && x->pull.size > (int64_t)x->pull.fetched
	                     ? (uint64_t)x->pull.size - x->pull.fetched
	                     : 0;

	json_object_set_new(
	    v, "data", json_pack("{s:I,s:s}", "size", (json_int_t)x->keep.size, "sha256", sha256));
	json_object_set_new(v, "fetched", json_integer((json_int_t)x->pull.fetched));
	json_object_set_new(v, "saved", json_integer((json_int_t)saved));
	if (x->partial) {
		add_omitted(x, v);
	} else { /* of what the artifact is, without its Content-Encoding */
		json_object_set_new(v, "sha256", json_string(sha256));
		json_object_set_new(v, "size", json_integer((json_int_t)x->keep.size));
	}
	return v;
}

static void
finish(struct errand *x)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX], name[256];
	char *data = want_path(x->home->root, WANT_TAKEN, x->id, "data");
	struct err e = { 0 };
	int rc = keep_end(&x->keep, sha256, sha512, &e);

	if (rc == 0 && !x->partial)
		rc = check_hashes(x, sha256, sha512, &e);
	if (rc == 0 && rename(x->keep.path, data) < 0)
		rc = err_set(&e, errno, "cannot rename '%s': %m", x->keep.path);
	free(data);
	if (rc < 0) {
		fail(x, &e);
		return;
	}
	log_info("fetch", "request=%s name=\"%s\" task=%s/%u: %llu bytes of %lld fetched, ms=%lld", x->id,
	    log_quote(x->want.name, strlen(x->want.name), name, sizeof name), x->source->task_id,
	    x->source->run_id, (unsigned long long)x->pull.fetched, (long long)x->pull.size,
	    (long long)(stamp_now() - x->started));
	settle(x, report(x, sha256), 1);
}

/* --- what is fetched */

static void
pull_whole(struct errand *x)
{
	struct err e = { 0 };

	x->partial = 0;
	x->pull.keep = &x->keep;
	x->pull.ranges = NULL;
	if (keep_restart(&x->keep, 0, NULL, &e) < 0)
		fail(x, &e);
	else
		pull_start(&x->pull);
}

static void
pull_parts(struct errand *x)
{
	struct err e = { 0 };

	x->partial = 1;
	x->pull.keep = &x->keep;
	x->pull.ranges = x->plan.ranges;
	x->pull.range_count = x->plan.count;
	if (keep_restart(&x->keep, 0, frames_check_new(x->frames, &x->plan), &e) < 0)
		fail(x, &e);
	else
		pull_start(&x->pull);
}

/*
 * The index stands in the artifact itself. What it says is believed where the layers are pinned by something
 * else: the image's id in the store's record, which is compared when it is loaded. Where the store says a
 * hash of the whole and no id, that hash is the pin, and the whole is needed to see it. Where it says
 * nothing, nothing is lost.
 */
static int
may_plan(const struct errand *x)
{
	const struct source *s = x->source;
	const char *end = strrchr(x->want.name, '.');

	if (strcmp(x->home->settings->load_layers, "missing") != 0)
		return 0;
	return json_array_size(x->want.chains) > 0 && s->size > 2 * FRAMES_TAIL_MAX && end != NULL &&
	       strcmp(end, ".zst") == 0 && (s->image_id != NULL || (s->sha256 == NULL && s->sha512 == NULL));
}

static void
take_tail(struct errand *x)
{
	char note[300];
	int rc = 0;

	x->looking = 0;
	if (!x->pull.whole && !x->pull.encoded)
		rc = errand_plan(
		    x->frames, &x->plan, &x->tail, (uint64_t)x->pull.size, x->want.chains, note, sizeof note);
	else
		(void)snprintf(note, sizeof note, "the store does not send parts of it");
	buf_done(&x->tail);
	log_info("fetch", "request=%s: %s", x->id, note);
	if (rc == 1 && x->source->image_id != NULL && strcmp(x->source->image_id, x->frames->image_id) != 0)
		rc = 0; /* then the whole shows what is wrong */
	if (rc == 1)
		pull_parts(x);
	else
		pull_whole(x);
}

static void
pull_tail(struct errand *x)
{
	static const uint64_t most = FRAMES_TAIL_MAX;
	struct frames_range *tail = &x->plan.ranges[0]; /* the plan is made when it is here */

	x->looking = 1;
	x->frames = mem_new(sizeof *x->frames);
	*tail = (struct frames_range){ (uint64_t)x->source->size - most, most };
	x->pull.into = &x->tail;
	x->pull.ranges = tail;
	x->pull.range_count = 1;
	pull_start(&x->pull);
}

static void
on_pulled(void *arg, enum source_end how, const struct err *why)
{
	struct errand *x = arg;

	if (how == SOURCE_EXPIRED)
		find(x);
	else if (how != SOURCE_DONE)
		fail(x, why);
	else if (x->looking)
		take_tail(x);
	else if (x->pull.whole)
		pull_whole(x);
	else
		finish(x);
}

static void
pull_first(struct errand *x)
{
	struct err e = { 0 };
	char *path = want_path(x->home->root, WANT_TAKEN, x->id, "data.part");

	if (keep_open(&x->keep, path, (uint64_t)x->home->settings->image_bytes, &e) < 0) {
		fail(x, &e);
		return;
	}
	pull_init(&x->pull, x->home, x->source);
	x->pull.cb = on_pulled;
	x->pull.arg = x;
	if (may_plan(x))
		pull_tail(x);
	else
		pull_whole(x);
}

/* --- finding it */

static void
find_again(struct errand *x, int64_t after, const struct err *why)
{
	unsigned most = x->home->pace.tries;
	struct err e = *why;

	x->tries++;
	if (x->tries < most) {
		pull_pause(x->pause, x->tries, most, after, why);
	} else {
		(void)err_wrap(&e, "given up after %u tries", x->tries);
		fail(x, &e);
	}
}

static void
take_found(struct errand *x, struct source *found)
{
	struct err e = { 0 };
	int renewed = x->source != NULL;

	source_free(x->source);
	x->source = found;
	if (!x->want.get) {
		settle(x, describe(x, "found"), 1);
	} else if (strcmp(x->want.content, found->content) != 0) {
		err_refuse(&e, 503, "service", "the artifact was replaced since it was looked for");
		fail(x, &e);
	} else if (found->path != NULL) {
		settle(x, describe(x, "found"), 1);
	} else if (renewed) {
		pull_renewed(&x->pull, found);
	} else {
		pull_first(x);
	}
}

static void
on_found(void *arg, struct source *found, enum source_end how, int64_t after, const struct err *why)
{
	struct errand *x = arg;

	x->find = NULL;
	if (how == SOURCE_DONE)
		take_found(x, found);
	else if (how == SOURCE_AGAIN)
		find_again(x, after, why);
	else
		fail(x, why);
}

static void
find(struct errand *x)
{
	struct source_want w = { .task_id = x->want.task_id,
		.index = x->want.index,
		.run_id = x->want.run_id,
		.name = x->want.name,
		.keys = x->keys };

	x->find = source_find(x->home->store, &w, on_found, x);
}

/* Credentials of its own, or those of the task that the image is for: never anybody else's. */
static char *
find_keys(const struct errand *x)
{
	char *own = want_path(x->home->root, WANT_TAKEN, x->id, "credentials.json"), *dir;

	dir = access(own, F_OK) == 0
	          ? want_path(x->home->root, WANT_TAKEN, x->id, NULL)
	          : mem_printf("%s/tasks/%s", x->home->settings->state_dir, x->want.session);
	free(own);
	return dir;
}

void
errand_start(struct errand *x)
{
	struct err e = { 0 };

	x->state = ERRAND_RUNNING;
	x->started = stamp_now();
	if (want_read(x->home->root, x->id, &x->want, &e) < 0) {
		fail(x, &e);
		return;
	}
	x->keys = find_keys(x);
	find(x);
}

/* Also without news, so that who waits knows that somebody works on it. */
void
errand_show(struct errand *x)
{
	int64_t now = stamp_now();

	if (x->pull.fetched == x->shown && now - x->shown_at < SIGN_OF_LIFE)
		return;
	x->shown = x->pull.fetched;
	x->shown_at = now;
	want_show(x->home->root, x->id, x->shown, x->pull.pause != NULL ? x->pull.size : -1);
}
