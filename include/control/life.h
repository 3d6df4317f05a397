#ifndef CONTROL_LIFE_H
#define CONTROL_LIFE_H

#include <jansson.h>

struct err;
struct life;

/*
 * What the worker may ask of the running service: the verbs behind the control API, without HTTP. Each
 * answers with a status and a JSON value, at once or later on the loop (ends and loads talk to the engine
 * first).
 */
/* takes the reference; called exactly once */
typedef void life_answer_cb(void *arg, int status, json_t *answer);

/* Every verb: body is borrowed and may be NULL; id is from the path. Errors come as {"message", "rule"} with
 * a 4xx or 5xx status. */
void life_task_start(struct life *l, const json_t *body, life_answer_cb *cb, void *arg); /* 201, 200 */
void life_task_list(struct life *l, life_answer_cb *cb, void *arg);                      /* 200 [..] */
void life_task_show(struct life *l, const char *id, life_answer_cb *cb, void *arg);      /* 200 */
void life_task_credentials(
    struct life *l, const char *id, const json_t *body, life_answer_cb *cb, void *arg); /* 204 */
void
life_task_finish(struct life *l, const char *id, life_answer_cb *cb, void *arg); /* 202 {artifacts: [..]} */
void life_task_artifacts(struct life *l, const char *id, life_answer_cb *cb, void *arg); /* 200 [..] */
/* 200 {artifacts: [records], loads: [records]}; also of a task that only has a loaded image */
void life_task_evidence(struct life *l, const char *id, life_answer_cb *cb, void *arg);
void life_task_end(struct life *l, const char *id, life_answer_cb *cb,
    void *arg); /* 200 {removed: ..}; idempotent: 200 for unknown */

/*
 * {"taskId", "runId", "image": {"type": "task-image", "taskId", "path"[, "runId"]} or {"type":
 * "indexed-image", "namespace", "path"}[, "credentials"][, "scopes"]}: asks the store whether this task may
 * have it, fetches what the engine lacks, and loads it under a unique local name for the task, which releases
 * it when it ends: 200
 * {"name", "id", "sha256", "size", "fetched", "saved", ...}. Errors also say whose "fault" it was.
 */
void life_image_load(struct life *l, const json_t *body, life_answer_cb *cb, void *arg);

/* {"task": id, "method", "target", "headers": {}, "dockerfile"}: 200 with what policy/explain.h says, and
 * policy; nothing is sent. */
void life_explain(struct life *l, const json_t *body, life_answer_cb *cb, void *arg);

/*
 * Reads the settings file again and opens the audit log anew: 200 {policy: {version, hash, mode}, changed:
 * {key: {from, to}}, restart: [key]}. 400 with what is wrong with the file, 409 when it changed meanwhile,
 * 503 when there can be no record: then nothing is taken. Answers come in the order of the questions.
 */
void life_reload(struct life *l, life_answer_cb *cb, void *arg);

/* 200: the service as a whole, for `dindctl top`. */
void life_status(struct life *l, life_answer_cb *cb, void *arg);

/* 200 {version, hash, mode, loaded, settings, policy}: what judges tasks that gave no policy of their own. */
void life_policy(struct life *l, life_answer_cb *cb, void *arg);

void life_ready(struct life *l, life_answer_cb *cb, void *arg); /* 200, or 503 with what is missing */

/* Prometheus text, heap. */
char *life_metrics(struct life *l);

#endif
