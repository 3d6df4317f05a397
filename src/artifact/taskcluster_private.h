#ifndef ARTIFACT_TASKCLUSTER_PRIVATE_H
#define ARTIFACT_TASKCLUSTER_PRIVATE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "artifact/retry.h"
#include "artifact/source.h"
#include "artifact/store.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/stamp.h"
#include "io/transfer.h"

/* What the files of the Taskcluster store share. */
enum {
	TC_ANSWER_MAX = 64 * 1024,
	TC_INLINE_MAX = 8192 - 1, /* bytes that the object service takes inside of a request */
	TC_CREATE_MAX = 3, /* 500s of createArtifact, storage type object, until the name counts as lost */
};
/* Whose fault it was: the rule of an error. */
#define TC_BY_TASK "task"
#define TC_BY_WORKER "worker"
#define TC_BY_SERVICE "service"
#define TC_PUT_MAX (5LL * 1024 * 1024 * 1024) /* of S3, in one request */

/* --- credentials: taskcluster_key.c */

struct tc_key {
	char *id, *secret;
	json_t *certificate; /* NULL: permanent credentials */
	char mark[65];       /* sha256 of what they were read from: two that differ are not the same */
};

/* {"clientId", "accessToken"[, "certificate": JSON text]} */
int tc_key_parse(struct tc_key *k, const json_t *credentials, struct err *e);
int tc_key_read(struct tc_key *k, const char *path, struct err *e); /* code ENOENT: there are none */
void tc_key_done(struct tc_key *k);                                 /* wiped */
/* "; they expired at 2026-..", "" when they did not, by a clock of ms since 1970. */
void tc_key_age(const struct tc_key *k, int64_t now, char *out, size_t size);

/* --- the store: taskcluster.c */

struct taskcluster {
	struct store store;
	struct event_base *base;
	struct transfers *transfers;
	char *root;  /* "https://tc.example.com" */
	char *tasks; /* <stateDir>/tasks */
	const char *storage_type;
	int64_t skew;           /* ms that the deployment's clock is ahead of ours */
	int64_t poll, patience; /* ms: between two looks for fresh credentials, and until it is given up */
};

struct store_job *tc_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg);
uint64_t tc_sent(const struct store_job *j);
void tc_cancel(struct store_job *j);

/* --- one request of an API, and its answer: taskcluster_call.c */

struct tc_ask { /* all is copied, but the key is borrowed until the callback */
	const char *method;
	const char *path;         /* below <rootUrl>/api/, escaped: "queue/v1/ping" */
	const json_t *body;       /* NULL = none */
	const struct tc_key *key; /* NULL: those of the task `session`, narrowed to `scope` (NULL = not) */
	const char *session, *scope;
	const char
	    *keys; /* instead of session: the directory with credentials.json; without one, nobody asks */
};

struct tc_reply {               /* borrowed */
	int good;               /* 204, or 2xx with a JSON object */
	unsigned status;        /* 0: no answer came */
	const json_t *json;     /* an object, or NULL: any body is borne */
	enum retry_class class; /* unless good: FATAL or AGAIN */
	int64_t after;          /* ms, as the answer wishes */
	struct err why;         /* unless good; rule "worker" when it was for want of credentials */
};

/* Once, never from inside tc_call_start(); the call is gone when it returns. */
typedef void tc_call_cb(void *arg, const struct tc_reply *r);
struct tc_call *tc_call_start(struct taskcluster *home, const struct tc_ask *ask, tc_call_cb *cb, void *arg);
void tc_call_cancel(struct tc_call *c); /* NULL is fine */

/* --- are the spool's bytes what was sealed? taskcluster_check.c */

typedef void tc_check_cb(void *arg, int rc, const struct err *why);
/* fd is borrowed. Never calls from inside; is gone after the callback. */
struct tc_check *
tc_check_start(struct event_base *base, int fd, const struct spool_record *r, tc_check_cb *cb, void *arg);
void tc_check_cancel(struct tc_check *c); /* NULL is fine */

/* --- the pre-signed request with the bytes: taskcluster_data.c */

enum tc_data_end {
	TC_DATA_FAILED = 0,
	TC_DATA_AGAIN,
	TC_DATA_EXPIRED, /* the URL */
	TC_DATA_SENT,
};

/* May the URL be used, by a deployment at root? */
int tc_data_url(const char *root, const char *url, struct err *e);
/* "Name: value\n" lines of the headers that the service wants (an object; NULL = none), to be sent with so
 * many bytes. Heap; NULL when they cannot be sent. */
