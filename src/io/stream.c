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

enum {
	READ_MIN = 16 * 1024,
	READS_A_TURN = 2,       /* of one stream, before others get theirs */
	HELD_MAX = 1024 * 1024, /* bytes that all streams hold together before reads get smaller */
	KEEP = 128 * 1024,      /* a larger out is given back once it is written */
	WIPE_MAX = 16 * 1024,   /* credentials come in heads and small bodies, and those in short reads */
};

/*
 * Every read goes here first, and its owner mostly takes all of it at once: so a stream that flows, and one
 * that is idle, has no memory of its own for input.
 */
static uint8_t space[STREAM_HIGH];
static size_t held; /* memory of all streams' buffers */

static void
count_held(struct stream *s)
{
	size_t now = (s->in.data == space ? 0 : s->in.cap) + s->out.cap;

	held += now - s->held;
	s->held = now;
}

static void
arm(struct stream *s)
{
	int want_read = !s->eof && !s->paused && buf_len(&s->in) < s->high;
	int want_write = !s->broken && buf_len(&s->out) > 0;

	if (want_read != event_pending(s->reader, EV_READ, NULL))
		(void)(want_read ? event_add(s->reader, NULL) : event_del(s->reader));
	if (want_write != event_pending(s->writer, EV_WRITE, NULL))
		(void)(want_write ? event_add(s->writer, NULL) : event_del(s->writer));
	count_held(s);
}

int
stream_peer_gone(struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = 0 };

	if (!s->gone && poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
		s->gone = 1;
	return s->gone;
}

/* What one read may bring: much, unless much is held already, here or everywhere. */
static size_t
read_size(const struct stream *s)
{
	size_t most = held < HELD_MAX ? (HELD_MAX - held) / 4 : 0, room = s->high - buf_len(&s->in);

	if (most < READ_MIN)
		most = READ_MIN;
	if (most > sizeof space)
		most = sizeof space;
	return most < room ? most : room;
}

/* Puts what was read into `in`, which borrows the space when it is empty. */
static void
keep(struct stream *s, size_t n)
{
	s->bytes_read += n;
	if (buf_len(&s->in) > 0) {
		buf_add(&s->in, space, n);
		return;
	}
	buf_done(&s->in);
	s->in = (struct buf){ .data = space, .tail = n, .cap = sizeof space };
}

/* What its owner has left gets memory of its own. */
static void
give_space_back(struct stream *s, size_t n)
{
	struct buf rest = { 0 };

	if (s->in.data == space) {
		buf_add(&rest, buf_ptr(&s->in), buf_len(&s->in));
		s->in = rest;
	}
	if (n <= WIPE_MAX)
		mem_wipe(space, n);
}

/* Returns 1 when as much came as was asked for. */
static int
read_some(struct stream *s)
{
	size_t want = read_size(s);
	ssize_t n = recv(s->fd, space, want, 0);

	if (n > 0) {
		keep(s, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		s->eof = 1;
		(void)stream_peer_gone(s);
	}
	s->on_change(s->arg);
	if (n > 0)
		give_space_back(s, (size_t)n);
	return n == (ssize_t)want;
}

static void
all_written(struct stream *s)
{
	if (s->out.cap > KEEP)
		buf_done(&s->out);
	if (s->shut && !s->shut_done && !s->broken) {
		(void)shutdown(s->fd, SHUT_WR);
		s->shut_done = 1;
	}
}

/* One sendmsg(); 0 when nothing can be written now. A broken stream takes all. */
static size_t
send_spans(struct stream *s, struct iovec *spans, size_t count)
{
	struct msghdr m = { .msg_iov = spans, .msg_iovlen = count };
	ssize_t n;

	do
		n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		s->broken = 1;
	if (n > 0)
		s->bytes_written += (uint64_t)n;
	return n > 0 ? (size_t)n : 0;
}

static void
write_some(struct stream *s)
{
	size_t n = 1;

	while (!s->broken && buf_len(&s->out) > 0 && n > 0) {
		struct iovec all = { (void *)(uintptr_t)buf_ptr(&s->out), buf_len(&s->out) };

		n = send_spans(s, &all, 1);
		buf_drop(&s->out, n);
	}
	if (s->broken)
		buf_clear(&s->out);
	if (buf_len(&s->out) == 0)
		all_written(s);
}

void
stream_put(struct stream *s, struct iovec *spans, size_t count)
{
	size_t n = 0, all = 0;

	if (buf_len(&s->out) == 0)
		buf_done(&s->out); /* whoever writes so does not fill it in small pieces */
	if (!s->broken && buf_len(&s->out) == 0)
		n = send_spans(s, spans, count);

	for (size_t i = 0; i < count; i++)
		all += spans[i].iov_len;
	if (n < all && !s->broken)
		(void)buf_reserve(&s->out, all - n); /* and not twice as much */
	for (size_t i = 0; i < count && !s->broken; i++) {
		size_t sent = n < spans[i].iov_len ? n : spans[i].iov_len;

		n -= sent;
		buf_add(&s->out, (const uint8_t *)spans[i].iov_base + sent, spans[i].iov_len - sent);
	}
	arm(s);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	int more = 1;

	(void)fd;
	(void)what;
	for (int i = 0; more && i < READS_A_TURN; i++)
		more = read_some(s) && s->fd >= 0 && buf_len(&s->in) == 0 && !s->paused;
	if (s->fd >= 0)
		arm(s);
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
	s->high = STREAM_HIGH;
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

void
stream_bulk(struct stream *s)
{
	int size = 1 << 20; /* worth 15 to 30 % of the rate; the kernel takes less where its limit is lower */

	(void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void
stream_rest(struct stream *s)
{
	if (buf_len(&s->in) == 0 && s->in.data != space)
		buf_done(&s->in);
	if (buf_len(&s->out) == 0)
		buf_done(&s->out);
	count_held(s);
}

static void
free_now(void *arg)
{
	struct stream *s = arg;

	event_free(s->reader);
	event_free(s->writer);
	buf_done(&s->in);
	buf_done(&s->out);
	count_held(s);
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
