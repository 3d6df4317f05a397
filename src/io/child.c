#include "io/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/loop.h"

extern char **environ;

enum { LINE_MAX_BYTES = 1024 * 1024, ENGINE_FD = 3 };

struct child {
	struct loop *loop;
	pid_t pid;
	int out;
	struct event *reader;
	struct buf lines;
	child_event_cb *on_event;
	child_end_cb *on_end;
	void *arg;
};

static void
free_child(struct child *c)
{
	event_free(c->reader);
	close(c->out);
	buf_done(&c->lines);
	free(c);
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

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	ssize_t n = read((int)fd, buf_reserve(&c->lines, 16 * 1024), 16 * 1024);
	int status = 0;
	child_end_cb *on_end = c->on_end;
	void *end_arg = c->arg;

	(void)what;
	if (n > 0) {
		buf_commit(&c->lines, (size_t)n);
		take_lines(c);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* its stdout has ended: it is on its way out, or has gone wrong */
	(void)kill(c->pid, SIGTERM);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	free_child(c);
	on_end(end_arg, status);
}

static int
spawn(const char *const *argv, int in, int out, int engine, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t a;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, in, 0);
	posix_spawn_file_actions_adddup2(&a, out, 1);
	posix_spawn_file_actions_adddup2(&a, engine, ENGINE_FD);
	posix_spawn_file_actions_addclosefrom_np(&a, ENGINE_FD + 1);
	rc = posix_spawn(pid, argv[0], &a, &attr, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&a);
	posix_spawnattr_destroy(&attr);
	return rc == 0 ? 0 : err_set(e, rc, "cannot start '%s': %m", argv[0]);
}

/* A pipe whose descriptors are above the ones that the child gets. */
static int
make_pair(int fd[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return err_set(e, errno, "socketpair: %m");
	for (int i = 0; i < 2; i++) {
		int high = fcntl(fd[i], F_DUPFD_CLOEXEC, 16);

		if (high >= 0) {
			close(fd[i]);
			fd[i] = high;
		}
	}
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

struct child *
child_start(struct loop *l, const char *const *argv, const json_t *job, int engine, child_event_cb *on_event,
    child_end_cb *on_end, void *arg, struct err *e)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, high = fcntl(engine, F_DUPFD_CLOEXEC, 16);
	struct child *c = NULL;
	pid_t pid;

	close(engine);
	if (high >= 0)
		(void)fcntl(high, F_SETFL, fcntl(high, F_GETFL) & ~O_NONBLOCK);
	if (high < 0)
		err_set(e, errno, "cannot duplicate a descriptor: %m");
	else if (make_pair(in, e) == 0 && make_pair(out, e) == 0 && send_job(in[1], job, e) == 0 &&
	         spawn(argv, in[0], out[1], high, &pid, e) == 0) {
		c = mem_new(sizeof *c);
		*c = (struct child){ .loop = l,
			.pid = pid,
			.out = out[0],
			.on_event = on_event,
			.on_end = on_end,
			.arg = arg };
		(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
		c->reader = event_new(loop_base(l), out[0], EV_READ | EV_PERSIST, on_readable, c);
		if (c->reader == NULL || event_add(c->reader, NULL) < 0)
			abort();
		out[0] = -1;
	}
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	if (high >= 0)
		close(high);
	return c;
}

void
child_kill(struct child *c)
{
	if (c == NULL)
		return;
	(void)kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free_child(c);
}
