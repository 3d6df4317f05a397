#include "io/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/loop.h"

enum { READ_MIN = 4 * 1024, READ_MAX = 64 * 1024 };

static void
arm(struct stream *s)
{
	int want_read = !s->eof && !s->paused && buf_len(&s->in) < STREAM_HIGH;
	int want_write = !s->broken && buf_len(&s->out) > 0;

	if (want_read != event_pending(s->reader, EV_READ, NULL))
		(void)(want_read ? event_add(s->reader, NULL) : event_del(s->reader));
	if (want_write != event_pending(s->writer, EV_WRITE, NULL))
		(void)(want_write ? event_add(s->writer, NULL) : event_del(s->writer));
}

int
stream_peer_gone(struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = 0 };

	if (!s->gone && poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
		s->gone = 1;
	return s->gone;
}

static void
read_some(struct stream *s)
{
	size_t room = STREAM_HIGH - buf_len(&s->in);
	/* small until a peer shows that it sends much: an idle connection stays cheap */
	size_t want = s->in.cap < READ_MIN ? READ_MIN : room < READ_MAX ? room : READ_MAX;
	ssize_t n = recv(s->fd, buf_reserve(&s->in, want), want, 0);

	if (n > 0) {
		buf_commit(&s->in, (size_t)n);
		s->bytes_read += (uint64_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		s->eof = 1;
		(void)stream_peer_gone(s);
	}
}

static void
write_some(struct stream *s)
{
	while (!s->broken && buf_len(&s->out) > 0) {
		ssize_t n = send(s->fd, buf_ptr(&s->out), buf_len(&s->out), MSG_NOSIGNAL);

		if (n > 0) {
			buf_drop(&s->out, (size_t)n);
			s->bytes_written += (uint64_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			return;
		} else if (n < 0 && errno != EINTR) {
			s->broken = 1;
			buf_clear(&s->out);
		}
	}
	if (s->shut && !s->shut_done && !s->broken) {
		(void)shutdown(s->fd, SHUT_WR);
		s->shut_done = 1;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	read_some(s);
	arm(s);
	s->on_change(s->arg);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	write_some(s);
	arm(s);
	s->on_change(s->arg);
}

struct stream *
stream_new(struct loop *l, int fd, void (*on_change)(void *arg), void *arg)
{
	struct stream *s = mem_new(sizeof *s);

	s->fd = fd;
	s->loop = l;
	s->on_change = on_change;
	s->arg = arg;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	s->reader = event_new(loop_base(l), fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writer = event_new(loop_base(l), fd, EV_WRITE | EV_PERSIST, on_writable, s);
	if (s->reader == NULL || s->writer == NULL)
		abort();
	arm(s);
	return s;
}

void
stream_owner(struct stream *s, void (*on_change)(void *arg), void *arg)
{
	s->on_change = on_change;
	s->arg = arg;
}

static void
free_now(void *arg)
{
	struct stream *s = arg;

	event_free(s->reader);
	event_free(s->writer);
	buf_done(&s->in);
	buf_done(&s->out);
	free(s);
}

void
stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	(void)event_del(s->reader);
	(void)event_del(s->writer);
	close(s->fd);
	s->fd = -1;
	loop_defer(s->loop, free_now, s);
}

void
stream_pause(struct stream *s, int paused)
{
	s->paused = paused;
	arm(s);
}

void
stream_kick(struct stream *s)
{
	write_some(s);
	arm(s);
}

void
stream_shut(struct stream *s)
{
	s->shut = 1;
	stream_kick(s);
}
