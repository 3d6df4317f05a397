#ifndef IMAGE_ENGINE_H
#define IMAGE_ENGINE_H

#include <stddef.h>

#include "base/buf.h"
#include "http/body.h"

struct err;

/*
 * The engine's end of fd 3, blocking: what it answers to the one request whose head the gate has written. An
 * answer is held to chunks or a length: one that ends with the connection could have been cut anywhere.
 */
struct engine {
	int fd;         /* borrowed */
	const char *ns; /* the task's, for names in its messages; NULL: they are hidden */
	struct buf net;
	struct body body;
};

void engine_init(struct engine *g, int fd, const char *ns);
void engine_done(struct engine *g);

/* Waits for the head, however long. 0 for status 200; else -1 with the engine's own status and message. */
int engine_head(struct engine *g, struct err *e);

/* Appends a piece of the answer's body to out: 1, 0 at its end, -1 when it is cut or malformed. */
int engine_read(struct engine *g, struct buf *out, struct err *e);

/*
 * Sends the bytes. 0; 1 when the engine has something to say before it took them all (or has closed): read
 * it.
 */
int engine_send(struct engine *g, const void *bytes, size_t len, struct err *e);

#endif
