#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <jansson.h>

struct err;
struct loop;

/*
 * A short-lived program that works on one image (dind-image): it gets a job as JSON on stdin, an engine
 * connection as descriptor 3, and writes events as JSON lines on stdout; stderr is ours. It is killed when
 * the child is freed.
 */
struct child;

typedef void child_event_cb(void *arg, const json_t *event); /* each line, borrowed */
/* Once, after the last event: status of waitpid(2). The child is freed after it. */
typedef void child_end_cb(void *arg, int status);

/* Takes engine (closed here in any case). argv[0] is the program's path. NULL with e. */
struct child *child_start(struct loop *l, const char *const *argv, const json_t *job, int engine,
    child_event_cb *on_event, child_end_cb *on_end, void *arg, struct err *e);

/* Kills it (SIGKILL) and forgets it: no callbacks any more. */
void child_kill(struct child *c);

#endif
