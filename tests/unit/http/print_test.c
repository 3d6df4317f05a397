#include "http/print.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tap.h"

static void
is_buf(struct buf *b, const char *want, const char *name)
{
	is_str(buf_text(b), want, name);
	buf_clear(b);
}

static void
check_target(struct buf *b)
{
	http_print_path(b, "/images/a:1@x/b c%?#\xff/~_-.", 26);
	is_buf(b, "/images/a:1@x/b%20c%25%3F%23%FF/~_-.", "a path");
	http_print_path(b, "a\0b", 3);
	is_buf(b, "a%00b", "a NUL in a path");
	buf_adds(b, "/build");
	http_print_pair(b, "t", "a/b:1", 5);
	http_print_pair(b, "build args", "{\"A\":\"\xc3\xa4 +;&=\"}", 15);
	http_print_pair(b, "n", "\0", 1);
	http_print_pair(b, "e", "", 0);
	is_buf(b, "/build?t=a%2Fb%3A1&build%20args=%7B%22A%22%3A%22%C3%A4%20%2B%3B%26%3D%22%7D&n=%00&e=",
	    "a query");
	http_print_pair(b, "a", "b", 1);
	is_buf(b, "?a=b", "a query alone");
}

static void
check_request(struct buf *b)
{
	http_print_request(b, HTTP_GET, "/v1.41/version", HTTP_BODY_NONE, 0, NULL, NULL);
	is_buf(b,
	    "GET /v1.41/version HTTP/1.1\r\nHost: docker\r\nUser-Agent: dind-proxy\r\nConnection: "
	    "close\r\n\r\n",
	    "a GET");
	http_print_request(
	    b, HTTP_POST, "/v1.41/build", HTTP_BODY_CHUNKED, 0, "application/x-tar", "A: b\r\n");
	is_buf(b,
	    "POST /v1.41/build HTTP/1.1\r\nHost: docker\r\nUser-Agent: dind-proxy\r\nConnection: close\r\n"
	    "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n",
	    "a POST in chunks");
	http_print_request(b, HTTP_DELETE, "/x", HTTP_BODY_COUNTED, UINT64_MAX, NULL, NULL);
	is_buf(b,
	    "DELETE /x HTTP/1.1\r\nHost: docker\r\nUser-Agent: dind-proxy\r\nConnection: close\r\n"
	    "Content-Length: 18446744073709551615\r\n\r\n",
	    "a length");
}

static const struct {
	unsigned minor, status;
	enum http_framing framing;
	uint64_t length;
	const char *type;
	int keep_alive;
	const char *extra, *want;
} responses[] = {
	{ 1, 200, HTTP_BODY_COUNTED, 2, "text/plain", 1, "Api-Version: 1.41\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nApi-Version: 1.41\r\n\r\n" },
	{ 1, 200, HTTP_BODY_CHUNKED, 0, NULL, 0, NULL,
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 0, 200, HTTP_BODY_TO_EOF, 0, NULL, 1, NULL, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" },
	{ 0, 201, HTTP_BODY_COUNTED, 0, NULL, 1, NULL,
	    "HTTP/1.0 201 Created\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n" },
	{ 1, 204, HTTP_BODY_NONE, 0, NULL, 1, NULL, "HTTP/1.1 204 No Content\r\n\r\n" },
	{ 1, 100, HTTP_BODY_NONE, 0, NULL, 0, NULL, "HTTP/1.1 100 Continue\r\n\r\n" },
	{ 1, 299, HTTP_BODY_NONE, 0, NULL, 1, NULL, "HTTP/1.1 299 Unknown\r\n\r\n" },
};

static void
check_responses(struct buf *b)
{
	for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
		http_print_response(b, responses[i].minor, responses[i].status, responses[i].framing,
		    responses[i].length, responses[i].type, responses[i].keep_alive, responses[i].extra);
		is_buf(b, responses[i].want, "a response");
	}
}

/* The answer parses, its length is true, its body is ASCII JSON with the message; returns the message. */
static void
check_error(struct buf *b, const char *rule, const char *text, const char *want)
{
	struct http_head h;
	struct err e;
	size_t used, length, ascii = 1;
	json_t *v;

	buf_clear(b);
	http_print_error(b, 1, 403, rule, text, 0, 0);
	if (!is_int(
	        http_response_parse(&h, HTTP_GET, buf_ptr(b), buf_len(b), &used, &e), 0, "an error answer"))
		return;
	length = (size_t)h.length;
	is_int(h.status, 403, "its status");
	is_int(h.keep_alive, 0, "Connection: close");
	is_str(http_field(&h, "content-type"), "application/json", "its type");
	http_head_done(&h);
	is_int(length, buf_len(b) - used, "its length");
	for (size_t i = used; i < buf_len(b); i++)
		ascii &= buf_ptr(b)[i] < 0x80;
	ok(ascii, "its body is ASCII");
	v = json_parse(buf_ptr(b) + used, length, &e);
	is_str(json_str(v, "message", NULL), want, "its message");
	json_decref(v);
	buf_clear(b);
}

static const struct {
	const char *rule, *text, *want;
} errors[] = {
	{ "image-tag", "no", "no (rule: image-tag)" },
	{ NULL, "", "" },
	{ NULL, "a \"b\" \\ \n \x01 \x7f", "a \"b\" \\ \n \x01 \x7f" },
	{ NULL, "ä€🐳", "ä€🐳" },
	{ "r", "cut: \xf0\x9f\x90", "cut: ??? (rule: r)" },
	{ NULL, "\xff\xc3x\xed\xa0\x80|\xc0\xaf", "??x???|??" },
};

int
main(void)
{
	struct buf b = { 0 };

	check_target(&b);
	check_request(&b);
	check_responses(&b);
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		check_error(&b, errors[i].rule, errors[i].text, errors[i].want);
	http_print_error(&b, 0, 404, NULL, "No such image", 1, 1);
	is_buf(&b,
	    "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
	    "Content-Length: 28\r\n\r\n",
	    "an answer to HEAD has the length and no body");
	buf_done(&b);
	return tap_end();
}
