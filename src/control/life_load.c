/*
 * One content on its way into the engine: is it here already? then what the engine has is asked, what is
 * missing is fetched, dind-image loads it, and what the engine made of it is looked at. Whoever wants the
 * same meanwhile waits for it.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "io/fetch.h"
#include "life_loading.h"

enum { INSPECT_MAX = 1024 * 1024, INSPECT_SECONDS = 30 };

struct loading {
	struct life *life;
	char key[LOAD_KEY_LEN + 1];
	char name[REFERENCE_MAX];
	json_t *artifact;       /* what is known of it: of the store's record, and of the bytes */
	json_t *want;           /* what the first asked, with the run that was found */
	json_t *credentials;    /* of the first, NULL = those of its task */
	char *file;             /* the tarball that is loaded */
	uint64_t size;          /* of it, */
	char sha256[65];        /* and its hash */
	json_t *omitted;        /* layers that it lacks; NULL = none */
	int waits;              /* its name is just being removed */
	int whole;              /* nothing may be left out any more */
	struct layers_ask *ask; /* what happens now: at most one of these */
	struct fetching *fetching;
	struct fetch *fetch;
	struct load_run *run;

	char id[REFERENCE_ID_MAX];          /* what is, or is to be, under the name */
	char manifest_id[REFERENCE_ID_MAX]; /* what an engine with the containerd store calls that */
	struct load_result result;
	struct err failure;
	char rule[LOAD_RULE_MAX]; /* of the failure, as dind-image said it */
	enum load_fault fault;
	struct load_waiter *waiters;
	struct loading *next;
};

static void ask_engine(struct loading *x, fetch_cb *cb);
static void obtain(struct loading *x);

static void
free_loading(struct loading *x)
{
	struct loading **at = &x->life->loadings;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	layers_cancel(x->life, x->ask);
	load_run_stop(x->run);
	fetch_cancel(x->fetch);
	fetching_done(x->fetching);
	while (x->waiters != NULL) {
		struct load_waiter *w = x->waiters;

		x->waiters = w->next;
		load_waiter_free(w);
	}
	json_decref(x->artifact);
	json_decref(x->want);
	json_decref(x->credentials);
	json_decref(x->omitted);
	free(x->file);
	free(x);
}

void
loadings_stop(struct life *l)
{
	while (l->loadings != NULL)
		free_loading(l->loadings);
}

/* --- the end */

static void
answer_all(struct loading *x, const struct err *why)
{
	struct life *l = x->life;
	int users = 0;

	while (x->waiters != NULL) {
		struct load_waiter *w = x->waiters;

		x->waiters = w->next;
		if (why == NULL)
			users += load_good(w, x->key, x->name, x->id, x->artifact, &x->result) == 0;
		else
			load_bad(w, why, x->fault);
		load_waiter_free(w);
	}
	l->loads += why == NULL;
	l->load_fetched += x->result.fetched;
	l->load_saved += x->result.saved;
	life_record(l, NULL, "image",
	    why == NULL ? (x->result.fresh ? "load" : "load-cached") : "load-failed",
	    json_pack("{s:s,s:O,s:I,s:I,s:s,s:[s]}", "image", x->name, "artifact", x->artifact, "fetched",
	        (json_int_t)x->result.fetched, "saved", (json_int_t)x->result.saved, "reason",
	        why == NULL ? "" : why->text, "ids", x->id));
	free_loading(x);
	if (users == 0)
		held_tidy(l);
}

static void
fail(struct loading *x, const struct err *why, enum load_fault fault)
{
	struct err e = *why;

	x->fault = fault;
	answer_all(x, &e);
}

/* --- what the engine has under the name */

static void
on_dropped(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;
	struct err failed = { 0 };

	(void)answer;
	(void)e;
	x->fetch = NULL;
	if (status != 0)
		(void)held_forget(x->life, x->key, &failed); /* else held_tidy() will */
	fail(x, &x->failure, x->fault);
}

/* What was loaded is not what was promised, or nobody knows how far it came: the name goes again. */
static void
drop(struct loading *x, enum load_fault fault)
{
	static struct call c; /* 100 KiB */

	x->fault = fault;
	held_call(x->life, &c, ROUTE_IMAGE_REMOVE, x->name);
	x->fetch = fetch_start(x->life->loop, x->life->gate, &c, INSPECT_MAX, INSPECT_SECONDS, on_dropped, x);
}

/* The engine answers 200 to a load whatever happens: only the id under the name tells (storage.md, finding
 * 5). */
