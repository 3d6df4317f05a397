#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * A request or response head, parsed strictly: http-parser behind a check of
 * the raw bytes (CRLF only, no folding, no space before ':', token names, one
 * Host, Content-Length or Transfer-Encoding but never both, HTTP/1.0 or 1.1,
 * origin-form only). Everything else is an error that a client gets as a 4xx
 * or 505 with a rule name; nothing is repaired. Pure.
 *
 * Limits: the head is at most HTTP_HEAD_MAX bytes and HTTP_FIELDS_MAX lines.
 */
enum { HTTP_HEAD_MAX = 64 * 1024, HTTP_FIELDS_MAX = 100, HTTP_METHOD_MAX = 24 };

enum http_method {
	HTTP_NONE = 0, /* any method that no route names */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
};

enum http_framing {
	HTTP_BODY_NONE = 0,
	HTTP_BODY_COUNTED, /* length bytes */
	HTTP_BODY_CHUNKED,
	HTTP_BODY_TO_EOF, /* responses only */
};

struct http_field {
	const char *name; /* lower case */
	const char *value;
};

struct http_head {
	unsigned minor;                    /* HTTP/1.minor: 0 or 1 */
	enum http_method method;           /* requests */
	char method_name[HTTP_METHOD_MAX]; /* requests: as received */
	const char *target;                /* requests: as received, visible ASCII */
	unsigned status;                   /* responses */
	enum http_framing framing;
	uint64_t length;     /* HTTP_BODY_COUNTED */
	int keep_alive;      /* what version and Connection say */
	int expect_continue; /* requests: Expect: 100-continue, the only one accepted (else 417) */
	int upgrade;         /* an Upgrade field is present, with or without Connection: never followed */
	size_t count;
	struct http_field fields[HTTP_FIELDS_MAX];
	char *text; /* what the strings above point into; wiped when it is given back */
	size_t text_size;
};

/*
 * Parses a head at the start of len bytes. Returns 0 when complete (*used is
 * its length), 1 when more bytes are needed, -1 with e->status 400, 414, 417,
 * 431, 501 or 505. It may be asked again with every byte that arrives: an
 * incomplete head costs one memchr() per line, and what is wrong at first sight
 * is refused before the end is there. A connection that opens with the HTTP/2 preface is
 * refused with rule "http2-preface" and a text that says what is spoken here.
 * Texts quote header names and framing values, never other values. The caller
 * calls http_head_done() after 0; after 1 and -1 h is empty.
 */
int http_request_parse(struct http_head *h, const void *bytes, size_t len, size_t *used, struct err *e);

/*
 * The same for an engine's response to method `asked`; 1xx is returned like any
 * other head. Errors have e->status 502. A response that has no body by rule
 * (to HEAD, 1xx, 204, 304) is HTTP_BODY_NONE, whatever its fields say.
 */
int http_response_parse(
    struct http_head *h, enum http_method asked, const void *bytes, size_t len, size_t *used, struct err *e);

/* The value of a field by lower-case name, or NULL. */
const char *http_field(const struct http_head *h, const char *name);

void http_head_done(struct http_head *h);

const char *http_method_name(enum http_method m);

/* The reason phrase of RFC 9110 for a status, "Unknown" otherwise. */
const char *http_reason(unsigned status);

#endif
