/*
 * The yardsticks: what a relay costs that looks at nothing.
 *   relay copy|splice LISTEN CONNECT
 * copy reads and writes 256 KiB at a time, splice moves bytes through a pipe of 1 MiB.
 */
#include <fcntl.h>
#include <signal.h>

#include "net.h"

enum { COPY = 256 * 1024, PIPE = 1024 * 1024, EVENTS = 64 };

struct side;

struct way { /* from one side to the other */
	int pipe[2];
	size_t head, tail; /* held bytes: of the buffer, or in the pipe (tail) */
	char *held;        /* only while something waits */
	int eof, shut;
};

struct side {
	int fd;
	uint32_t watched;
	struct side *other;
	struct way out; /* what goes from here to the other */
};

static int loop, splicing;
static char shared[COPY];

static void
rewatch(struct side *s)
{
	size_t mine = s->out.tail - s->out.head, its = s->other->out.tail - s->other->out.head;
	uint32_t want = (mine == 0 && !s->out.eof ? EPOLLIN : 0) | (its > 0 ? EPOLLOUT : 0);

	if (want != s->watched)
		watch(loop, EPOLL_CTL_MOD, s->fd, want, s);
	s->watched = want;
}

static void
end_pair(struct side *s)
{
	struct side *both[] = { s, s->other };

	for (int i = 0; i < 2; i++) {
		close(both[i]->fd);
		if (splicing) {
			close(both[i]->out.pipe[0]);
			close(both[i]->out.pipe[1]);
		}
		free(both[i]->out.held);
		both[i]->fd = -1;
	}
}

static ssize_t
take(struct side *s)
{
	struct way *w = &s->out;
	ssize_t n;

	if (splicing)
		n = splice(s->fd, NULL, w->pipe[1], NULL, PIPE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	else
		n = recv(s->fd, shared, COPY, 0);
	if (n > 0)
		w->tail = (size_t)n;
	return n;
}

static ssize_t
give(struct side *s)
{
	struct way *w = &s->out;
	const char *from = w->held != NULL ? w->held : shared;
	ssize_t n;

	if (splicing)
		n = splice(w->pipe[0], NULL, s->other->fd, NULL, w->tail - w->head,
		    SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	else
		n = send(s->other->fd, from + w->head, w->tail - w->head, MSG_NOSIGNAL);
	if (n > 0)
		w->head += (size_t)n;
	return n;
}

static void
keep_rest(struct way *w)
{
	if (splicing || w->held != NULL || w->tail == w->head)
		return;
	w->held = malloc(COPY);
	memcpy(w->held, shared + w->head, w->tail - w->head);
	w->tail -= w->head;
	w->head = 0;
}

/* Moves what can be moved; -1 when the pair has ended. */
static int
run(struct side *s)
{
	struct way *w = &s->out;
	ssize_t n = 1;

	while (n > 0) {
		if (w->head == w->tail) {
			w->head = w->tail = 0;
			free(w->held);
			w->held = NULL;
			n = w->eof ? -1 : take(s);
			if (n == 0 || (n < 0 && !w->eof && errno != EAGAIN))
				w->eof = 1;
		}
		if (w->tail > w->head)
			n = give(s);
		if (n < 0 && w->tail > w->head && errno != EAGAIN)
			return -1;
	}
	keep_rest(w);
	if (w->eof && w->head == w->tail && !w->shut) {
		w->shut = 1;
		(void)shutdown(s->other->fd, SHUT_WR);
	}
	return w->shut && s->other->out.shut ? -1 : 0;
}

static void
on_event(struct side *s, uint32_t what)
{
	if (s->fd < 0)
		return;
	if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) && run(s) < 0) {
		end_pair(s);
		return;
	}
	if ((what & EPOLLOUT) && run(s->other) < 0) {
		end_pair(s);
		return;
	}
	rewatch(s);
	rewatch(s->other);
}

static void
open_pair(int fd, const char *path)
{
	struct side *pair = calloc(2, sizeof *pair);

	pair[0].fd = fd;
	pair[1].fd = connect_to(path);
	wide(fd);
	for (int i = 0; i < 2; i++) {
		pair[i].other = &pair[1 - i];
		pair[i].watched = EPOLLIN;
		if (splicing && (pipe2(pair[i].out.pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
		                    fcntl(pair[i].out.pipe[0], F_SETPIPE_SZ, PIPE) < 0))
			die("pipe");
		watch(loop, EPOLL_CTL_ADD, pair[i].fd, EPOLLIN, &pair[i]);
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener, n, fd;

	if (argc != 4)
		return 2;
	many_descriptors();
	(void)signal(SIGPIPE, SIG_IGN); /* splice() has no flag for it */
	splicing = strcmp(argv[1], "splice") == 0;
	listener = listen_at(argv[2]);
	loop = epoll_create1(EPOLL_CLOEXEC);
	watch(loop, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		n = epoll_wait(loop, events, EVENTS, -1);
		for (int i = 0; i < n; i++) /* pairs are not freed: it is a benchmark's relay */
			if (events[i].data.ptr != NULL)
				on_event(events[i].data.ptr, events[i].events);
			else
				while (
				    (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					open_pair(fd, argv[3]);
	}
}