static void
on_loaded_inspect(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;

	x->fetch = NULL;
	if (status == 200 && x->manifest_id[0] != '\0' &&
	    strcmp(json_str(answer, "Id", ""), x->manifest_id) == 0)
		memcpy(x->id, x->manifest_id, sizeof x->id);
	if (status == 200 && strcmp(json_str(answer, "Id", ""), x->id) == 0) {
		answer_all(x, NULL);
		return;
	}
	err_refuse(&x->failure, 502, "image-id",
	    "the engine has '%s' under the loaded name, '%s' was expected: %s",
	    json_str(answer, "Id", "nothing"), x->id, status ? "the image was removed" : e->text);
	drop(x, FAULT_WORKER);
}

/* --- dind-image */

/* A layer that the engine had has gone since, or it wants to see all of them: once more, with all of them. */
static int
try_whole(struct loading *x)
{
	if (x->omitted == NULL || x->whole || strcmp(x->rule, "image-parts") != 0)
		return 0;
	log_info("life", "image %s: %s; it is fetched whole", x->name, x->failure.text);
	x->whole = 1;
	x->failure = (struct err){ 0 };
	x->rule[0] = '\0';
	obtain(x);
	return 1;
}

static void
on_run(void *arg, const struct load_end *end)
{
	struct loading *x = arg;

	x->run = NULL;
	x->failure = end->failure;
	(void)snprintf(x->rule, sizeof x->rule, "%s", end->rule);
	if (x->rule[0] != '\0')
		x->failure.rule = x->rule;
	if (end->failure.status == 0) {
		x->result.fresh = 1;
		memcpy(x->id, end->id, sizeof x->id);
		memcpy(x->manifest_id, end->manifest_id, sizeof x->manifest_id);
		ask_engine(x, on_loaded_inspect);
	} else if (!try_whole(x)) {
		drop(x, x->failure.status < 500 ? FAULT_TASK : FAULT_WORKER);
	}
}

static json_t *
make_job(const struct loading *x)
{
	json_t *job = json_pack("{s:{s:s},s:s,s:s,s:I,s:s?,s:s,s:I}", "source", "path", x->file, "name",
	    json_str(x->artifact, "name", ""), "sha256", x->sha256, "size", (json_int_t)x->size, "imageId",
	    json_str(x->artifact, "imageId", NULL), "tag", x->name, "maxBytes",
	    (json_int_t)x->life->settings->image_bytes);

	if (x->omitted != NULL)
		json_object_set(job, "have", x->omitted);
	return job;
}

/* Takes file. */
static void
start_load(struct loading *x, char *file, const char *sha256, json_int_t size)
{
	struct err e = { 0 };

	free(x->file);
	x->file = file;
	x->size = (uint64_t)size;
	(void)snprintf(x->sha256, sizeof x->sha256, "%s", sha256);
	if (held_expect(x->life, x->key, x->name, &e) < 0)
		fail(x, &e, FAULT_WORKER);
	else
		x->run = load_run_start(x->life, make_job(x), on_run, x);
}

/* --- its bytes */

