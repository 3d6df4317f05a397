#include "docker/output.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "tap.h"

#define NS "abcdefghijklmnop2345"
#define MAPPED "dind.invalid/" NS "/docker.io/library/app:1"
#define OTHER "dind.invalid/zbcdefghijklmnop2345/docker.io/library/app:1"
#define ID_A "sha256:65265ffa94c8777b89ce5a9a6d8d9b1e25dc583204e61573a461bf97d1d69f96"
#define ID_B "sha256:cac0c5769ea81ef1fee3b3f73608e321f9044b20cfb3d02b39381afaa368e946"
#define BROKEN "the engine's answer is not JSON; the build's output ends here"
#define ERROR(text) "{\"errorDetail\":{\"message\":\"" text "\"},\"error\":\"" text "\"}\r\n"
#define CUT "the engine's answer ended in the middle; the build's result is not known"

static const struct reference_pair pairs[] = {
	{ "dind.invalid/" NS "/docker.io/library/app:1", "docker.io/app:1" },
	{ "docker.io/library/debian:12", "debian:12" },
};

static const struct row {
	const char *name, *in, *out;
	const char *ids, *image;
	int quiet, failed;
} rows[] = {
	{ "a build as engine 20.10 tells it",
	    "{\"stream\":\"Step 1/3 : FROM base:bb\"}\r\n{\"stream\":\"\\n\"}\r\n"
	    "{\"stream\":\" ---\\u003e dec49a1e2643\\n\"}\r\n{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n"
	    "{\"stream\":\"Successfully built 65265ffa94c8\\n\"}\r\n",
	    "{\"stream\":\"Step 1/3 : FROM base:bb\"}\r\n{\"stream\":\"\\n\"}\r\n"
	    "{\"stream\":\" ---\\u003e dec49a1e2643\\n\"}\r\n{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n"
	    "{\"stream\":\"Successfully built 65265ffa94c8\\n\"}\r\n",
	    ID_A " ", ID_A, 0, 0 },
	{ "names come back as they were typed, strangers' are hidden",
	    "{\"stream\":\"Step 1/2 : FROM " MAPPED "\"}\r\n{\"status\":\"of " OTHER "\",\"id\":\"x\"}\r\n",
	    "{\"stream\":\"Step 1/2 : FROM docker.io/app:1\"}\r\n{\"status\":\"of "
	    "(hidden)\",\"id\":\"x\"}\r\n",
	    "", "", 0, 0 },
	{ "a base image comes back as it was typed, in Step lines only",
	    "{\"stream\":\"Step 1/2 : FROM docker.io/library/debian:12 AS x\"}\r\n"
	    "{\"stream\":\"Step 2/2 : COPY --from=docker.io/library/debian:12 /a /b\"}\r\n"
	    "{\"stream\":\"Step 2/2 : RUN docker.io/library/debian:12.1\"}\r\n"
	    "{\"stream\":\"docker.io/library/debian:12\"}\r\n",
	    "{\"stream\":\"Step 1/2 : FROM debian:12 AS x\"}\r\n"
	    "{\"stream\":\"Step 2/2 : COPY --from=debian:12 /a /b\"}\r\n"
	    "{\"stream\":\"Step 2/2 : RUN docker.io/library/debian:12.1\"}\r\n"
	    "{\"stream\":\"docker.io/library/debian:12\"}\r\n",
	    "", "", 0, 0 },
	{ "in errors too, and what is behind the name stays",
	    "{\"errorDetail\":{\"code\":3,\"message\":\"no " MAPPED ": x\"},\"error\":\"no " MAPPED
	    ": x\"}\r\n",
	    "{\"errorDetail\":{\"code\":3,\"message\":\"no docker.io/app:1: x\"},\"error\":\"no "
	    "docker.io/app:1: "
	    "x\"}\r\n",
	    "", "", 0, 1 },
	{ "in shapes that nobody knows", "{\"x\":[1,{\"y\":\"" MAPPED "\"}],\"z\":1.5}\r\n",
	    "{\"x\":[1,{\"y\":\"docker.io/app:1\"}],\"z\":1.5}\r\n", "", "", 0, 0 },
	{ "a name spelled with escapes", "{\"stream\":\"\\u0064ind.invalid/" NS "/docker.io/library/b\"}\r\n",
	    "{\"stream\":\"b\"}\r\n", "", "", 0, 0 },
	{ "the last id is the result",
	    "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"aux\":{\"ID\":\"" ID_B "\"}}\r\n",
	    "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"aux\":{\"ID\":\"" ID_B "\"}}\r\n", ID_A " " ID_B " ", ID_B,
	    0, 0 },
	{ "an id of an earlier stage is no result of a build that failed",
	    "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"error\":\"x\"}\r\n",
	    "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"error\":\"x\"}\r\n", ID_A " ", "", 0, 1 },
	{ "RUN cannot say what only aux may",
	    "{\"stream\":\"{\\\"aux\\\":{\\\"ID\\\":\\\"" ID_A "\\\"}}\\r\\n\"}\r\n",
	    "{\"stream\":\"{\\\"aux\\\":{\\\"ID\\\":\\\"" ID_A "\\\"}}\\r\\n\"}\r\n", "", "", 0, 0 },
	{ "an aux that is no id",
	    "{\"aux\":{\"ID\":\"sha256:12\"}}\r\n{\"aux\":{\"ID\":7}}\r\n{\"aux\":[]}\r\n",
	    "{\"aux\":{\"ID\":\"sha256:12\"}}\r\n{\"aux\":{\"ID\":7}}\r\n{\"aux\":[]}\r\n", "", "", 0, 0 },
	{ "braces and quotes in strings", "{\"stream\":\"}{\\\"}\\\\\"}\r\n",
	    "{\"stream\":\"}{\\\"}\\\\\"}\r\n", "", "", 0, 0 },
	{ "NUL bytes of a RUN", "{\"stream\":\"a\\u0000b " MAPPED "\"}\r\n",
	    "{\"stream\":\"a\\u0000b docker.io/app:1\"}\r\n", "", "", 0, 0 },
	{ "objects without anything between", "{\"stream\":\"a\"}{\"stream\":\"b\"}",
	    "{\"stream\":\"a\"}\r\n{\"stream\":\"b\"}\r\n", "", "", 0, 0 },
	{ "nothing at all", "", "", "", "", 0, 0 },
	{ "not JSON", "{\"stream\":\"a\"}\r\nHTTP 500", "{\"stream\":\"a\"}\r\n" ERROR(BROKEN), "", "", 0,
	    1 },
	{ "not JSON inside", "{\"stream\":tru}\r\n", ERROR(BROKEN), "", "", 0, 1 },
	{ "a key twice", "{\"aux\":{},\"aux\":{\"ID\":\"" ID_A "\"}}\r\n", ERROR(BROKEN), "", "", 0, 1 },
	{ "an array", "[{}]", ERROR(BROKEN), "", "", 0, 1 },
	{ "cut in an object", "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"stream\":\"a",
	    "{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n" ERROR(CUT), ID_A " ", "", 0, 1 },
	{ "quiet: the id", "{\"stream\":\"a\"}\r\n{\"aux\":{\"ID\":\"" ID_A "\"}}\r\n{\"stream\":\"b\"}\r\n",
	    "{\"stream\":\"" ID_A "\\n\"}\r\n", ID_A " ", ID_A, 1, 0 },
	{ "quiet: output and error", "{\"stream\":\"a " MAPPED "\"}\r\n{\"error\":\"x\"}\r\n",
	    "{\"stream\":\"a docker.io/app:1\"}\r\n{\"error\":\"x\"}\r\n", "", "", 1, 1 },
	{ "quiet: no result", "{\"stream\":\"a\"}\r\n",
	    "{\"stream\":\"a\"}\r\n" ERROR("the engine's answer ended without a result"), "", "", 1, 1 },
	{ "quiet: not JSON", "oops", ERROR(BROKEN), "", "", 1, 1 },
};

