#include "codec_decode.h"

#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	XZ_MEMORY_MAX = 68 * 1024 * 1024, /* a 64 MiB dictionary, as xz -9 makes, and what goes with it */
	ZSTD_WINDOW_LOG = 23,             /* levels up to 19 */
	ZSTD_WINDOW_LOG_LONG = 27, /* --ultra and --long, as zstd(1) itself reads without being asked to */
};

struct decoding {
	union {
		z_stream gzip;
		bz_stream bzip2;
		lzma_stream xz;
		ZSTD_DCtx *zstd;
		LZ4F_dctx *lz4;
	} u;
	int inside; /* zstd: a frame has begun */
};

/* What fails here is memory: as everywhere, that ends the process. */
static void
must(int good)
{
	if (!good) {
		log_error("codec", "a decoder cannot be started");
		abort();
	}
}

static int
damaged(const char *name, const char *why, struct err *e)
{
	return err_refuse(e, 400, NULL, "%s: damaged data, or something else behind its end (%s)", name, why);
}

static void
nothing(struct decoding *d)
{
	(void)d; /* the library starts the next member itself */
}

/* The libraries count in unsigned int: what is beyond waits for the next step. */
static unsigned
clamp(size_t len)
{
	return len > 1u << 30 ? 1u << 30 : (unsigned)len;
}

static struct decoding *
gzip_open(void)
{
	struct decoding *d = mem_new(sizeof *d);

	must(inflateInit2(&d->u.gzip, 15 + 16) == Z_OK); /* 16: gzip, not zlib */
	return d;
}

static int
gzip_step(struct decoding *d, struct codec_step *s, struct err *e)
{
	z_stream *z = &d->u.gzip;
	unsigned in = clamp(s->in_len), out = clamp(s->out_len);
	int rc;

	z->next_in = (Bytef *)(uintptr_t)s->in; /* never written: the library lacks the const */
	z->avail_in = in;
	z->next_out = s->out;
	z->avail_out = out;
	rc = inflate(z, Z_NO_FLUSH);
	s->in_len -= in - z->avail_in;
	s->out_len -= out - z->avail_out;
	if (rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END)
		return rc == Z_STREAM_END;
	return damaged("gzip", z->msg ? z->msg : "preset dictionary", e);
}

static void
gzip_again(struct decoding *d)
{
	must(inflateReset(&d->u.gzip) == Z_OK);
}

static void
gzip_close(struct decoding *d)
{
	(void)inflateEnd(&d->u.gzip);
	free(d);
}

static struct decoding *
bzip2_open(void)
{
	struct decoding *d = mem_new(sizeof *d);

	must(BZ2_bzDecompressInit(&d->u.bzip2, 0, 0) == BZ_OK);
	return d;
}

static int
bzip2_step(struct decoding *d, struct codec_step *s, struct err *e)
{
	bz_stream *b = &d->u.bzip2;
	unsigned in = clamp(s->in_len), out = clamp(s->out_len);
	int rc;

	b->next_in = (char *)(uintptr_t)s->in;
	b->avail_in = in;
	b->next_out = (char *)s->out;
	b->avail_out = out;
	rc = BZ2_bzDecompress(b);
	s->in_len -= in - b->avail_in;
	s->out_len -= out - b->avail_out;
	must(rc != BZ_MEM_ERROR);
	if (rc == BZ_OK || rc == BZ_STREAM_END)
		return rc == BZ_STREAM_END;
	return damaged("bzip2", rc == BZ_DATA_ERROR ? "a checksum does not fit" : "not a bzip2 stream", e);
}

static void
bzip2_again(struct decoding *d)
{
	(void)BZ2_bzDecompressEnd(&d->u.bzip2);
	d->u.bzip2 = (bz_stream){ 0 };
	must(BZ2_bzDecompressInit(&d->u.bzip2, 0, 0) == BZ_OK);
}

static void
bzip2_close(struct decoding *d)
{
	(void)BZ2_bzDecompressEnd(&d->u.bzip2);
	free(d);
}

