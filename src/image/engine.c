#include "image/engine.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "docker/reference.h"

enum { PIECE = 64 * 1024, MESSAGE_MAX = 64 * 1024 };

void
engine_init(struct engine *g, int fd, const char *ns)
{
	*g = (struct engine){ .fd = fd, .ns = ns };
}

void
engine_done(struct engine *g)
{
	buf_done(&g->net);
}

static int
wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return p.revents;
}

/* More bytes into net: 1, 0 at the end, -1. */
static int
receive(struct engine *g, struct err *e)
{
	ssize_t n;

	do {
		(void)wait_for(g->fd, POLLIN);
		n = recv(g->fd, buf_reserve(&g->net, PIECE), PIECE, 0);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0) {
		err_set(e, errno, "cannot read the engine's answer: %m");
		e->status = 502;
		e->rule = "engine";
		return -1;
	}
	buf_commit(&g->net, (size_t)n);
	return n > 0;
}

static int
cut(struct err *e)
{
	return err_refuse(
	    e, 502, "engine", "the engine closed the connection before its answer was complete");
}

/* The engine's words, with the names that the task knows. */
static int
refuse_as_engine(const struct engine *g, unsigned status, struct buf *text, struct err *e)
{
	struct err bad;
	json_t *v = json_parse(buf_text(text), buf_len(text), &bad);
	const char *message = json_str(v, "message", "no reason given");
	struct buf own = { 0 };
	char quoted[400];

	reference_unmap_text(message, strlen(message), g->ns != NULL ? g->ns : "", NULL, 0, &own);
	(void)buf_text(&own);
	err_refuse(e, (int)status, "engine", "the engine refused: %s",
	    log_quote(buf_ptr(&own), buf_len(&own), quoted, sizeof quoted));
	buf_done(&own);
	json_decref(v);
	return -1;
}

static int
refused(struct engine *g, unsigned status, struct err *e)
{
	struct buf text = { 0 };
	struct err ignored;

	if (status < 400)
		status = 502; /* nothing that this request is answered with */
	while (buf_len(&text) < MESSAGE_MAX && engine_read(g, &text, &ignored) > 0)
		;
	refuse_as_engine(g, status, &text, e);
	buf_done(&text);
	return -1;
}

static int
take_head(struct engine *g, const struct http_head *h, struct err *e)
{
	if (h->status < 200)
		return h->status == 100 ? 1 : err_refuse(e, 502, "engine", "the engine wants to upgrade");
	body_init(&g->body, h->framing, h->length);
	if (h->status != 200)
		return refused(g, h->status, e);
	if (h->framing == HTTP_BODY_TO_EOF)
		return err_refuse(e, 502, "engine", "the engine's answer has neither length nor chunks");
	return 0;
}

int
engine_head(struct engine *g, struct err *e)
{
	struct http_head h;
	size_t used;
	int rc;

	for (;;) {
		rc = http_response_parse(&h, HTTP_GET, buf_ptr(&g->net), buf_len(&g->net), &used, e);
		if (rc == 1) {
			rc = receive(g, e);
			if (rc <= 0)
				return rc == 0 ? cut(e) : -1;
			continue;
		}
		if (rc < 0) {
			e->status = 502;
			return err_wrap(e, "the engine's answer");
		}
		buf_drop(&g->net, used);
		rc = take_head(g, &h, e);
		http_head_done(&h);
		if (rc <= 0)
			return rc;
	}
}

int
engine_read(struct engine *g, struct buf *out, struct err *e)
{
	const uint8_t *data;
	size_t used, size;
	int rc;

	for (;;) {
		if (g->body.ended)
			return 0;
		if (buf_len(&g->net) == 0 && (rc = receive(g, e)) <= 0) {
			if (rc == 0 && g->body.framing == HTTP_BODY_TO_EOF)
				return 0; /* of a refusal: engine_head() lets no other pass */
			return rc == 0 ? cut(e) : -1;
		}
		if (body_walk(&g->body, buf_ptr(&g->net), buf_len(&g->net), &used, &data, &size, e) < 0) {
			e->status = 502;
			return err_wrap(e, "the engine's answer");
		}
		buf_add(out, data, size);
		buf_drop(&g->net, used);
		if (size > 0)
			return 1;
	}
}

int
engine_send(struct engine *g, const void *bytes, size_t len, struct err *e)
{
	const uint8_t *p = bytes;
	ssize_t n;

	while (len > 0) {
		if (wait_for(g->fd, POLLIN | POLLOUT) & POLLIN)
			return 1;
		n = send(g->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 1;
		if (n < 0) {
			err_set(e, errno, "cannot write to the engine: %m");
			e->status = 502;
			e->rule = "engine";
			return -1;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
