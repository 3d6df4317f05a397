#include "io/pump.h"

#include <string.h>

#include "base/err.h"
#include "base/filter.h"
#include "io/stream.h"

enum { CHUNK_HEAD = 10 }; /* eight hex digits and CRLF: written before the size is known */

void
pump_init(struct pump *p, struct stream *from, enum http_framing in, uint64_t length, struct filter *filter,
    struct stream *to, enum http_framing out)
{
	*p = (struct pump){ .from = from, .to = to, .filter = filter, .framing = out };
	body_init(&p->walk, in, length);
	p->input_ended = p->walk.ended;
}

void
pump_done(struct pump *p)
{
	filter_free(p->filter);
	p->filter = NULL;
	buf_done(&p->plain);
	buf_done(&p->made);
}

/* Takes framing off: from->in to plain. Returns 1 when anything moved. */
static int
take_input(struct pump *p, struct err *e)
{
	int moved = 0;

	while (!p->input_ended && buf_len(&p->from->in) > 0 && buf_len(&p->plain) < PUMP_HIGH) {
		const uint8_t *data;
		size_t used, size, len = buf_len(&p->from->in);

		if (body_walk(&p->walk, buf_ptr(&p->from->in), len, &used, &data, &size, e) < 0)
			return -1;
		if (!p->filter_done) /* what follows the end of a filter's format is dropped */
			buf_add(&p->plain, data, size);
		p->bytes += size;
		buf_drop(&p->from->in, used);
		p->input_ended = p->walk.ended;
		moved = 1;
		if (used == 0)
			break;
	}
	if (!p->input_ended && p->from->eof && buf_len(&p->from->in) == 0) {
		if (p->walk.framing != HTTP_BODY_TO_EOF)
			return err_refuse(e, 400, "body-cut", "the body ended before its framing said so");
		p->input_ended = 1;
		moved = 1;
	}
	return moved;
}

/* Runs the filter over plain into out. Returns its answer. */
static int
filter_into(struct pump *p, struct buf *out, struct err *e)
{
	if (p->filter != NULL)
		return p->filter->run(p->filter, &p->plain, p->input_ended, out, PUMP_HIGH, e);
	buf_move(&p->plain, out, PUMP_HIGH);
	return p->input_ended && buf_len(&p->plain) == 0 ? FILTER_DONE : FILTER_MORE;
}

/* One chunk around whatever the filter gives: its size is filled in afterwards, which saves a copy. */
static int
filter_as_chunk(struct pump *p, struct buf *out, struct err *e)
{
	size_t start = buf_len(out), size;
	int rc;

	buf_add(out, "00000000\r\n", CHUNK_HEAD);
	rc = filter_into(p, out, e);
	size = buf_len(out) - start - CHUNK_HEAD;
	if (size == 0) {
		out->tail -= CHUNK_HEAD;
	} else {
		static const char hex[] = "0123456789abcdef";
		uint8_t *digit = out->data + out->head + start + 8;

		for (size_t n = size, i = 0; i < 8; i++, n >>= 4)
			*--digit = (uint8_t)hex[n & 15];
		buf_adds(out, "\r\n");
		p->written += size;
	}
	return rc;
}

static int
run_filter(struct pump *p, struct err *e)
{
	struct buf *out = p->to != NULL ? &p->to->out : &p->made;
	size_t before = buf_len(out), plain = buf_len(&p->plain);
	int rc;

	if (p->filter_done || before >= PUMP_HIGH)
		return 0;
	if (p->framing == HTTP_BODY_CHUNKED) {
		rc = filter_as_chunk(p, out, e);
	} else {
		rc = filter_into(p, out, e);
		p->written += buf_len(out) - before;
	}
	if (rc < 0)
		return -1;
	if (rc == FILTER_DONE) {
		p->filter_done = 1;
		buf_clear(&p->plain);
	}
	return rc == FILTER_DONE || buf_len(out) != before || buf_len(&p->plain) != plain;
}

/* Writes what waits. Room that it makes is progress, too: no event would tell of it. */
static int
make_room(struct pump *p)
{
	size_t waiting = p->to == NULL ? 0 : buf_len(&p->to->out);

	if (waiting > 0)
		stream_kick(p->to);
	return waiting > 0 && buf_len(&p->to->out) < waiting;
}

int
pump_run(struct pump *p, struct err *e)
{
	int moved;

	if (p->to != NULL && buf_len(&p->made) > 0) /* what was made before there was a target */
		buf_move(&p->made, &p->to->out, SIZE_MAX);
	do {
		int took = take_input(p, e), ran = took < 0 ? -1 : run_filter(p, e);

		if (ran < 0)
			return -1;
		moved = took || ran;
		moved |= make_room(p);
	} while (moved && !(p->filter_done && p->input_ended));
	stream_kick(p->from);
	if (!p->filter_done || !p->input_ended || p->to == NULL || p->hold)
		return PUMP_WAIT;
	if (!p->ended && p->framing == HTTP_BODY_CHUNKED)
		body_put_end(&p->to->out);
	p->ended = 1;
	stream_kick(p->to);
	return PUMP_DONE;
}
