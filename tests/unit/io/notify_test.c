/* A stand-in for systemd: it hears what is said, and hands over sockets as systemd does. */

#include "io/notify.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "scratch.h"
#include "tap.h"

enum { FIRST = 3, HIGH = 20, HEARD_MAX = 512 };

static int manager;           /* systemd's end */
static char heard[HEARD_MAX]; /* the last message */
static int passed;            /* the descriptor that came with it */

static int
socket_at(const char *path, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int low = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH);

	close(low);
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 5) < 0)) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* "" when nothing was said */
static const char *
hear(void)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v = { heard, sizeof heard - 1 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t n = recvmsg(manager, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	passed = -1;
	heard[n < 0 ? 0 : n] = '\0';
	if (n >= 0 && CMSG_FIRSTHDR(&m) != NULL)
		memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof passed);
	return heard;
}

static int
same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

static void
no_status(void *arg, char *line, size_t size)
{
	(void)snprintf(line, size, "%s", (const char *)arg);
}

static void
without_systemd(void)
{
	struct event_base *base = event_base_new();

	notify_open();
	is_int(notify_keeps(), 0, "without systemd nothing is kept");
	is_int(notify_take("task", "/nowhere"), -1, "and nothing is there to take");
	notify_store("task", 0);
	notify_forget("task");
	is_int(notify_forget_rest(), 0, "or to forget");
	notify_serve(base, no_status, (void *)(uintptr_t) "fine");
	notify_reloading();
	notify_reloaded();
	notify_stopping();
	is_str(hear(), "", "and nothing is said");
	is_int(event_base_loop(base, EVLOOP_NONBLOCK), 1, "a loop has nothing to wait for");
	notify_close();
	event_base_free(base);
}

/* As systemd starts a service: four descriptors from 3 on, and their names. */
static void
hand_over(const int fd[4], const char *names)
{
	char *pid = mem_printf("%d", (int)getpid());

	for (int i = 0; i < 4; i++)
		(void)dup2(fd[i], FIRST + i);
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "4", 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	free(pid);
}

static void
taking_over(void)
{
	char *task = scratch_path("task"), *other = scratch_path("other"), *gone = scratch_path("gone");
	int fd[4] = { socket_at(task, SOCK_STREAM), socket_at(other, SOCK_STREAM),
		socket_at(gone, SOCK_STREAM), manager };

	(void)unlink(gone);
	hand_over(fd, "task:unknown:gone:datagrams");
	notify_open();
	is_str(getenv("LISTEN_FDS"), NULL, "nobody else takes them over");
	is_int(fcntl(FIRST, F_GETFD), FD_CLOEXEC, "and no program inherits them");
	is_int(notify_take("nobody", task), -1, "a name that was not kept");
	is_int(notify_take("task", task), FIRST, "a kept socket");
	is_int(notify_take("task", task), -1, "is taken once");
	is_str(hear(), "", "it stays kept");
	is_int(notify_take("gone", gone), -1, "a socket whose file has gone is not taken");
	is_str(hear(), "FDSTOREREMOVE=1\nFDNAME=gone", "nor kept any longer");
	is_int(notify_take("datagrams", other), -1, "one that does not listen is not taken");
	is_str(hear(), "FDSTOREREMOVE=1\nFDNAME=datagrams", "nor kept any longer");
	is_int(notify_forget_rest(), 1, "one is left");
	is_str(hear(), "FDSTOREREMOVE=1\nFDNAME=unknown", "and is forgotten");
	is_int(fcntl(FIRST + 1, F_GETFD), -1, "and closed");
	notify_close();
	is_int(fcntl(FIRST, F_GETFD), FD_CLOEXEC, "what was taken is the taker's");
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(FIRST);
	free(task);
	free(other);
	free(gone);
}

