#include "io/transfer.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>

#include "base/mem.h"
#include "scratch.h"
#include "standin_web.h"
#include "tap.h"

static struct event_base *base;

struct outcome {
	int called;
	enum transfer_end end;
	unsigned status;
	char body[256], tag[64], why[512];
	uint64_t sent, received;
};

static void
on_end(void *arg, const struct transfer_result *r)
{
	struct outcome *o = arg;

	o->called++;
	o->end = r->end;
	o->status = r->status;
	o->sent = r->sent;
	o->received = r->received;
	(void)snprintf(o->body, sizeof o->body, "%s", buf_text(r->body));
	(void)transfer_header(r, "ETag", o->tag, sizeof o->tag);
	(void)snprintf(o->why, sizeof o->why, "%s", r->why.text);
}

/* One transfer to a server that does one step. */
struct row {
	const char *name;
	struct web_step step;
	const char *method;
	size_t length; /* of the body */
	enum transfer_end end;
	unsigned status;
	const char *says; /* the answer's body, or part of why */
};

#define OK_HEAD "HTTP/1.1 200 OK\r\nETag: \"x\"\r\n"

static const struct row rows[] = {
	{ "GET", { WEB_ANSWER, OK_HEAD "Content-Length: 5\r\n\r\nhello", 0 }, "GET", 0, TRANSFER_ANSWERED,
	    200, "hello" },
	{ "HEAD has no body", { WEB_ANSWER, OK_HEAD "Content-Length: 5\r\n\r\n", 0 }, "HEAD", 0,
	    TRANSFER_ANSWERED, 200, "" },
	{ "DELETE", { WEB_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", 0 }, "DELETE", 0, TRANSFER_ANSWERED, 204,
	    "" },
	{ "PUT", { WEB_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0 }, "PUT", 1000000, TRANSFER_ANSWERED,
	    200, "" },
	{ "PUT of nothing", { WEB_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0 }, "PUT", 0,
	    TRANSFER_ANSWERED, 200, "" },
	{ "POST", { WEB_ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0 },
	    "POST", 10, TRANSFER_ANSWERED, 200, "abc" },
	{ "a 100 before the answer",
	    { WEB_ANSWER,
	        "HTTP/1.1 100 Continue\r\nETag: \"no\"\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nhi", 0 },
	    "PUT", 10, TRANSFER_ANSWERED, 200, "hi" },
	{ "a redirect is an answer",
	    { WEB_ANSWER,
	        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: "
	        "0\r\n\r\n",
	        0 },
	    "PUT", 10, TRANSFER_ANSWERED, 307, "" },
	{ "so is an error", { WEB_CLOSE, "HTTP/1.1 503 Slow Down\r\nContent-Length: 3\r\n\r\nlow", 0 }, "GET",
	    0, TRANSFER_ANSWERED, 503, "low" },
	{ "too long an answer",
	    { WEB_CLOSE,
	        OK_HEAD "Content-Length: 101\r\n\r\n"
	                "012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
	                "4567890123456789X",
	        0 },
	    "GET", 0, TRANSFER_EXCESS, 200, "too long an answer from 127.0.0.1" },
	{ "too long an error is cut",
	    { WEB_CLOSE,
	        "HTTP/1.1 500 No\r\nContent-Length: 101\r\n\r\n"
	        "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
	        "23456789X",
	        0 },
	    "GET", 0, TRANSFER_ANSWERED, 500,
	    "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
	    "6789" },
	{ "closed without an answer", { WEB_CLOSE, NULL, 0 }, "PUT", 10, TRANSFER_CUT, 0,
	    "the connection was cut" },
	{ "closed within the head", { WEB_CLOSE, "HTTP/1.1 200 O", 0 }, "GET", 0, TRANSFER_CUT, 0,
	    "the connection was cut" },
	{ "closed behind the status", { WEB_CLOSE, "HTTP/1.1 200 OK\r\n", 0 }, "GET", 0, TRANSFER_CUT, 200,
	    "within the head of its answer" },
	{ "closed within a header", { WEB_CLOSE, OK_HEAD "Content-Le", 0 }, "PUT", 10, TRANSFER_CUT, 200,
	    "within the head of its answer" },
	{ "closed before the head's end", { WEB_CLOSE, OK_HEAD, 0 }, "PUT", 10, TRANSFER_CUT, 200,
	    "within the head of its answer" },
	{ "a chunked answer with a trailer",
	    { WEB_CLOSE, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", 0 },
	    "GET", 0, TRANSFER_ANSWERED, 200, "abc" },
	{ "closed within the body", { WEB_CLOSE, OK_HEAD "Content-Length: 5\r\n\r\nhel", 0 }, "GET", 0,
	    TRANSFER_CUT, 200, "the connection was cut" },
	{ "a chunked answer without its end",
	    { WEB_CLOSE, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0 }, "GET", 0,
	    TRANSFER_CUT, 200, "the connection was cut" },
	{ "no HTTP", { WEB_CLOSE, "SSH-2.0-OpenSSH\r\n", 0 }, "GET", 0, TRANSFER_CUT, 0,
	    "the connection was cut" },
	{ "a reset on the way", { WEB_RESET, NULL, 1000 }, "PUT", 30000000, TRANSFER_CUT, 0,
	    "the connection was cut" },
	{ "a peer that takes no more", { WEB_STALL, NULL, 1000 }, "PUT", 30000000, TRANSFER_STALLED, 0,
	    "too slow: 127.0.0.1" },
	{ "a peer that never answers", { WEB_SILENT, NULL, 0 }, "PUT", 1000, TRANSFER_STALLED, 0,
	    "no answer for" },
};

static char *
url_of(const struct web *w)
{
	return mem_printf("http://127.0.0.1:%d/a%%20b/../c?x=%%2F&uploads=", w->port);
}

static void
run(const struct row *t, struct transfer_ask *ask, struct outcome *o)
{
	struct web w;
	struct transfers *all = transfers_new(base);
	char *url;

	web_start(&w, &t->step, 1);
	url = url_of(&w);
	ask->method = t->method;
	ask->url = url;
	ask->headers = "x-amz-one: 1\nx-amz-two: a b\n";
	ask->length = t->length;
	ask->answer_max = 100;
	transfers_hurry(all, 0, 400, 600);
	*o = (struct outcome){ 0 };
	(void)transfer_start(all, ask, on_end, o);
	ok(!o->called, "never called from inside");
	event_base_dispatch(base);
	ok(strstr(w.requests[0].head, "/a%20b/../c?x=%2F&uploads= HTTP/1.1\r\n") != NULL, "the URL as it is");
	ok(strstr(w.requests[0].head, "x-amz-two: a b\r\n") != NULL &&
	        !strcasestr(w.requests[0].head, "expect:"),
	    "our headers, no Expect");
	if (o->end == TRANSFER_ANSWERED)
		is_int(w.requests[0].length, t->length, "the whole body");
	ok(memcmp(w.requests[0].body, "0123456789", w.requests[0].length < 10 ? w.requests[0].length : 10) ==
	        0,
	    "from its beginning");
	transfers_free(all);
	web_stop(&w);
	free(url);
}

static void
judge(const struct row *t, const struct outcome *o)
{
	is_int(o->called, 1, t->name);
	is_int(o->end, t->end, o->why);
	is_int(o->status, t->status, t->name);
	if (t->end != TRANSFER_ANSWERED) {
		ok(strstr(o->why, t->says) != NULL, o->why);
		ok(strchr(o->why, '?') == NULL, "no query in it");
		return;
	}
	is_str(o->body, t->says, t->name);
	if (t->status == 200)
		is_str(o->tag, "\"x\"", "a header");
	is_int(o->sent, t->length, "what was sent");
}

static void
fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)('0' + i % 10);
}

