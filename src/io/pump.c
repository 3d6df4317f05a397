#include "io/pump.h"

#include <string.h>

#include "base/err.h"
#include "base/filter.h"
#include "io/stream.h"

enum {
	CHUNK_HEAD = 10,   /* eight hex digits and CRLF: written before the size is known */
	CLEAR_MIN = 32768, /* less than this is not worth a write of its own */
	SPANS = 62, /* pieces of a body in one write: what comes in small chunks goes on in large ones */
};

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
	size_t piece = p->to != NULL ? PUMP_PIECE : PUMP_PIECE / 4; /* made is not to grow far */
	int moved = 0;

	if (p->to == NULL && buf_len(&p->made) >= PUMP_HIGH)
		piece = 0;
	if (buf_len(&p->plain) == 0 && piece == 0)
		buf_done(&p->plain);

	while (!p->input_ended && buf_len(&p->from->in) > 0 && buf_len(&p->plain) < piece) {
		size_t len = buf_len(&p->from->in), room = piece - buf_len(&p->plain), used, size;
		const uint8_t *data;

		if (body_walk(
		        &p->walk, buf_ptr(&p->from->in), len < room ? len : room, &used, &data, &size, e) < 0)
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
	return moved;
}

/* The peer has ended: so has the body, or it is cut. */
static int
take_end(struct pump *p, struct err *e)
{
	if (p->input_ended || !p->from->eof || buf_len(&p->from->in) > 0)
		return 0;
	if (p->walk.framing != HTTP_BODY_TO_EOF)
		return err_refuse(e, 400, "body-cut", "the body ended before its framing said so");
	p->input_ended = 1;
	return 1;
}

/* Runs the filter over plain into out. Returns its answer. */
static int
filter_into(struct pump *p, struct buf *out, size_t high, struct err *e)
{
	if (p->filter != NULL)
		return p->filter->run(p->filter, &p->plain, p->input_ended, out, high, e);
	buf_move(&p->plain, out, high);
	return p->input_ended && buf_len(&p->plain) == 0 ? FILTER_DONE : FILTER_MORE;
}

static void
print_size(uint8_t *end, size_t size)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < 8; i++, size >>= 4)
		*--end = (uint8_t)hex[size & 15];
}

/* One chunk around whatever the filter gives: its size is filled in afterwards, which saves a copy. */
static int
filter_as_chunk(struct pump *p, struct buf *out, size_t high, struct err *e)
{
	size_t start = buf_len(out), size;
	int rc;

	buf_add(out, "00000000\r\n", CHUNK_HEAD);
	rc = filter_into(p, out, high, e);
	size = buf_len(out) - start - CHUNK_HEAD;
	if (size == 0) {
		out->tail -= CHUNK_HEAD;
	} else {
		print_size(out->data + out->head + start + 8, size);
		buf_adds(out, "\r\n");
		p->written += size;
	}
	return rc;
}

