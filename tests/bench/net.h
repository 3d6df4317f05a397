#ifndef BENCH_NET_H
#define BENCH_NET_H

/* What the small programs of the benchmarks share: unix sockets, epoll, time. They trust their peers and end
 * on errors. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline void
die(const char *what)
{
	perror(what);
	exit(1);
}

static inline int64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void
wide(int fd)
{
	int size = 1 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static inline void
many_descriptors(void)
{
	struct rlimit r;

	(void)getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static inline struct sockaddr_un
address_of(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	return at;
}

/* A non-blocking connection; a full backlog is waited for. */
static inline int
connect_to(const char *path)
{
	struct sockaddr_un at = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	while (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		if (errno != EAGAIN)
			die(path);
		(void)usleep(200);
	}
	wide(fd);
	return fd;
}

static inline int
listen_at(const char *path)
{
	struct sockaddr_un at = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)umask(0); /* the proxies of others may run as other users */
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0)
		die(path);
	return fd;
}

static inline void
watch(int epoll, int how, int fd, uint32_t events, void *what)
{
	struct epoll_event e = { .events = events, .data.ptr = what };

	if (epoll_ctl(epoll, how, fd, &e) < 0)
		die("epoll_ctl");
}

#endif
