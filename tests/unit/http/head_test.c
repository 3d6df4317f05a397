#include "http/head.h"

#include <stdlib.h>

#include "base/err.h"
#include "tap.h"

/* An exact copy, so that ASan sees a read of one byte too many. */
static void *
copy(const void *bytes, size_t len)
{
	return memcpy(calloc(1, len ? len : 1), bytes, len);
}

static int
parse_request(struct http_head *h, const char *bytes, size_t len, size_t *used, struct err *e)
{
	void *c = copy(bytes, len);
	int rc = http_request_parse(h, c, len, used, e);

	free(c);
	return rc;
}

static int
parse_response(
    struct http_head *h, enum http_method asked, const char *bytes, size_t len, size_t *used, struct err *e)
{
	void *c = copy(bytes, len);
	int rc = http_response_parse(h, asked, c, len, used, e);

	free(c);
	return rc;
}

#define BYTES(s) (s), sizeof(s) - 1
#define POST "POST /x HTTP/1.1\r\nHost: d\r\n"
#define GET "GET /_ping HTTP/1.1\r\n"

/* What must parse, as it came from clients (shortened), and what it means. Body bytes may follow. */
static const struct good {
	const char *bytes;
	size_t len;
	const char *target;
	enum http_method method;
	const char *name;
	unsigned minor;
	enum http_framing framing;
	uint64_t length;
	int keep_alive, expect, upgrade;
	size_t fields;
} good[] = {
	{ BYTES("HEAD /_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24+dfsg1 "
	        "(linux)\r\n\r\n"),
	    "/_ping", HTTP_HEAD, "HEAD", 1, HTTP_BODY_NONE, 0, 1, 0, 0, 2 },
	{ BYTES("GET /v1.41/_ping HTTP/1.1\r\nHost: docker\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n"),
	    "/v1.41/_ping", HTTP_GET, "GET", 1, HTTP_BODY_NONE, 0, 1, 0, 0, 3 },
	{ BYTES("POST /v1.41/build?t=a%3Ab HTTP/1.1\r\nHost: api.moby.localhost\r\nTransfer-Encoding: "
	        "chunked\r\n"
	        "Content-Type: application/x-tar\r\nX-Registry-Config: bnVsbA==\r\n\r\n5\r\n"),
	    "/v1.41/build?t=a%3Ab", HTTP_POST, "POST", 1, HTTP_BODY_CHUNKED, 0, 1, 0, 0, 4 },
	{ BYTES("POST /build HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: "
	        "1048577\r\n\r\n"),
	    "/build", HTTP_POST, "POST", 1, HTTP_BODY_COUNTED, 1048577, 1, 1, 0, 3 },
	{ BYTES("POST /session HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * "
	        "HTTP/2.0\r\n"),
	    "/session", HTTP_POST, "POST", 1, HTTP_BODY_NONE, 0, 1, 0, 1, 3 },
	{ BYTES("POST /grpc HTTP/1.1\r\nHost:\r\nUpgrade: h2c\r\n\r\n"), "/grpc", HTTP_POST, "POST", 1,
	    HTTP_BODY_NONE, 0, 1, 0, 1, 2 },
	{ BYTES("DELETE /images/a:1?force=False HTTP/1.1\r\nhost: localhost\r\nconnection: x, Close\r\n\r\n"),
	    "/images/a:1?force=False", HTTP_DELETE, "DELETE", 1, HTTP_BODY_NONE, 0, 0, 0, 0, 2 },
	{ BYTES("PUT /v1/tasks HTTP/1.1\r\nhost:d\r\nContent-Length:\t0 \r\n\r\n"), "/v1/tasks", HTTP_PUT,
	    "PUT", 1, HTTP_BODY_COUNTED, 0, 1, 0, 0, 2 },
	{ BYTES("GET /version HTTP/1.0\r\n\r\n"), "/version", HTTP_GET, "GET", 0, HTTP_BODY_NONE, 0, 0, 0, 0,
	    0 },
	{ BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n\r\n"), "/", HTTP_GET,
	    "GET", 0, HTTP_BODY_NONE, 0, 1, 0, 0, 2 },
	{ BYTES(GET "Host: %2Fvar%2Frun%2Fdocker.sock\r\nConnection: keep-alive, close\r\n\r\n"), "/_ping",
	    HTTP_GET, "GET", 1, HTTP_BODY_NONE, 0, 0, 0, 0, 2 },
	{ BYTES(GET "Host: [::1]:80\r\nX-A: \xff\xfe\r\nX-B:\r\nX-C: \t a \t b \t \r\n\r\n"), "/_ping",
	    HTTP_GET, "GET", 1, HTTP_BODY_NONE, 0, 1, 0, 0, 4 },
	{ BYTES("PATCH /x HTTP/1.1\r\nHost: d\r\n\r\n"), "/x", HTTP_NONE, "PATCH", 1, HTTP_BODY_NONE, 0, 1, 0,
	    0, 1 },
	{ BYTES("M-SEARCH /x HTTP/1.1\r\nHost: d\r\n\r\n"), "/x", HTTP_NONE, "M-SEARCH", 1, HTTP_BODY_NONE, 0,
	    1, 0, 0, 1 },
	{ BYTES("FOO /x#y;z%zz HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc"), "/x#y;z%zz", HTTP_NONE,
	    "FOO", 1, HTTP_BODY_COUNTED, 3, 1, 0, 0, 2 },
	{ BYTES("GET /a?b HTTP/1.1\r\nHost: d\r\nContent-Length: 9223372036854775807\r\n\r\n"), "/a?b",
	    HTTP_GET, "GET", 1, HTTP_BODY_COUNTED, INT64_MAX, 1, 0, 0, 2 },
	/* aliases and nominations mean nothing here */
	{ BYTES(POST "Content_Length: 9\r\nTransfer_Encoding: chunked\r\nConnection: Content-Length\r\n"
	             "Content-Length: 1\r\n\r\n"),
	    "/x", HTTP_POST, "POST", 1, HTTP_BODY_COUNTED, 1, 1, 0, 0, 5 },
};

