#ifndef ARTIFACT_S3_PRIVATE_H
#define ARTIFACT_S3_PRIVATE_H

#include <event2/event.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "artifact/retry.h"
#include "artifact/s3.h"
#include "artifact/sigv4.h"
#include "artifact/source.h"
#include "artifact/store.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "io/transfer.h"

/* What the files of the S3 store share. */
enum {
	S3_PART = 8 * 1024 * 1024, /* up to here one PUT; what is lost at most when one breaks */
	S3_PARTS_MAX = 10000,
	S3_PARALLEL = 3,
	S3_AHEAD = 4,               /* parts hashed before they are sent: they are still in the page cache */
	S3_ANSWER_MAX = 512 * 1024, /* a page of a list, a record */
	S3_COMPLETE_SECONDS = 300,  /* stores put the parts together before they answer */
	S3_STALE = 86400,           /* seconds: no put takes a day */
	S3_RESTARTS = 3,            /* of a multipart upload that the store forgot */
	S3_TEXT_MAX = 2048,         /* one value of an XML answer */
};

/* --- where and who: s3_place.c */

struct s3_place {
	char *base; /* "https://bucket.host:port" or "https://host:port" */
	char *host; /* of it */
	char *root; /* "/bucket/" or "/" */
	char *bucket, *region, *prefix;
};

struct s3_key {
	char *id, *secret, *token; /* token may be NULL */
};

int s3_place_init(struct s3_place *p, const struct settings *s, struct err *e);
void s3_place_done(struct s3_place *p);

/* Refuses a file that others can read. */
int s3_key_read(struct s3_key *k, const char *path, struct err *e);
void s3_key_done(struct s3_key *k); /* wiped */

/* The key of an artifact; NULL with status 400 for a task id or name that may not be one. */
char *s3_object_key(
    const struct s3_place *p, const char *task_id, unsigned run_id, const char *name, struct err *e);
/* Is this a key that s3_object_key() makes? */
int s3_is_our_key(const struct s3_place *p, const char *key);

struct s3 {
	struct store store;
	struct event_base *base;
	struct transfers *transfers;
	struct s3_place place;
	const char *key_file;
	struct s3_key key;
	int64_t skew;        /* ms that the store's clock is ahead of ours */
	unsigned generation; /* counts changes of key and skew */
	struct retry_pace pace;
	struct s3_clean *sweep; /* while it runs */
	struct store_job *jobs;
};

/* --- XML: s3_xml.c. Called at the end of each element, children first: path is "Root/Child". Not 0 ends the
 * walk with that value. */
typedef int s3_xml_cb(void *arg, const char *path, const char *text);
int s3_xml_walk(const char *text, size_t len, s3_xml_cb *cb, void *arg, struct err *e);

struct s3_error {
	char code[64], message[256], request[128]; /* "" = not said */
};
/* 1 when the bytes are an S3 error document. */
int s3_error_read(const char *text, size_t len, struct s3_error *out);

/* Appends text as it must stand between two tags. */
void s3_xml_escape(struct buf *out, const char *text);

/* --- one request, and its tries: s3_call.c */

enum { S3_QUERY_MAX = 6, S3_HEADERS_MAX = 8 };

struct s3_ask {                                                         /* copied, except the body */
	const char *method, *key;                                       /* key NULL: the bucket itself */
	struct sigv4_pair query[S3_QUERY_MAX], headers[S3_HEADERS_MAX]; /* up to the first without a name */
	const void *bytes;                                              /* or from offset of fd */
	int fd;
	uint64_t offset, length;
	const char *sha256;     /* of the body, hex; needed for one from a file */
	unsigned reply_seconds; /* 0: as usual */
	unsigned tries;         /* 0: as usual */
	/* of an answer that is not held, as in io/transfer.h; called with the callback's arg. What they did
	 * not want (TRANSFER_EXCESS) is no error. */
	int (*begin)(void *arg, const struct transfer_result *head);
	int (*sink)(void *arg, const void *bytes, size_t len);
};

struct s3_reply {
	int good;               /* 2xx, and no error in it */
	enum retry_class class; /* when not: FATAL, or AGAIN when all tries are used up */
	unsigned status, tries;
	const char *code; /* of the error, "" */
	const struct transfer_result *result;
	struct err why;
};

/* Never called from inside s3_call_start(); the call is gone when it returns. */
typedef void s3_call_cb(void *arg, const struct s3_reply *r);
struct s3_call *s3_call_start(struct s3 *home, const struct s3_ask *ask, s3_call_cb *cb, void *arg);
void s3_call_cancel(struct s3_call *c); /* NULL is fine */
uint64_t s3_call_sent(const struct s3_call *c);

/* --- journal of an upload, JSON lines: s3_journal.c */

struct s3_journal {
	int fd; /* -1: not open */
	char *path;
};
typedef void s3_journal_cb(void *arg, const json_t *line);
/* Opens or makes it and plays back every whole line; what is behind the last one is cut off. */
int s3_journal_open(struct s3_journal *j, const char *path, s3_journal_cb *cb, void *arg, struct err *e);
int s3_journal_add(
    struct s3_journal *j, json_t *line, struct err *e); /* takes line; on the disk when it returns */
int s3_journal_reset(struct s3_journal *j, struct err *e);
void s3_journal_done(struct s3_journal *j, int forget); /* forget: removed as well */

/* --- hashes of the spool's data, whole and part by part: s3_digest.c */

struct s3_part {
	char sha256[65];
	char *etag;        /* of what the store has, heap; NULL = nothing */
	char *kept_sha256; /* of an earlier run's, until it is compared, heap */
	int sent;          /* the store has these bytes */
};

