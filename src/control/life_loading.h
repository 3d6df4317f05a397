#ifndef CONTROL_LIFE_LOADING_H
#define CONTROL_LIFE_LOADING_H

#include <jansson.h>

#include "base/err.h"
#include "control/life_parts.h"
#include "docker/reference.h"

/* What the files of loading images for tasks share. */

/* --- a question to dind-uploader: life_fetch.c */

/* result (task/want.h) is borrowed; NULL: why. The request stays, with the data that came, until
 * fetching_done(). */
typedef void fetching_cb(void *arg, const json_t *result, const struct err *why);
/* Never calls from inside. NULL with e. */
struct fetching *fetching_start(struct life *l, const json_t *request, const json_t *credentials,
    fetching_cb *cb, void *arg, struct err *e);
const char *fetching_id(const struct fetching *f);
char *fetching_data(const struct fetching *f); /* path, heap */
void fetching_done(struct fetching *f);        /* gives up, or is through with it; NULL is fine */

/* --- which layers the engine has: life_layers.c */

/* An array of chain ids, borrowed; may know less than there is. */
typedef void layers_cb(void *arg, const json_t *chains);
struct layers_ask *layers_ask(struct life *l, layers_cb *cb, void *arg); /* never calls from inside */
void layers_cancel(struct life *l, struct layers_ask *a);                /* NULL is fine */

/* --- what is held on the disk: life_held.c */

enum { LOAD_KEY_LEN = 32 };

/* The id under which a key was loaded, "" when it is not held. */
void held_id(const struct life *l, const char *key, char id[REFERENCE_ID_MAX], json_t **artifact);
/* Before the engine gets the name: without users, it is removed again when we die. */
int held_expect(const struct life *l, const char *key, const char *name, struct err *e);
/* The engine does not have it any more; what has users stays. */
int held_forget(const struct life *l, const char *key, struct err *e);
/* Its name is just being removed: loadings_go() says when it has gone. */
int held_leaves(const struct life *l, const char *key);
/* Adds a user. */
int held_add(const struct life *l, const char *key, const char *name, const char *id, const json_t *artifact,
    const char *user, struct err *e);
/* A name of a loaded image in a call of our own. */
void held_call(const struct life *l, struct call *c, enum route route, const char *name);

/* --- dind-image at work on a tarball: life_run.c */

enum { LOAD_RULE_MAX = 48 };

struct load_end {
	char id[REFERENCE_ID_MAX];          /* what it loaded */
	char manifest_id[REFERENCE_ID_MAX]; /* what an engine with the containerd store calls that, "" =
	                                       nothing else */
	struct err failure;                 /* status 0 = none */
	char rule[LOAD_RULE_MAX];           /* of the failure, as dind-image said it, "" = failure.rule */
};
typedef void load_run_cb(void *arg, const struct load_end *end);
/* Takes job (image/load.h says what is in it). Calls once, never from inside, and is gone then. */
struct load_run *load_run_start(struct life *l, json_t *job, load_run_cb *cb, void *arg);
void load_run_stop(struct load_run *r); /* without a call; NULL is fine */

/* --- one content on its way: life_load.c */

struct load_waiter {
	struct life *life;
	life_answer_cb *cb;
	void *arg;
	char user[REFERENCE_NS_LEN + 1];
	json_t *want, *credentials; /* what is asked of dind-uploader; credentials may be NULL */
	struct fetching *finding;   /* until it is known which content it is */
	struct load_waiter *next;
};

enum load_fault { FAULT_WORKER = 0, FAULT_TASK, FAULT_SERVICE };

struct load_result {
	int fresh; /* 1: loaded just now, 0: it was here */
	uint64_t fetched, saved;
};

/* Joins whoever waits for the same content, or starts. found: what dind-uploader said, borrowed; key: which
 * content. w is taken. */
void loading_join(struct life *l, const char *key, const json_t *found, struct load_waiter *w);

int loading_is(const struct life *l, const char *key);
void loadings_go(struct life *l);                      /* a name has gone: those that waited for that go on */
void loadings_leave(struct life *l, const char *user); /* it has ended: nothing is loaded for it any more */
void finders_leave(struct life *l, const char *user);

/* --- the answers: life_image.c */

/* 0 when the user has it now. */
int load_good(struct load_waiter *w, const char *key, const char *name, const char *id,
    const json_t *artifact, const struct load_result *r);
/* what: of whom the failure is to be known */
void load_bad(struct load_waiter *w, const struct err *why, enum load_fault fault);
void load_waiter_free(struct load_waiter *w);
const char *load_fault_word(enum load_fault fault);
enum load_fault load_fault_of(const char *word);
/* {"status", "fault", "error"} of a result. */
enum load_fault load_read_failure(const json_t *result, struct err *e);

#endif
