#ifndef ARTIFACT_STORE_H
#define ARTIFACT_STORE_H

#include <jansson.h>
#include <stdint.h>

#include "task/spool.h"

struct buf;
struct err;
struct event_base;
struct settings;

/*
 * Where artifacts go: what every kind of store does, asynchronously on the event loop. A kind is one table of
 * functions and one row in src/artifact/store.c.
 *
 * A put is made of an artifact that lies sealed in the spool: its bytes may be read as often as a retry needs
 * them, and their hashes are in the record. A store checks them against the record on the way: an artifact
 * that is not what was sealed is never visible under its name. Putting the same content under the same name
 * again is a success (an uploader that died goes on without knowing how far it came), other content is not.
 */
enum store_end {
	STORE_FAILED = 0, /* never tried again: refused, another content there, damaged in the spool */
	STORE_AGAIN,      /* may work later: disk full, connection lost, 5xx */
	STORE_DONE,
};

struct store_item { /* what it points to is valid until the callback, or store_cancel() */
	const struct spool_record *record;
	const char *data; /* path of the file */
	int last;         /* without progress no other try will follow: leave nothing half done */
};

/* where: result.json's "path" or "url" and what else the store says; borrowed, NULL unless done. why: set
 * unless done; its rule may say whose fault it was ("task", "worker", "service"). Never called from inside
 * store_put(); the job is gone when it returns. */
typedef void store_end_cb(void *arg, enum store_end end, const json_t *where, const struct err *why);

struct store;
struct store_job;
struct source_ops;

struct store_ops {
	const char *type; /* a word of the setting store.type */
	int errors; /* takes records that say why there is no artifact; the put fails with that reason */
	struct store_job *(*put)(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg);
	uint64_t (*sent)(const struct store_job *job);
	void (*cancel)(struct store_job *job);
	const struct source_ops *out; /* artifact/source.h: what is put here can be fetched */
	int (*sweep)(struct store *s, struct err *e);
	void (*describe)(const struct store *s, struct buf *out);
	void (*free)(struct store *s);
};

struct store { /* first member of each kind's own struct */
	const struct store_ops *ops;
};

/* The store that the settings name; both are borrowed until store_free(), which needs all jobs to be over. */
struct store *store_open(struct event_base *base, const struct settings *s, struct err *e);
void store_free(struct store *s);

struct store_job *store_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg);

/* Bytes of the artifact that are through, for progress; may go back to 0 when a transfer starts anew. */
uint64_t store_sent(const struct store *s, const struct store_job *job);

/* Gives up without a callback; what was begun is taken up or swept later. */
void store_cancel(struct store *s, struct store_job *job);

/* One portion of housekeeping (what has expired, what a crash left): 1 = there is more, 0 = through, -1. */
int store_sweep(struct store *s, struct err *e);

/* "local directory /var/lib/dind-proxy/store": for the log. */
void store_describe(const struct store *s, struct buf *out);

/* What a failed system call means for the put: AGAIN for what may pass, FAILED for what cannot. */
enum store_end store_judge(int code);

#endif