struct s3_digest;
/* NULL: another part is hashed, or (s3_digest_whole()) all, and it is what was sealed. */
typedef void s3_digest_cb(void *arg, const struct err *why);
struct s3_digest *s3_digest_new(struct event_base *base, int fd, const struct spool_record *record,
    struct s3_part *parts, uint64_t part_size, s3_digest_cb *cb, void *arg);
void s3_digest_want(struct s3_digest *d, size_t parts); /* hash so many, at least */
size_t s3_digest_ready(const struct s3_digest *d);
int s3_digest_whole(const struct s3_digest *d);
void s3_digest_free(struct s3_digest *d);

int s3_hash_range(int fd, uint64_t offset, uint64_t length, char out[HASH_HEX_MAX], struct err *e);

/* --- multipart uploads that nobody wants any more: s3_clean.c */

struct s3_clean;
typedef int s3_doomed_cb(void *arg, const char *key, const char *upload_id, int64_t initiated);
typedef void s3_clean_cb(void *arg, unsigned aborted, const struct err *why); /* why NULL: all through */
struct s3_clean *
s3_clean_start(struct s3 *home, const char *prefix, s3_doomed_cb *doomed, s3_clean_cb *cb, void *arg);
void s3_clean_cancel(struct s3_clean *c);

/* --- what an object and its record say: s3_object.c */

/* The first two headers of a new object: its type, its hash. */
void s3_object_headers(const struct spool_record *record, struct sigv4_pair *headers);
/* Is what a HEAD was answered of the size and hash that were sealed? */
int s3_object_is(const struct spool_record *record, const struct transfer_result *r);
/* 1 = a record of the same content, 0 = none that counts (expired, damaged), -1 = of other content. */
int s3_record_is(const struct spool_record *record, const struct buf *body, struct err *e);
void s3_record_print(const struct spool_record *record, struct buf *out);
/* hex of a sha256 -> base64, 45 bytes with the NUL */
void s3_base64(const char *hex, char out[48]);

/* --- a put: s3_put.c; its multipart upload: s3_multi.c, s3_parts.c */

enum job_state {
	JOB_LOOK = 0, /* GET the record: is it there already? */
	JOB_CHECK,    /* HEAD the object */
	JOB_SEND,     /* one PUT, or s3_multi.c */
	JOB_VERIFY,   /* HEAD the object */
	JOB_RECORD,   /* PUT the record */
	JOB_ABORT,    /* the multipart upload, because the put is over */
};

struct store_job {
	struct s3 *home;
	struct store_item item;
	store_end_cb *cb;
	void *arg;
	enum job_state state;
	struct event *turn;
	char *key, *record_key;
	int fd;
	struct s3_call *call; /* the one of the state */
	struct buf record_text;
	int record_there; /* the same content's */
	int replace;      /* one that has expired or is damaged */
	unsigned looks;

	uint64_t part_size;
	size_t part_count;
	struct s3_part *parts;
	struct s3_digest *digest;

	/* s3_multi.c */
	struct s3_journal journal;
	char *upload_id;
	int begun;   /* the journal is of this object, and says that an upload of it was begun */
	int suspect; /* one may have been begun whose id was never learned */
	unsigned restarts;
	size_t next; /* part to look at next */
	struct s3_slot {
		struct store_job *job;
		struct s3_call *call; /* NULL = free */
		size_t part;
		char number[12];
	} slots[S3_PARALLEL];
	struct s3_clean *clean;
	struct buf manifest;  /* of Complete */
	unsigned long marker; /* of ListParts */
	uint64_t done;        /* bytes that the store has */
	uint64_t fresh;       /* of them, what this put has sent */

	enum store_end end; /* behind JOB_ABORT */
	struct err why;
	struct store_job *next_job;
};

/* Reads the journal; 0 also when there is none. */
int s3_multi_open(struct store_job *j, struct err *e);
void s3_multi_start(struct store_job *j);
void s3_parts_start(struct store_job *j);
void s3_multi_pump(struct store_job *j);              /* more parts are hashed */
int s3_multi_note(struct store_job *j, json_t *line); /* takes line; -1: the put has failed */
/* The store does not know the upload, or what came of it: from the beginning, or, after some times, the end.
 */
void s3_multi_again(struct store_job *j, const struct s3_reply *r);
void s3_multi_stop(struct store_job *j); /* cancels what runs */
uint64_t s3_multi_sent(const struct store_job *j);

struct store_job *s3_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg);
uint64_t s3_put_sent(const struct store_job *j);
void s3_put_cancel(struct store_job *j);

/* From s3_multi.c: all is there; or the put is over. */
void s3_job_sent(struct store_job *j);
void s3_job_fail(struct store_job *j, enum store_end end, const struct err *why);
void s3_job_refused(struct store_job *j, const struct s3_reply *r); /* the end that the reply means */
uint64_t s3_part_length(const struct store_job *j, size_t part);

int s3_sweep(struct store *s, struct err *e);

/* --- the way out: s3_find.c, s3_read.c */

struct s3_source {
	struct source source;
	char *key; /* of the object */
};
void s3_source_free(struct source *s);

struct source_find *s3_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg);
void s3_find_cancel(struct source_find *f);
/* The highest run below `below` in a list of what lies under a task's prefix; -1: there is none. */
int64_t s3_find_run(const char *text, size_t len, const char *prefix, int64_t below, struct err *e);
/* Is the answer to a request for an artifact, and why not? *end and why are set as for source_found_cb. */
void s3_judge_out(const struct s3_reply *r, enum source_end *end, struct err *why);

struct source_read *s3_read(struct source *s, const struct source_range *r, source_read_cb *cb, void *arg);
void s3_read_cancel(struct source_read *r);

extern const struct source_ops s3_source_ops;

#endif
