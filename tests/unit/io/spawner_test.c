/*
 * Front, spawner and program: this file is the program as well, when it is called with a verb. Its job says
 * what it does.
 */
#include "io/spawner.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "io/child.h"
#include "io/loop.h"
#include "tap.h"

/* ---- the program ---- */

/* The descriptors that are open, as text: "0 1 2 3". */
static void
say_descriptors(const char *verb)
{
	printf("{\"event\":\"open\",\"verb\":\"%s\",\"fds\":\"", verb);
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	printf("\"}\n");
}

static int
program(const char *verb)
{
	char job[4096];
	size_t n = fread(job, 1, sizeof job - 1, stdin);

	job[n] = '\0';
	say_descriptors(verb);
	if (write(3, "engine", 6) != 6)
		return 99;
	if (strstr(job, "many") != NULL)
		for (int i = 0; i < 10000; i++)
			printf("{\"event\":\"line\",\"n\":%d}\n", i);
	fflush(stdout);
	if (strstr(job, "hang") != NULL)
		(void)poll(NULL, 0, -1);
	if (strstr(job, "close") != NULL) {
		close(STDOUT_FILENO);
		(void)poll(NULL, 0, -1);
	}
	if (strstr(job, "die") != NULL)
		(void)kill(getpid(), SIGKILL);
	return strstr(job, "fail") != NULL ? 7 : 0;
}

/* ---- the front ---- */

static struct {
	struct loop *loop;
	pid_t spawner;
	int ends, status, lost;
	unsigned lines;
	char verb[16], fds[64], error[256], engine[16];
} seen;

static char self[PATH_MAX];

static void
keep(char *to, size_t size, const char *text)
{
	if (text != NULL)
		(void)snprintf(to, size, "%s", text);
}

static void
on_event(void *arg, const json_t *event)
{
	(void)arg;
	seen.lines++;
	keep(seen.verb, sizeof seen.verb, json_str(event, "verb", NULL));
	keep(seen.fds, sizeof seen.fds, json_str(event, "fds", NULL));
	keep(seen.error, sizeof seen.error, json_str(event, "message", NULL));
}

static void
on_end(void *arg, int status)
{
	(void)arg;
	seen.ends++;
	seen.status = status;
	loop_stop(seen.loop);
}

static void
on_lost(void *arg)
{
	(void)arg;
	seen.lost++;
	loop_stop(seen.loop);
}

static void
open_spawner(const char *path)
{
	struct settings s;
	struct err e = { 0 };
	int fd;

	memset(&seen, 0, sizeof seen);
	settings_init(&s);
	free(s.image_program);
	s.image_program = mem_str(path);
	if (spawner_fork(&s, &seen.spawner, &fd, &e) < 0)
		abort();
	settings_done(&s);
	seen.loop = loop_new();
	children_open(seen.loop, fd, on_lost, NULL);
}

static void
close_spawner(int want)
{
	int status;

	children_close();
	loop_free(seen.loop);
	(void)waitpid(seen.spawner, &status, 0);
	is_int(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), want, "how the spawner ended");
}

/* engine: our end of its connection. */
static struct child *
begin(const char *verb, const char *what, int *engine)
{
	const char *argv[] = { self, verb, NULL };
	json_t *job = json_pack("{s:s}", "do", what);
	struct err e = { 0 };
	struct child *c;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	c = child_start(seen.loop, argv, job, pair[1], on_event, on_end, NULL, &e);
	json_decref(job);
	*engine = pair[0];
	return c;
}

/* Waits for the end, then reads what the engine was sent. */
static void
finish(int engine)
{
	ssize_t n;

	loop_run(seen.loop);
	n = read(engine, seen.engine, sizeof seen.engine - 1);
	seen.engine[n > 0 ? n : 0] = '\0';
	close(engine);
}

static void
runs(void)
{
	int engine;

	open_spawner(self);
	(void)begin("export", "many", &engine);
	finish(engine);
	is_int(seen.ends, 1, "it ends once");
	is_int(seen.status, 0, "with its status");
	is_str(seen.verb, "export", "its verb");
	is_str(seen.fds, "0 1 2 3 ", "its descriptors: job, events, log, engine");
	is_str(seen.engine, "engine", "what it writes to the engine");
	is_int(seen.lines, 10001, "every line is read before the end is told");
	(void)begin("load", "fail", &engine);
	finish(engine);
	is_str(seen.verb, "load", "the other verb");
	is_int(WEXITSTATUS(seen.status), 7, "a bad status");
	(void)begin("load", "die", &engine);
	finish(engine);
	ok(WIFSIGNALED(seen.status) && WTERMSIG(seen.status) == SIGKILL, "a signal");
	(void)begin("export", "close", &engine);
	finish(engine);
	ok(WIFSIGNALED(seen.status), "a program that closes its output is killed");
	(void)begin("shell", "many", &engine);
	finish(engine);
	is_int(WEXITSTATUS(seen.status), 127, "no other verb");
	is_int(seen.ends, 5, "one end for each start");
	close_spawner(0);
}

static void
cannot_start(void)
{
	int engine;

	open_spawner("/nonexistent/dind-image");
	(void)begin("export", "", &engine);
	finish(engine);
	is_str(
	    seen.error, "cannot start '/nonexistent/dind-image': No such file or directory", "it says why");
	is_int(WEXITSTATUS(seen.status), 127, "and ends");
	close_spawner(0);
}

static int
hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 10000) == 1 && (p.revents & POLLHUP);
}

static void
kills(void)
{
	int engine[3];
	struct child *c[3];

	open_spawner(self);
	for (int i = 0; i < 3; i++)
		c[i] = begin("load", "hang", &engine[i]);
	for (int i = 0; i < 3; i++) {
		struct pollfd p = { .fd = engine[i] };

		child_kill(c[i]);
		ok(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP), "it has gone when child_kill() returns");
		close(engine[i]);
	}
	(void)begin("load", "", &engine[0]);
	finish(engine[0]);
	is_int(seen.ends, 1, "killed ones are not told of");
	close_spawner(0);
}

static void
front_goes(void)
{
	struct child *c;
	int engine, status;

	open_spawner(self);
	(void)begin("load", "", &engine);
	finish(engine); /* it is up */
	c = begin("load", "hang", &engine);
	(void)kill(seen.spawner, SIGTERM);
	(void)kill(seen.spawner, SIGINT);
	children_close(); /* all that the spawner sees of a front that dies */
	ok(hung_up(engine), "a program does not outlive the front");
	child_kill(c);
	close(engine);
	loop_free(seen.loop);
	(void)waitpid(seen.spawner, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the spawner ends with the front, not with a signal");
}

static void
spawner_goes(void)
{
	int engine;

	open_spawner(self);
	(void)begin("load", "hang", &engine);
	(void)kill(seen.spawner, SIGKILL);
	ok(hung_up(engine), "a program does not outlive the spawner");
	close(engine);
	while (seen.lost == 0 || seen.ends == 0)
		loop_run(seen.loop);
	is_int(seen.lost, 1, "the front is told");
	ok(seen.ends == 1 && WIFSIGNALED(seen.status), "and that the program was killed");
	close_spawner(-SIGKILL);
}

int
main(int argc, char **argv)
{
	if (argc == 2)
		return program(argv[1]);
	(void)argv;
	log_setup("spawner-test", LOG_LEVEL_ERROR, 0);
	if (realpath("/proc/self/exe", self) == NULL)
		abort();
	runs();
	cannot_start();
	kills();
	front_goes();
	spawner_goes();
	return tap_end();
}