char *tc_data_headers(const json_t *wanted, uint64_t size, struct err *e);
/* why is set unless SENT. */
enum tc_data_end tc_data_judge(const struct transfer_result *r, struct err *why);
/* The same of an answer that is none of those hoped for. */
enum tc_data_end tc_data_refused(const struct transfer_result *r, struct err *why);

/* --- the way out: taskcluster_find.c, taskcluster_said.c, taskcluster_read.c */

struct tc_source {
	struct source source;
	char *url; /* pre-signed */
};
struct tc_source *tc_source_new(struct taskcluster *home);
void tc_source_free(struct source *s);

struct source_find *tc_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg);
void tc_find_cancel(struct source_find *f);
/* What the deployment said of an artifact: 1 = its bytes are behind the URL, 0 = ask the object service (name
 * and key are set), -1. */
int
tc_find_content(struct tc_source *s, const json_t *content, char **name, struct tc_key *key, struct err *e);
/* What the object service said: URL and hashes. */
int tc_find_download(struct tc_source *s, const json_t *download, struct err *e);
/* The last run of a task's status, -1. */
int64_t tc_find_run(const json_t *status, struct err *e);

/* What an answer to a GET of the URL means; seen: its begin() was called. */
enum source_end tc_judge_read(const struct transfer_result *r, int seen, struct err *why);
struct source_read *tc_read(struct source *s, const struct source_range *r, source_read_cb *cb, void *arg);
void tc_read_cancel(struct source_read *r);

extern const struct source_ops tc_source_ops;

/* --- a put: taskcluster_put.c */

enum tc_step {
	TC_CREATE = 0,
	TC_UPLOAD,
	TC_DATA,
	TC_FINISH_UPLOAD,
	TC_FINISH,
	TC_INFO,
	TC_ERROR,
};

struct store_job {
	struct taskcluster *home;
	struct store_item item;
	store_end_cb *cb;
	void *arg;
	struct event *turn; /* the start, and the pause before an end that the service wished */
	char *path, *scope; /* of the artifact in the queue */
	char expires[STAMP_MAX];
	int fd;
	struct tc_check *check;
	struct tc_call *call;
	enum tc_step step;     /* what the call is */
	struct transfer *data; /* with the bytes */
	char *url, *headers;   /* of it */
	int renewed;           /* the URL, once */
	uint64_t sent;
	int over; /* how and why are set */
	enum store_end how;
	struct err why;

	/* object */
	json_t *note; /* upload.json */
	char *note_path;
	struct tc_key key; /* of the object service */
};

/* Does it go through the object service? */
int tc_is_object(const struct store_job *j);
/* Takes body. */
void tc_ask(struct store_job *j, enum tc_step step, const char *method, const char *path, json_t *body,
    tc_call_cb *cb);
void tc_send_data(struct store_job *j);
/* The ends: why is copied. j is gone, or waits for its end. */
void tc_done(struct store_job *j);
void tc_fail(struct store_job *j, enum store_end how, const char *fault, const struct err *why);
void tc_fail_call(struct store_job *j, const struct tc_reply *r);
void
tc_fail_here(struct store_job *j, const struct err *why); /* of the disk: its code says whether it passes */
void tc_fail_answer(struct store_job *j, const struct err *why); /* 2xx, and not what it must be */

/* --- the way through the object service: taskcluster_object.c */

void tc_object_upload(struct store_job *j); /* createUpload, and all that follows */
void tc_object_sent(struct store_job *j);   /* finishUpload, .. */
void tc_object_finish(struct store_job *j); /* finishArtifact */

/* --- upload.json, and what is asked and agreed with it: taskcluster_note.c */

void tc_note_open(struct store_job *j); /* takes up what was left */
void tc_note_done(struct store_job *j, int forget);
int tc_note_begin(struct store_job *j, const json_t *created, struct err *e);
void tc_note_stage(struct store_job *j, const char *stage);
int tc_note_is(const struct store_job *j, const char *stage);    /* "", "created", "sent", "finished" */
unsigned tc_note_lost(struct store_job *j);                      /* counts a 500 of createArtifact */
char *tc_note_path(const struct store_job *j, const char *verb); /* heap */
json_t *tc_note_upload(const struct store_job *j, struct err *e);
json_t *tc_note_finish(const struct store_job *j);
/* 1 = the service has the bytes already, 0 = url and headers are set, -1. */
int tc_note_agreed(struct store_job *j, const json_t *answer, struct err *e);

#endif