static void
on_image(void *arg, const char *id)
{
	buf_printf(arg, "%s ", id);
}

static size_t
run_all(struct filter *f, const char *bytes, size_t len, size_t step, size_t high, struct buf *out)
{
	struct buf in = { 0 }, part = { 0 };
	struct err e = { 0 };
	size_t given = 0, most = 0;
	int rc;

	do {
		size_t n = len - given < step ? len - given : step;

		buf_add(&in, bytes + given, n);
		given += n;
		do {
			rc = f->run(f, &in, given == len, &part, high, &e);
			most = buf_len(&part) > most ? buf_len(&part) : most;
			n = buf_move(&part, out, buf_len(&part));
		} while (rc == FILTER_MORE && n > 0);
	} while (rc == FILTER_MORE);
	is_int(rc, FILTER_DONE, "it ends");
	buf_done(&in);
	buf_done(&part);
	return most;
}

static void
test_row(const struct row *r, size_t step, size_t high)
{
	size_t count = sizeof pairs / sizeof pairs[0];
	struct buf ids = { 0 }, out = { 0 };
	struct output_ask ask = { .ns = NS,
		.pairs = pairs,
		.pair_count = &count,
		.quiet = r->quiet,
		.on_image = on_image,
		.arg = &ids };
	struct filter *f = output_filter_new(&ask);

	run_all(f, r->in, strlen(r->in), step, high, &out);
	is_str(buf_text(&out), r->out, r->name);
	is_str(buf_text(&ids), r->ids, "ids");
	is_str(output_image(f), r->image, "result");
	is_int(output_failed(f), r->failed, "failed");
	filter_free(f);
	buf_done(&ids);
	buf_done(&out);
}