static void
another_path(void)
{
	char *old = scratch_path("old"), *new = scratch_path("new");
	int fd = socket_at(old, SOCK_STREAM), other = socket_at(new, SOCK_STREAM);

	hand_over((const int[4]){ fd, other, other, other }, "task:a:b:c");
	notify_open();
	is_int(notify_take("task", new), -1, "a socket that listens elsewhere is not taken");
	is_str(hear(), "FDSTOREREMOVE=1\nFDNAME=task", "nor kept any longer");
	notify_close();
	is_str(hear(), "", "an end leaves kept what nobody has taken");
	close(fd);
	close(other);
	free(old);
	free(new);
}

static void
storing(void)
{
	char *path = scratch_path("new-task");
	int fd = socket_at(path, SOCK_STREAM);

	notify_open();
	is_int(notify_keeps(), 1, "systemd keeps sockets");
	notify_store("abc", fd);
	is_str(hear(), "FDSTORE=1\nFDNAME=abc", "a socket is stored under its name");
	ok(passed >= 0 && passed != fd && same_file(passed, fd), "it is that socket");
	close(passed);
	notify_forget("abc");
	is_str(hear(), "FDSTOREREMOVE=1\nFDNAME=abc", "and forgotten");
	notify_close();
	close(fd);
	free(path);
}

/* Turns the loop until something is said. */
static const char *
wait_for_word(struct event_base *base)
{
	while (hear()[0] == '\0' && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	return heard;
}

static void
serving(void)
{
	struct event_base *base = event_base_new();
	char status[32] = "no tasks";

	(void)setenv("WATCHDOG_USEC", "40000", 1);
	notify_open();
	notify_serve(base, no_status, status);
	is_str(hear(), "READY=1\nSTATUS=no tasks", "ready, with a status");
	is_str(wait_for_word(base), "WATCHDOG=1", "the watchdog hears of a loop that turns");
	is_str(hear(), "", "a status is said once");
	(void)snprintf(status, sizeof status, "one task");
	is_str(wait_for_word(base), "WATCHDOG=1", "again and again");
	is_str(hear(), "STATUS=one task", "another status is said");
	notify_reloading();
	ok(strncmp(hear(), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0, "reloading, since when");
	notify_reloaded();
	is_str(hear(), "READY=1\nSTATUS=one task", "and ready again");
	notify_stopping();
	is_str(hear(), "STOPPING=1\nSTATUS=stopping", "stopping");
	notify_close();
	is_int(event_base_loop(base, EVLOOP_NONBLOCK), 1, "an end ends the watchdog's timer");
	(void)unsetenv("WATCHDOG_USEC");
	event_base_free(base);
}

/* A service lives without being heard. */
static void
deaf(void)
{
	static const char *const wrong[] = { "/nowhere/notify", "relative", "vsock:2:1", "" };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		(void)setenv("NOTIFY_SOCKET", wrong[i], 1);
		notify_open();
		is_int(notify_keeps(), 0, wrong[i]);
		notify_stopping();
		notify_close();
	}
}

static void
nameless(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int n = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "dind-notify-test-%d", (int)getpid());
	char *where = mem_printf("@%s", at.sun_path + 1);

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(manager, (struct sockaddr *)&at,
	        (socklen_t)(sizeof at - sizeof at.sun_path + 1 + (size_t)n)) < 0)
		perror(where);
	(void)setenv("NOTIFY_SOCKET", where, 1);
	notify_open();
	notify_stopping();
	is_str(hear(), "STOPPING=1\nSTATUS=stopping", "a socket without a file");
	notify_close();
	close(manager);
	free(where);
}

int
main(void)
{
	char *where;

	scratch_make();
	where = scratch_path("notify");
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	manager = socket_at(where, SOCK_DGRAM);
	without_systemd();
	(void)setenv("NOTIFY_SOCKET", where, 1);
	taking_over();
	another_path();
	storing();
	serving();
	close(manager);
	deaf();
	nameless();
	free(where);
	scratch_remove();
	return tap_end();
}
