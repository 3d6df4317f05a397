#include "control/figures_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/metrics.h"
#include "http/head.h"
#include "http/print.h"
#include "io/listen.h"
#include "io/loop.h"

enum { CONNS_MAX = 16, HEAD_MAX = 2048, SECONDS = 5, BACKLOG = 16, DROP_MAX = 65536 };

struct reading {
	struct figures_port *port;
	int fd;
	struct event *event;
	char head[HEAD_MAX];
	size_t len;
	struct buf out; /* not empty: the answer is going out */
	int answered;   /* what still comes is dropped until the peer closes: else it would lose the answer */
	size_t dropped;
	struct reading *next;
};

struct figures_port {
	struct loop *loop;
	struct life *life;
	struct listener *listener;
	struct reading *first;
	unsigned count;
};

static int
listen_tcp(const char *address, int64_t port, struct err *e)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	int six = strchr(address, ':') != NULL, on = 1, rc;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e, errno, "metrics.port: socket: %m");
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* the words of metrics.address are these two */
	v6.sin6_addr = in6addr_loopback;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	rc = six ? bind(fd, (struct sockaddr *)&v6, sizeof v6) : bind(fd, (struct sockaddr *)&v4, sizeof v4);
	if (rc == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err_set(e, errno, "metrics.port: cannot listen on %s, port %lld: %m", address, (long long)port);
	close(fd);
	return -1;
}

/* What systemd passes is checked as well: on no other address are figures told. */
static int
is_loopback(int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof at;

	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return 0;
	if (at.ss_family == AF_INET)
		return ntohl(((struct sockaddr_in *)&at)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return at.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&at)->sin6_addr);
}

int
figures_listen(const struct settings *s, int given, struct err *e)
{
	err_clear(e);
	if (given >= 0 && is_loopback(given)) {
		(void)evutil_make_socket_nonblocking(given);
		return given;
	}
	if (given >= 0) {
		close(given);
		return err_set(e, EADDRNOTAVAIL,
		    "the socket that systemd passes for metrics is not on a loopback address");
	}
	return s->metrics_port == 0 ? -1 : listen_tcp(s->metrics_address, s->metrics_port, e);
}

static void
drop(struct reading *r)
{
	struct reading **at = &r->port->first;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->port->count--;
	event_free(r->event);
	close(r->fd);
	buf_done(&r->out);
	free(r);
}

static void
answer(struct reading *r, unsigned status, const char *type, const char *text)
{
	http_print_response(&r->out, 1, status, HTTP_BODY_COUNTED, strlen(text), type, 0, NULL);
	buf_adds(&r->out, text);
}

static void
answer_get(struct reading *r, const char *target)
{
	struct buf text = { 0 };

	if (strcmp(target, "/metrics") == 0) {
		metrics_print(r->port->life, &text);
		answer(r, 200, "text/plain; version=0.0.4", buf_text(&text));
	} else if (strcmp(target, "/healthz") == 0)
		answer(r, 200, "application/json", "{\"ok\": true}\n");
	else
		answer(r, 404, "text/plain", "this port has GET /metrics and GET /healthz\n");
	buf_done(&text);
}

/* 1: the answer is in r->out; 0: more of the head must come. */
static int
take_head(struct reading *r)
{
	struct http_head head;
	struct err e = { 0 };
	size_t used;
	int rc = http_request_parse(&head, r->head, r->len, &used, &e);

	if (rc == 1 && r->len < sizeof r->head)
		return 0;
	if (rc != 0)
		answer(r, 400, "text/plain", "a request for GET /metrics was expected\n");
	else if (head.method != HTTP_GET)
		answer(r, 405, "text/plain", "only GET is answered here\n");
	else
		answer_get(r, head.target);
	if (rc == 0)
		http_head_done(&head);
	return 1;
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* 5 s for each step: who neither sends nor reads is dropped. */
static void
wait_for(struct reading *r, short what)
{
	(void)event_assign(r->event, event_get_base(r->event), r->fd, what, on_event, r);
	(void)event_add(r->event, &(struct timeval){ .tv_sec = SECONDS });
}

static void
write_some(struct reading *r)
{
	ssize_t n = send(r->fd, buf_ptr(&r->out), buf_len(&r->out), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		buf_drop(&r->out, (size_t)n);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		drop(r);
	else if (buf_len(&r->out) > 0)
		wait_for(r, EV_WRITE);
	else {
		r->answered = 1;
		(void)shutdown(r->fd, SHUT_WR);
		wait_for(r, EV_READ);
	}
}

static void
drop_more(struct reading *r)
{
	ssize_t n = recv(r->fd, r->head, sizeof r->head, MSG_DONTWAIT);

	r->dropped += n > 0 ? (size_t)n : 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || r->dropped > DROP_MAX)
		drop(r);
	else
		wait_for(r, EV_READ);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct reading *r = arg;
	ssize_t n;

	if (what & EV_TIMEOUT) {
		drop(r);
		return;
	}
	if (what & EV_WRITE) {
		write_some(r);
		return;
	}
	if (r->answered) {
		drop_more(r);
		return;
	}
	n = recv(fd, r->head + r->len, sizeof r->head - r->len, MSG_DONTWAIT);
	if (n <= 0 && !(n < 0 && (errno == EAGAIN || errno == EINTR))) {
		drop(r);
		return;
	}
	r->len += n > 0 ? (size_t)n : 0;
	if (take_head(r))
		write_some(r);
	else
		wait_for(r, EV_READ);
}

static void
on_accept(void *arg, int fd)
{
	struct figures_port *p = arg;
	struct reading *r;

	if (p->count >= CONNS_MAX) {
		close(fd);
		return;
	}
	r = mem_new(sizeof *r);
	r->port = p;
	r->fd = fd;
	r->event = event_new(loop_base(p->loop), fd, EV_READ, on_event, r);
	if (r->event == NULL)
		abort();
	r->next = p->first;
	p->first = r;
	p->count++;
	wait_for(r, EV_READ);
}

struct figures_port *
figures_port_new(struct loop *l, int fd, struct life *life, struct err *e)
{
	struct figures_port *p = mem_new(sizeof *p);

	p->loop = l;
	p->life = life;
	p->listener = listener_new(l, "the metrics port", 0, fd, on_accept, p, e);
	if (p->listener != NULL)
		return p;
	free(p);
	return NULL;
}

void
figures_port_free(struct figures_port *p)
{
	if (p == NULL)
		return;
	while (p->first != NULL)
		drop(p->first);
	listener_free(p->listener, 0);
	free(p);
}