static void
test_caps(void)
{
	struct output_ask ask = { .ns = NS };
	size_t len = 1200 * 1024;
	char *big = mem_new(len + 1);
	struct buf out = { 0 };
	struct filter *f = output_filter_new(&ask);

	memset(big, 'x', len);
	memcpy(big, "{\"stream\":\"", 11);
	run_all(f, big, len, 4096, 64 * 1024, &out);
	ok(strstr(buf_text(&out), "above 1 MiB") != NULL, "an object above 1 MiB ends the answer");
	filter_free(f);

	big[1000 * 1024] = '"';
	big[1000 * 1024 + 1] = '}';
	buf_clear(&out);
	f = output_filter_new(&ask);
	ok(run_all(f, big, 1000 * 1024 + 2, 4096, 64 * 1024, &out) <= 64 * 1024, "a big one keeps to high");
	is_int(buf_len(&out), 1000 * 1024 + 4, "and comes through");
	filter_free(f);
	buf_done(&out);
	free(big);
}

static void
test_quiet_cap(void)
{
	struct output_ask ask = { .ns = NS, .quiet = 1 };
	struct filter *f = output_filter_new(&ask);
	struct buf in = { 0 }, out = { 0 };

	for (int i = 0; i < 20000; i++)
		buf_printf(&in, "{\"stream\":\"line %d of a long build\"}\r\n", i);
	buf_adds(&in, "{\"error\":\"x\"}\r\n");
	run_all(f, (const char *)buf_ptr(&in), buf_len(&in), 10000, 64 * 1024, &out);
	ok(buf_len(&out) <= 256 * 1024 && buf_len(&out) > 250 * 1024, "quiet keeps the last 256 KiB");
	is_int(strncmp(buf_text(&out), "{\"stream\":\"line ", 16), 0, "of whole objects");
	ok(strstr(buf_text(&out), "line 19999 of a long build\"}\r\n{\"error\":\"x\"}\r\n") != NULL,
	    "and the error");
	filter_free(f);
	buf_done(&in);
	buf_done(&out);
}

/* The lines that name the images between the steps, and lines that are nearly so. */
static void
test_steps(void)
{
	static const char in[] = "{\"stream\":\" ---\\u003e dec49a1e2643\\n\"}"
	                         "{\"stream\":\" ---\\u003e Running in dcd35c0ec819\\n\"}"
	                         "{\"stream\":\" ---\\u003e \\n\"}"
	                         "{\"stream\":\" ---\\u003e dec49a1e2643f\\n\"}"
	                         "{\"stream\":\" ---\\u003e dec49a1e2643\"}"
	                         "{\"stream\":\"x ---\\u003e dec49a1e2643\\n\"}"
	                         "{\"status\":\" ---\\u003e dec49a1e2643\\n\"}"
	                         "{\"stream\":\" ---\\u003e 0a70879cdfc4\\n\"}";
	struct buf steps = { 0 }, out = { 0 };
	struct output_ask ask = { .ns = NS, .on_step = on_image, .arg = &steps };
	struct filter *f = output_filter_new(&ask);

	run_all(f, in, sizeof in - 1, 1, 1 << 20, &out);
	is_str(buf_text(&steps), "dec49a1e2643 0a70879cdfc4 ", "steps");
	filter_free(f);
	buf_done(&steps);
	buf_done(&out);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_row(&rows[i], 1 << 20, 1 << 20);
		test_row(&rows[i], 1, 1 << 20);
		test_row(&rows[i], 7, 1);
	}
	test_caps();
	test_quiet_cap();
	test_steps();
	return tap_end();
}
