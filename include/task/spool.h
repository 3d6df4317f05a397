#ifndef TASK_SPOOL_H
#define TASK_SPOOL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "docker/image.h"

struct err;

/*
 * The durable hand-off between `dind-image export` (writes) and `dind-uploader` (reads): a directory of
 * directories. An artifact is one directory, and which of these it lies in is its state:
 *
 *   incoming/   being written; its `data` is flock'ed as long as the writer lives
 *   ready/      sealed: everything in it is complete and on the disk
 *   uploading/  taken by the uploader
 *   done/ failed/
 *
 * Every change of state is one rename(2), followed by an fsync of both directories; of two who move the same
 * artifact one wins and the other gets ENOENT. A kill between any two steps leaves an artifact in
 * incoming/ (spool_sweep() removes it: the export is made again), or whole in one of the other states.
 *
 * An artifact's directory is `<ns>-<16 hex of sha256(name)>` and holds
 *   data           the compressed tarball
 *   record.json    struct spool_record, never changed once sealed; never a credential
 *   provenance/    by the uploader when there is a key: `data`, the signed statement (task/provenance.h)
 *   result.json    by the uploader, durable: {"state", "error", "url" or "path", "started", "ended", ..}
 *   progress.json  by the uploader, not durable: {"done", "total"} in bytes
 * Ids are checked by every call here (they may come from a client): e->code EINVAL, no other path is made.
 */
enum spool_state {
	SPOOL_NONE = 0, /* no such artifact */
	SPOOL_INCOMING,
	SPOOL_READY,
	SPOOL_UPLOADING,
	SPOOL_DONE,
	SPOOL_FAILED,
};
enum { SPOOL_ID_MAX = REFERENCE_NS_LEN + 1 + 16 + 1, SPOOL_RECORD_MAX = 256 * 1024 };

/* As Taskcluster's queue calls them. */
#define SPOOL_ERROR_MISSING "file-missing-on-worker"
#define SPOOL_ERROR_LARGE "too-large-file-on-worker"
#define SPOOL_ERROR_UNREADABLE "file-not-readable-on-worker"

/*
 * Strings are borrowed: from `json` (a record that was read; spool_record_done() gives it back), or, with
 * json NULL, from whoever fills it. Optional strings may be NULL.
 */
struct spool_record {
	json_t *json;
	const char *task_id;
	unsigned run_id;
	const char *session; /* the task's namespace */
	const char *name;    /* of the artifact: "public/image.tar.zst" */
	const char *expires; /* as the task gave it, RFC 3339; optional */
	const char *content_type;
	const char *sha256, *sha512; /* of data, hex */
	uint64_t size;               /* of data */
	const char *tar_sha256;      /* of the tarball in it, hex */
	uint64_t tar_size;
	const char *kind;     /* "report", "provenance": no image, so there is no tarball, image_id and image;
	                         else NULL */
	const char *image_id; /* "sha256:..." */
	const char *image;    /* reference as the task typed it */
	const char *engine;   /* its version; optional */
	const char *version;  /* of dind-proxy; optional */
	const char *created;  /* RFC 3339, UTC */
	/* instead of an artifact: why there is none, for stores that tell those who look for it. All that
	 * says what it is (hashes, image id) may be missing then, and data is empty. */
	const char *error_reason; /* SPOOL_ERROR_.. */
	const char *error_message;
	const json_t *evidence; /* evidence_make(): what is known of its build; optional */
	size_t layer_count;
	struct image_layer layers[IMAGE_LAYERS_MAX];
};

const char *spool_state_name(enum spool_state s); /* "incoming", ..; "none" */
int spool_is_id(const char *id);
void spool_make_id(const char *ns, const char *name, char out[SPOOL_ID_MAX]);

/* Makes the root and the state directories, mode 0700; what exists is fine. */
int spool_make_dirs(const char *root, struct err *e);

/* Removes what writers that are no more left in incoming/; safe while others write. */
int spool_sweep(const char *root, struct err *e);

/*
 * Opens a new artifact in incoming/ and returns the flock'ed fd of its empty `data` (the caller closes it,
 * after spool_seal() or spool_discard()). -1 with EEXIST when the artifact is in any other state, EBUSY
 * when another writer is at it.
 */
int spool_begin(const char *root, const char *id, struct err *e);

/* data to disk, record.json, and the one rename to ready/. record's id must be the artifact's. */
int spool_seal(const char *root, const char *id, int fd, const struct spool_record *record, struct err *e);
int spool_discard(const char *root, const char *id, struct err *e); /* from incoming/ */

enum spool_state spool_find(const char *root, const char *id);

/* -1 with ENOENT when it is not in `from` (any more), EEXIST when `to` has one already; it lies where it lay.
 */
int spool_move(const char *root, const char *id, enum spool_state from, enum spool_state to, struct err *e);

/* Calls visit() for each artifact in a state, in no order; it may move or remove that one. A visit that does
 * not return 0 ends the walk with that value. Strange names in the directory are passed over. */
int spool_list(const char *root, enum spool_state state, int (*visit)(void *arg, const char *id), void *arg,
    struct err *e);

/* Removes the artifact whatever its state; missing is fine. */
int spool_remove(const char *root, const char *id, struct err *e);

/* "<root>/<state>/<id>/<file>", heap; file NULL: the directory. NULL for a bad id or state. */
char *spool_path(const char *root, enum spool_state state, const char *id, const char *file);

/* Reads and checks record.json: every field there, hashes are hashes, the id is made of session and name. */
int spool_read_record(
    const char *root, enum spool_state state, const char *id, struct spool_record *r, struct err *e);
int spool_record_parse(struct spool_record *r, json_t *json, struct err *e); /* takes its own reference */
void spool_record_done(struct spool_record *r);
json_t *spool_record_json(const struct spool_record *r); /* new reference */

int spool_write_result(
    const char *root, enum spool_state state, const char *id, const json_t *result, struct err *e);
/* New reference; NULL with ENOENT when there is none. */
json_t *spool_read_result(const char *root, enum spool_state state, const char *id, struct err *e);

int spool_write_progress(
    const char *root, enum spool_state state, const char *id, uint64_t done, uint64_t total, struct err *e);
/* Zeros when there is none. */
void spool_read_progress(
    const char *root, enum spool_state state, const char *id, uint64_t *done, uint64_t *total);

#endif
