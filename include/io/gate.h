#ifndef IO_GATE_H
#define IO_GATE_H

#include <jansson.h>
#include <stdint.h>

#include "policy/call.h"

struct err;
struct loop;
struct settings;

/*
 * The gate: a child process that alone may open the engine's socket. The front sends it a flat `struct call`;
 * the gate takes it apart again (call_take), judges it with its own copy of the policy (call_check),
 * connects, writes the head that call_print makes, and passes the connected descriptor back. So whoever takes
 * over the front can at worst issue calls that the policy allows.
 *
 * Messages on the socketpair (SOCK_SEQPACKET) are in io/gate_wire.h.
 */
struct gate;

typedef void
gate_cb(void *arg, int fd, const struct err *e); /* takes fd; -1 with e (status 400, 403, 502 or 503) */

/*
 * Forks the gate, to be called before the process gives up rights and before it has threads or a loop: only
 * pid and one end of the socketpair come back. The child never returns. config is the settings file, which
 * the gate reads again by itself when it is asked to; NULL: there is none.
 */
int gate_fork(const struct settings *s, const char *config, pid_t *pid, int *fd, struct err *e);

/* The front's end in the loop; on_lost is called when the gate has gone: the service cannot go on. */
struct gate *gate_new(struct loop *l, int fd, void (*on_lost)(void *arg), void *arg);
void gate_free(struct gate *g);

/*
 * Tells the gate the policy object that the worker gave for a task ({} for none), in the words of
 * policy_override(); calls of a namespace that it does not know are refused. given NULL forgets the
 * namespace.
 */
int gate_policy(struct gate *g, const char *ns, const json_t *given, struct err *e);

/* Asks for a connection on which the head of this call has been written. Returns a ticket (never 0). */
uint32_t gate_connect(struct gate *g, const struct call *c, gate_cb *cb, void *arg);

/*
 * The gate reads the settings file: a descriptor of it for the front to read the same text, whose SHA-256 is
 * e->text then. With gate_switch() calls are judged by it; those that name the version before are still
 * judged by that one, until gate_release(). Order is kept: what was asked before is judged before.
 */
uint32_t gate_load(struct gate *g, gate_cb *cb, void *arg);
void gate_switch(struct gate *g, unsigned version);
void gate_release(struct gate *g);

/* Forgets a ticket: its callback is not called, its descriptor is closed when it comes. */
void gate_cancel(struct gate *g, uint32_t ticket);

#endif
