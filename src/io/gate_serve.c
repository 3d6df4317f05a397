/* The gate's side: blocking, one call after the other, no loop, no allocation that a call can size. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate_policy.h"
#include "io/gate_wire.h"
#include "policy/policy.h"

enum {
	ENGINE_WAIT = 10 * 1000, /* ms for the engine to take a connection and a head */
};

struct serving {
	int fd;
	const char *engine;
	struct gate_policies *policies;
	struct call call; /* under way; may hold registry credentials */
};

static int
wait_for(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };
	int n;

	do
		n = poll(&p, 1, ENGINE_WAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

static int
engine_connect(const char *path, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_refuse(e, 503, "engine", "cannot make a socket for the engine");
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	/* EAGAIN of a unix socket: the engine's backlog is full; it gets its time to take one */
	while (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		if (errno == EAGAIN && poll(NULL, 0, 50) == 0)
			continue;
		err_refuse(e, 502, "engine", "the Docker engine is not reachable: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int
write_head(int fd, const struct buf *head, struct err *e)
{
	size_t done = 0;

	while (done < buf_len(head)) {
		ssize_t n = send(fd, buf_ptr(head) + done, buf_len(head) - done, MSG_NOSIGNAL);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN && wait_for(fd, POLLOUT) == 0)
			continue;
		else if (n < 0 && errno != EINTR)
			return err_refuse(
			    e, 502, "engine", "the Docker engine took no request: %s", strerror(errno));
	}
	return 0;
}

/* Judges, connects, writes the head. Returns a connected descriptor or -1. */
static int
make_call(struct serving *s, const void *bytes, size_t len, struct buf *head, struct err *e)
{
	struct call *c = &s->call;
	const struct policy *p;
	int fd;

	if (call_take(c, bytes, len, e) < 0)
		return -1;
	p = gate_policies_find(s->policies, c->ns, c->policy, e);
	if (p == NULL || call_check(c, p, e) < 0)
		return -1;
	call_print(c, head);
	fd = engine_connect(s->engine, e);
	if (fd >= 0 && write_head(fd, head, e) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Descriptors of other programs of this user that are on their way count as well (ETOOMANYREFS): soon they
 * are not. */
static int
send_reply(int sock, const struct msghdr *m)
{
	enum { TRIES = 100, PAUSE = 5 /* ms */ };

	for (int n = 0;;) {
		if (sendmsg(sock, m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR && (errno != ETOOMANYREFS || ++n == TRIES))
			return -1;
		if (errno == ETOOMANYREFS)
			(void)poll(NULL, 0, PAUSE);
	}
}

static void
reply(int sock, uint32_t ticket, int fd, const struct err *e)
{
	static const char replaced[] = "policy-replaced";
	struct gate_reply r = { .ticket = ticket };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec v = { &r, sizeof r };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
	} else {
		r.status = e->status ? (uint32_t)e->status : 403;
		r.replaced = e->rule != NULL && strcmp(e->rule, replaced) == 0;
	}
	(void)snprintf(r.text, sizeof r.text, "%s", e->text);
	if (send_reply(sock, &m) < 0 && fd >= 0) { /* the front must not wait for ever */
		m.msg_control = NULL;
		m.msg_controllen = 0;
		r.status = 503;
		(void)snprintf(r.text, sizeof r.text, "the engine's connection cannot be passed on: %m");
		(void)send_reply(sock, &m);
	}
	if (fd >= 0)
		close(fd);
}

static void
serve_one(struct serving *s, const struct gate_ask *ask, const char *tail)
{
	struct err e = { 0 };
	struct buf head = { 0 };
	char hash[HASH_HEX_MAX] = "";
	int fd;

	switch (ask->kind) {
	case GATE_POLICY:
		if (gate_policies_learn(s->policies, ask->ns, tail, ask->len, &e) < 0)
			log_error("gate", "policy of a task not taken: %s", e.text);
		break;
	case GATE_CALL:
		fd = make_call(s, tail, ask->len, &head, &e);
		/* what was taken of it, at most; head wipes itself */
		mem_wipe(&s->call, ask->len < sizeof s->call ? ask->len : sizeof s->call);
		reply(s->fd, ask->ticket, fd, &e);
		break;
	case GATE_LOAD:
		fd = gate_policies_load(s->policies, hash, &e);
		if (fd >= 0)
			(void)snprintf(e.text, sizeof e.text, "%s", hash);
		reply(s->fd, ask->ticket, fd, &e);
		break;
	case GATE_SWITCH:
		if (gate_policies_switch(s->policies, ask->version, &e) < 0)
			log_error("gate", "%s", e.text);
		break;
	case GATE_RELEASE:
		gate_policies_release(s->policies);
		break;
	default:
		break; /* not one of ours */
	}
	buf_done(&head);
}

void
gate_serve(int fd, const char *engine, struct gate_policies *policies)
{
	static struct serving s; /* 100 KiB: not on the stack */
	char *message = mem_array(1, GATE_MESSAGE_MAX);

	s.fd = fd;
	s.engine = engine;
	s.policies = policies;
	for (;;) {
		struct gate_ask ask;
		ssize_t n = recv(fd, message, GATE_MESSAGE_MAX, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* the front has gone */
		if ((size_t)n < sizeof ask || (size_t)n > GATE_MESSAGE_MAX)
			continue;
		memcpy(&ask, message, sizeof ask);
		if (ask.len != (size_t)n - sizeof ask || memchr(ask.ns, '\0', sizeof ask.ns) == NULL)
			continue;
		serve_one(&s, &ask, message + sizeof ask);
		mem_wipe(message, (size_t)n);
	}
	free(message);
}
