#ifndef TASK_PRIVATE_H
#define TASK_PRIVATE_H

#include "task/task.h"

/* What the files of the task module share. */
struct tasks {
	const struct settings *settings;
	char *dir;        /* <stateDir>/tasks */
	unsigned version; /* of the policy */
	struct task *first;
};

/* "<dir>/<id>[/<file>]", heap; file may be NULL. */
char *task_path(const struct task *task, const char *file);

/*
 * The body of POST /v1/tasks. The key first: who is it, does it want us at all. Then what is kept of it (new
 * reference; no credentials, nothing of the payload that is not ours). Then the fields of the task from what
 * was kept; `stored` when it was accepted before, by settings that may have changed: limits are clamped.
 */
int body_key(const json_t *body, const char **task_id, unsigned *run_id, int *enabled, struct err *e);
json_t *body_keep(const json_t *body);
int body_apply(struct task *task, const json_t *kept, int stored, struct err *e);
void body_apply_settings(struct task *task); /* policy and limits anew, of a task that was accepted */
int body_check_credentials(const json_t *credentials, struct err *e);

/* owned.jsonl */
int journal_read(struct task *task, struct err *e); /* cuts a broken last line, rewrites, opens */
int journal_make(struct task *task, struct err *e); /* an empty one */

enum task_state task_state_of(const char *name); /* TASK_ENDED when it is none */

#endif
