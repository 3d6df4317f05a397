#include "docker/output.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "unmap.h"

enum { OBJECT_MAX = 1024 * 1024, QUIET_MAX = 256 * 1024 };

/*
 * Objects are cut out of the stream by their braces, then parsed; `held` is the one being collected. What is
 * to be relayed waits in `ready` until out has room; quiet: in `kept`, until the end tells what is needed.
 */
struct output {
	struct filter filter;
	struct output_ask ask;
	struct buf held, ready, kept;
	size_t depth;
	int in_string, escaped; /* where the scan of held stands */
	int failed, ended;
	char image[REFERENCE_ID_MAX];
};

/* Scans one byte inside an object; 1 when it closed the object. */
static int
closes(struct output *o, uint8_t c)
{
	if (o->in_string) {
		if (o->escaped)
			o->escaped = 0;
		else if (c == '\\')
			o->escaped = 1;
		else if (c == '"')
			o->in_string = 0;
		return 0;
	}
	if (c == '"')
		o->in_string = 1;
	else if (c == '{' || c == '[')
		o->depth++;
	else if (c == '}' || c == ']')
		o->depth--;
	return o->depth == 0;
}

static void
relay(struct output *o, const void *text, size_t len)
{
	struct buf *to = o->ask.quiet ? &o->kept : &o->ready;
	const uint8_t *line;

	buf_add(to, text, len);
	buf_adds(to, "\r\n");
	while (o->ask.quiet && buf_len(to) > QUIET_MAX) { /* our own lines: no CR LF but at their ends */
		line = memmem(buf_ptr(to), buf_len(to), "\r\n", 2);
		if (line + 2 == buf_ptr(to) + buf_len(to))
			break; /* the last one stays whatever its size: it may be the error */
		buf_drop(to, (size_t)(line + 2 - buf_ptr(to)));
	}
}

static void
relay_json(struct output *o, const json_t *v)
{
	char *text = json_text(v, 0);

	if (text != NULL)
		relay(o, text, strlen(text));
	free(text);
}

static void
fail(struct output *o)
{
	o->failed = 1;
	if (o->ask.on_failure != NULL)
		o->ask.on_failure(o->ask.arg);
}

/* The answer cannot be understood: say so in the form that clients show, and end it. */
static void
give_up(struct output *o, const char *why)
{
	json_t *v = json_pack("{s:{s:s}, s:s}", "errorDetail", "message", why, "error", why);

	fail(o);
	o->ended = 1;
	relay_json(o, v);
	json_decref(v);
}

static void
learn(struct output *o, const json_t *v)
{
	const char *id = json_str(json_object_get(v, "aux"), "ID", NULL);

	if (json_object_get(v, "errorDetail") != NULL || json_object_get(v, "error") != NULL)
		fail(o);
	/* with text beside it, it is nothing that an engine sends */
	if (id == NULL || !reference_is_id(id) || json_object_get(v, "stream") != NULL)
		return;
	memcpy(o->image, id, strlen(id) + 1);
	if (o->ask.on_image != NULL)
		o->ask.on_image(o->ask.arg, id);
}

/* " ---> 0123456789ab\n": what the builder prints after each step. */
static void
note_step(struct output *o, const json_t *v)
{
	static const char arrow[] = " ---> ";
	const char *text = json_str(v, "stream", "");
	char step[13];

	if (o->ask.on_step == NULL || strncmp(text, arrow, sizeof arrow - 1) != 0)
		return;
	text += sizeof arrow - 1;
	if (strspn(text, "0123456789abcdef") != sizeof step - 1 || strcmp(text + sizeof step - 1, "\n") != 0)
		return;
	memcpy(step, text, sizeof step - 1);
	step[sizeof step - 1] = '\0';
	o->ask.on_step(o->ask.arg, step);
}

/*
 * "Step 1/4 : FROM docker.io/library/debian:12": the reader wrote the base image canonically, so that the
 * engine can mean only one; the task sees the word that it typed.
 */
static size_t
restore_base(json_t *v, const struct reference_pair *pair)
{
	const char *text = json_str(v, "stream", ""), *at = strstr(text, pair->mapped);
	size_t len = strlen(pair->mapped);
	struct buf b = { 0 };

	if (strncmp(pair->mapped, REFERENCE_REGISTRY, sizeof REFERENCE_REGISTRY - 1) == 0 ||
	    strncmp(text, "Step ", 5) != 0 || at == NULL || strchr(" =", at[-1]) == NULL ||
	    strchr(" \n", at[len]) == NULL)
		return 0;
	buf_add(&b, text, (size_t)(at - text));
	buf_adds(&b, pair->typed);
	buf_adds(&b, at + len);
	json_object_set_new(v, "stream", json_string(buf_text(&b)));
	buf_done(&b);
	return 1;
}

