#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <jansson.h>

struct err;
struct loop;

/*
 * A short-lived program that works on one image (dind-image): it gets a job as JSON on stdin, an engine
 * connection as descriptor 3, and writes events as JSON lines on stdout; stderr is ours. It is killed when
 * the child is freed. The spawner (io/spawner.h) starts it: this process cannot.
 */
struct child;

typedef void child_event_cb(void *arg, const json_t *event); /* each line, borrowed */
/* Once, after the last event: status of waitpid(2). The child is freed after it. */
typedef void child_end_cb(void *arg, int status);

/*
 * The way to the spawner, one for the process: fd is taken. on_lost is called when the spawner has gone: its
 * programs are gone with it, nothing can be started any more.
 */
void children_open(struct loop *l, int fd, void (*on_lost)(void *arg), void *arg);
void children_close(void); /* no child may be left */

/*
 * Takes engine (closed here in any case). argv[1] is the verb; argv[0] is for messages: the spawner knows its
 * one program. NULL with e. A program that cannot be executed says so as an event, and ends.
 */
struct child *child_start(struct loop *l, const char *const *argv, const json_t *job, int engine,
    child_event_cb *on_event, child_end_cb *on_end, void *arg, struct err *e);

/* Kills it (SIGKILL) and forgets it: no callbacks any more, and nothing that it does any more. */
void child_kill(struct child *c);

#endif
