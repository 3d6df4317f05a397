#include "io/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/loop.h"

enum { BACKLOG = 512, ACCEPTS_A_TURN = 64 };

struct listener {
	int fd;
	char *path;
	struct event *ready, *again;
	listen_cb *cb;
	void *arg;
};

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct listener *n = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int c = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c >= 0) {
			n->cb(n->arg, c);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* nothing is gained by spinning: look again in a while */
			log_warn("listen", "cannot accept on '%s': %s; waiting", n->path, strerror(errno));
			(void)event_del(n->ready);
			(void)event_add(n->again, &(struct timeval){ .tv_usec = 200000 });
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct listener *n = arg;

	(void)fd;
	(void)what;
	(void)event_add(n->ready, NULL);
}

static int
remove_old(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "cannot look at '%s': %m", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "'%s' is there and is not a socket", path);
	return unlink(path) < 0 ? err_set(e, errno, "cannot remove the old socket '%s': %m", path) : 0;
}

static int
listen_at(const char *path, mode_t mode, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	mode_t old;
	int fd, rc;

	if (strlen(path) >= sizeof at.sun_path)
		return err_set(e, ENAMETOOLONG, "socket path '%s' is longer than %zu bytes", path,
		    sizeof at.sun_path - 1);
	memcpy(at.sun_path, path, strlen(path) + 1);
	if (remove_old(path, e) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, errno, "socket: %m");
	old = umask(0);
	rc = fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	     listen(fd, BACKLOG) < 0;
	if (rc)
		err_set(e, errno, "cannot listen on '%s': %m", path);
	(void)umask(old);
	if (rc) {
		close(fd);
		return -1;
	}
	return fd;
}

struct listener *
listener_new(struct loop *l, const char *path, mode_t mode, int fd, listen_cb *cb, void *arg, struct err *e)
{
	struct listener *n;

	if (fd < 0 && (fd = listen_at(path, mode, e)) < 0)
		return NULL;
	n = mem_new(sizeof *n);
	n->fd = fd;
	n->path = mem_str(path);
	n->cb = cb;
	n->arg = arg;
	n->ready = event_new(loop_base(l), fd, EV_READ | EV_PERSIST, on_ready, n);
	n->again = event_new(loop_base(l), -1, 0, on_again, n);
	if (n->ready == NULL || n->again == NULL || event_add(n->ready, NULL) < 0)
		abort();
	return n;
}

int
listener_fd(const struct listener *n)
{
	return n->fd;
}

void
listener_free(struct listener *n, int unlink_path)
{
	if (n == NULL)
		return;
	event_free(n->ready);
	event_free(n->again);
	if (unlink_path)
		(void)unlink(n->path);
	close(n->fd);
	free(n->path);
	free(n);
}
