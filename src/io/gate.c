#include "io/gate.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "gate_policy.h"
#include "io/gate_wire.h"
#include "io/loop.h"

/* One connection that was asked for; unsent ones wait here while the socketpair is full. */
struct ticket {
	uint32_t number;
	gate_cb *cb; /* NULL: cancelled */
	void *arg;
	void *message; /* not sent yet */
	size_t len;
	struct ticket *next;
};

struct gate {
	int fd;
	struct event *reader, *writer;
	struct ticket *first;
	uint32_t last;
	void (*on_lost)(void *arg);
	void *arg;
};

/* The directory, not the file: an editor puts a new file in its place. */
static int
open_config(const char *config, struct err *e)
{
	const char *slash = config == NULL ? NULL : strrchr(config, '/');
	char *dir = slash == NULL ? mem_str(config == NULL ? "/nonexistent" : ".")
	                          : mem_strn(config, slash == config ? 1 : (size_t)(slash - config));
	const struct confine_path paths[] = { { dir, CONFINE_READ }, { 0 } };
	int fd = config == NULL ? -1 : open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), rc;

	if (config != NULL && fd < 0)
		rc = err_set(e, errno, "cannot open '%s': %m", dir);
	else if (fd >= 0 && fd != CONFINE_CONFIG_FD && dup3(fd, CONFINE_CONFIG_FD, O_CLOEXEC) < 0)
		rc = err_set(e, errno, "dup3: %m");
	else
		rc = confine(CONFINE_GATE, config == NULL ? NULL : paths, e);
	if (fd >= 0 && fd != CONFINE_CONFIG_FD)
		close(fd);
	free(dir);
	return rc;
}

static void __attribute__((noreturn)) be_gate(const struct settings *s, const char *config, int fd)
{
	struct gate_policies *policies = gate_policies_new(s, config);
	char warm[HASH_HEX_MAX];
	struct err e = { 0 };

	hash_once(HASH_SHA256, "", 0, warm); /* libcrypto reads its own files now, or never */
	if (open_config(config, &e) < 0) {
		log_error("gate", "%s", e.text);
		_exit(1);
	}
	gate_serve(fd, s->engine_socket, policies);
	gate_policies_free(policies);
	_exit(0);
}

int
gate_fork(const struct settings *s, const char *config, pid_t *pid, int *fd, struct err *e)
{
	int room = 2 * GATE_MESSAGE_MAX;

	*pid = confine_fork(fd, e);
	if (*pid < 0)
		return -1;
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	if (*pid > 0)
		return 0;
	confine_child("dind-gate", fd);
	be_gate(s, config, *fd);
}

/* It may hold registry credentials. */
static void
forget_message(struct ticket *t)
{
	mem_wipe(t->message, t->message == NULL ? 0 : t->len);
	free(t->message);
	t->message = NULL;
}

static void
drop(struct gate *g, struct ticket *t)
{
	struct ticket **at = &g->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	forget_message(t);
	free(t);
}

/* Sends what waits, in order; a full socketpair is no error. */
static void
send_waiting(struct gate *g)
{
	struct ticket *t, *next;

	for (t = g->first; t != NULL; t = next) {
		ssize_t n;

		next = t->next;
		if (t->message == NULL)
			continue;
		do
			n = send(g->fd, t->message, t->len, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			if (errno == EAGAIN || errno == ENOBUFS)
				(void)event_add(g->writer, NULL);
			return; /* anything else: the reader will see the end */
		}
		forget_message(t);
		if (t->cb == NULL)
			drop(g, t); /* no answer will come */
	}
}

static int
descriptor_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
		return fd;
	}
	return -1;
}

static const char *
rule_of(const struct gate_reply *r)
{
	if (r->replaced)
		return "policy-replaced";
	return r->status == 400 ? "settings" : r->status < 500 ? "gate" : "engine";
}

static void
deliver(struct gate *g, const struct gate_reply *r, int fd)
{
	struct ticket *t = g->first;
	struct err e = { 0 };
	gate_cb *cb;
	void *arg;

	while (t != NULL && (t->number != r->ticket || t->message != NULL))
		t = t->next;
	if (t == NULL || t->cb == NULL) {
		if (fd >= 0)
			close(fd);
		if (t != NULL)
			drop(g, t);
		return;
	}
	cb = t->cb;
	arg = t->arg;
	drop(g, t);
	if (fd >= 0)
		(void)snprintf(e.text, sizeof e.text, "%.*s", (int)sizeof r->text - 1, r->text);
	else
		err_refuse(&e, r->status ? (int)r->status : 502, rule_of(r), "%.*s", (int)sizeof r->text - 1,
		    r->text);
	cb(arg, fd, &e);
}

