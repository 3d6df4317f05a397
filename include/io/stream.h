#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"

struct event;
struct loop;

/*
 * One non-blocking stream socket in the loop: what was read waits in `in`, what shall be written in `out`.
 * The owner looks at the facts below after every callback; a stream never closes itself. Each direction ends
 * on its own: eof does not stop writing, a broken writer does not lose what was read.
 *
 * Reading stops while `in` holds `high` bytes or reading is paused. Raw descriptors, not bufferevents: those
 * read 16 KiB at a time and do not tell a half-close from a peer that has gone.
 *
 * Memory: `in` borrows one space of the process while its owner is told of what was read; what the owner
 * leaves in it gets memory of its own. When all streams together hold much, each reads less at a time. So the
 * owner takes bytes from `in` by buf_drop(), buf_move() and buf_clear() only: it never adds to it nor gives
 * its memory back but by stream_rest().
 */
enum {
	STREAM_HIGH = 256 * 1024, /* one slow peer costs at most this for each direction, plus one read */
	STREAM_LOW = 4 * 1024,    /* of a peer that is only watched, since what it sends cannot go on now */
};

struct stream {
	int fd;
	struct buf in, out;
	int eof;     /* the peer will send nothing more (or reading failed: error) */
	int broken;  /* the peer takes nothing more: out is dropped */
	int gone;    /* both: the peer has closed its end altogether */
	int paused;  /* reading was stopped by the owner */
	int shut;    /* we have ended our direction, or will when out is empty */
	size_t high; /* STREAM_HIGH unless the owner says less */
	uint64_t bytes_read, bytes_written;

	/* private */
	struct loop *loop;
	struct event *reader, *writer;
	void (*on_change)(void *arg);
	void *arg;
	int shut_done;
	size_t held;
};

/* Takes fd (made non-blocking); on_change is called from the loop when any fact above changes. Reading starts
 * at once. */
struct stream *stream_new(struct loop *l, int fd, void (*on_change)(void *arg), void *arg);

/* Silences callbacks, closes fd. Memory goes at the top of the loop: safe from its own callback. */
void stream_free(struct stream *s);

/* From now on another is told of changes. */
void stream_owner(struct stream *s, void (*on_change)(void *arg), void *arg);

void stream_pause(struct stream *s, int paused);

/* To be called after bytes were taken from `in` or put to `out`: writes what can be written, goes on reading.
 */
void stream_kick(struct stream *s);

/*
 * Writes the spans behind what is in `out`; what cannot be written now is copied there. The spans may lie in
 * another stream's `in`: no byte is copied on the way when the peer takes them.
 */
void stream_put(struct stream *s, struct iovec *spans, size_t count);

/* Much will be written: asks the kernel for a large socket buffer. */
void stream_bulk(struct stream *s);

/* Gives back the memory of buffers that are empty: an idle connection costs little. */
void stream_rest(struct stream *s);

/* Ends our direction once `out` is written. */
void stream_shut(struct stream *s);

/* Asks the kernel whether the peer has closed its end altogether (a half-close is not); sets gone. */
int stream_peer_gone(struct stream *s);

#endif