static void
test_rows(void)
{
	size_t most = 30000000;
	uint8_t *bytes = mem_new(most);
	char *path = scratch_path("body");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct outcome o;

	fill(bytes, most);
	if (write(fd, "skip", 4) != 4 || write(fd, bytes, most) != (ssize_t)most)
		exit(1);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct transfer_ask memory = { .bytes = bytes, .fd = -1 }, file = { .fd = fd, .offset = 4 };

		run(&rows[i], &memory, &o);
		judge(&rows[i], &o);
		run(&rows[i], &file, &o);
		judge(&rows[i], &o);
	}
	close(fd);
	free(path);
	free(bytes);
}

static int
take(void *arg, const void *bytes, size_t len)
{
	struct outcome *o = arg;

	(void)strncat(o->tag, bytes, len < 20 ? len : 20);
	return memchr(bytes, '!', len) != NULL;
}

static void
test_sink(void)
{
	static const struct row good = { "a sink",
		{ WEB_ANSWER, OK_HEAD "Content-Length: 5\r\n\r\nhello", 0 }, "GET", 0, TRANSFER_ANSWERED, 200,
		"" };
	static const struct row bad = { "it refuses", { WEB_CLOSE, OK_HEAD "Content-Length: 2\r\n\r\nh!", 0 },
		"GET", 0, TRANSFER_EXCESS, 200, "" };
	static const struct row other = { "an error is not for it",
		{ WEB_CLOSE, "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nwhat", 0 }, "GET", 0,
		TRANSFER_ANSWERED, 404, "what" };
	struct transfer_ask ask = { .sink = take, .fd = -1 };
	struct outcome o;

	run(&good, &ask, &o);
	is_str(o.body, "", "nothing is kept");
	is_int(o.received, 5, "what came is counted");
	run(&bad, &ask, &o);
	is_int(o.end, TRANSFER_EXCESS, "a sink may refuse");
	run(&other, &ask, &o);
	is_str(o.body, "what", "an error's text is not for the sink");
}

