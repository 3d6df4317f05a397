#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

struct err;
struct event_base;
struct life;

/*
 * The control socket: HTTP/1.1 + JSON on a unix socket, mode 0600, peers checked with SO_PEERCRED (root and
 * the service's own user; others get a 403 and are closed). The calls are the rows of control/api.h.
 *
 * Bounds: head 64 KiB, body 1 MiB, 64 connections, 30 s for a request to arrive and for an answer to be
 * taken. An answer that comes later belongs to its connection: when the client has gone, it is dropped.
 * Errors are {"message", "rule"}.
 */
struct server;

/* A listening socket at path, as server_new() makes it: for a caller that keeps it beyond the server. */
int server_listen(const char *path, struct err *e);

/*
 * Listens at path: the caller made the directory. A socket that nobody listens on is replaced; one that is
 * served, or a file that is not a socket, is an error. fd >= 0 is an already listening descriptor to use
 * instead (taken; path is for messages and is not unlinked).
 */
struct server *
server_new(struct event_base *base, const char *path, int fd, struct life *life, struct err *e);

/* Serves an accepted connection (taken), as if it had come in at path. */
void server_adopt(struct server *s, int fd);

/* How many connections are open. */
unsigned server_connections(const struct server *s);

/* Closes everything, unlinks path. Answers that are still owed may come later and are dropped. */
void server_free(struct server *s);

#endif
