#ifndef TASK_TASK_H
#define TASK_TASK_H

#include <jansson.h>
#include <stdint.h>

#include "policy/owned.h"
#include "policy/policy.h"
#include "task/builds.h"

struct err;
struct settings;

/*
 * The tasks of this host, in memory and on disk. A task's id is its namespace: 20 characters of [a-z2-7] made
 * from sha256(taskId "/" runId), so that the same task finds itself again after a restart. On disk, under
 * <stateDir>/tasks/<id>/: task.json (what was registered; replaced atomically) and owned.jsonl (one line a
 * change, fdatasync'ed before the task may see its effect; rewritten when read). Credentials are kept in
 * credentials.json, mode 0600, and wiped with the task.
 */
enum task_state {
	TASK_ENDED = 0, /* only while it is being cleaned up */
	TASK_RUNNING,
	TASK_FINISHING, /* no new builds; exports run */
	TASK_FINISHED,  /* artifacts are handed off */
};

struct task_counts {                  /* since the service started */
	unsigned connections, builds; /* now */
	uint64_t requests, refused, observed, bytes_in, bytes_out;
	uint64_t saved;      /* bytes of tarballs */
	int64_t disk;        /* bytes of its images beyond their bases, as last counted */
	uint64_t unrecorded; /* requests refused by rate since the last record of one */
};

struct task {
	char id[REFERENCE_NS_LEN + 1];
	char *task_id;
	unsigned run_id;
	enum task_state state;
	int64_t created, expires; /* unix seconds; expires 0 = never */
	int64_t since; /* no image that its builds may have left is older: created, or of a task before it */
	struct policy *policy; /* of requests that begin now; those under way keep theirs */
	struct owned owned;    /* changed only through task_learn() and its siblings */
	struct builds builds;  /* which build made what is owned, as far as that is known */
	/* of the payload's dind.artifacts: name -> {"image"[, "expires"]} or {"report": true[, "expires"]};
	 * expires is never behind the task's own */
	json_t *artifacts;
	json_t *policy_given, *limits_given; /* as registered, or NULL */
	json_t *registered;                  /* what was read of the body, without credentials */
	int64_t max_connections, max_builds, build_time, max_rate, max_saved, max_disk;
	int64_t bucket, bucket_at; /* of limits_request() */
	int64_t flood_recorded;    /* ms: when a refusal by rate was last recorded */
	struct task_counts now;
	void *user;            /* of whoever serves the task's socket */
	int journal;           /* fd of owned.jsonl, -1 when the disk failed in the middle of a line */
	int64_t journal_limit; /* size at which it is rewritten */
	struct tasks *home;
	struct task *next;
};

struct tasks;

/*
 * Reads <stateDir>/tasks; makes it when missing. A damaged last journal line (a crash) is cut, a registration
 * that was never answered is removed; a damaged task is an error. The settings are borrowed until
 * tasks_close().
 */
struct tasks *tasks_open(const struct settings *s, struct err *e);
void tasks_close(struct tasks *t); /* leaves the disk as it is */

/*
 * Registers a task from POST /v1/tasks' body {taskId, runId, payload, scopes, expires, limits, policy,
 * credentials}. *out is the task, *known 1 when it was already there (same body again is fine: the answer is
 * the same). -1 with status 400 (what is wrong with the body), 409 (known with another body), 500 (disk).
 * *out NULL with 0: payload.features.dind is not true.
 */
int tasks_add(struct tasks *t, const json_t *body, struct task **out, int *known, struct err *e);

/*
 * May an artifact have this name? 1 to 1024 printable ASCII characters, a relative path without empty, "."
 * and
 * ".." parts, an ending that says how it is compressed, no name that the worker itself uses. -1 with status
 * 400.
 */
int task_check_artifact(const char *name, struct err *e);
/* The same for a report, whose name ends in .html. */
int task_check_report(const char *name, struct err *e);
/* May NAME.provenance.json be one, too? -1 with status 400. */
int task_check_provenance(const char *name, struct err *e);
/* May a store have it: an artifact's or a report's name, or the first with .provenance.json behind it? -1
 * with status 400. */
int task_check_stored(const char *name, struct err *e);

/* The id that a task would have; NUL-terminated. */
void task_make_id(const char *task_id, unsigned run_id, char out[REFERENCE_NS_LEN + 1]);

struct task *tasks_find(const struct tasks *t,
    const char *id); /* by id, or by "taskId/runId", or by a taskId that is unique; else NULL */
struct task *tasks_first(const struct tasks *t); /* then ->next */

int task_set_state(struct task *task, enum task_state state, struct err *e);
/* The images of a task that has ended pass to those that use them, too (cache "shared"): with their age. */
int task_inherit(struct task *task, int64_t since, struct err *e);
int task_set_credentials(struct task *task, const json_t *credentials, struct err *e);

/*
 * The settings have changed: new policies and limits for all tasks, with this version. Never fails for what
 * was accepted before: limits are clamped to the host's.
 */
void tasks_apply_settings(struct tasks *t, unsigned version);

/* The version that new tasks' policies carry: 1 until the settings changed. */
unsigned tasks_version(const struct tasks *t);

/* Removes it from memory and disk; the pointer is gone. */
int task_remove(struct task *task, struct err *e);

/* Changes of what is owned: first on disk, then in memory. -1: nothing changed. */
int task_learn(struct task *task, const char *id, struct err *e);
/* The same of an image that a build made, with the facts of that build (builds.h). */
int task_built(struct task *task, const char *id, const json_t *facts, struct err *e);
int task_name(struct task *task, const char *name, const char *id, struct err *e);
int task_unname(struct task *task, const char *name, struct err *e);
int task_forget(struct task *task, const char *id, struct err *e);
/* An intermediate image that a build printed; owned_step() says what it is good for. Not synced to disk. */
int task_step(struct task *task, const char *step, struct err *e);

/* What a request that was admitted may add to what is owned, until it ends: taken with the opposite signs. */
void task_claim(struct task *task, long images, long names);

/* For GET /v1/tasks and /v1/tasks/ID: new reference. full adds images and names. Never credentials. */
json_t *task_json(const struct task *task, int full);

const char *task_state_name(enum task_state s);

#endif
