#ifndef IO_PUMP_H
#define IO_PUMP_H

#include <stdint.h>

#include "base/buf.h"
#include "http/body.h"

struct err;
struct filter;
struct stream;

/*
 * One body on its way from one stream to another: framing taken off, an optional filter, framing put on anew.
 * The one place that bounds memory: it takes nothing while PUMP_PIECE bytes wait on its other side. Bytes
 * that the filter declares clear are not copied at all: they are written from where they were read.
 *
 * The target may be missing for a while (to == NULL): output then waits in `made`, up to PUMP_HIGH.
 */
enum { PUMP_PIECE = 64 * 1024, PUMP_HIGH = 32 * 1024 };

enum pump_state {
	PUMP_WAIT = 0, /* needs input, or room at the target */
	PUMP_DONE,     /* the last byte, and the end of the body unless held, are in the target's out */
};

struct pump {
	struct stream *from, *to;
	struct filter *filter; /* owned; NULL = as it is */
	struct body walk;
	enum http_framing framing; /* of what is written: CHUNKED, or TO_EOF for bytes as they are */
	struct buf plain, made;
	int input_ended; /* the body's framing has ended */
	int filter_done;
	int hold;         /* keep the end of the body back until this is cleared */
	int ended;        /* PUMP_DONE was reached */
	uint64_t bytes;   /* payload taken */
	uint64_t written; /* payload given to the target or to made */
};

void pump_init(struct pump *p, struct stream *from, enum http_framing in, uint64_t length,
    struct filter *filter, struct stream *to, enum http_framing out);
void pump_done(struct pump *p);

/*
 * Moves what can be moved and kicks both streams. -1: the framing is broken (status 400), the input ended
 * too early (status 400, rule "body-cut"), or the filter refused.
 */
int pump_run(struct pump *p, struct err *e);

#endif
