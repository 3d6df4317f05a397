#ifndef STANDIN_WEB_H
#define STANDIN_WEB_H

/*
 * A web server on loopback that does what a script says, in a thread of its own: it takes one connection
 * after the other, reads a request (head, and the body by its Content-Length), and acts as the next step
 * says. What it was asked is kept for the test to look at after web_stop().
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum web_act {
	WEB_ANSWER = 0, /* the text, then the next request on this connection */
	WEB_CLOSE,      /* the text (may be NULL), then the connection is closed */
	WEB_RESET,      /* as soon as `at` bytes of the body are here: RST */
	WEB_STALL,      /* as soon as `at` bytes of the body are here: nothing more is read or said */
	WEB_SILENT,     /* the whole request is read; no answer */
};

struct web_step {
	enum web_act act;
	const char *text;
	size_t at;
};

enum { WEB_ASKED_MAX = 64, WEB_HEAD_MAX = 4096, WEB_BODY_MAX = 64 * 1024 };

struct web_asked {
	char head[WEB_HEAD_MAX]; /* request line and headers */
	char body[WEB_BODY_MAX]; /* its beginning */
	size_t length;           /* of the whole body as far as it came */
};

struct web {
	int listener, port;
	pthread_t thread;
	const struct web_step *steps;
	size_t count;
	atomic_int stop;
	atomic_uint asked;
	struct web_asked *requests;
};

/* 1: a byte at least is there; 0: the server is to stop, or the peer is gone */
static inline ssize_t
web_read(const struct web *w, int fd, void *out, size_t size)
{
	struct pollfd p = { fd, POLLIN, 0 };

	while (poll(&p, 1, 20) == 0)
		if (atomic_load(&w->stop))
			return 0;
	return read(fd, out, size);
}

static inline size_t
web_content_length(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");

	return p != NULL ? strtoul(p + 17, NULL, 10) : 0;
}

/* Reads up to `most` bytes of the body. */
static inline int
web_read_body(const struct web *w, int fd, struct web_asked *a, size_t have, size_t most)
{
	char piece[16 * 1024];

	a->length = have;
	while (a->length < most) {
		ssize_t n =
		    web_read(w, fd, piece, sizeof piece < most - a->length ? sizeof piece : most - a->length);

		if (n <= 0)
			return -1;
		if (a->length < WEB_BODY_MAX)
			memcpy(a->body + a->length, piece,
			    (size_t)n < WEB_BODY_MAX - a->length ? (size_t)n : WEB_BODY_MAX - a->length);
		a->length += (size_t)n;
	}
	return 0;
}

/* The head, and what came with it of the body: its length, or -1. */
static inline ssize_t
web_read_head(const struct web *w, int fd, struct web_asked *a)
{
	size_t len = 0;
	char *end = NULL;

	memset(a, 0, sizeof *a);
	while (end == NULL && len < WEB_HEAD_MAX - 1) {
		ssize_t n = web_read(w, fd, a->head + len, WEB_HEAD_MAX - 1 - len);

		if (n <= 0)
			return -1;
		len += (size_t)n;
		end = strstr(a->head, "\r\n\r\n");
	}
	if (end == NULL)
		return -1;
	len -= (size_t)(end + 4 - a->head);
	memcpy(a->body, end + 4, len);
	end[2] = '\0';
	return (ssize_t)len;
}

static inline void
web_hold(const struct web *w)
{
	while (!atomic_load(&w->stop))
		usleep(5000);
}

/* One step; 1 when the connection goes on. */
static inline int
web_step(struct web *w, int fd)
{
	unsigned i = atomic_load(&w->asked);
	struct web_asked *a = &w->requests[i];
	const struct web_step *s = &w->steps[i];
	struct linger rst = { 1, 0 };
	ssize_t have;
	size_t length;

	if (i >= w->count || i >= WEB_ASKED_MAX || (have = web_read_head(w, fd, a)) < 0)
		return 0;
	length = web_content_length(a->head);
	if ((s->act == WEB_RESET || s->act == WEB_STALL) && s->at < length)
		length = s->at;
	(void)web_read_body(w, fd, a, (size_t)have, length);
	atomic_fetch_add(&w->asked, 1);
	if (s->act == WEB_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
	if (s->act == WEB_STALL || s->act == WEB_SILENT)
		web_hold(w);
	if (s->text != NULL && write(fd, s->text, strlen(s->text)) < 0)
		return 0;
	return s->act == WEB_ANSWER;
}

static inline void *
web_serve(void *arg)
{
	struct web *w = arg;
	struct pollfd p = { w->listener, POLLIN, 0 };

	while (!atomic_load(&w->stop)) {
		int fd;

		if (poll(&p, 1, 20) <= 0 || (fd = accept(w->listener, NULL, NULL)) < 0)
			continue;
		while (web_step(w, fd))
			;
		close(fd);
	}
	return NULL;
}

static inline void
web_start(struct web *w, const struct web_step *steps, size_t count)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	memset(w, 0, sizeof *w);
	w->steps = steps;
	w->count = count;
	w->requests = calloc(WEB_ASKED_MAX, sizeof *w->requests);
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->requests == NULL || bind(w->listener, (struct sockaddr *)&a, len) < 0 ||
	    listen(w->listener, 16) < 0 || getsockname(w->listener, (struct sockaddr *)&a, &len) < 0 ||
	    pthread_create(&w->thread, NULL, web_serve, w) != 0) {
		perror("web");
		exit(1);
	}
	w->port = ntohs(a.sin_port);
}

static inline void
web_stop(struct web *w)
{
	atomic_store(&w->stop, 1);
	(void)pthread_join(w->thread, NULL);
	close(w->listener);
	free(w->requests);
}

#endif
