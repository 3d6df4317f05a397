#include "io/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/loop.h"
#include "io/spawner.h"

enum { LINE_MAX_BYTES = 1024 * 1024, PIECE = 16 * 1024, KILL_WAIT = 10 * 1000 };

struct child {
	uint32_t ticket;
	int out;
	int eof, ended; /* it will write nothing more; its status is known */
	int status;
	struct event *reader;
	struct buf lines;
	child_event_cb *on_event;
	child_end_cb *on_end;
	void *arg;
	struct child *next;
};

static struct {
	int fd;
	struct event *reader;
	void (*on_lost)(void *arg);
	void *arg;
	uint32_t last;
	struct child *first;
} spawner = { .fd = -1 };

static void
free_child(struct child *c)
{
	struct child **at = &spawner.first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	event_free(c->reader);
	close(c->out);
	buf_done(&c->lines);
	free(c);
}

/* Both its last word and its status are here: it is over. */
static void
finish(struct child *c)
{
	child_end_cb *on_end = c->on_end;
	void *arg = c->arg;
	int status = c->status;

	if (!c->eof || !c->ended)
		return;
	free_child(c);
	on_end(arg, status);
}

static void
take_line(struct child *c, const char *line, size_t len)
{
	struct err e = { 0 };
	json_t *event = json_parse(line, len, &e);

	if (event == NULL)
		log_error("child", "a line that is not JSON: %s", e.text);
	else
		c->on_event(c->arg, event);
	json_decref(event);
}

static void
take_lines(struct child *c)
{
	const uint8_t *start, *end;

	while (start = buf_ptr(&c->lines),
	    buf_len(&c->lines) > 0 && (end = memchr(start, '\n', buf_len(&c->lines))) != NULL) {
		take_line(c, (const char *)start, (size_t)(end - start));
		buf_drop(&c->lines, (size_t)(end - start) + 1);
	}
	if (buf_len(&c->lines) > LINE_MAX_BYTES)
		buf_clear(&c->lines);
}

static int
ask(uint32_t kind, uint32_t ticket, const char *verb, const int *fd)
{
	struct spawn_ask a = { .kind = kind, .ticket = ticket };
	const size_t size = SPAWN_DESCRIPTORS * sizeof *fd;
	union {
		char bytes[CMSG_SPACE(SPAWN_DESCRIPTORS * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec v = { &a, sizeof a };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	(void)snprintf(a.verb, sizeof a.verb, "%s", verb);
	if (fd != NULL) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fd, size);
	}
	return sendmsg(spawner.fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof a ? 0 : -1;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	ssize_t n = read((int)fd, buf_reserve(&c->lines, PIECE), PIECE);

	(void)what;
	if (n > 0) {
		buf_commit(&c->lines, (size_t)n);
		take_lines(c);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* its stdout has ended: it is on its way out, or has gone wrong */
	(void)event_del(c->reader);
	(void)ask(SPAWN_KILL, c->ticket, "", NULL);
	c->eof = 1;
	finish(c);
}

/* No status will come: those that ran were killed. Their last words are still read. */
static void
lose_spawner(void)
{
	struct child *next;

	(void)event_del(spawner.reader);
	for (struct child *c = spawner.first; c != NULL; c = next) {
		next = c->next;
		c->ended = 1;
		c->status = SIGKILL;
		finish(c);
	}
	spawner.on_lost(spawner.arg);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	struct spawn_end end;
	ssize_t n = recv((int)fd, &end, sizeof end, MSG_DONTWAIT);
	struct child *c = spawner.first;

	(void)what;
	(void)arg;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof end) {
		lose_spawner();
		return;
	}
	while (c != NULL && c->ticket != end.ticket)
		c = c->next;
	if (c == NULL)
		return; /* killed and forgotten */
	c->ended = 1;
	c->status = end.status;
	finish(c);
}

void
children_open(struct loop *l, int fd, void (*on_lost)(void *arg), void *arg)
{
	spawner.fd = fd;
	spawner.on_lost = on_lost;
	spawner.arg = arg;
	spawner.reader = event_new(loop_base(l), fd, EV_READ | EV_PERSIST, on_end, NULL);
	if (spawner.reader == NULL || event_add(spawner.reader, NULL) < 0)
		abort();
}

void
children_close(void)
{
	if (spawner.fd < 0)
		return;
	event_free(spawner.reader);
	close(spawner.fd);
	spawner.fd = -1;
}

static int
make_pair(int fd[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return err_set(e, errno, "socketpair: %m");
	return 0;
}

/* The job is small against a socket's buffer, and the child reads it first of all. */
static int
send_job(int fd, const json_t *job, struct err *e)
{
	char *text = json_text(job, 1);
	int size = 1024 * 1024;
	size_t len = text == NULL ? 0 : strlen(text);
	ssize_t n;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	return n == (ssize_t)len ? 0 : err_set(e, errno, "cannot hand the job over");
}

static struct child *
add_child(struct loop *l, uint32_t ticket, int out)
{
	struct child *c = mem_new(sizeof *c);

	c->ticket = ticket;
	c->out = out;
	c->next = spawner.first;
	spawner.first = c;
	(void)fcntl(out, F_SETFL, O_NONBLOCK);
	c->reader = event_new(loop_base(l), out, EV_READ | EV_PERSIST, on_readable, c);
	if (c->reader == NULL || event_add(c->reader, NULL) < 0)
		abort();
	return c;
}

static int
start(const char *const *argv, const json_t *job, int in[2], int out[2], int engine, struct err *e)
{
	if (make_pair(in, e) < 0 || make_pair(out, e) < 0 || send_job(in[1], job, e) < 0)
		return -1;
	(void)fcntl(engine, F_SETFL, fcntl(engine, F_GETFL) & ~O_NONBLOCK);
	if (++spawner.last == 0)
		spawner.last = 1;
	if (ask(SPAWN_START, spawner.last, argv[1], (const int[]){ in[0], out[1], engine }) < 0)
		return err_set(e, errno, "cannot start '%s': the spawner does not answer: %m", argv[0]);
	return 0;
}

struct child *
child_start(struct loop *l, const char *const *argv, const json_t *job, int engine, child_event_cb *on_event,
    child_end_cb *on_ended, void *arg, struct err *e)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	struct child *c = NULL;

	if (start(argv, job, in, out, engine, e) == 0) {
		c = add_child(l, spawner.last, out[0]);
		c->on_event = on_event;
		c->on_end = on_ended;
		c->arg = arg;
		out[0] = -1;
	}
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	close(engine);
	return c;
}

/*
 * The kernel closes a process's descriptors when none of its threads runs any more: the end of its standard
 * output says that it has gone, whoever waits for it. That must be known before its files are removed.
 */
void
child_kill(struct child *c)
{
	struct pollfd p = { .events = POLLIN };
	ssize_t n;

	if (c == NULL)
		return;
	p.fd = c->out;
	(void)ask(SPAWN_KILL, c->ticket, "", NULL);
	do {
		int ready = poll(&p, 1, KILL_WAIT);

		if (ready == 0 || (ready < 0 && errno != EINTR))
			break; /* stuck in the kernel: nothing can be done about it here */
		n = recv(c->out, buf_reserve(&c->lines, PIECE), PIECE, MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	free_child(c);
}
