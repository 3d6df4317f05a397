#include "io/pump.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "archive/tar.h"
#include "base/err.h"
#include "base/filter.h"
#include "base/mem.h"
#include "docker/image.h"
#include "io/loop.h"
#include "io/stream.h"
#include "tap.h"

/* A pump between two socketpairs; the test holds the outer ends. */
struct rig {
	struct loop *loop;
	int in, out; /* ours: what is written to in comes out of out */
	struct stream *from, *to;
	struct pump pump;
	int rc;
	struct err e;
};

static void
on_change(void *arg)
{
	struct rig *r = arg;

	if (r->rc == PUMP_WAIT && r->pump.from != NULL)
		r->rc = pump_run(&r->pump, &r->e);
}

static void
rig_open(struct rig *r, enum http_framing in, uint64_t length, struct filter *f, enum http_framing out)
{
	int a[2], b[2];

	*r = (struct rig){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, b) < 0)
		abort();
	r->loop = loop_new();
	r->in = a[0];
	r->out = b[0];
	r->from = stream_new(r->loop, a[1], on_change, r);
	r->to = stream_new(r->loop, b[1], on_change, r);
	pump_init(&r->pump, r->from, in, length, f, r->to, out);
}

static void
turn(struct rig *r)
{
	for (int i = 0; i < 4; i++)
		(void)event_base_loop(loop_base(r->loop), EVLOOP_NONBLOCK);
}

static void
rig_close(struct rig *r)
{
	pump_done(&r->pump);
	stream_free(r->from);
	stream_free(r->to);
	close(r->in);
	close(r->out);
	loop_free(r->loop);
}

static void
say(int fd, const char *s)
{
	if (send(fd, s, strlen(s), MSG_NOSIGNAL) < 0)
		abort();
}

static const char *
heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void
reframes(void)
{
	struct rig r;

	rig_open(&r, HTTP_BODY_CHUNKED, 0, NULL, HTTP_BODY_CHUNKED);
	say(r.in, "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n");
	turn(&r);
	is_str(heard(r.out), "0000000b\r\nhello world\r\n0\r\n\r\n", "chunks are made anew");
	is_int(r.rc, PUMP_DONE, "the pump is done");
	is_int(r.pump.bytes, 11, "payload is counted");
	rig_close(&r);

	rig_open(&r, HTTP_BODY_COUNTED, 3, NULL, HTTP_BODY_TO_EOF);
	say(r.in, "abcGET / HTTP/1.1");
	turn(&r);
	is_str(heard(r.out), "abc", "a counted body ends at its count");
	is_int(buf_len(&r.from->in), 14, "what follows stays for the next request");
	rig_close(&r);
}

static void
broken_input(void)
{
	struct rig r;

	rig_open(&r, HTTP_BODY_CHUNKED, 0, NULL, HTTP_BODY_CHUNKED);
	say(r.in, "zz\r\n");
	turn(&r);
	ok(r.rc < 0 && r.e.status == 400, "bad framing is a 400");
	rig_close(&r);

	rig_open(&r, HTTP_BODY_COUNTED, 10, NULL, HTTP_BODY_CHUNKED);
	say(r.in, "abc");
	shutdown(r.in, SHUT_WR);
	turn(&r);
	ok(r.rc < 0 && strcmp(r.e.rule, "body-cut") == 0, "an input that ends early is told");
	rig_close(&r);
}

static void
holds_the_end(void)
{
	struct rig r;

	rig_open(&r, HTTP_BODY_CHUNKED, 0, NULL, HTTP_BODY_CHUNKED);
	r.pump.hold = 1;
	say(r.in, "3\r\nabc\r\n0\r\n\r\n");
	turn(&r);
	is_str(heard(r.out), "00000003\r\nabc\r\n", "the end of the body is held back");
	is_int(r.rc, PUMP_WAIT, "the pump waits");
	r.pump.hold = 0;
	r.rc = pump_run(&r.pump, &r.e);
	turn(&r);
	is_str(heard(r.out), "0\r\n\r\n", "until it is let go");
	is_int(r.rc, PUMP_DONE, "then it is done");
	rig_close(&r);
}

