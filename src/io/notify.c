#include "io/notify.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { STATUS_MAX = 256, OFTEN = 5 * 1000000 };

struct kept {
	char *name;
	int fd; /* -1: taken */
};

/*
 * The protocol is that of sd_notify(3), which promises that it stays. That function opens a socket for every
 * word; ours is opened once, before the process gives up its right to open any.
 */
static struct {
	int fd;   /* to systemd; -1: there is none */
	int told; /* that it does not hear us: once */
	struct kept *kept;
	size_t count;
	notify_status_cb *status;
	void *arg;
	char line[STATUS_MAX]; /* as last said */
	int watched;           /* by the watchdog */
	struct event *tick;
} notify = { .fd = -1 };

/* A service works without being heard; systemd itself does something about one that it does not hear. */
static void
complain(int code)
{
	if (!notify.told)
		log_warn("notify", "systemd cannot be told how we are: %s", strerror(code));
	notify.told = 1;
}

static void
say(const char *text)
{
	if (notify.fd >= 0 && write(notify.fd, text, strlen(text)) < 0)
		complain(errno);
}

static void
say_with(const char *text, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec v = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};

	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
	if (sendmsg(notify.fd, &m, MSG_NOSIGNAL) < 0)
		complain(errno);
}

/* $NOTIFY_SOCKET is a path, or "@name" for a socket without a file. */
static int
connect_to(const char *where)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(where);
	int fd;

	if (len >= sizeof at.sun_path || (*where != '/' && *where != '@')) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	memcpy(at.sun_path, where, len);
	if (*where == '@')
		at.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len += offsetof(struct sockaddr_un, sun_path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, (socklen_t)len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
take_names(char **names, int count)
{
	notify.kept = mem_array((size_t)count, sizeof *notify.kept);
	for (int i = 0; i < count; i++)
		notify.kept[i] = (struct kept){ names[i], SD_LISTEN_FDS_START + i };
	notify.count = (size_t)count;
}

void
notify_open(void)
{
	const char *where = getenv("NOTIFY_SOCKET");
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names); /* close-on-exec from here on */

	if (count > 0)
		take_names(names, count);
	free(names); /* the strings are notify.kept's */
	if (where == NULL || *where == '\0')
		return;
	notify.fd = connect_to(where);
	if (notify.fd < 0)
		complain(errno);
}

void
notify_close(void)
{
	for (size_t i = 0; i < notify.count; i++) {
		if (notify.kept[i].fd >= 0)
			close(notify.kept[i].fd);
		free(notify.kept[i].name);
	}
	free(notify.kept);
	notify.kept = NULL;
	notify.count = 0;
	if (notify.tick != NULL)
		event_free(notify.tick);
	notify.tick = NULL;
	if (notify.fd >= 0)
		close(notify.fd);
	notify.fd = -1;
}

int
notify_keeps(void)
{
	return notify.fd >= 0;
}

static struct kept *
find(const char *name)
{
	for (size_t i = 0; i < notify.count; i++)
		if (notify.kept[i].fd >= 0 && strcmp(notify.kept[i].name, name) == 0)
			return &notify.kept[i];
	return NULL;
}

/* The settings may name another path now, or somebody may have removed the file. */
static int
listens_at(int fd, const char *path)
{
	struct stat st;

	return sd_is_socket_unix(fd, SOCK_STREAM, 1, path, 0) > 0 && lstat(path, &st) == 0 &&
	       S_ISSOCK(st.st_mode);
}

int
notify_take(const char *name, const char *path)
{
	struct kept *k = find(name);
	int fd = k == NULL ? -1 : k->fd;

	if (fd < 0)
		return -1;
	if (path != NULL && !listens_at(fd, path)) {
		notify_forget(name);
		return -1;
	}
	k->fd = -1;
	return fd;
}

void
notify_store(const char *name, int fd)
{
	char *text;

	if (notify.fd < 0)
		return;
	text = mem_printf("FDSTORE=1\nFDNAME=%s", name);
	say_with(text, fd);
	free(text);
}

void
notify_forget(const char *name)
{
	char *text = mem_printf("FDSTOREREMOVE=1\nFDNAME=%s", name);
	struct kept *k;

	while ((k = find(name)) != NULL) {
		close(k->fd);
		k->fd = -1;
	}
	say(text);
	free(text);
}

unsigned
notify_forget_rest(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < notify.count; i++)
		if (notify.kept[i].fd >= 0) {
			notify_forget(notify.kept[i].name);
			count++;
		}
	return count;
}

static void
say_status(const char *with)
{
	char line[STATUS_MAX] = "", *text;

	notify.status(notify.arg, line, sizeof line);
	if (*with == '\0' && strcmp(line, notify.line) == 0)
		return;
	memcpy(notify.line, line, sizeof line);
	text = mem_printf("%sSTATUS=%s", with, line);
	say(text);
	free(text);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (notify.watched)
		say("WATCHDOG=1");
	say_status("");
}

void
notify_serve(struct event_base *base, notify_status_cb *status, void *arg)
{
	uint64_t period = 0, often = OFTEN;
	struct timeval time;

	if (notify.fd < 0)
		return;
	notify.watched = sd_watchdog_enabled(0, &period) > 0;
	if (notify.watched && period / 2 < often)
		often = period / 2;
	time.tv_sec = (time_t)(often / 1000000);
	time.tv_usec = (suseconds_t)(often % 1000000);
	notify.status = status;
	notify.arg = arg;
	notify.tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	if (notify.tick == NULL || event_add(notify.tick, &time) < 0)
		abort();
	say_status("READY=1\n");
}

/* With the time, which newer systemd wants for Type=notify-reload. */
void
notify_reloading(void)
{
	struct timespec now;
	char *text;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	text = mem_printf(
	    "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	say(text);
	free(text);
}

void
notify_reloaded(void)
{
	if (notify.status != NULL)
		say_status("READY=1\n");
}

void
notify_stopping(void)
{
	say("STOPPING=1\nSTATUS=stopping");
}
