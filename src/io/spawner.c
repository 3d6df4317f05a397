#include "io/spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"

extern char **environ;

enum { RUNNING_MAX = 64, NOT_STARTED = 127 << 8 };

static const char *const verbs[] = { "export", "load", "report" };

struct spawner {
	int fd;
	const char *program;
	struct running {
		pid_t pid; /* 0: free */
		uint32_t ticket;
	} running[RUNNING_MAX];
};

static void
on_child(int number)
{
	(void)number; /* ends ppoll(2), nothing else */
}

/* In place of the program: the front reads it as the program's own last word. */
static _Noreturn void
say_not_started(const char *program)
{
	char *why = mem_printf("cannot start '%s': %s", program, strerror(errno));
	char *event = json_text(json_pack("{s:s,s:i,s:s,s:s}", "event", "error", "status", 500, "rule",
	                            "image-process", "message", why),
	    1);
	struct err ignored;

	if (event != NULL && fs_write_all(STDOUT_FILENO, event, strlen(event), &ignored) == 0)
		(void)fs_write_all(STDOUT_FILENO, "\n", 1, &ignored);
	_exit(127);
}

/* All signals as a program expects to find them. */
static void
reset_signals(void)
{
	static const int changed[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD };
	sigset_t none;

	for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++)
		(void)signal(changed[i], SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void
become_program(const char *program, const char *verb, const int fd[SPAWN_DESCRIPTORS], pid_t spawner)
{
	const char *const argv[] = { program, verb, NULL };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != spawner)
		_exit(127); /* nobody is left to end it */
	reset_signals();
	/* received ones are above 3, see confine_child(): none is overwritten before it is used */
	if (dup2(fd[0], STDIN_FILENO) >= 0 && dup2(fd[1], STDOUT_FILENO) >= 0 &&
	    dup2(fd[2], SPAWN_ENGINE_FD) >= 0) {
		closefrom(SPAWN_ENGINE_FD + 1);
		execve(program, (char *const *)(uintptr_t)argv, environ);
	}
	say_not_started(program);
}

static void
tell_end(const struct spawner *s, uint32_t ticket, int status)
{
	const struct spawn_end end = { ticket, status };

	while (send(s->fd, &end, sizeof end, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static struct running *
find(struct spawner *s, pid_t pid, uint32_t ticket)
{
	for (struct running *r = s->running; r < s->running + RUNNING_MAX; r++)
		if (r->pid == pid && r->ticket == ticket)
			return r;
	return NULL;
}

static const char *
verb_of(const struct spawn_ask *ask)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strncmp(ask->verb, verbs[i], sizeof ask->verb) == 0)
			return verbs[i];
	return NULL;
}

static void
start(struct spawner *s, const struct spawn_ask *ask, const int fd[SPAWN_DESCRIPTORS])
{
	struct running *r = find(s, 0, 0);
	const char *verb = verb_of(ask);
	pid_t pid = -1, self = getpid();

	if (r != NULL && verb != NULL && ask->ticket != 0)
		pid = fork();
	if (pid == 0)
		become_program(s->program, verb, fd, self);
	if (pid < 0) {
		log_error("spawner", "a program was not started: %s",
		    r == NULL      ? "too many of them run"
		    : verb == NULL ? "not a verb"
		                   : strerror(errno));
		tell_end(s, ask->ticket, NOT_STARTED);
		return;
	}
	*r = (struct running){ pid, ask->ticket };
}

static void
kill_one(struct spawner *s, uint32_t ticket)
{
	for (struct running *r = s->running; r < s->running + RUNNING_MAX; r++)
		if (r->pid > 0 && r->ticket == ticket)
			(void)kill(r->pid, SIGKILL);
}

static void
reap(struct spawner *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct running *r = s->running; r < s->running + RUNNING_MAX; r++)
			if (r->pid == pid) {
				tell_end(s, r->ticket, status);
				*r = (struct running){ 0 };
			}
}

/* How many descriptors came; only a message with exactly three is a start. */
static size_t
descriptors_of(struct msghdr *m, int fd[SPAWN_DESCRIPTORS])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t count;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fd; /* more than fit were not delivered */
	memcpy(fd, CMSG_DATA(c), count * sizeof *fd);
	return count;
}

/* 0 when the front has gone. */
static int
take_message(struct spawner *s)
{
	struct spawn_ask ask;
	union {
		char bytes[CMSG_SPACE(SPAWN_DESCRIPTORS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v = { &ask, sizeof ask };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	int fd[SPAWN_DESCRIPTORS];
	ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
	size_t count;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	count = descriptors_of(&m, fd);
	if (n == sizeof ask && ask.kind == SPAWN_START && count == SPAWN_DESCRIPTORS)
		start(s, &ask, fd);
	else if (n == sizeof ask && ask.kind == SPAWN_KILL)
		kill_one(s, ask.ticket);
	while (count > 0)
		close(fd[--count]);
	return 1;
}

static void
serve(struct spawner *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	sigset_t child, none;
	int more = 1;

	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(
	    SIG_BLOCK, &child, NULL); /* ends are seen in ppoll() only, so that none is missed */
	(void)signal(SIGCHLD, on_child);
	while (more) {
		int n = ppoll(&p, 1, NULL, &none);

		reap(s);
		if (n > 0)
			more = take_message(s);
	}
	for (struct running *r = s->running; r < s->running + RUNNING_MAX; r++)
		if (r->pid > 0)
			(void)kill(r->pid, SIGKILL);
}

/* What the program and its libraries need before it confines itself, and the two places that it works in. */
static int
confine_self(const struct settings *s, struct err *e)
{
	char *logs = mem_printf("%s/tasks", s->audit_dir);
	const struct confine_path paths[] = {
		{ s->image_program, CONFINE_RUN },
		{ "/lib", CONFINE_RUN },
		{ "/lib64", CONFINE_RUN },
		{ "/usr/lib", CONFINE_RUN },
		{ "/usr/lib64", CONFINE_RUN },
		{ "/usr/local/lib", CONFINE_RUN },
		{ "/etc/ld.so.cache", CONFINE_READ },
		{ "/etc/ssl/openssl.cnf", CONFINE_READ },
		{ "/dev/urandom", CONFINE_READ },
		{ s->spool_dir, CONFINE_CHANGE },
		{ s->store_dir, CONFINE_READ },
		{ logs, CONFINE_READ },
		{ 0 },
	};
	int rc = confine(CONFINE_SPAWNER, paths, e);

	free(logs);
	return rc;
}

static _Noreturn void
run(const struct settings *settings, int fd)
{
	struct spawner s = { .program = settings->image_program };
	struct err e = { 0 };

	confine_child("dind-spawner", &fd);
	s.fd = fd;
	if (confine_self(settings, &e) < 0) {
		log_error("spawner", "%s", e.text);
		_exit(1);
	}
	serve(&s);
	_exit(0);
}

int
spawner_fork(const struct settings *s, pid_t *pid, int *fd, struct err *e)
{
	*pid = confine_fork(fd, e);
	if (*pid == 0)
		run(s, *fd);
	return *pid < 0 ? -1 : 0;
}
