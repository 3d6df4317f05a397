#include "http/body.h"

#include "base/buf.h"
#include "base/err.h"
#include "text.h"

/* Where a chunked body stands. Every other framing stays in CHUNK_SIZE. */
enum {
	CHUNK_SIZE = 0, /* in the digits, or before the CR behind them */
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_END_CR, /* behind the last chunk's line: trailers would start here */
	CHUNK_END_LF,
};

enum { CHUNK_DIGITS = 8, CHUNK_PUT_MAX = 0x7fffffff };

void
body_init(struct body *b, enum http_framing framing, uint64_t length)
{
	*b = (struct body){ .framing = framing };
	if (framing == HTTP_BODY_COUNTED)
		b->left = length;
	b->ended = framing == HTTP_BODY_NONE || (framing == HTTP_BODY_COUNTED && length == 0);
}

static int
refuse_byte(uint8_t c, const char *expected, struct err *e)
{
	return err_refuse(e, 400, "http-chunk", "chunked body: found '%s' where %s is expected",
	    quote(&c, 1).text, expected);
}

static int
walk_size(struct body *b, uint8_t c, struct err *e)
{
	int digit = text_hex(c);

	if (digit >= 0 && b->digits == CHUNK_DIGITS)
		return err_refuse(
		    e, 400, "http-chunk", "chunked body: a chunk size has more than %d digits", CHUNK_DIGITS);
	if (digit >= 0) {
		b->size = b->size << 4 | (uint32_t)digit;
		b->digits++;
		return 0;
	}
	if (c != '\r' || b->digits == 0)
		return refuse_byte(
		    c, b->digits == 0 ? "a hexadecimal chunk size" : "CRLF (no extensions)", e);
	b->state = CHUNK_SIZE_LF;
	return 0;
}

/* The size line is complete. */
static void
start_chunk(struct body *b)
{
	b->left = b->size;
	b->state = b->size > 0 ? CHUNK_DATA : CHUNK_END_CR;
	b->size = 0;
	b->digits = 0;
}

static const struct {
	uint8_t byte;
	const char *expected;
	int next;
} fixed[] = {
	[CHUNK_SIZE_LF] = { '\n', "the LF behind a chunk size", CHUNK_DATA },
	[CHUNK_DATA_CR] = { '\r', "the CRLF behind a chunk's data", CHUNK_DATA_LF },
	[CHUNK_DATA_LF] = { '\n', "the LF behind a chunk's data", CHUNK_SIZE },
	[CHUNK_END_CR] = { '\r', "the end of the body (no trailers)", CHUNK_END_LF },
	[CHUNK_END_LF] = { '\n', "the last LF of the body", CHUNK_END_LF },
};

/* One byte of framing. */
static int
walk_framing(struct body *b, uint8_t c, struct err *e)
{
	int state = b->state;

	if (state == CHUNK_SIZE)
		return walk_size(b, c, e);
	if (c != fixed[state].byte)
		return refuse_byte(c, fixed[state].expected, e);
	b->state = fixed[state].next;
	if (state == CHUNK_SIZE_LF)
		start_chunk(b);
	b->ended = state == CHUNK_END_LF;
	return 0;
}

/* Hands out a span of at most left bytes; returns its length. */
static size_t
hand_out(struct body *b, const uint8_t *bytes, size_t len, const uint8_t **data, size_t *size)
{
	size_t n = len < b->left ? len : (size_t)b->left;

	b->left -= n;
	*data = bytes;
	*size = n;
	return n;
}

/* Framing up to the payload, one span of payload, framing behind it. */
static int
walk_chunked(struct body *b, const uint8_t *bytes, size_t len, size_t *used, const uint8_t **data,
    size_t *size, struct err *e)
{
	while (*used < len && !b->ended) {
		if (b->state == CHUNK_DATA) {
			if (*size > 0)
				return 0;
			*used += hand_out(b, bytes + *used, len - *used, data, size);
			if (b->left == 0)
				b->state = CHUNK_DATA_CR;
		} else {
			if (walk_framing(b, bytes[*used], e) < 0)
				return -1;
			++*used;
		}
	}
	return 0;
}

int
body_walk(struct body *b, const uint8_t *bytes, size_t len, size_t *used, const uint8_t **data, size_t *size,
    struct err *e)
{
	*used = 0;
	*data = NULL;
	*size = 0;
	if (b->ended || len == 0)
		return 0;
	if (b->framing == HTTP_BODY_CHUNKED)
		return walk_chunked(b, bytes, len, used, data, size, e);
	if (b->framing == HTTP_BODY_TO_EOF)
		b->left = len;
	*used = hand_out(b, bytes, len, data, size);
	b->ended = b->framing == HTTP_BODY_COUNTED && b->left == 0;
	return 0;
}

void
body_put_chunk(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		size_t n = len < CHUNK_PUT_MAX
		               ? len
		               : CHUNK_PUT_MAX; /* sizes of 8 digits at most, as we read them */

		buf_printf(out, "%zx\r\n", n);
		buf_add(out, p, n);
		buf_add(out, "\r\n", 2);
		p += n;
		len -= n;
	}
}

void
body_put_end(struct buf *out)
{
	buf_adds(out, "0\r\n\r\n");
}
