#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "archive/codec.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * Equal input gives equal bytes, however it is cut into pieces: zstd always has a worker and a fixed
 * job size and is never told a size, lz4 blocks do not look at each other, gzip has no name and time.
 */
enum {
	CHUNK = 64 * 1024,
	ZSTD_JOB = 1024 * 1024, /* 12 MiB of memory at level 3 instead of 51 */
};

struct codec_writer {
	struct filter f;
	const struct encoder *encoder;
	int level;
	int begun;  /* the library holds an open frame */
	int frames; /* that have ended */
	int done;
	z_stream gzip;
	ZSTD_CCtx *zstd;
	LZ4F_cctx *lz4;
	LZ4F_preferences_t lz4_how;
};

struct encoder {
	enum codec kind;
	void (*open)(struct codec_writer *w);
	/* Takes at most len bytes, returns how many. */
	size_t (*add)(struct codec_writer *w, const uint8_t *bytes, size_t len, struct buf *out);
	int (*end)(struct codec_writer *w, struct buf *out); /* a piece of the end; 1: the frame is whole */
	void (*close)(struct codec_writer *w);
};

static void
must(int good)
{
	if (!good) {
		log_error("codec", "an encoder failed: out of memory");
		abort();
	}
}

static int
within(int level, int least, int most)
{
	return level < least ? least : level > most ? most : level;
}

static void
none_open(struct codec_writer *w)
{
	(void)w;
}

static size_t
none_add(struct codec_writer *w, const uint8_t *bytes, size_t len, struct buf *out)
{
	(void)w;
	buf_add(out, bytes, len);
	return len;
}

static int
none_end(struct codec_writer *w, struct buf *out)
{
	(void)w, (void)out;
	return 1;
}

static void
gzip_open(struct codec_writer *w)
{
	int level = w->level == 0 ? Z_DEFAULT_COMPRESSION : within(w->level, 1, 9);

	must(deflateInit2(&w->gzip, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
}

static int
gzip_code(struct codec_writer *w, int flush, struct buf *out)
{
	int rc;

	w->gzip.next_out = buf_reserve(out, CHUNK);
	w->gzip.avail_out = CHUNK;
	rc = deflate(&w->gzip, flush);
	must(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
	buf_commit(out, CHUNK - w->gzip.avail_out);
	return rc == Z_STREAM_END;
}

static size_t
gzip_add(struct codec_writer *w, const uint8_t *bytes, size_t len, struct buf *out)
{
	w->gzip.next_in = (Bytef *)(uintptr_t)bytes; /* never written: the library lacks the const */
	w->gzip.avail_in = (unsigned)len;
	(void)gzip_code(w, Z_NO_FLUSH, out);
	return len - w->gzip.avail_in;
}

static int
gzip_end(struct codec_writer *w, struct buf *out)
{
	w->gzip.avail_in = 0;
	return gzip_code(w, Z_FINISH, out);
}

static void
gzip_close(struct codec_writer *w)
{
	(void)deflateEnd(&w->gzip);
}

static void
zstd_set(struct codec_writer *w, ZSTD_cParameter what, int value)
{
	must(!ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, what, value)));
}

static void
zstd_open(struct codec_writer *w)
{
	w->zstd = ZSTD_createCCtx();
	must(w->zstd != NULL);
	zstd_set(w, ZSTD_c_compressionLevel, within(w->level, ZSTD_minCLevel(), ZSTD_maxCLevel()));
	zstd_set(w, ZSTD_c_checksumFlag, 1);
	zstd_set(w, ZSTD_c_nbWorkers, 1);
	zstd_set(w, ZSTD_c_jobSize, ZSTD_JOB);
}

static size_t
zstd_code(struct codec_writer *w, ZSTD_inBuffer *in, ZSTD_EndDirective how, struct buf *out)
{
	ZSTD_outBuffer o = { buf_reserve(out, CHUNK), CHUNK, 0 };
	size_t rc = ZSTD_compressStream2(w->zstd, &o, in, how);

	must(!ZSTD_isError(rc));
	buf_commit(out, o.pos);
	return rc;
}

static size_t
zstd_add(struct codec_writer *w, const uint8_t *bytes, size_t len, struct buf *out)
{
	ZSTD_inBuffer in = { bytes, len, 0 };

	(void)zstd_code(w, &in, ZSTD_e_continue, out);
	return in.pos;
}

static int
zstd_end(struct codec_writer *w, struct buf *out)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };

	return zstd_code(w, &in, ZSTD_e_end, out) == 0;
}