static void
bounded(void)
{
	static char block[32 * 1024];
	struct rig r;
	size_t sent = 0;

	memset(block, 'x', sizeof block);
	rig_open(&r, HTTP_BODY_TO_EOF, 0, NULL, HTTP_BODY_CHUNKED);
	for (int i = 0; i < 4000; i++) { /* nobody reads r.out */
		ssize_t n = send(r.in, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		(void)event_base_loop(loop_base(r.loop), EVLOOP_NONBLOCK);
	}
	ok(sent < 8 * 1024 * 1024, "a reader that stalls stops the writer");
	ok(r.from->in.cap + r.pump.plain.cap + r.to->out.cap <= 4 * 1024 * 1024, "and memory stays bounded");
	rig_close(&r);
}

/* Refuses at the first 'X', doubles everything else. */
static int
doubling_run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	(void)f;
	while (buf_len(in) > 0 && buf_len(out) < high) {
		char c = (char)*buf_ptr(in);

		if (c == 'X')
			return err_refuse(e, 403, "no-x", "an X");
		buf_add(out, &c, 1);
		buf_add(out, &c, 1);
		buf_drop(in, 1);
	}
	return eof && buf_len(in) == 0 ? FILTER_DONE : FILTER_MORE;
}

static void
doubling_free(struct filter *f)
{
	free(f);
}

static struct filter *
doubling_new(void)
{
	struct filter *f = mem_new(sizeof *f);

	*f = (struct filter){ .run = doubling_run, .free = doubling_free };
	return f;
}

static void
filters(void)
{
	struct rig r;

	rig_open(&r, HTTP_BODY_COUNTED, 3, doubling_new(), HTTP_BODY_CHUNKED);
	say(r.in, "abc");
	turn(&r);
	is_str(heard(r.out), "00000006\r\naabbcc\r\n0\r\n\r\n", "a filter's bytes are framed");
	rig_close(&r);

	rig_open(&r, HTTP_BODY_COUNTED, 3, doubling_new(), HTTP_BODY_CHUNKED);
	say(r.in, "aXc");
	turn(&r);
	ok(r.rc < 0 && r.e.status == 403 && strcmp(r.e.rule, "no-x") == 0,
	    "a filter refuses in its own words");
	rig_close(&r);
}

/*
 * The output lacks less than a chunk's head of being full, so the filter has no room; then the socket takes
 * all of it at once. The pump must go on by itself: no event will come.
 */
static void
goes_on_after_room(void)
{
	static char most[PUMP_HIGH - 4];
	struct rig r;

	memset(most, 'm', sizeof most);
	rig_open(&r, HTTP_BODY_COUNTED, 3, doubling_new(), HTTP_BODY_CHUNKED);
	buf_add(&r.to->out, most, sizeof most); /* not kicked: it waits */
	buf_add(&r.pump.plain, "abc", 3);       /* taken before: the filter had no room then */
	r.pump.input_ended = 1;
	(void)setsockopt(r.to->fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4 * PUMP_HIGH }, sizeof(int));
	r.rc = pump_run(&r.pump, &r.e);
	is_int(r.rc, PUMP_DONE, "room that a write made is used at once");
	rig_close(&r);
}

static void
without_target(void)
{
	struct rig r;
	struct stream *to;

	rig_open(&r, HTTP_BODY_COUNTED, 3, NULL, HTTP_BODY_CHUNKED);
	to = r.pump.to;
	r.pump.to = NULL;
	say(r.in, "abc");
	turn(&r);
	is_str(heard(r.out), "", "without a target nothing is written");
	is_int(r.rc, PUMP_WAIT, "the pump waits for one");
	r.pump.to = to;
	r.rc = pump_run(&r.pump, &r.e);
	turn(&r);
	is_str(heard(r.out), "00000003\r\nabc\r\n0\r\n\r\n", "then everything comes");
	rig_close(&r);
}

/*
 * A saved image of which most is clear: what comes out is what the filter makes when it sees every byte,
 * however the body is cut and however slowly it is taken.
 */
