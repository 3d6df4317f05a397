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
#include "docker/reference.h"
#include "io/gate_wire.h"
#include "policy/policy.h"

enum {
	ENGINE_WAIT = 10 * 1000, /* ms for the engine to take a connection and a head */
	TASKS_MAX = 10000,       /* namespaces with a policy: the front is not trusted to stop */
};

/* The policy of one namespace: the host's with what the worker gave laid over it. */
struct known {
	char ns[24];
	struct policy policy;
	struct known *next;
};

struct serving {
	int fd;
	const char *engine;
	const struct policy *host;
	struct known *known;
	size_t count;
	struct call call; /* under way; may hold registry credentials */
};

static struct known **
find(struct serving *s, const char *ns)
{
	struct known **at = &s->known;

	while (*at != NULL && strcmp((*at)->ns, ns) != 0)
		at = &(*at)->next;
	return at;
}

static void
forget(struct serving *s, const char *ns)
{
	struct known **at = find(s, ns), *k = *at;

	if (k == NULL)
		return;
	*at = k->next;
	policy_done(&k->policy);
	free(k);
	s->count--;
}

static int
learn(struct serving *s, const char *ns, const char *text, size_t len, struct err *e)
{
	struct known *k;
	json_t *given;

	forget(s, ns);
	if (len == 0)
		return 0;
	if (!reference_is_ns(ns) || s->count >= TASKS_MAX)
		return err_set(e, 0, "not a namespace, or too many of them");
	given = json_parse(text, len, e);
	if (given == NULL)
		return -1;
	k = mem_new(sizeof *k);
	memcpy(k->ns, ns, sizeof k->ns);
	policy_copy(&k->policy, s->host);
	if (policy_override(&k->policy, given, e) < 0) {
		policy_done(&k->policy);
		free(k);
		json_decref(given);
		return -1;
	}
	json_decref(given);
	k->next = s->known;
	s->known = k;
	s->count++;
	return 0;
}

/* The policy that judges calls of this namespace: a task's, or the host's for the service's own calls. */
static const struct policy *
policy_of(struct serving *s, const char *ns)
{
	struct known *k;

	if (!reference_is_ns(ns))
		return s->host;
	k = *find(s, ns);
	return k == NULL ? NULL : &k->policy;
}

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
	p = policy_of(s, c->ns);
	if (p == NULL)
		return err_refuse(e, 403, "gate", "the gate does not know this namespace");
	if (call_check(c, p, e) < 0)
		return -1;
	call_print(c, head);
	fd = engine_connect(s->engine, e);
	if (fd >= 0 && write_head(fd, head, e) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void
reply(int sock, uint32_t ticket, int fd, const struct err *e)
{
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
		(void)snprintf(r.text, sizeof r.text, "%s", e->text);
	}
	while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	if (fd >= 0)
		close(fd);
}

static void
serve_one(struct serving *s, const struct gate_ask *ask, const char *tail)
{
	struct err e = { 0 };
	struct buf head = { 0 };

	if (ask->kind == GATE_POLICY) {
		if (learn(s, ask->ns, tail, ask->len, &e) < 0)
			log_error("gate", "policy of a task not taken: %s", e.text);
	} else {
		int fd = make_call(s, tail, ask->len, &head, &e);

		mem_wipe(&s->call, sizeof s->call); /* head wipes itself */
		reply(s->fd, ask->ticket, fd, &e);
	}
	buf_done(&head);
}

void
gate_serve(int fd, const char *engine, const struct policy *host)
{
	static struct serving s; /* 100 KiB: not on the stack */
	char *message = mem_array(1, GATE_MESSAGE_MAX);

	s.fd = fd;
	s.engine = engine;
	s.host = host;
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
		if (ask.kind == GATE_CALL || ask.kind == GATE_POLICY)
			serve_one(&s, &ask, message + sizeof ask);
		mem_wipe(message, (size_t)n);
	}
	while (s.known != NULL)
		forget(&s, s.known->ns);
	free(message);
}