/* What the result says of the artifact is kept; a hash that is known only now as well. */
static void
learn(struct loading *x, const json_t *result)
{
	static const char *const keys[] = { "sha256", "sha512", "imageId", "size" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (json_object_get(result, keys[i]) != NULL)
			json_object_set(x->artifact, keys[i], json_object_get(result, keys[i]));
	x->result.fetched += (uint64_t)json_num(result, "fetched", 0);
	x->result.saved = (uint64_t)json_num(result, "saved", 0);
	json_decref(x->omitted);
	x->omitted = json_incref(json_object_get(result, "omitted"));
}

static void
on_fetched(void *arg, const json_t *result, const struct err *why)
{
	struct loading *x = arg;
	const json_t *data = json_object_get(result, "data");
	enum load_fault fault;

	if (result == NULL) {
		fail(x, why, FAULT_WORKER);
	} else if (data == NULL) {
		fault = load_read_failure(result, &x->failure);
		fail(x, &x->failure, fault);
	} else {
		learn(x, result);
		start_load(
		    x, fetching_data(x->fetching), json_str(data, "sha256", ""), json_num(data, "size", 0));
	}
}

static void
fetch_it(struct loading *x, const json_t *chains)
{
	struct err e = { 0 };

	fetching_done(x->fetching);
	json_object_set_new(x->want, "get", json_true());
	json_object_del(x->want, "chains");
	if (json_array_size(chains) > 0)
		json_object_set(x->want, "chains", (json_t *)(uintptr_t)chains);
	x->fetching = fetching_start(x->life, x->want, x->credentials, on_fetched, x, &e);
	if (x->fetching == NULL)
		fail(x, &e, FAULT_WORKER);
}

static void
on_layers(void *arg, const json_t *chains)
{
	struct loading *x = arg;

	x->ask = NULL;
	fetch_it(x, chains);
}

/* Here in a file, or to be fetched; what the engine has is asked where it can be of use. */
static void
obtain(struct loading *x)
{
	const char *path = json_str(x->want, "path", NULL), *name = json_str(x->artifact, "name", "");
	size_t len = strlen(name);

	if (path != NULL)
		start_load(
		    x, mem_str(path), json_str(x->artifact, "sha256", ""), json_num(x->artifact, "size", 0));
	else if (!x->whole && len > 4 && strcmp(name + len - 4, ".zst") == 0)
		x->ask = layers_ask(x->life, on_layers, x);
	else
		fetch_it(x, NULL);
}

/* --- is it here? */

static void
on_here(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct loading *x = arg;
	const char *id = json_str(answer, "Id", "");

	x->fetch = NULL;
	if (status == 0) {
		fail(x, e, FAULT_WORKER);
	} else if (status == 200 && x->id[0] != '\0' && strcmp(id, x->id) == 0) {
		answer_all(x, NULL);
	} else {
		x->id[0] = '\0';
		obtain(x);
	}
}

static void
ask_engine(struct loading *x, fetch_cb *cb)
{
	static struct call c; /* 100 KiB */

	held_call(x->life, &c, ROUTE_IMAGE_INSPECT, x->name);
	x->fetch = fetch_start(x->life->loop, x->life->gate, &c, INSPECT_MAX, INSPECT_SECONDS, cb, x);
}

/* A name that is on its way out of the engine is waited for: what was seen before that would be gone. */
static void
start_when_free(struct loading *x)
{
	x->waits = held_leaves(x->life, x->key);
	if (!x->waits)
		ask_engine(x, on_here);
}

static json_t *
artifact_of(const json_t *found)
{
	static const char *const keys[] = { "taskId", "runId", "name", "content", "sha256", "sha512",
		"imageId", "size" };
	json_t *v = json_object();

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (json_object_get(found, keys[i]) != NULL)
			json_object_set(v, keys[i], json_object_get(found, keys[i]));
	return v;
}

/* A file of the local store, and nothing else that dind-uploader may name. */
static const char *
store_file(const struct life *l, const json_t *found)
{
	const char *path = json_str(found, "path", NULL), *dir = l->settings->store_dir;
	size_t len = strlen(dir);

	if (path == NULL || strcmp(l->settings->store_type, "local") != 0 || strncmp(path, dir, len) != 0 ||
	    path[len] != '/' || strstr(path, "/../") != NULL)
		return NULL;
	return path;
}

/* The run is settled: whatever runs come while it loads, it is this one's artifact. */
static json_t *
want_of(const struct life *l, const json_t *found, const json_t *asked)
{
	json_t *v = json_pack("{s:O,s:O,s:O,s:O,s:O}", "taskId", json_object_get(found, "taskId"), "runId",
	    json_object_get(found, "runId"), "name", json_object_get(found, "name"), "content",
	    json_object_get(found, "content"), "session", json_object_get(asked, "session"));
	const char *path = store_file(l, found);

	if (path != NULL)
		json_object_set_new(v, "path", json_string(path));
	return v;
}

static struct loading *
start(struct life *l, const char *key, const json_t *found, const struct load_waiter *w)
{
	struct loading *x = mem_new(sizeof *x);
	json_t *known;

	x->life = l;
	memcpy(x->key, key, sizeof x->key);
	(void)snprintf(x->name, sizeof x->name, REFERENCE_REGISTRY "/" CALL_NS_IMAGE "/%s:latest", key);
	held_id(l, key, x->id, &known);
	x->artifact = known != NULL ? known : artifact_of(found);
	if (x->id[0] == '\0') /* what is here under our name and of that id is it */
		(void)snprintf(x->id, sizeof x->id, "%s", json_str(found, "imageId", ""));
	x->want = want_of(l, found, w->want);
	x->credentials = json_incref(w->credentials);
	x->next = l->loadings;
	l->loadings = x;
	return x;
}

void
loading_join(struct life *l, const char *key, const json_t *found, struct load_waiter *w)
{
	struct loading *x = l->loadings;

	while (x != NULL && strcmp(x->key, key) != 0)
		x = x->next;
	if (x != NULL) {
		w->next = x->waiters;
		x->waiters = w;
		return;
	}
	x = start(l, key, found, w);
	x->waiters = w;
	start_when_free(x);
}

int
loading_is(const struct life *l, const char *key)
{
	const struct loading *x = l->loadings;

	while (x != NULL && strcmp(x->key, key) != 0)
		x = x->next;
	return x != NULL;
}

void
loadings_go(struct life *l)
{
	for (struct loading *x = l->loadings; x != NULL; x = x->next)
		if (x->waits)
			start_when_free(x);
}

void
loadings_leave(struct life *l, const char *user)
{
	for (struct loading *x = l->loadings; x != NULL; x = x->next)
		for (struct load_waiter *w = x->waiters; w != NULL; w = w->next)
			if (strcmp(w->user, user) == 0)
				w->user[0] = '\0';
}