static void
add_file(struct buf *tar, const char *name, size_t size)
{
	char none[] = "", copy[128];
	struct tar_entry t = { .type = TAR_FILE, .name = copy, .link = none, .uname = none, .gname = none };
	struct err e;

	(void)snprintf(copy, sizeof copy, "%s", name);
	t.size = size;
	if (tar_write_header(tar, &t, &e) < 0)
		abort();
	for (size_t i = 0; i < size; i++)
		buf_add(tar, &(char){ (char)(i * 7 + i / 1000) }, 1);
	tar_write_pad(tar, size);
}

static void
make_save(struct buf *tar)
{
	static const char layer[] = "1111111111111111111111111111111111111111111111111111111111111111";
	char name[128];

	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "%d%s/layer.tar", i, layer + 1);
		add_file(tar, name, (size_t)(1000 + i * 199999));
	}
	tar_write_end(tar);
}

static struct filter *
save_new(void)
{
	return image_filter_new(
	    &(struct image_ask){ .mode = IMAGE_SAVE, .ns = "0123456789abcdef0123" }, NULL);
}

static void
run_whole(struct buf *in, struct buf *out)
{
	struct filter *f = save_new();
	struct err e;

	while (f->run(f, in, 1, out, SIZE_MAX, &e) == FILTER_MORE)
		;
	f->free(f);
}

/* Takes at most `most` bytes of the chunked body that comes out. */
static void
take_out(struct rig *r, struct body *walk, struct buf *got, size_t most)
{
	static uint8_t bytes[65536];
	ssize_t n = recv(r->out, bytes, most < sizeof bytes ? most : sizeof bytes, MSG_DONTWAIT);
	size_t used, size;
	const uint8_t *data;
	struct err e;

	for (size_t at = 0; n > 0 && at < (size_t)n; at += used) {
		if (body_walk(walk, bytes + at, (size_t)n - at, &used, &data, &size, &e) < 0)
			abort();
		buf_add(got, data, size);
	}
}

static void
clear_bytes(size_t piece, size_t taken, int tiny)
{
	struct buf tar = { 0 }, whole = { 0 }, want = { 0 }, got = { 0 }, wire = { 0 };
	struct body walk;
	struct rig r;

	make_save(&tar);
	buf_add(&whole, buf_ptr(&tar), buf_len(&tar));
	run_whole(&whole, &want);
	while (buf_len(&tar) > 0) {
		size_t n = buf_len(&tar) < piece ? buf_len(&tar) : piece;

		body_put_chunk(&wire, buf_ptr(&tar), n);
		buf_drop(&tar, n);
	}
	body_put_end(&wire);
	rig_open(&r, HTTP_BODY_CHUNKED, 0, save_new(), HTTP_BODY_CHUNKED);
	if (tiny)
		(void)setsockopt(r.to->fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 }, sizeof(int));
	body_init(&walk, HTTP_BODY_CHUNKED, 0);
	for (int i = 0; i < 1000000 && !walk.ended && r.rc >= 0; i++) {
		ssize_t n = send(r.in, buf_ptr(&wire), buf_len(&wire) < 50001 ? buf_len(&wire) : 50001,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			buf_drop(&wire, (size_t)n);
		(void)event_base_loop(loop_base(r.loop), EVLOOP_NONBLOCK);
		take_out(&r, &walk, &got, taken);
	}
	ok(r.rc == PUMP_DONE && walk.ended, "a body that is clear for the most part goes through");
	ok(buf_len(&got) == buf_len(&want) && memcmp(buf_ptr(&got), buf_ptr(&want), buf_len(&want)) == 0,
	    "and comes out as the filter would make it");
	is_int(r.pump.written, buf_len(&want), "all of it is counted");
	rig_close(&r);
	buf_done(&tar), buf_done(&whole), buf_done(&want), buf_done(&got), buf_done(&wire);
}

int
main(void)
{
	clear_bytes(32768, 65536, 0);
	clear_bytes(7, 65536, 0);
	clear_bytes(100000, 10000, 0);
	clear_bytes(32768, 3000, 1);
	clear_bytes(1000, 999, 1);

	reframes();
	broken_input();
	holds_the_end();
	bounded();
	filters();
	goes_on_after_room();
	without_target();
	return tap_end();
}
