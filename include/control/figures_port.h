#ifndef CONTROL_FIGURES_PORT_H
#define CONTROL_FIGURES_PORT_H

struct err;
struct figures_port;
struct life;
struct loop;
struct settings;

/*
 * GET /metrics and GET /healthz on a loopback port, for a Prometheus that cannot open unix sockets: figures,
 * and nothing that changes anything. Whoever may connect to 127.0.0.1 reads it: no names of tasks or images
 * are in it. One request for each connection, at most 16 of them, 2 KiB of head, 5 s.
 */

/*
 * A listening socket for metrics.port on metrics.address, -1 with e; before the process gives up the right to
 * make one. With metrics.port 0 and nothing given by systemd: -1 and e->text is "".
 */
int figures_listen(const struct settings *s, int given, struct err *e);

/* Serves it; takes fd. */
struct figures_port *figures_port_new(struct loop *l, int fd, struct life *life, struct err *e);
void figures_port_free(struct figures_port *p);

#endif