static void
zstd_close(struct codec_writer *w)
{
	ZSTD_freeCCtx(w->zstd);
}

static void
lz4_open(struct codec_writer *w)
{
	must(!LZ4F_isError(LZ4F_createCompressionContext(&w->lz4, LZ4F_VERSION)));
	w->lz4_how.frameInfo.blockSizeID = LZ4F_max64KB;
	w->lz4_how.frameInfo.blockMode = LZ4F_blockIndependent;
	w->lz4_how.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
	w->lz4_how.compressionLevel = within(w->level, -65536, LZ4F_compressionLevel_max());
}

static void
lz4_begin(struct codec_writer *w, struct buf *out)
{
	size_t n = LZ4F_compressBegin(
	    w->lz4, buf_reserve(out, LZ4F_HEADER_SIZE_MAX), LZ4F_HEADER_SIZE_MAX, &w->lz4_how);

	must(!LZ4F_isError(n));
	buf_commit(out, n);
}

static size_t
lz4_add(struct codec_writer *w, const uint8_t *bytes, size_t len, struct buf *out)
{
	size_t room = LZ4F_compressBound(len, &w->lz4_how), n;

	if (!w->begun)
		lz4_begin(w, out);
	n = LZ4F_compressUpdate(w->lz4, buf_reserve(out, room), room, bytes, len, NULL);
	must(!LZ4F_isError(n));
	buf_commit(out, n);
	return len;
}

static int
lz4_end(struct codec_writer *w, struct buf *out)
{
	size_t room = LZ4F_compressBound(0, &w->lz4_how), n;

	if (!w->begun)
		lz4_begin(w, out);
	n = LZ4F_compressEnd(w->lz4, buf_reserve(out, room), room, NULL);
	must(!LZ4F_isError(n));
	buf_commit(out, n);
	return 1;
}

static void
lz4_close(struct codec_writer *w)
{
	(void)LZ4F_freeCompressionContext(w->lz4);
}

static const struct encoder encoders[] = {
	{ CODEC_NONE, none_open, none_add, none_end, none_open },
	{ CODEC_GZIP, gzip_open, gzip_add, gzip_end, gzip_close },
	{ CODEC_ZSTD, zstd_open, zstd_add, zstd_end, zstd_close },
	{ CODEC_LZ4, lz4_open, lz4_add, lz4_end, lz4_close },
};

static void
add(struct codec_writer *w, struct buf *in, struct buf *out)
{
	size_t n = buf_len(in) < CHUNK / 2 ? buf_len(in) : CHUNK / 2; /* so that lz4 ends one block at most */

	n = w->encoder->add(w, buf_ptr(in), n, out);
	w->begun = 1;
	buf_drop(in, n);
}

/* 1 when the open frame is whole (or none is open). The first frame is written even when it is empty. */
static int
end(struct codec_writer *w, struct buf *out)
{
	if (!w->begun && w->frames > 0)
		return 1;
	if (!w->encoder->end(w, out))
		return 0;
	w->begun = 0;
	w->frames++;
	return 1;
}

static int
writer_run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct codec_writer *w = (struct codec_writer *)f;

	(void)e; /* nothing fails but memory */
	while (!w->done && buf_len(out) < high) {
		if (buf_len(in) > 0)
			add(w, in, out);
		else if (!eof)
			return FILTER_MORE;
		else
			w->done = end(w, out);
	}
	return w->done ? FILTER_DONE : FILTER_MORE;
}

int
codec_writer_split(struct filter *f, struct buf *out, struct err *e)
{
	struct codec_writer *w = (struct codec_writer *)f;

	(void)e;
	if (w->encoder->kind == CODEC_ZSTD && w->begun)
		while (!end(w, out))
			;
	return 0;
}

static void
writer_free(struct filter *f)
{
	struct codec_writer *w = (struct codec_writer *)f;

	w->encoder->close(w);
	free(w);
}

struct filter *
codec_writer_new(enum codec kind, int level)
{
	struct codec_writer *w = mem_new(sizeof *w);

	w->f = (struct filter){ .run = writer_run, .free = writer_free };
	w->level = level;
	for (size_t i = 0; i < sizeof encoders / sizeof encoders[0]; i++)
		if (encoders[i].kind == kind)
			w->encoder = &encoders[i];
	must(w->encoder != NULL); /* xz and bzip2 are only read */
	w->encoder->open(w);
	return &w->f;
}
