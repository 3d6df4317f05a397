#ifndef ARTIFACT_SOURCE_H
#define ARTIFACT_SOURCE_H

#include <stdint.h>

#include "artifact/store.h"
#include "io/transfer.h"

/*
 * The way out of a store: an artifact is found first, and then its bytes are read, range by range. Nothing is
 * tried again in here but what needs no pause; whoever asked judges by the end. Callbacks come once, never
 * from inside the call that started it; what was started is gone when they return.
 */
struct source_want {         /* borrowed until the callback */
	const char *task_id; /* NULL: the task that the index has under `index` */
	const char *index;
	int64_t run_id; /* -1: the latest */
	const char *name;
	const char *keys; /* directory with the credentials.json of who asks, for a store that asks them */
};

enum source_end {
	SOURCE_FAILED =
	    0,        /* it stays so: why->status and why->rule ("task", "worker", "service") say for whom */
	SOURCE_AGAIN, /* may work later */
	SOURCE_EXPIRED, /* what was found is good no more: find it again */
	SOURCE_CHANGED, /* other bytes than before */
	SOURCE_DONE,
};

/* An artifact that was found. Strings are heap and NULL when the store does not say. */
struct source {
	struct store *home;
	char *task_id;
	unsigned run_id;
	char *content; /* which bytes: never the same for others; "" when the store has no word for it */
	char *sha256, *sha512; /* of the bytes without Content-Encoding, hex */
	char *image_id;
	char *etag;   /* of the bytes as they are stored, a strong one */
	char *path;   /* of a store on the disk: the file; there is nothing to read then */
	int64_t size; /* as it is stored; -1 = not known */
};

/* found is the callee's own (source_free()); NULL unless done, and then why is set. after: ms that the store
 * wishes for before the next try, 0 = nothing. */
typedef void
source_found_cb(void *arg, struct source *found, enum source_end end, int64_t after, const struct err *why);
struct source_find *source_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg);
void source_find_cancel(struct store *s, struct source_find *f); /* NULL is fine */

struct source_range {
	uint64_t offset, length; /* length 0: to the end */
	const char *etag;        /* the answer must be of these bytes; NULL = any; copied */
	/* as in io/transfer.h */
	int (*begin)(void *arg, const struct transfer_result *head);
	int (*sink)(void *arg, const void *bytes, size_t len);
};

/* DONE also when begin() or sink() wanted no more (they know). */
typedef void source_read_cb(void *arg, enum source_end end, int64_t after, const struct err *why);
struct source_read *
source_read(struct source *s, const struct source_range *r, source_read_cb *cb, void *arg);
void source_read_cancel(struct source *s, struct source_read *r); /* NULL is fine */

void source_free(struct source *s); /* needs its reads to be over; NULL is fine */

/* What a kind of store does for it; without `read`, found->path is always set. */
struct source_ops {
	struct source_find *(*find)(
	    struct store *s, const struct source_want *w, source_found_cb *cb, void *arg);
	void (*find_cancel)(struct source_find *f);
	struct source_read *(*read)(
	    struct source *s, const struct source_range *r, source_read_cb *cb, void *arg);
	void (*read_cancel)(struct source_read *r);
	void (*free)(struct source *s);
};

/* For the stores: empties the part that all kinds have. */
void source_done(struct source *s);

/* "bytes=0-99", "bytes=100-"; "" for all of it. */
enum { SOURCE_RANGE_MAX = 64 };
void source_range_print(const struct source_range *r, char out[SOURCE_RANGE_MAX]);

/* May this be a namespace of the index? Words of letters, digits and "-_!~*'()%" with dots between them, 240
 * bytes at most. -1 with status 400 and fault "task". */
int source_check_index(const char *index, struct err *e);

/* What a store on the disk or in a bucket has for a namespace, {"taskId"[, "runId"]}, put in place of what
 * was wanted. -1: it is damaged. */
struct source_place {
	char *task_id;
	int64_t run_id;
};
int source_read_index(struct source_place *p, const void *text, size_t len, struct err *e);

#endif