static void
on_reply(evutil_socket_t sock, short what, void *arg)
{
	struct gate *g = arg;
	struct gate_reply r;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v = { &r, sizeof r };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t n = recvmsg((int)sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof r) {
		(void)event_del(g->reader);
		(void)event_del(g->writer);
		g->on_lost(g->arg);
		return;
	}
	deliver(g, &r, descriptor_of(&m));
}

static void
on_room(evutil_socket_t sock, short what, void *arg)
{
	(void)sock;
	(void)what;
	send_waiting(arg);
}

struct gate *
gate_new(struct loop *l, int fd, void (*on_lost)(void *arg), void *arg)
{
	struct gate *g = mem_new(sizeof *g);

	g->fd = fd;
	g->on_lost = on_lost;
	g->arg = arg;
	g->reader = event_new(loop_base(l), fd, EV_READ | EV_PERSIST, on_reply, g);
	g->writer = event_new(loop_base(l), fd, EV_WRITE, on_room, g);
	if (g->reader == NULL || g->writer == NULL || event_add(g->reader, NULL) < 0)
		abort();
	return g;
}

void
gate_free(struct gate *g)
{
	if (g == NULL)
		return;
	while (g->first != NULL)
		drop(g, g->first);
	event_free(g->reader);
	event_free(g->writer);
	close(g->fd);
	free(g);
}

static void
queue(struct gate *g, const struct gate_ask *ask, const void *tail, gate_cb *cb, void *arg)
{
	struct ticket *t = mem_new(sizeof *t), **end = &g->first;

	t->number = ask->ticket;
	t->cb = cb;
	t->arg = arg;
	t->len = sizeof *ask + ask->len;
	t->message = mem_grow(NULL, 1, t->len);
	memcpy(t->message, ask, sizeof *ask);
	if (ask->len > 0)
		memcpy((char *)t->message + sizeof *ask, tail, ask->len);
	while (*end != NULL)
		end = &(*end)->next;
	*end = t;
	send_waiting(g);
}

static uint32_t
next_ticket(struct gate *g)
{
	if (++g->last == 0)
		g->last = 1;
	return g->last;
}

int
gate_policy(struct gate *g, const char *ns, const json_t *given, struct err *e)
{
	char *text = given == NULL ? mem_str("") : json_text(given, 1);
	struct gate_ask ask = { .kind = GATE_POLICY, .ticket = next_ticket(g) };
	size_t len = text == NULL ? 0 : strlen(text);

	if (len > GATE_MESSAGE_MAX - sizeof ask) {
		free(text);
		return err_refuse(e, 400, "task", "the policy object is larger than %zu bytes",
		    GATE_MESSAGE_MAX - sizeof ask);
	}
	ask.len = (uint32_t)len;
	memcpy(ask.ns, ns, strlen(ns) + 1);
	queue(g, &ask, text, NULL, NULL);
	free(text);
	return 0;
}

uint32_t
gate_connect(struct gate *g, const struct call *c, gate_cb *cb, void *arg)
{
	struct gate_ask ask = { .kind = GATE_CALL, .ticket = next_ticket(g), .len = (uint32_t)call_size(c) };

	queue(g, &ask, c, cb, arg);
	return ask.ticket;
}

uint32_t
gate_load(struct gate *g, gate_cb *cb, void *arg)
{
	struct gate_ask ask = { .kind = GATE_LOAD, .ticket = next_ticket(g) };

	queue(g, &ask, NULL, cb, arg);
	return ask.ticket;
}

void
gate_switch(struct gate *g, unsigned version)
{
	queue(g, &(struct gate_ask){ .kind = GATE_SWITCH, .ticket = next_ticket(g), .version = version },
	    NULL, NULL, NULL);
}

void
gate_release(struct gate *g)
{
	queue(g, &(struct gate_ask){ .kind = GATE_RELEASE, .ticket = next_ticket(g) }, NULL, NULL, NULL);
}

void
gate_cancel(struct gate *g, uint32_t ticket)
{
	for (struct ticket *t = g->first; t != NULL; t = t->next)
		if (t->number == ticket) {
			if (t->message != NULL)
				drop(g, t); /* the gate has not heard of it */
			else
				t->cb = NULL;
			return;
		}
}