static void
ask_for(const char *url, enum transfer_end end, const char *says)
{
	struct transfers *all = transfers_new(base);
	struct transfer_ask ask = { .method = "GET", .url = url, .fd = -1, .answer_max = 100 };
	struct outcome o = { 0 };

	(void)transfer_start(all, &ask, on_end, &o);
	event_base_dispatch(base);
	is_int(o.end, end, url);
	ok(strstr(o.why, says) != NULL, o.why);
	transfers_free(all);
}

/* The peer ends a kept-alive connection without an answer: whether it is asked again is not for libcurl to
 * say.
 */
static void
test_never_repeated(const char *method, size_t length)
{
	struct web_step steps[] = { { WEB_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0 },
		{ WEB_CLOSE, NULL, 0 }, { WEB_ANSWER, OK_HEAD "Content-Length: 2\r\n\r\nok", 0 } };
	struct transfers *all = transfers_new(base);
	struct outcome o = { 0 };
	struct web w;
	char *url;
	struct transfer_ask ask = {
		.method = method, .bytes = "0123456789", .length = length, .fd = -1, .answer_max = 100
	};

	if (method[1] == 'O')
		steps[0].act = WEB_CLOSE; /* a POST takes a connection of its own: the server has only one */
	transfers_hurry(all, 0, 2000, 2000);
	web_start(&w, steps, 3);
	ask.url = url = url_of(&w);
	for (int i = 0; i < 3; i++) {
		(void)transfer_start(all, &ask, on_end, &o);
		event_base_dispatch(base);
		is_int(o.end, i == 1 ? TRANSFER_CUT : TRANSFER_ANSWERED, o.why);
		is_int(atomic_load(&w.asked), i + 1, method);
	}
	is_str(o.body, "ok", "the third answer");
	transfers_free(all);
	web_stop(&w);
	free(url);
}

static void
test_cancel(void)
{
	static const struct web_step steps[] = { { WEB_SILENT, NULL, 0 } };
	struct transfers *all = transfers_new(base);
	struct outcome o = { 0 };
	struct web w;
	char *url;
	struct transfer_ask ask = { .method = "PUT", .bytes = "0123456789", .length = 10, .fd = -1 };
	struct transfer *t;

	web_start(&w, steps, 1);
	ask.url = url = url_of(&w);
	t = transfer_start(all, &ask, on_end, &o);
	while (atomic_load(&w.asked) == 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ok(transfer_sent(t) <= 10 && transfer_received(t) == 0, "progress");
	transfer_cancel(t);
	transfer_cancel(NULL);
	event_base_dispatch(base);
	is_int(o.called, 0, "cancelled: no callback, and nothing keeps the loop");
	transfers_free(all);
	web_stop(&w);
	free(url);
}

/* A file that became shorter is no reason to send less. */
static void
test_short_file(void)
{
	static const struct web_step steps[] = { { WEB_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0 } };
	struct transfers *all = transfers_new(base);
	struct outcome o = { 0 };
	char *path = scratch_path("short"), *url;
	struct web w;
	struct transfer_ask ask = { .method = "PUT", .length = 10 };

	scratch_write("short", "four");
	ask.fd = open(path, O_RDONLY | O_CLOEXEC);
	web_start(&w, steps, 1);
	ask.url = url = url_of(&w);
	(void)transfer_start(all, &ask, on_end, &o);
	event_base_dispatch(base);
	is_int(o.end, TRANSFER_IMPOSSIBLE, o.why);
	ok(strstr(o.why, "cannot read what is to be sent") != NULL, o.why);
	close(ask.fd);
	transfers_free(all);
	web_stop(&w);
	free(url);
	free(path);
}

static void
test_header(void)
{
	struct transfer_result r = {
		.head = "HTTP/1.1 200 OK\r\nEmpty:\r\nA-B:  two words \r\na-b: second\r\n\r\n"
	};
	char out[12];

	ok(transfer_header(&r, "a-b", out, sizeof out), "any case");
	is_str(out, "two words", "trimmed, the first");
	ok(!transfer_header(&r, "a", out, sizeof out), "whole names only");
	ok(transfer_header(&r, "empty", out, sizeof out) && out[0] == '\0', "an empty one");
	ok(!transfer_header(&r, "a-b", out, 9) && out[0] == '\0', "one that does not fit");
}

int
main(void)
{
	(void)unsetenv("http_proxy");
	(void)signal(SIGPIPE, SIG_IGN);
	scratch_make();
	base = event_base_new();
	test_rows();
	test_sink();
	ask_for("http://127.0.0.1:1/?secret", TRANSFER_UNREACHABLE, "cannot reach 127.0.0.1:1: ");
	ask_for("http://no-such-host.invalid/x", TRANSFER_UNREACHABLE, "cannot reach no-such-host.invalid: ");
	ask_for("file:///etc/passwd", TRANSFER_IMPOSSIBLE, "cannot send a request to");
	ask_for("no url", TRANSFER_IMPOSSIBLE, "cannot send a request to");
	test_never_repeated("PUT", 10);
	test_never_repeated("POST", 10);
	test_never_repeated("POST", 0);
	test_cancel();
	test_short_file();
	test_header();
	event_base_free(base);
	scratch_remove();
	return tap_end();
}
