#ifndef IO_FETCH_H
#define IO_FETCH_H

#include <jansson.h>
#include <stddef.h>

#include "policy/call.h"

struct err;
struct gate;
struct loop;

/*
 * One small question to the engine: a call without a body, its whole answer (JSON, capped), then the
 * callback. For what the proxy itself wants to know: base images, the engine's version, what is left to
 * remove.
 */
struct fetch;

/* answer is NULL when the engine's body was not JSON or empty; borrowed. status 0: e says why there is no
 * answer. */
typedef void fetch_cb(void *arg, unsigned status, json_t *answer, const struct err *e);

/* Cuts the answer at max bytes (an error). Ends after at most `seconds`. */
struct fetch *fetch_start(
    struct loop *l, struct gate *g, const struct call *c, size_t max, int seconds, fetch_cb *cb, void *arg);

/* No callback any more. Not to be called after the callback. */
void fetch_cancel(struct fetch *f);

#endif
