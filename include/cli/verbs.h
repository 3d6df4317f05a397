#ifndef CLI_VERBS_H
#define CLI_VERBS_H

struct cli;
struct err;

/* What the rows of the verb table run. Each returns an exit status, and e for all but CLI_OK. */
int verb_task_start(struct cli *c, struct err *e);
int verb_task_list(struct cli *c, struct err *e);
int verb_task_show(struct cli *c, struct err *e);
int verb_task_credentials(struct cli *c, struct err *e);
int verb_task_finish(struct cli *c, struct err *e);
int verb_task_end(struct cli *c, struct err *e);
int verb_artifact_list(struct cli *c, struct err *e);
int verb_artifact_wait(struct cli *c, struct err *e);
int verb_image_load(struct cli *c, struct err *e);
int verb_explain(struct cli *c, struct err *e);
int verb_policy_show(struct cli *c, struct err *e);
int verb_reload(struct cli *c, struct err *e);
int verb_audit_show(struct cli *c, struct err *e);
int verb_audit_verify(struct cli *c, struct err *e);
int verb_config_check(struct cli *c, struct err *e);
int verb_config_show(struct cli *c, struct err *e);
int verb_docs(struct cli *c, struct err *e);

/*
 * The path of a call about the task that the first word names, with what stands behind its id. NULL, and a
 * usage error in e, when the word cannot be an id.
 */
char *verb_task_path(const struct cli *c, const char *behind, struct err *e);

#endif
