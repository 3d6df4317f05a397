#ifndef IO_LOOP_H
#define IO_LOOP_H

struct event_base;

/*
 * The event loop of a process, and the place where things are freed: callbacks never free what is still on
 * the stack above them, they defer it to the top of the loop.
 */
struct loop;

/* Before anything else of libevent: what it cannot allocate ends the process, as base/mem.h says. */
void loop_memory(void);

struct loop *loop_new(void);
void loop_free(struct loop *l); /* runs what is still deferred */

struct event_base *loop_base(const struct loop *l);

/* fn(arg) runs before the loop waits again; in order. */
void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg);

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

#endif