static size_t
restore_bases(const struct output *o, json_t *v)
{
	size_t n = 0;

	for (size_t i = 0; o->ask.pair_count != NULL && i < *o->ask.pair_count; i++)
		n += restore_base(v, &o->ask.pairs[i]);
	return n;
}

static void
take_object(struct output *o)
{
	/* a RUN step may print NUL bytes, and the engine sends them as \u0000 */
	json_t *v = json_loadb((const char *)buf_ptr(&o->held), buf_len(&o->held),
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	if (v == NULL) {
		give_up(o, "the engine's answer is not JSON; the build's output ends here");
		return;
	}
	learn(o, v);
	note_step(o, v);
	if (unmap_strings(v, o->ask.ns, o->ask.pairs, o->ask.pair_count ? *o->ask.pair_count : 0) +
	            restore_bases(o, v) >
	        0 ||
	    o->ask.quiet)
		relay_json(o, v);
	else
		relay(o, buf_ptr(&o->held), buf_len(&o->held)); /* as it came: \u003e and all */
	json_decref(v);
	buf_clear(&o->held);
}

static int
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes bytes up to the end of one object. */
static void
collect(struct output *o, struct buf *in)
{
	const uint8_t *p = buf_ptr(in);
	size_t len = buf_len(in), n = 0;

	while (o->depth == 0 && n < len && is_space(p[n]))
		n++;
	buf_drop(in, n);
	p += n;
	len -= n;
	if (len == 0)
		return;
	if (o->depth == 0 && *p != '{') {
		give_up(o, "the engine's answer is not JSON; the build's output ends here");
		return;
	}
	for (n = 0; n < len && !closes(o, p[n]); n++)
		;
	n += n < len; /* with the brace that closed it */
	if (buf_len(&o->held) + n > OBJECT_MAX) {
		give_up(o, "a line of the build's output is above 1 MiB; the output ends here");
		return;
	}
	buf_add(&o->held, p, n);
	buf_drop(in, n);
	if (o->depth == 0)
		take_object(o);
}

/* The engine's body has ended: what quiet kept is now known to be needed or not. */
static void
finish(struct output *o)
{
	if (!o->ended && o->depth > 0)
		give_up(o, "the engine's answer ended in the middle; the build's result is not known");
	if (!o->ended && o->ask.quiet && !o->failed && o->image[0] == '\0')
		give_up(o, "the engine's answer ended without a result");
	o->ended = 1;
	if (o->failed)
		o->image[0] = '\0';
	if (o->ask.quiet && o->failed)
		buf_move(&o->kept, &o->ready, buf_len(&o->kept));
	else if (o->ask.quiet)
		buf_printf(&o->ready, "{\"stream\":\"%s\\n\"}\r\n", o->image);
	buf_clear(&o->kept);
	o->ask.quiet = 0; /* once */
}

static int
run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct output *o = (struct output *)f;

	(void)e; /* the head is out: what is wrong is told inside the body */
	for (;;) {
		if (buf_len(&o->ready) > 0) {
			if (buf_len(out) >= high)
				return FILTER_MORE;
			buf_move(&o->ready, out, high - buf_len(out));
		} else if (o->ended) {
			buf_drop(in, buf_len(in));
			return FILTER_DONE;
		} else if (buf_len(in) > 0) {
			collect(o, in);
			if (o->ended)
				finish(o);
		} else if (eof) {
			finish(o);
		} else {
			return FILTER_MORE;
		}
	}
}

static void
output_free(struct filter *f)
{
	struct output *o = (struct output *)f;

	buf_done(&o->held);
	buf_done(&o->ready);
	buf_done(&o->kept);
	free(o);
}

struct filter *
output_filter_new(const struct output_ask *ask)
{
	struct output *o = mem_new(sizeof *o);

	o->filter.run = run;
	o->filter.free = output_free;
	o->ask = *ask;
	return &o->filter;
}

const char *
output_image(const struct filter *f)
{
	return ((const struct output *)f)->image;
}

int
output_failed(const struct filter *f)
{
	return ((const struct output *)f)->failed;
}