static int
run_filter(struct pump *p, struct err *e)
{
	struct buf *out = p->to != NULL ? &p->to->out : &p->made;
	size_t before = buf_len(out), plain = buf_len(&p->plain),
	       high = p->to != NULL ? PUMP_PIECE : PUMP_HIGH;
	int rc;

	if (p->filter_done || before >= high)
		return 0;
	if (p->framing == HTTP_BODY_CHUNKED) {
		rc = filter_as_chunk(p, out, high, e);
	} else {
		rc = filter_into(p, out, high, e);
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

/* How many bytes go on as they come. */
static uint64_t
clear_bytes(const struct pump *p)
{
	if (p->to == NULL || p->input_ended || p->filter_done || buf_len(&p->plain) > 0)
		return 0;
	if (p->filter == NULL)
		return UINT64_MAX;
	return p->filter->clear == NULL ? 0 : p->filter->clear(p->filter);
}

/*
 * Walks what is in from->in and lists its payload, at most `clear` bytes of it. Returns how many bytes were
 * walked: they stay there until they are written.
 */
static size_t
list_spans(struct pump *p, uint64_t clear, struct iovec *spans, size_t *count, struct err *e)
{
	const uint8_t *bytes = buf_ptr(&p->from->in);
	size_t len = buf_len(&p->from->in), at = 0, used, size;

	for (*count = 0; at < len && *count < SPANS && clear > 0 && !p->walk.ended; at += used) {
		size_t most = len - at < clear ? len - at : (size_t)clear;
		const uint8_t *data;

		if (body_walk(&p->walk, bytes + at, most, &used, &data, &size, e) < 0)
			return SIZE_MAX;
		if (size > 0)
			spans[(*count)++] = (struct iovec){ (void *)(uintptr_t)data, size };
		clear -= size;
		if (used == 0)
			break;
	}
	return at;
}

/* spans[0] and one behind the last are free for the framing of one chunk. */
static void
put_spans(struct pump *p, struct iovec *spans, size_t count)
{
	uint8_t head[CHUNK_HEAD + 1] = "00000000\r\n";
	static char tail[] = "\r\n";
	size_t size = 0;

	for (size_t i = 1; i <= count; i++) {
		size += spans[i].iov_len;
		if (p->filter != NULL)
			p->filter->passed(p->filter, spans[i].iov_base, spans[i].iov_len);
	}
	p->bytes += size;
	p->written += size;
	print_size(head + 8, size);
	spans[0] = (struct iovec){ head, CHUNK_HEAD };
	spans[count + 1] = (struct iovec){ tail, 2 };
	if (size > 0 && p->framing == HTTP_BODY_CHUNKED)
		stream_put(p->to, spans, count + 2);
	else if (size > 0)
		stream_put(p->to, spans + 1, count);
}

/* What nobody needs to look at goes from socket to socket. Returns 1 when anything moved. */
static int
pass_clear(struct pump *p, uint64_t clear, struct err *e)
{
	struct iovec spans[SPANS + 2];
	size_t count, walked;

	buf_done(&p->plain);
	if (buf_len(&p->to->out) > 0 || buf_len(&p->from->in) == 0)
		return 0;
	walked = list_spans(p, clear, spans + 1, &count, e);
	if (walked == SIZE_MAX)
		return -1;
	put_spans(p, spans, count);
	buf_drop(&p->from->in, walked);
	p->input_ended = p->walk.ended;
	return walked > 0;
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

static int
move_some(struct pump *p, struct err *e)
{
	uint64_t clear = clear_bytes(p);
	int took, ran = 0;

	if (clear >= CLEAR_MIN) {
		took = pass_clear(p, clear, e);
	} else {
		took = take_input(p, e);
		ran = took < 0 ? -1 : run_filter(p, e);
	}
	if (took < 0 || ran < 0)
		return -1;
	return took | ran | make_room(p);
}

/* What was made before there was a target. */
static void
give_made(struct pump *p)
{
	if (p->to == NULL || buf_len(&p->made) == 0)
		return;
	if (buf_len(&p->to->out) == 0) {
		buf_done(&p->to->out);
		p->to->out = p->made;
		p->made = (struct buf){ 0 };
		return;
	}
	buf_move(&p->made, &p->to->out, SIZE_MAX);
	buf_done(&p->made);
}

/* While nothing can go on, the source is only watched. */
static void
watch_source(struct pump *p)
{
	size_t waiting = p->to != NULL ? buf_len(&p->to->out) : buf_len(&p->made) < PUMP_HIGH ? 0 : PUMP_HIGH;

	p->from->high = waiting > 0 && !p->input_ended ? STREAM_LOW : STREAM_HIGH;
	stream_kick(p->from);
}

int
pump_run(struct pump *p, struct err *e)
{
	int moved;

	give_made(p);
	do {
		int end = 0;

		moved = move_some(p, e);
		if (moved >= 0)
			end = take_end(p, e);
		if (moved < 0 || end < 0)
			return -1;
		moved |= end;
	} while (moved && !(p->filter_done && p->input_ended));
	watch_source(p);
	if (!p->filter_done || !p->input_ended || p->to == NULL || p->hold)
		return PUMP_WAIT;
	if (!p->ended && p->framing == HTTP_BODY_CHUNKED)
		body_put_end(&p->to->out);
	p->ended = 1;
	stream_kick(p->to);
	return PUMP_DONE;
}
