#include "archive/codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec_decode.h"

enum {
	CHUNK = 64 * 1024, /* what one step may add to out */
	AGAIN = 100,       /* beside FILTER_MORE and FILTER_DONE */
};

struct codec_reader {
	struct filter f;
	unsigned accept;
	uint64_t max, total; /* bytes out */
	const char *rule;
	int sniffed;
	const struct decoder *decoder; /* NULL: bytes pass */
	struct decoding *state;
	int between; /* a member has ended: the end, or another one */
};

static const struct magic {
	enum codec kind;
	unsigned char first_mask;
	unsigned char len;
	char bytes[7];
} magics[] = {
	{ CODEC_GZIP, 0xff, 3, "\x1f\x8b\x08" }, { CODEC_BZIP2, 0xff, 3, "BZh" },
	{ CODEC_XZ, 0xff, 6, "\3757zXZ" }, /* and a NUL */
	{ CODEC_ZSTD, 0xff, 4, "\x28\xb5\x2f\xfd" },
	{ CODEC_ZSTD, 0xf0, 4, "\x50\x2a\x4d\x18" }, /* skippable frames: 0x184d2a50 to 5f */
	{ CODEC_LZ4, 0xff, 4, "\x04\x22\x4d\x18" },
	{ CODEC_LZ4, 0xff, 4, "\x02\x21\x4c\x18" }, /* its legacy frames, which the decoder refuses */
};

enum codec
codec_sniff(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
		const struct magic *m = &magics[i];

		if (len >= m->len && (p[0] & m->first_mask) == (unsigned char)m->bytes[0] &&
		    memcmp(p + 1, m->bytes + 1, m->len - 1u) == 0)
			return m->kind;
	}
	return CODEC_NONE;
}

/* AGAIN when the kind is known. */
static int
sniff(struct codec_reader *r, struct buf *in, int eof, struct err *e)
{
	enum codec kind;

	if (buf_len(in) < CODEC_SNIFF && !eof)
		return FILTER_MORE;
	kind = codec_sniff(buf_ptr(in), buf_len(in));
	r->decoder = decoder_of(kind == CODEC_ZSTD ? kind | (r->accept & CODEC_LONG) : kind);
	r->sniffed = 1;
	if (r->decoder == NULL)
		return AGAIN;
	if (!(r->accept & kind))
		return err_refuse(e, 400, NULL, "%s compression is not accepted here", r->decoder->name);
	r->state = r->decoder->open();
	return AGAIN;
}

static int
count(struct codec_reader *r, size_t n, struct err *e)
{
	r->total += n;
	if (r->max > 0 && r->total > r->max)
		return err_refuse(e, 413, r->rule, "more than %llu bytes%s", (unsigned long long)r->max,
		    r->decoder ? " come out of the compressed stream" : "");
	return AGAIN;
}

static int
pass(struct codec_reader *r, struct buf *in, int eof, struct buf *out, struct err *e)
{
	if (buf_len(in) == 0)
		return eof ? FILTER_DONE : FILTER_MORE;
	return count(r, buf_move(in, out, CHUNK), e);
}

/* Nothing went in and nothing came out: wait for input, if there will be any. */
static int
stalled(const struct codec_reader *r, const struct buf *in, int eof, struct err *e)
{
	if (buf_len(in) > 0)
		return err_refuse(e, 400, NULL, "%s: damaged data", r->decoder->name);
	if (eof)
		return err_refuse(e, 400, NULL, "%s: the compressed stream is cut off", r->decoder->name);
	return FILTER_MORE;
}

static int
decode(struct codec_reader *r, struct buf *in, int eof, struct buf *out, struct err *e)
{
	size_t before = buf_len(in), used, made;
	struct codec_step s = { .in_len = before, .out_len = CHUNK, .eof = eof };
	int rc;

	if (r->between && before == 0)
		return eof ? FILTER_DONE : FILTER_MORE;
	if (r->between)
		r->decoder->again(r->state);
	s.in = before > 0 ? buf_ptr(in) : (const uint8_t *)"";
	s.out = buf_reserve(out, CHUNK);
	rc = r->decoder->step(r->state, &s, e);
	if (rc < 0)
		return -1;
	used = before - s.in_len;
	made = CHUNK - s.out_len;
	buf_commit(out, made);
	buf_drop(in, used);
	r->between = rc;
	return used || made || rc ? count(r, made, e) : stalled(r, in, eof, e);
}

static int
reader_run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct codec_reader *r = (struct codec_reader *)f;
	int rc = r->sniffed ? AGAIN : sniff(r, in, eof, e);

	while (rc == AGAIN && buf_len(out) < high)
		rc = r->decoder ? decode(r, in, eof, out, e) : pass(r, in, eof, out, e);
	return rc == AGAIN ? FILTER_MORE : rc;
}

static void
reader_free(struct filter *f)
{
	struct codec_reader *r = (struct codec_reader *)f;

	if (r->state != NULL)
		r->decoder->close(r->state);
	free(r);
}

struct filter *
codec_reader_new(unsigned accept, uint64_t max, const char *rule)
{
	struct codec_reader *r = mem_new(sizeof *r);

	r->f = (struct filter){ .run = reader_run, .free = reader_free };
	r->accept = accept;
	r->max = max;
	r->rule = rule;
	return &r->f;
}

uint64_t
codec_reader_clear(const struct filter *f)
{
	const struct codec_reader *r = (const struct codec_reader *)f;

	if (!r->sniffed || r->decoder != NULL)
		return 0;
	return r->max > 0 ? r->max - r->total : UINT64_MAX;
}

void
codec_reader_passed(struct filter *f, size_t len)
{
	((struct codec_reader *)f)->total += len;
}

enum codec
codec_reader_kind(const struct filter *f)
{
	const struct codec_reader *r = (const struct codec_reader *)f;

	return r->decoder ? (enum codec)(r->decoder->kind & ~(unsigned)CODEC_LONG) : CODEC_NONE;
}

int
codec_of_name(const char *name)
{
	static const struct {
		const char *end;
		enum codec kind;
	} ends[] = {
		{ ".tar", CODEC_NONE },
		{ ".tar.gz", CODEC_GZIP },
		{ ".tgz", CODEC_GZIP },
		{ ".tar.zst", CODEC_ZSTD },
		{ ".tar.lz4", CODEC_LZ4 },
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		size_t n = strlen(ends[i].end);

		if (len > n && memcmp(name + len - n, ends[i].end, n) == 0)
			return (int)ends[i].kind;
	}
	return -1;
}
