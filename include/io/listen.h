#ifndef IO_LISTEN_H
#define IO_LISTEN_H

#include <sys/types.h>

struct err;
struct loop;

/*
 * A listening unix socket. Its mode is set with fchmod() before bind(), so there is no moment with another
 * one, and nothing is ever done by path after bind (threats.md T10.2). An old socket at the path is removed,
 * anything else there is an error.
 */
struct listener;

typedef void listen_cb(void *arg, int fd); /* takes fd: non-blocking, close-on-exec */

/* fd >= 0: already listening there, taken over; else a socket is made at path with mode. NULL with e. */
struct listener *
listener_new(struct loop *l, const char *path, mode_t mode, int fd, listen_cb *cb, void *arg, struct err *e);

int listener_fd(const struct listener *n); /* stays the listener's */

/* Stops accepting for good and removes the socket file when `unlink_path`. */
void listener_free(struct listener *n, int unlink_path);

#endif