static void
check_good(const struct good *g)
{
	const char *end = strstr(g->bytes, "\r\n\r\n");
	size_t head = (size_t)(end - g->bytes) + 4, used = 0, early = 0;
	struct http_head h;
	struct err e;

	for (size_t n = 0; n < head; n++)
		early += parse_request(&h, g->bytes, n, &used, &e) != 1 || h.text != NULL;
	is_int(early, 0, "every shorter prefix needs more");
	for (size_t n = head; n <= g->len; n++) {
		if (!is_int(parse_request(&h, g->bytes, n, &used, &e), 0, g->bytes)) {
			printf("# %s\n", e.text);
			return;
		}
		is_int(used, head, "length of the head");
		is_str(h.target, g->target, "target");
		is_int(h.method, g->method, "method");
		is_str(h.method_name, g->name, "method name");
		is_int(h.minor, g->minor, "minor");
		is_int(h.framing, g->framing, "framing");
		is_int(h.length, g->length, "length");
		is_int(h.keep_alive, g->keep_alive, "keep_alive");
		is_int(h.expect_continue, g->expect, "expect_continue");
		is_int(h.upgrade, g->upgrade, "upgrade");
		is_int(h.count, g->fields, "fields");
		http_head_done(&h);
	}
}

/* What must not; most rows are what the engine or http-parser alone accepts. */
static const struct bad {
	const char *bytes;
	size_t len;
	int status;
	const char *rule;
} bad[] = {
	/* the request line */
	{ BYTES("\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("\nGET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"), 400, "http-method" },
	{ BYTES(" GET / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("get / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("GeT / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("G\0ET / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("G\tET / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("\x16\x03\x01\x02"), 400, "http-method" },
	{ BYTES("ABCDEFGHIJKLMNOPQRSTUVWX"), 501, "http-method" },
	{ BYTES("CONNECT /x HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("CONNECT //containers/json HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"), 505, "http2-preface" },
	{ BYTES("GET /_ping\r\n"), 400, "http-request-line" },
	{ BYTES("GET\r\n"), 400, "http-method" },
	{ BYTES("GET /_ping \r\n"), 400, "http-request-line" },
	{ BYTES("GET /_ping HTTP/1.1 \r\n"), 400, "http-request-line" },
	{ BYTES("GET  HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-request-line" },
	{ BYTES("GET  / HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /  HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /a b HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /a\tb HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /a\0b HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /a\x7f HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /v1.41/images/\xff/json HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET /a\rb HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET\t/ HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-method" },
	{ BYTES("GET * HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET http://x/containers/json HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET unix:///images/json HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET x:/images/json HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	{ BYTES("GET ?a HTTP/1.1\r\nHost: d\r\n\r\n"), 400, "http-target" },
	/* versions */
	{ BYTES("GET / HTTP/1.2\r\n"), 505, "http-version" },
	{ BYTES("GET / HTTP/0.9\r\n"), 505, "http-version" },
	{ BYTES("GET / HTTP/2.0\r\n"), 505, "http-version" },
	{ BYTES("GET / HTTP/3.0\r\n"), 505, "http-version" },
	{ BYTES("GET / HTTP/1.01\r\n"), 400, "http-request-line" },
	{ BYTES("GET / HTTP/1.\r\n"), 400, "http-request-line" },
	{ BYTES("GET / HTTP/1,1\r\n"), 400, "http-version" },
	{ BYTES("GET / http/1.1\r\n"), 400, "http-version" },
	{ BYTES("GET / ICE_/1.1\r\n"), 400, "http-version" },
	/* line ends and folding */
	{ BYTES("GET / HTTP/1.1\n"), 400, "http-line-end" },
	{ BYTES("GET / HTTP/1.1\r\nHost: d\nX-A: b\r\n\r\n"), 400, "http-line-end" },
	{ BYTES("GET / HTTP/1.1\r\nHost: d\r\nX: a\n\n"), 400, "http-line-end" },
	{ BYTES("GET / HTTP/1.1\r\nHost: d\r\n\nGET /containers/json HTTP/1.1\r\n\r\n"), 400,
	    "http-line-end" },
	{ BYTES(GET "Host: docker\r\nX-A: a\rContent-Length: 5\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX-A: a\r\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX-A: b\r\n c\r\n\r\n"), 400, "http-folding" },
	{ BYTES(GET "Host: docker\r\nX-A:\r\n\tc\r\n\r\n"), 400, "http-folding" },
	{ BYTES(GET " Host: d\r\nHost: e\r\n\r\n"), 400, "http-folding" },
	{ BYTES(POST "Transfer-Encoding:\r\n chunked\r\n\r\n"), 400, "http-folding" },
	/* fields */
	{ BYTES(POST "Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 400, "http-field" },
	{ BYTES(POST "Content-Length\t: 3\r\n\r\nabc"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nfoo\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\n: x\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX(A): b\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX\xff: b\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX\0A: b\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX-A: a\0b\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nX-A: a\x7f\r\n\r\n"), 400, "http-field" },
	{ BYTES(GET "Host: docker\r\nUser-Agent: \x1b[2J\x1b]0;pwn\x07\r\n\r\n"), 400, "http-field" },
	/* Host */
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), 400, "http-host" },
	{ BYTES(GET "Host: a\r\nhost: a\r\n\r\n"), 400, "http-field-twice" },
	{ BYTES(GET "Host:\r\nHost:\r\n\r\n"), 400, "http-field-twice" },
	{ BYTES("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400, "http-field-twice" },
	{ BYTES(GET "Host: a b\r\n\r\n"), 400, "http-host" },
	{ BYTES(GET "Host: a\"b\r\n\r\n"), 400, "http-host" },
	{ BYTES(GET "Host: a@b\r\n\r\n"), 400, "http-host" },
	{ BYTES(GET "Host: /run/docker.sock\r\n\r\n"), 400, "http-host" },
	{ BYTES(GET "Host: \xc3\xa4\r\n\r\n"), 400, "http-host" },
	/* Content-Length */
	{ BYTES(POST "Content-Length: 3,3\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 3 3\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 3e0\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 0x3\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: +3\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: -3\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 03\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 00\r\n\r\n"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 3;x\r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: \xa0"
	             "3\r\n\r\nabc"),
	    400, "http-content-length" },
	{ BYTES(POST "Content-Length: \r\n\r\nabc"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 9223372036854775808\r\n\r\n"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 18446744073709551619\r\n\r\n"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 99999999999999999999999\r\n\r\n"), 400, "http-content-length" },
	{ BYTES(POST "Content-Length: 00000000000000000000000000003\r\n\r\nabc"), 400,
	    "http-content-length" },
	{ BYTES(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400, "http-framing" },
	{ BYTES(POST "Content-Length: 3\r\nX: y\r\ncontent-length: 0\r\n\r\nabc"), 400, "http-framing" },
	/* Transfer-Encoding */
	{ BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), 400, "http-framing" },
	{ BYTES(POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "http-framing" },
	{ BYTES(POST "Content-Length: 4\r\nTransfer-Encoding: identity\r\n\r\n"), 400, "http-framing" },
	{ BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: identity, chunked\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: ,chunked\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: chunked,\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: chunkedx\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: \xa0"
	             "chunked\xa0\r\n\r\n"),
	    501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding:\r\n\r\n"), 501, "http-transfer-encoding" },
	{ BYTES(POST "Transfer-Encoding: chunked\0\r\n\r\n"), 400, "http-field" },
	{ BYTES(POST "Transfer-Encoding: \x0b"
	             "chunked\r\n\r\n"),
	    400, "http-field" },
	{ BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
	    "http-field-twice" },
	{ BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 501,
	    "http-transfer-encoding" },
	{ BYTES("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "http-transfer-encoding" },
	{ BYTES(POST "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "http-trailer" },
	/* Expect */
	{ BYTES(POST "Expect: foo\r\nContent-Length: 0\r\n\r\n"), 417, "http-expect" },
	{ BYTES(POST "Expect: 100-continue, foo\r\nContent-Length: 0\r\n\r\n"), 417, "http-expect" },
	{ BYTES(POST "Expect:\r\nContent-Length: 0\r\n\r\n"), 417, "http-expect" },
	{ BYTES(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), 400, "http-field-twice" },
};

/* A prefix may be refused early, but is never taken; a refusal stays one. */
static void
check_bad(const struct bad *b)
{
	size_t used = 0, taken = 0, undone = 0;
	struct http_head h;
	struct err e = { 0 };
	int rc = 0, last = 1;

	for (size_t n = 0; n <= b->len; n++) {
		rc = parse_request(&h, b->bytes, n, &used, &e);
		taken += rc == 0;
		undone += last < 0 && rc >= 0;
		last = rc;
		if (rc == 0)
			http_head_done(&h);
	}
	if (!is_int(rc, -1, b->bytes))
		return;
	is_int(taken, 0, "no prefix is taken");
	is_int(undone, 0, "a refusal stays one");
	is_int(e.status, b->status, "status");
	is_str(e.rule, b->rule, "rule");
	if (strlen(e.text) < 20 || h.text != NULL)
		ok(0, "explained, and nothing kept");
}

static const struct {
	const char *bytes;
	size_t len;
	enum http_method asked;
	unsigned status; /* 0: refused */
	enum http_framing framing;
	uint64_t length;
} responses[] = {
	{ BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"), HTTP_GET, 200, HTTP_BODY_COUNTED, 2 },
	{ BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), HTTP_HEAD, 200, HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_POST, 200, HTTP_BODY_CHUNKED,
	    0 },
	{ BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_HEAD, 200, HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.0 200 OK\r\nContent-Type: application/x-tar\r\n\r\n"), HTTP_GET, 200,
	    HTTP_BODY_TO_EOF, 0 },
	{ BYTES("HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"), HTTP_POST, 204, HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), HTTP_GET, 304, HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_POST, 100, HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"), HTTP_POST, 101,
	    HTTP_BODY_NONE, 0 },
	{ BYTES("HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n"), HTTP_GET, 500, HTTP_BODY_COUNTED, 0 },
	{ BYTES("HTTP/1.1 403 s\xc3\xb6\tx\r\n\r\n"), HTTP_GET, 403, HTTP_BODY_TO_EOF, 0 },
	{ BYTES("HTTP/1.1 200\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1  200 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 20 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 2000 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 +20 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 099 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 600 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/2.0 200 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.2 200 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("ICY 200 OK\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\n\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 O\rK\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_GET, 0, 0,
	    0 },
	{ BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_GET, 0, 0, 0 },
	{ BYTES("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), HTTP_HEAD, 0, 0, 0 },
};

static void
check_response(size_t row)
{
	const char *bytes = responses[row].bytes;
	struct http_head h;
	struct err e = { 0 };
	size_t used = 0, taken = 0;
	int rc;

	for (size_t n = 0; n < responses[row].len && (n < 4 || memcmp(bytes + n - 4, "\r\n\r\n", 4) != 0);
	     n++) {
		rc = parse_response(&h, responses[row].asked, bytes, n, &used, &e);
		taken += rc == 0;
	}
	rc = parse_response(&h, responses[row].asked, bytes, responses[row].len, &used, &e);
	is_int(taken, 0, "no shorter prefix is taken");
	is_int(rc, responses[row].status == 0 ? -1 : 0, bytes);
	if (rc < 0) {
		is_int(e.status, 502, "an engine's mistake is a 502");
		ok(e.rule != NULL && strlen(e.text) > 30, "with a rule and a text");
		return;
	}
	is_int(h.status, responses[row].status, "status");
	is_int(h.framing, responses[row].framing, "framing");
	is_int(h.length, responses[row].length, "length");
	http_head_done(&h);
}

/* "start", then so many times "line", then "end". */
static char *
repeat(const char *first, const char *line, size_t times, const char *end, size_t *len)
{
	size_t a = strlen(first), b = strlen(line), c = strlen(end);
	char *s = malloc(a + b * times + c), *p = s + a;

	memcpy(s, first, a);
	for (size_t i = 0; i < times; i++, p += b)
		memcpy(p, line, b);
	memcpy(p, end, c);
	*len = a + b * times + c;
	return s;
}

static const struct {
	const char *what, *first, *line;
	size_t times;
	const char *end;
	int rc, status;
} sizes[] = {
	{ "100 lines", GET "Host: d\r\n", "X: y\r\n", 99, "\r\n", 0, 0 },
	{ "101 lines", GET "Host: d\r\n", "X: y\r\n", 100, "\r\n", -1, 431 },
	{ "lines without end", GET "Host: d\r\n", "X: y\r\n", 2000, "", -1, 431 },
	{ "a long value", GET "Host: d\r\nX: ", "y", 60000, "\r\n\r\n", 0, 0 },
	{ "65536 bytes", GET "Host: d\r\nX: ", "y", 65536 - 37, "\r\n\r\n", 0, 0 },
	{ "65537 bytes", GET "Host: d\r\nX: ", "y", 65536 - 36, "\r\n\r\n", -1, 431 },
	{ "65536 bytes and no end", GET "Host: d\r\nX: ", "y", 65536 - 33, "", -1, 431 },
	{ "65535 bytes and no end", GET "Host: d\r\nX: ", "y", 65535 - 33, "", 1, 0 },
	{ "the longest target", "GET /", "y", 60 * 1024 - 1, " HTTP/1.1\r\nHost: d\r\n\r\n", 0, 0 },
	{ "too long a target", "GET /", "y", 60 * 1024, " HTTP/1.1\r\nHost: d\r\n\r\n", -1, 414 },
	{ "a target without end", "GET /", "y", 62000, "", -1, 414 },
	{ "a megabyte of target", "GET /", "y", 1 << 20, " HTTP/1.1\r\nHost: d\r\n\r\n", -1, 414 },
	{ "a value of blanks", GET "Host: d\r\nX:", " ", 60000, "\r\n\r\n", 0, 0 },
};

static void
check_sizes(void)
{
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct http_head h;
		struct err e = { 0 };
		size_t len, used = 0;
		char *s = repeat(sizes[i].first, sizes[i].line, sizes[i].times, sizes[i].end, &len);

		is_int(http_request_parse(&h, s, len, &used, &e), sizes[i].rc, sizes[i].what);
		is_int(e.status, sizes[i].status, "its status");
		if (sizes[i].rc == 0) {
			is_int(used, len, "all of it");
			http_head_done(&h);
		}
		free(s);
	}
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG_LINE "X: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN "\r\n"

/* 64 KiB that come one byte at a time: 65536 calls that each look at what is there. */
static void
check_slow_head(void)
{
	size_t len, used = 0, wrong = 0;
	char *s = repeat(GET "Host: d\r\n", LONG_LINE, 99, "\r\n", &len);
	struct http_head h;
	struct err e;

	for (size_t n = 0; n < len; n++)
		wrong += http_request_parse(&h, s, n, &used, &e) != 1;
	is_int(wrong, 0, "a large head may come byte by byte");
	is_int(http_request_parse(&h, s, len, &used, &e), 0, "and is taken in the end");
	http_head_done(&h);
	free(s);
}

static void
check_fields(void)
{
	struct http_head h;
	struct err e;
	size_t used;

	parse_request(&h,
	    BYTES(GET "Host: d\r\nX-A: \t one \t two\t \r\nx-a: second\r\nX-Empty:\r\nX-Blank:  \r\n\r\n"),
	    &used, &e);
	is_str(http_field(&h, "x-a"), "one \t two", "the first value, without the blanks around it");
	is_str(h.fields[2].value, "second", "a second one is kept");
	is_str(h.fields[2].name, "x-a", "names are lower case");
	is_str(http_field(&h, "x-empty"), "", "an empty value");
	is_str(http_field(&h, "x-blank"), "", "a value of blanks is empty");
	is_str(http_field(&h, "x-none"), NULL, "no such field");
	http_head_done(&h);
	http_head_done(&h);
}

/* Credentials come in headers: no text may carry them into a log. */
static void
check_secrets(void)
{
	static const char *const heads[] = {
		GET "Host: d\r\nX-Registry-Auth: S3CR3T\x01\r\n\r\n",
		GET "Host: d\r\nX-Registry-Auth : S3CR3T\r\n\r\n",
		GET "Host: d\r\nX-Registry-Auth:\r\n S3CR3T\r\n\r\n",
		GET "Host: d\r\nX-Registry-Auth: a\r\nS3CR3T\r\n\r\n",
		GET "Host: d\r\nX-Registry-Auth: S3CR3T\nx: y\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		struct http_head h;
		struct err e = { 0 };
		size_t used;

		is_int(parse_request(&h, heads[i], strlen(heads[i]), &used, &e), -1, "refused");
		ok(strstr(e.text, "S3CR3T") == NULL, e.text);
	}
}

int
main(void)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		check_good(&good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check_bad(&bad[i]);
	for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++)
		check_response(i);
	check_sizes();
	check_slow_head();
	check_fields();
	check_secrets();
	is_str(http_method_name(HTTP_DELETE), "DELETE", "method name");
	is_str(http_method_name(HTTP_NONE), "NONE", "no method");
	is_str(http_reason(417), "Expectation Failed", "reason");
	is_str(http_reason(299), "Unknown", "unknown reason");
	return tap_end();
}
