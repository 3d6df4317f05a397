#ifndef CLI_START_H
#define CLI_START_H

#include <jansson.h>

struct buf;
struct err;

/* What `task start` makes of files and answers. Pure. */

/*
 * The body of POST /v1/tasks from what a worker has at hand: that body itself, a queue claim
 * ({"status": {"taskId"}, "runId", "task": {...}, "credentials"}), or a bare task definition
 * ({"payload", "scopes", "expires", ..}) with task_id. task_id and run_id may be NULL; given, they win. New
 * reference, NULL with e.
 */
json_t *start_body(const json_t *file, const char *task_id, const char *run_id, struct err *e);

/*
 * "-v SOCKET:/var/run/docker.sock:ro -e DOCKER_BUILDKIT=0" of the answer: words for a shell, unquoted. -1
 * when a value would need quotes.
 */
int start_docker_args(const json_t *answer, struct buf *out, struct err *e);

#endif
