#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

struct err;
struct event_base;
struct life;

/*
 * The control socket: HTTP/1.1 + JSON on a unix socket, mode 0600, peers checked with SO_PEERCRED (root and
 * the service's own user). Bodies at most 1 MiB. Routes are a table in src/control/api.c (design: "Control
 * API").
 */
struct server;

/* Listens at path (an old socket there is replaced); fd >= 0 is an already listening descriptor to use
 * instead. */
struct server *
server_new(struct event_base *base, const char *path, int fd, struct life *life, struct err *e);
void server_free(struct server *s);

#endif
