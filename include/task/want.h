#ifndef TASK_WANT_H
#define TASK_WANT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * The spool's other direction: what `dind-proxyd` wants from the artifact store, and `dind-uploader`, which
 * has the network, answers. A request is a directory, and which of these below <spool>/fetch it lies in is
 * its state:
 *
 *   new/     being written
 *   asked/   complete: request.json and, when the worker gave some for it, credentials.json (mode 0600)
 *   taken/   the uploader works on it: data.part, progress.json
 *   ended/   result.json, and `data` when it was fetched; the credentials are gone
 *
 * Every change of state is one rename(2). Nothing here is worth keeping: who asked waits on a connection, so
 * dind-proxyd removes all that it does not wait for, whatever the state, when it starts and while it runs,
 * and nothing is synced to the disk. The uploader begins anew what lies in taken/ when it starts, and gives
 * up what is taken away. Ids are checked by every call (EINVAL).
 */
enum want_state { WANT_NEW = 0, WANT_ASKED, WANT_TAKEN, WANT_ENDED, WANT_STATES };
enum { WANT_ID_LEN = 16, WANT_JSON_MAX = 4 * 1024 * 1024, WANT_CHAINS_MAX = 16384 };

/*
 * request.json. Strings are borrowed from `json`. Without `get` the uploader only says what there is; with
 * it, it fetches what `content` was said to be.
 */
struct want {
	json_t *json;
	int get;
	const char *task_id; /* NULL: the task that the index has under `index` */
	const char *index;
	int64_t run_id;       /* -1: the latest */
	const char *name;     /* of the artifact */
	const char *session;  /* of the task that the image is for: whose credentials count */
	const char *content;  /* with get: "" = whatever is there */
	const json_t *chains; /* array of the chain ids of the layers that the host has; NULL = none */
};

/* Makes the directories, mode 0700. */
int want_make_dirs(const char *root, struct err *e);

/* "<root>/fetch/<state>[/<id>[/<file>]]", heap; id and file may be NULL. NULL for what is no id. */
char *want_path(const char *root, enum want_state state, const char *id, const char *file);

int want_is_id(const char *id);

/* Writes a request into asked/; credentials NULL = none. -1 with status 400 when those are malformed. */
int
want_ask(const char *root, const char *id, const json_t *request, const json_t *credentials, struct err *e);

int want_read(const char *root, const char *id, struct want *w, struct err *e); /* from taken/ */
int want_parse(struct want *w, json_t *json, struct err *e);                    /* takes its own reference */
void want_done(struct want *w);

/* -1 with ENOENT when it is not in `from` any more. */
int want_move(const char *root, const char *id, enum want_state from, enum want_state to, struct err *e);

/* The credentials removed, result.json, and the move to ended/. */
int want_end(const char *root, const char *id, const json_t *result, struct err *e);
json_t *want_result(const char *root, const char *id, struct err *e); /* new */

/* A sign of life: progress.json in taken/; and when the last one came (seconds since 1970), -1: none yet. */
void want_show(const char *root, const char *id, uint64_t done, int64_t total);
int64_t want_shown(const char *root, const char *id);

/* Removes it whatever its state; missing is fine. */
int want_remove(const char *root, const char *id, struct err *e);

/* visit() for each request in a state; it may move or remove that one. Not 0 ends the walk with that value.
 */
int want_list(const char *root, enum want_state state, int (*visit)(void *arg, const char *id), void *arg,
    struct err *e);

/* Removes all that `keep` does not know (NULL: all). */
int want_sweep(const char *root, int (*keep)(void *arg, const char *id), void *arg, struct err *e);

#endif