static struct decoding *
xz_open(void)
{
	struct decoding *d = mem_new(sizeof *d);

	d->u.xz = (lzma_stream)LZMA_STREAM_INIT;
	must(lzma_stream_decoder(&d->u.xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK);
	return d;
}

static int
xz_step(struct decoding *d, struct codec_step *s, struct err *e)
{
	lzma_stream *x = &d->u.xz;
	lzma_ret rc;

	x->next_in = s->in;
	x->avail_in = s->in_len;
	x->next_out = s->out;
	x->avail_out = s->out_len;
	rc = lzma_code(x, s->eof ? LZMA_FINISH : LZMA_RUN);
	s->in_len = x->avail_in;
	s->out_len = x->avail_out;
	must(rc != LZMA_MEM_ERROR);
	if (rc == LZMA_OK || rc == LZMA_BUF_ERROR || rc == LZMA_STREAM_END)
		return rc == LZMA_STREAM_END;
	if (rc == LZMA_MEMLIMIT_ERROR)
		return damaged("xz", "it needs a dictionary of more than 64 MiB", e);
	return damaged("xz", rc == LZMA_FORMAT_ERROR ? "not an xz stream" : "a checksum does not fit", e);
}

static void
xz_close(struct decoding *d)
{
	lzma_end(&d->u.xz);
	free(d);
}

static struct decoding *
zstd_window(int window_log)
{
	struct decoding *d = mem_new(sizeof *d);

	d->u.zstd = ZSTD_createDCtx();
	must(d->u.zstd != NULL);
	must(!ZSTD_isError(ZSTD_DCtx_setParameter(d->u.zstd, ZSTD_d_windowLogMax, window_log)));
	return d;
}

static struct decoding *
zstd_open(void)
{
	return zstd_window(ZSTD_WINDOW_LOG);
}

static struct decoding *
zstd_open_long(void)
{
	return zstd_window(ZSTD_WINDOW_LOG_LONG);
}

/* No allocation that a stream asks for goes above what its user granted. */
static int
zstd_damaged(size_t rc, struct err *e)
{
	if (ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge)
		return damaged("zstd",
		    "it needs a larger window than is allowed: compress it without --long and --ultra", e);
	return damaged("zstd", ZSTD_getErrorName(rc), e);
}

/* A frame's first byte goes alone: when libzstd (1.5.4) sees a frame whole it takes a short cut, which is
 * stricter about the declared size than its stream is; what is accepted must not depend on how the bytes
 * arrive. */
static int
zstd_step(struct decoding *d, struct codec_step *s, struct err *e)
{
	ZSTD_inBuffer in = { s->in, d->inside || s->in_len == 0 ? s->in_len : 1, 0 };
	ZSTD_outBuffer out = { s->out, s->out_len, 0 };
	size_t rc = ZSTD_decompressStream(d->u.zstd, &out, &in);

	s->in_len -= in.pos;
	s->out_len -= out.pos;
	if (ZSTD_isError(rc))
		return zstd_damaged(rc, e);
	d->inside = rc != 0;
	return rc == 0;
}

static void
zstd_close(struct decoding *d)
{
	ZSTD_freeDCtx(d->u.zstd);
	free(d);
}

static struct decoding *
lz4_open(void)
{
	struct decoding *d = mem_new(sizeof *d);

	must(!LZ4F_isError(LZ4F_createDecompressionContext(&d->u.lz4, LZ4F_VERSION)));
	return d;
}

static int
lz4_step(struct decoding *d, struct codec_step *s, struct err *e)
{
	size_t in = s->in_len, out = s->out_len;
	size_t rc = LZ4F_decompress(d->u.lz4, s->out, &out, s->in, &in, NULL);

	if (LZ4F_isError(rc))
		return damaged("lz4", LZ4F_getErrorName(rc), e);
	s->in_len -= in;
	s->out_len -= out;
	return rc == 0;
}

static void
lz4_close(struct decoding *d)
{
	(void)LZ4F_freeDecompressionContext(d->u.lz4);
	free(d);
}

static const struct decoder decoders[] = {
	{ CODEC_GZIP, "gzip", gzip_open, gzip_step, gzip_again, gzip_close },
	{ CODEC_BZIP2, "bzip2", bzip2_open, bzip2_step, bzip2_again, bzip2_close },
	{ CODEC_XZ, "xz", xz_open, xz_step, nothing, xz_close },
	{ CODEC_ZSTD, "zstd", zstd_open, zstd_step, nothing, zstd_close },
	{ CODEC_ZSTD | CODEC_LONG, "zstd", zstd_open_long, zstd_step, nothing, zstd_close },
	{ CODEC_LZ4, "lz4", lz4_open, lz4_step, nothing, lz4_close },
};

const struct decoder *
decoder_of(unsigned kind)
{
	for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; i++)
		if (decoders[i].kind == kind)
			return &decoders[i];
	return NULL;
}
