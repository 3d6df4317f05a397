#include "control/server.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conn.h"

enum {
	CONNS_MAX = 64,
	CONNS_SORRY = 16, /* beyond CONNS_MAX: are told so; beyond these: closed */
	BACKLOG = 64,
};

struct server {
	struct conn_home home;
	int fd;
	struct event *accepts, *again;
	char *path; /* ours to unlink; NULL for a descriptor that was given */
};

static int
set_path(struct sockaddr_un *to, const char *path, struct err *e)
{
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof to->sun_path)
		return err_set(e, ENAMETOOLONG, "control socket '%s': the path is longer than %zu bytes",
		    path, sizeof to->sun_path - 1);
	strcpy(to->sun_path, path);
	return 0;
}

/* Makes place at path: nothing there, or a socket whose owner has gone. */
static int
clear_place(const char *path, const struct sockaddr_un *to, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "control socket '%s': %m", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    e, EEXIST, "control socket '%s': something that is not a socket is there", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, errno, "control socket: %m");
	rc = connect(fd, (const struct sockaddr *)to, sizeof *to);
	close(fd);
	if (rc == 0 || errno == EAGAIN)
		return err_set(e, EADDRINUSE, "control socket '%s': another process serves it", path);
	if (unlink(path) < 0)
		return err_set(e, errno, "control socket '%s': cannot remove the old one: %m", path);
	return 0;
}

/* The mode is set before the name exists: nobody can connect, or swap the file, in between (T10.2). */
static int
bind_private(int fd, const struct sockaddr_un *to, struct err *e)
{
	mode_t old;
	int rc;

	if (fchmod(fd, 0600) < 0)
		return err_set(e, errno, "control socket '%s': %m", to->sun_path);
	old = umask(0177);
	rc = bind(fd, (const struct sockaddr *)to, sizeof *to);
	umask(old);
	if (rc < 0 || listen(fd, BACKLOG) < 0)
		return err_set(e, errno, "control socket '%s': cannot listen: %m", to->sun_path);
	return 0;
}

int
server_listen(const char *path, struct err *e)
{
	struct sockaddr_un to;
	int fd;

	if (set_path(&to, path, e) < 0 || clear_place(path, &to, e) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, errno, "control socket: %m");
	if (bind_private(fd, &to, e) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
check_peer(int fd, struct err *e)
{
	struct ucred who;
	socklen_t len = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return err_refuse(e, 403, "control-peer", "the kernel does not say who you are: %m");
	if (who.uid == 0 || who.uid == geteuid())
		return 0;
	log_warn("control", "refused uid=%u gid=%u pid=%d", who.uid, who.gid, who.pid);
	return err_refuse(e, 403, "control-peer",
	    "the control API is for root and for user %u of the service; you are user %u", geteuid(),
	    who.uid);
}

void
server_adopt(struct server *s, int fd)
{
	struct err e;
	int refused = check_peer(fd, &e) < 0;

	if (!refused && s->home.count >= CONNS_MAX) {
		refused = 1;
		err_refuse(&e, 503, "control-connections", "%d connections are open; try again", CONNS_MAX);
	}
	if (s->home.count >= CONNS_MAX + CONNS_SORRY) {
		close(fd);
		return;
	}
	conn_open(&s->home, fd, refused ? &e : NULL);
}

/* Out of descriptors or memory: the socket stays readable, so without a pause this would spin. */
static void
pause_accepting(struct server *s)
{
	struct timeval second = { .tv_sec = 1 };

	log_error("control", "cannot accept: %s", strerror(errno));
	event_del(s->accepts);
	event_add(s->again, &second);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	event_add(s->accepts, NULL);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd >= 0)
		server_adopt(arg, fd);
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ECONNABORTED && errno != EINTR)
		pause_accepting(arg);
}

struct server *
server_new(struct event_base *base, const char *path, int fd, struct life *life, struct err *e)
{
	struct server *s;
	int own = fd < 0;

	if (own && (fd = server_listen(path, e)) < 0)
		return NULL;
	evutil_make_socket_nonblocking(fd);
	s = mem_new(sizeof *s);
	s->home.base = base;
	s->home.life = life;
	s->fd = fd;
	s->path = own ? mem_str(path) : NULL;
	s->accepts = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, s);
	s->again = event_new(base, -1, 0, on_again, s);
	event_add(s->accepts, NULL);
	return s;
}

unsigned
server_connections(const struct server *s)
{
	return s->home.count;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	while (s->home.first != NULL)
		conn_drop(s->home.first);
	event_free(s->accepts);
	event_free(s->again);
	close(s->fd);
	if (s->path != NULL)
		unlink(s->path);
	free(s->path);
	free(s);
}
