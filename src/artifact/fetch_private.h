#ifndef ARTIFACT_FETCH_PRIVATE_H
#define ARTIFACT_FETCH_PRIVATE_H

#include <event2/event.h>
#include <jansson.h>

#include "archive/frames.h"
#include "artifact/fetcher.h"
#include "artifact/retry.h"
#include "artifact/source.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/filter.h"
#include "base/hash.h"
#include "task/want.h"

/* What the queue (fetcher.c), one request (errand.c), the reading (pull.c) and the file (keep.c) share. */

struct fetcher {
	struct event_base *base;
	const struct settings *settings;
	const char *root; /* of the spool */
	struct store *store;
	struct fetch_pace pace;
	int notify;
	struct event *watch, *poll, *tick, *fill;
	struct errand *first;
	unsigned done, failed;
};

/* --- the file that is written: keep.c */

struct keep {
	int fd; /* -1: not open */
	char *path;
	uint64_t size, max; /* written, and at most (0: no limit) */
	struct hash *sha256, *sha512;
	struct filter *filter; /* the decoder of a Content-Encoding, or what checks the frames; may be NULL */
	struct buf in, out;
	int encoded;
};

int keep_open(struct keep *k, char *path, uint64_t max, struct err *e); /* takes path */
/* From its beginning; encoded: the bytes to come are gzip, else check is taken (NULL = none). */
int keep_restart(struct keep *k, int encoded, struct filter *check, struct err *e);
int keep_add(struct keep *k, const void *bytes, size_t len, struct err *e);
/* All is there: the hashes of what was written. */
int keep_end(struct keep *k, char sha256[HASH_HEX_MAX], char sha512[HASH_HEX_MAX], struct err *e);
void keep_done(struct keep *k);

/* --- reading: pull.c */

struct pull {
	struct fetcher *home;
	struct source *source; /* owned by the errand, which may replace it: pull_renewed() */
	struct source_read *read;
	struct event *pause;
	struct keep *keep; /* where it goes, or */
	struct buf *into;  /* memory, when keep is NULL */

	const struct frames_range *ranges; /* one after the other; NULL: all of it */
	size_t range_count, range;
	uint64_t at;    /* bytes of the range that are here */
	uint64_t moved; /* at the last try: has it come further since? */
	unsigned tries, renewals;

	char etag[128]; /* "" = not known */
	int64_t size;   /* of the artifact as it is stored, -1 = not known */
	int encoded;
	uint64_t fetched; /* bytes that came, also in vain */
	int parts;        /* it has answered 206 */
	int stopped;      /* by begin or sink: why is set, or whole */
	int whole;        /* it does not send parts */
	struct err why;

	/* EXPIRED: find it again, then pull_renewed(). DONE with whole: only all of it can be had. */
	void (*cb)(void *arg, enum source_end end, const struct err *why);
	void *arg;
};

/* Starts the timer for the pause before the next try, and says why. */
void pull_pause(struct event *timer, unsigned tries, unsigned most, int64_t after, const struct err *why);
void pull_init(struct pull *p, struct fetcher *home, struct source *source);
void pull_start(struct pull *p);
void pull_renewed(struct pull *p, struct source *source);
void pull_stop(struct pull *p); /* no callback any more; may be started again */
void pull_done(struct pull *p);

/* "bytes 5-9/10": 0 when it is that, with from <= to < total. */
int pull_parse_range(const char *text, uint64_t *from, uint64_t *to, uint64_t *total);

/* --- which layers need not come: errand_plan.c */

/* 1: a plan that leaves something out; 0: all of it is fetched. chains: of the layers that the host has. */
int errand_plan(struct frames *f, struct frames_plan *plan, const struct buf *tail, uint64_t size,
    const json_t *chains, char *note, size_t note_size);

/* --- one request: errand.c */

struct errand {
	struct fetcher *home;
	char id[WANT_ID_LEN + 1];
	struct want want;
	enum { ERRAND_QUEUED = 0, ERRAND_RUNNING } state;
	char *keys;
	struct source_find *find;
	struct source *source;
	struct event *pause;
	unsigned tries;
	int64_t started, shown_at; /* ms */
	uint64_t shown;
	struct pull pull;
	struct keep keep;
	struct buf tail;
	struct frames *frames;
	struct frames_plan plan;
	int partial, looking; /* looking: at the tail */
	struct errand *next;
};

struct errand *errand_new(struct fetcher *f, const char *id);
void errand_free(struct errand *x); /* cancels what runs */
void errand_start(struct errand *x);
void errand_show(struct errand *x); /* a sign of life: progress.json */

/* Of the queue: x is over, and freed by this. */
void fetcher_drop(struct fetcher *f, struct errand *x, int good);

#endif
