#include "http/body.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

#define BYTES(s) (s), sizeof(s) - 1

static const struct row {
	enum http_framing framing;
	uint64_t length;
	const char *bytes;
	size_t len;
	const char *payload; /* NULL: refused */
	int ended;
	size_t rest; /* bytes behind the end */
	const char *says;
} rows[] = {
	{ HTTP_BODY_NONE, 0, BYTES("GET /"), "", 1, 5, NULL },
	{ HTTP_BODY_COUNTED, 0, BYTES("GET /"), "", 1, 5, NULL },
	{ HTTP_BODY_COUNTED, 3, BYTES("abcGET /"), "abc", 1, 5, NULL },
	{ HTTP_BODY_COUNTED, 3, BYTES("ab"), "ab", 0, 0, NULL },
	{ HTTP_BODY_COUNTED, UINT64_MAX, BYTES("ab"), "ab", 0, 0, NULL },
	{ HTTP_BODY_TO_EOF, 0, BYTES("abc"), "abc", 0, 0, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0\r\n\r\nGET /"), "", 1, 5, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r\n0\r\n\r\nGET /"), "abc", 1, 5, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r\n1\r\nd\r\n00A\r\n0123456789\r\n0000\r\n\r\n"),
	    "abcd0123456789", 1, 0, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0000000b\r\n0\r\n\r\nabcdef\r\n00000000\r\n\r\n"), "0\r\n\r\nabcdef",
	    1, 0, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r\n0\r\n\r"), "abc", 0, 0, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("ffffffff\r\nabc"), "abc", 0, 0, NULL },
	{ HTTP_BODY_CHUNKED, 0, BYTES("FFFFFFFF\r\nabc"), "abc", 0, 0, NULL },
	/* sizes */
	{ HTTP_BODY_CHUNKED, 0, BYTES("100000000\r\n"), NULL, 0, 0, "8 digits" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("000000003\r\nabc\r\n0\r\n\r\n"), NULL, 0, 0, "8 digits" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("ffffffffffffffff\r\n"), NULL, 0, 0, "8 digits" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("10000000000000003\r\nabc\r\n"), NULL, 0, 0, "8 digits" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("\r\n\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r\n\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES(" 3\r\nabc\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("+3\r\nabc\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("-3\r\nabc\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("g\r\nabc\r\n"), NULL, 0, 0, "chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0x3\r\nabc\r\n"), NULL, 0, 0, "CRLF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0_2e\r\n\r\nGET / HTTP/1.1\r\n"), NULL, 0, 0, "CRLF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3 \r\nabc\r\n"), NULL, 0, 0, "CRLF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\t\r\nabc\r\n"), NULL, 0, 0, "CRLF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\0\r\nabc\r\n"), NULL, 0, 0, "CRLF" },
	/* extensions, line ends */
	{ HTTP_BODY_CHUNKED, 0, BYTES("3;a=b\r\nabc\r\n0\r\n\r\n"), NULL, 0, 0, "no extensions" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3;a\nabc\r\n0\r\n\r\n"), NULL, 0, 0, "no extensions" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\nabc\r\n0\r\n\r\n"), NULL, 0, 0, "CRLF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\r\nabc\r\n0\r\n\r\n"), NULL, 0, 0, "LF behind a chunk size" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabcd\r\n0\r\n\r\n"), NULL, 0, 0, "chunk's data" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\n0\r\n\r\n"), NULL, 0, 0, "chunk's data" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r0\r\n\r\n"), NULL, 0, 0, "chunk's data" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nab\r\n0\r\n\r\n"), NULL, 0, 0, "chunk's data" },
	/* the end */
	{ HTTP_BODY_CHUNKED, 0, BYTES("0\r\nX: y\r\n\r\n"), NULL, 0, 0, "no trailers" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n"), NULL, 0, 0,
	    "no trailers" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0\r\n\n"), NULL, 0, 0, "no trailers" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0\r\n\rX"), NULL, 0, 0, "last LF" },
	{ HTTP_BODY_CHUNKED, 0, BYTES("0\n\n"), NULL, 0, 0, "CRLF" },
};

/* Walks the row in pieces of so many bytes, each an exact copy. Returns how many were walked, or -1. */
static long
walk(const struct row *r, size_t piece, struct body *b, struct buf *out, struct err *e)
{
	size_t at = 0;

	body_init(b, r->framing, r->length);
	while (at < r->len && !b->ended) {
		size_t n = r->len - at < piece ? r->len - at : piece, used, size;
		uint8_t *copy = memcpy(malloc(n), r->bytes + at, n);
		const uint8_t *data;
		int rc = body_walk(b, copy, n, &used, &data, &size, e);

		if (rc == 0 && size > 0)
			buf_add(out, data, size);
		free(copy);
		if (rc < 0)
			return -1;
		if (used == 0)
			return -2;
		at += used;
	}
	return (long)at;
}

static void
check_row(const struct row *r)
{
	for (size_t piece = 1; piece <= r->len; piece++) {
		struct buf out = { 0 };
		struct body b;
		struct err e = { 0 };
		long walked = walk(r, piece, &b, &out, &e);

		if (r->payload == NULL) {
			is_int(walked, -1, r->bytes);
			is_int(e.status, 400, "status");
			is_str(e.rule, "http-chunk", "rule");
			ok(strstr(e.text, r->says) != NULL, e.text);
		} else {
			is_int(walked, (long)(r->len - r->rest), r->bytes);
			is_str(buf_text(&out), r->payload, "payload");
			is_int(b.ended, r->ended, "ended");
		}
		buf_done(&out);
	}
}

/* Spans are handed out where they lie, one call for a chunk with its framing. */
static void
check_spans(void)
{
	static const uint8_t bytes[] = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\nGET";
	const uint8_t *data;
	size_t used, size;
	struct body b;
	struct err e;

	body_init(&b, HTTP_BODY_CHUNKED, 0);
	body_walk(&b, bytes, sizeof bytes - 1, &used, &data, &size, &e);
	is_int(used, 11, "a chunk, and the line of the next");
	ok(data == bytes + 3 && size == 3, "its payload in place");
	body_walk(&b, bytes + used, sizeof bytes - 1 - used, &used, &data, &size, &e);
	is_int(used, 11, "the last chunk and the end");
	ok(data == bytes + 11 && size == 4 && b.ended, "its payload in place");
	body_walk(&b, bytes, sizeof bytes - 1, &used, &data, &size, &e);
	ok(used == 0 && size == 0, "nothing is walked behind the end");
}

static void
check_put(void)
{
	struct buf b = { 0 };

	body_put_chunk(&b, "", 0);
	is_int(buf_len(&b), 0, "no empty chunk");
	body_put_chunk(&b, "0123456789abcdefg", 17);
	body_put_end(&b);
	is_str(buf_text(&b), "11\r\n0123456789abcdefg\r\n0\r\n\r\n", "a chunk and the end");
	buf_done(&b);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i]);
	check_spans();
	check_put();
	return tap_end();
}
