#include "docker/context.h"

#include <stdlib.h>
#include <string.h>

#include "archive/codec.h"
#include "archive/tar.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "context_entry.h"

static const char limit_bytes[] = "limit-context-bytes";

enum {
	PLAIN_HIGH = 128 * 1024, /* decompressed bytes that wait for the tar reader */
	PIECE = 64 * 1024,       /* what one step adds to out at most */
	KEEP = 128 * 1024,       /* memory that a large Dockerfile took beyond this is given back */
	AGAIN = 100,             /* beside FILTER_MORE and FILTER_DONE */
};

struct context {
	struct filter f;
	struct err bad; /* of the parameter: the first run tells */
	int refused;
	struct filter *codec;
	struct buf plain;
	int plain_eof;
	struct tar_reader *tar;
	struct context_tree tree;
	int ended; /* the tar's last blocks are written */
	struct hash *hash;
};

/* Gets more decompressed bytes. */
static int
refill(struct context *c, struct buf *in, int eof, struct err *e)
{
	size_t before = buf_len(&c->plain);
	int rc = c->codec->run(c->codec, in, eof, &c->plain, PLAIN_HIGH, e);

	if (rc < 0)
		return -1;
	c->plain_eof = rc == FILTER_DONE;
	return c->plain_eof || buf_len(&c->plain) > before ? AGAIN : FILTER_MORE;
}

static int
on_eof(struct context *c, struct buf *in, int eof, struct err *e)
{
	if (!c->plain_eof)
		return refill(c, in, eof, e);
	c->ended = 1;
	return context_tree_end(&c->tree, e) < 0 ? -1 : AGAIN;
}

/* The next piece of the archive. */
static int
step(struct context *c, struct buf *in, int eof, struct buf *out, struct err *e)
{
	const uint8_t *data = NULL;
	size_t len = 0;

	switch (tar_read(c->tar, &c->plain, c->plain_eof, &data, &len, e)) {
	case TAR_NEED:
		return refill(c, in, eof, e);
	case TAR_ENTRY:
		return context_tree_entry(&c->tree, tar_reader_entry(c->tar), e) < 0 ? -1 : AGAIN;
	case TAR_DATA:
		buf_add(c->tree.fate == FATE_PASS ? out : &c->tree.text, data, len);
		return AGAIN;
	case TAR_ENTRY_END:
		return context_tree_entry_end(&c->tree, e) < 0 ? -1 : AGAIN;
	case TAR_EOF:
		return on_eof(c, in, eof, e);
	}
	return -1;
}

static void
drain(struct context *c, struct buf *out)
{
	struct buf *pending = &c->tree.pending;

	buf_move(pending, out, PIECE);
	if (buf_len(pending) == 0 && pending->cap > KEEP)
		buf_done(pending);
}

static int
pump(struct context *c, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	int rc = AGAIN;

	while (rc == AGAIN && buf_len(out) < high) {
		if (buf_len(&c->tree.pending) > 0)
			drain(c, out);
		else
			rc = c->ended ? FILTER_DONE : step(c, in, eof, out, e);
	}
	return rc == AGAIN ? FILTER_MORE : rc;
}

/* What the floors below left open: they do not know what they are used for. */
static int
explain(struct context *c, struct err *e)
{
	if (e->rule == NULL)
		e->rule = "context";
	if (e->status == 0)
		e->status = 400;
	if (e->rule != NULL && strcmp(e->rule, limit_bytes) == 0)
		err_wrap(e, "the build context is above limits.contextBytes");
	if (c->tree.known.entries == 0 && e->status == 400 && codec_reader_kind(c->codec) == CODEC_NONE)
		err_wrap(e, "the build context is not a tar archive");
	c->bad = *e;
	c->refused = 1;
	return -1;
}

static int
context_run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct context *c = (struct context *)f;
	size_t before = buf_len(out);
	int rc;

	if (c->refused) {
		*e = c->bad;
		return -1;
	}
	if (c->hash == NULL)
		return FILTER_DONE;
	rc = pump(c, in, eof, out, high, e);
	if (buf_len(out) > before) { /* all that was added, in one span */
		hash_add(c->hash, buf_ptr(out) + before, buf_len(out) - before);
		c->tree.known.bytes += buf_len(out) - before;
	}
	if (rc < 0)
		return explain(c, e);
	if (rc == FILTER_DONE) {
		hash_hex(c->hash, c->tree.known.sha256);
		c->hash = NULL;
	}
	return rc;
}

static uint64_t
context_clear(const struct filter *f)
{
	const struct context *c = (const struct context *)f;
	uint64_t left = tar_reader_left(c->tar), most = codec_reader_clear(c->codec);

	if (c->refused || c->tree.fate != FATE_PASS || buf_len(&c->plain) > 0 ||
	    buf_len(&c->tree.pending) > 0)
		return 0;
	return left < most ? left : most;
}

static void
context_passed(struct filter *f, const void *bytes, size_t len)
{
	struct context *c = (struct context *)f;

	if (c->plain.cap > 0)
		buf_done(&c->plain); /* it is empty, and may be for long */
	codec_reader_passed(c->codec, len);
	tar_reader_skip(c->tar, len);
	hash_add(c->hash, bytes, len);
}

static void
context_free(struct filter *f)
{
	struct context *c = (struct context *)f;

	filter_free(c->codec);
	buf_done(&c->plain);
	tar_reader_free(c->tar);
	context_tree_done(&c->tree);
	hash_free(c->hash);
	free(c);
}

struct filter *
context_filter_new(const struct context_ask *ask, struct dockerfile_facts *facts)
{
	struct context *c = mem_new(sizeof *c);
	unsigned accept = CODEC_GZIP | CODEC_BZIP2 | CODEC_XZ | (ask->zstd ? CODEC_ZSTD : 0);

	c->f = (struct filter){ context_run, context_free, context_clear, context_passed };
	c->codec = codec_reader_new(accept, ask->max_bytes, limit_bytes);
	c->tar = tar_reader_new();
	c->hash = hash_new(HASH_SHA256);
	c->refused = context_tree_init(&c->tree, ask, facts, &c->bad) < 0;
	return &c->f;
}

int
context_judged(const struct filter *f)
{
	return ((const struct context *)f)->tree.judged;
}

const struct context_facts *
context_facts(const struct filter *f)
{
	return &((const struct context *)f)->tree.known;
}
