#ifndef CONTROL_API_H
#define CONTROL_API_H

#include <jansson.h>

#include "control/life.h"
#include "http/head.h"

struct buf;
struct err;

/*
 * The calls of the control API, one row each: server, `dindctl docs api` and the tests read the same rows.
 * {id} is the id of a task, "taskId/runId", or a taskId that is unique on this host. A call that has a body
 * takes one JSON value; the others take none. No call takes a query. Pure, but for api_run().
 */
#define API(X)                                                                                               \
	/* name, method, path, body, good answers, help */                                                   \
	X(TASK_START, POST, "/v1/tasks", 1, "201, 200",                                                      \
	    "Registers a task and makes its socket: `{id, taskId, runId, enabled, socket, mounts, env}`. "   \
	    "200 when the same body was registered before, and with `{\"enabled\": false}` when "            \
	    "`payload.features.dind` is not true")                                                           \
	X(TASK_LIST, GET, "/v1/tasks", 0, "200", "The tasks that run here")                                  \
	X(TASK_SHOW, GET, "/v1/tasks/{id}", 0, "200", "One task: what it owns and what it used")             \
	X(TASK_CREDENTIALS, PUT, "/v1/tasks/{id}/credentials", 1, "204",                                     \
	    "New temporary credentials after a reclaim: `{clientId, accessToken, certificate}`")             \
	X(TASK_FINISH, POST, "/v1/tasks/{id}/finish", 0, "202",                                              \
	    "Closes the door to new builds and exports the declared artifacts: `{artifacts: [...]}` to "     \
	    "follow")                                                                                        \
	X(TASK_ARTIFACTS, GET, "/v1/tasks/{id}/artifacts", 0, "200",                                         \
	    "Each artifact: `name`, `image`, `state`, `bytes` of `total`, and when it is done `sha256`, "    \
	    "`sha512`, `size`, `imageId` and where it is; `evidence`, its record, and `provenance`, the "    \
	    "signed statement")                                                                              \
	X(TASK_EVIDENCE, GET, "/v1/tasks/{id}/evidence", 0, "200",                                           \
	    "Records of the task's sealed artifacts and of the images loaded for it: `{taskId, runId, "      \
	    "artifacts: [...], uploads: [{name, sha256}], loads: [...]}`, see evidence.md. Ask before the "  \
	    "task is ended")                                                                                 \
	X(TASK_END, DELETE, "/v1/tasks/{id}", 0, "200, 202",                                                 \
	    "Cancels the task's builds and removes all that it has here, at once: `{id, state, removed}`. "  \
	    "An unknown task is fine. 202 with the state `cleaning` when the engine does not answer: it "    \
	    "goes on by itself")                                                                             \
	X(IMAGE_LOAD, POST, "/v1/images/load", 1, "200",                                                     \
	    "Loads an image that another task made, under a name of its own: `{taskId, runId, image}` with " \
	    "the image `{type: \"task-image\", taskId, path[, runId]}` or `{type: \"indexed-image\", "       \
	    "namespace, path}`, and `credentials` or `scopes` of the task when it is not registered here. "  \
	    "Gives `{name, id, taskId, runId, path, sha256, size, cached, fetched, saved}`; an error says "  \
	    "whose `fault` it is: `task`, `worker` or `service`. The task `taskId/runId` releases it when "  \
	    "it ends")                                                                                       \
	X(EXPLAIN, POST, "/v1/explain", 1, "200",                                                            \
	    "Judges `{task, method, target, headers, dockerfile}` without sending anything: `{decision, "    \
	    "rule, "                                                                                         \
	    "reason, forwards, observed, policy}`, with a Dockerfile `bases` and `dockerfile`, too")         \
	X(STATUS, GET, "/v1/status", 0, "200",                                                               \
	    "The service as a whole: `{version, uptime, tasks, connections, builds, requests, refused, "     \
	    "observed, memory, diskFree, engine, policy}`; sizes in bytes, times in seconds")                \
	X(POLICY, GET, "/v1/policy", 0, "200",                                                               \
	    "The host's policy: `{version, hash, mode, loaded, settings, policy}`")                          \
	X(RELOAD, POST, "/v1/reload", 0, "200, 400, 409, 503",                                               \
	    "Reads the settings file again: `{policy: {version, hash, mode}, changed: {key: {from, to}}, "   \
	    "restart: [key]}`. Answers when every request is judged by it; 400 says what is wrong with the " \
	    "file, and the policy before goes on")                                                           \
	X(HEALTHZ, GET, "/healthz", 0, "200", "The service runs")                                            \
	X(READYZ, GET, "/readyz", 0, "200, 503",                                                             \
	    "Engine and spool can be reached; 503 says what is missing")                                     \
	X(METRICS, GET, "/metrics", 0, "200", "Prometheus text")

enum api_id {
#define X(name, method, path, body, answers, help) API_##name,
	API(X)
#undef X
};

struct api_row {
	enum api_id id;
	enum http_method method;
	const char *path;
	int body; /* takes a JSON body */
	const char *answers;
	const char *help;
};

enum { API_ID_MAX = 128 };

struct api_call {
	const struct api_row *row;
	char id[API_ID_MAX]; /* of {id}, "" for paths without */
};

const struct api_row *api_rows(size_t *count);

/*
 * Finds the call of a request by its raw target: paths are matched byte by byte, there is nothing to decode.
 * -1: 404, 405 (the path has other methods; the text names them) or 400 (a query).
 */
int api_find(enum http_method method, const char *target, struct api_call *call, struct err *e);

/*
 * Carries a call out; body is borrowed, NULL for calls without one. cb is called exactly once, now or later.
 * METRICS answers with a JSON string, which is meant to be sent as the text that it holds.
 */
void api_run(struct life *l, const struct api_call *call, const json_t *body, life_answer_cb *cb, void *arg);

/* The rows as Markdown, for docs/control-api.md. */
void api_doc(struct buf *out);

#endif
