#ifndef ARTIFACT_UPLOAD_PRIVATE_H
#define ARTIFACT_UPLOAD_PRIVATE_H

#include <event2/event.h>

#include "artifact/store.h"
#include "artifact/upload.h"
#include "task/spool.h"

/* What the queue and the single upload share. */
enum { RUNNING_MAX = 4 }; /* transfers at a time: enough to fill a link, few enough to end soon */

enum upload_state {
	UPLOAD_QUEUED = 0, /* waits for one of RUNNING_MAX */
	UPLOAD_RUNNING,
	UPLOAD_PAUSED, /* until its next try */
};

struct upload { /* one artifact in uploading/ */
	struct uploader *home;
	enum upload_state state;
	char id[SPOOL_ID_MAX];
	struct spool_record record; /* while it runs */
	char *data;
	int attested;                /* the statement lies in the spool */
	json_t *where;               /* the artifact is stored: only its statement is missing */
	struct statement *statement; /* while it is put */
	struct store_job *job;
	struct event *pause;
	unsigned tries;
	int64_t started; /* ms */
	uint64_t best;   /* most bytes that a try got through */
	uint64_t shown;  /* in progress.json */
	struct upload *next;
};

struct uploader {
	struct event_base *base;
	const struct settings *settings;
	const char *root; /* of the spool */
	struct store *store;
	const struct signer *signer; /* NULL: nothing is signed */
	struct upload_pace pace;
	int once, closing, broken;
	int lock, notify;
	struct event *watch, *poll, *progress, *sweep, *fill;
	struct upload *first;
	unsigned done, failed;
};

struct upload *upload_new(struct uploader *u, const char *id);
void upload_free(struct upload *x); /* cancels what runs */
void upload_start(struct upload *x);
void upload_show(struct upload *x); /* progress.json, when there is progress */
/* Removes what nobody needs of an artifact that has ended. */
void upload_tidy(const struct uploader *u, enum spool_state state, const char *id);

/*
 * attest.c: the statement about an artifact. attest() signs it and leaves it in the spool: -1 with EPIPE when
 * the signer has gone. Then it may be an artifact of its own, after the one that it is about.
 */
int attest(const struct upload *x, struct err *e);
struct statement *statement_new(const struct upload *x, struct err *e); /* of what attest() has left */
struct store_job *statement_put(struct statement *s, struct upload *x, store_end_cb *cb);
const struct spool_record *statement_record(const struct statement *s); /* what it is as an artifact */
void statement_free(struct statement *s);
int stored_keep(const struct upload *x, const json_t *where, struct err *e); /* over a restart */
json_t *stored_read(const struct upload *x);                                 /* new reference or NULL */

/* Of the queue: the upload is over (freed by this), or the number that run has changed. */
void uploader_drop(struct uploader *u, struct upload *x);
void uploader_fill(struct uploader *u);
void uploader_lost_signer(struct uploader *u); /* nothing goes on without it: the loop is left */

#endif
