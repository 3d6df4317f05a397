/*
 * Body framing. The first byte chooses framing and piece size; the rest is the
 * stream. It must not matter how the bytes arrive, and what was read must come
 * back when we frame it ourselves.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(x)                                                                                              \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			abort();                                                                             \
	} while (0)

struct result {
	struct buf payload;
	size_t walked;
	int refused, ended;
};

static void
walk_piece(struct body *b, const uint8_t *piece, size_t len, struct result *r)
{
	size_t at = 0, used, size;
	const uint8_t *span;
	struct err e = { 0 };

	while (at < len && !b->ended && !r->refused) {
		r->refused = body_walk(b, piece + at, len - at, &used, &span, &size, &e) < 0;
		must(used <= len - at && size <= used);
		must(size == 0 || (span >= piece + at && span + size <= piece + at + used));
		must(r->refused ? e.status == 400 && e.rule != NULL : used > 0);
		if (size > 0)
			buf_add(&r->payload, span, size);
		at += used;
	}
	r->walked += at;
}

/* Every piece is a copy of its own: ASan sees a read behind it. */
static struct result
walk(enum http_framing framing, uint64_t length, const uint8_t *data, size_t size, size_t piece)
{
	struct result r = { 0 };
	struct body b;

	body_init(&b, framing, length);
	for (size_t at = 0; at < size && !b.ended && !r.refused; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		uint8_t *copy = malloc(n);

		must(copy != NULL);
		memcpy(copy, data + at, n);
		walk_piece(&b, copy, n, &r);
		free(copy);
	}
	r.ended = b.ended;
	return r;
}

static void
check_same(const struct result *a, const struct result *b)
{
	must(buf_len(&a->payload) == buf_len(&b->payload));
	must(buf_len(&a->payload) == 0 ||
	     memcmp(buf_ptr(&a->payload), buf_ptr(&b->payload), buf_len(&a->payload)) == 0);
	must(a->ended == b->ended);
}

static void
check_reframed(const struct result *r, size_t piece)
{
	struct buf b = { 0 };
	struct result again;

	for (size_t at = 0, n; at < buf_len(&r->payload); at += n) {
		n = buf_len(&r->payload) - at < piece ? buf_len(&r->payload) - at : piece;
		body_put_chunk(&b, buf_ptr(&r->payload) + at, n);
	}
	body_put_end(&b);
	again = walk(HTTP_BODY_CHUNKED, 0, buf_ptr(&b), buf_len(&b), piece + 1);
	must(again.ended && !again.refused && again.walked == buf_len(&b));
	must(buf_len(&again.payload) == buf_len(&r->payload));
	must(buf_len(&r->payload) == 0 ||
	     memcmp(buf_ptr(&again.payload), buf_ptr(&r->payload), buf_len(&r->payload)) == 0);
	buf_done(&again.payload);
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_framing framings[] = { HTTP_BODY_CHUNKED, HTTP_BODY_COUNTED, HTTP_BODY_NONE,
		HTTP_BODY_TO_EOF };
	enum http_framing framing;
	size_t piece;
	struct result whole, pieces;

	if (size < 2)
		return 0;
	framing = framings[data[0] & 3];
	piece = (data[0] >> 2 & 15) + 1;
	whole = walk(framing, size / 2, data + 1, size - 1, size);
	pieces = walk(framing, size / 2, data + 1, size - 1, piece);
	must(whole.refused == pieces.refused);
	check_same(&whole, &pieces);
	must(whole.refused || whole.walked == pieces.walked);
	check_reframed(&whole, piece);
	buf_done(&whole.payload);
	buf_done(&pieces.payload);
	return 0;
}
