#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <jansson.h>

struct buf;
struct cli;
struct err;

/* What the rows of the verb table run. Each returns an exit status, and e for all but CLI_OK. */
int verb_task_start(struct cli *c, struct err *e);
int verb_task_list(struct cli *c, struct err *e);
int verb_task_show(struct cli *c, struct err *e);
int verb_task_credentials(struct cli *c, struct err *e);
int verb_task_finish(struct cli *c, struct err *e);
int verb_task_end(struct cli *c, struct err *e);
int verb_task_evidence(struct cli *c, struct err *e);
int verb_artifact_show(struct cli *c, struct err *e);
int verb_artifact_verify(struct cli *c, struct err *e);
int verb_artifact_list(struct cli *c, struct err *e);
int verb_artifact_wait(struct cli *c, struct err *e);
int verb_image_load(struct cli *c, struct err *e);
int verb_policy_explain(struct cli *c, struct err *e);
int verb_policy_replay(struct cli *c, struct err *e);
int verb_policy_show(struct cli *c, struct err *e);
int verb_top(struct cli *c, struct err *e);
int verb_reload(struct cli *c, struct err *e);
int verb_task_report(struct cli *c, struct err *e);
int verb_audit_show(struct cli *c, struct err *e);
int verb_audit_verify(struct cli *c, struct err *e);
int verb_config_check(struct cli *c, struct err *e);
int verb_config_show(struct cli *c, struct err *e);
int verb_docs(struct cli *c, struct err *e);

/* JSON, or text, of a file of at most 1 MiB; standard input for "-". NULL or -1 with e. */
json_t *verb_read_json(const struct cli *c, const char *file, struct err *e);
int verb_read_file(const struct cli *c, const char *file, struct buf *out, struct err *e);

/*
 * The path of a call about the task that the first word names, with what stands behind its id. NULL, and a
 * usage error in e, when the word cannot be an id.
 */
char *verb_task_path(const struct cli *c, const char *behind, struct err *e);

#endif
