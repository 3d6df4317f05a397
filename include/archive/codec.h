#ifndef ARCHIVE_CODEC_H
#define ARCHIVE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/filter.h"

struct err;

/*
 * Compression as filters over the well-kept libraries of each format.
 *
 * The reader sniffs by magic bytes as the engine does (gzip with several
 * members, bzip2, xz; zstd where asked; lz4 frames where asked; otherwise the
 * bytes pass as they are). Trailing bytes behind the end of a compressed stream
 * are an error, so is a truncated one. max caps the bytes that come out (0 =
 * none): a decompression bomb ends with rule "context-bytes" or whatever rule
 * the caller names. Decoder memory is bounded: xz 64 MiB, zstd window 2^27.
 */
enum codec {
	CODEC_NONE = 0,
	CODEC_GZIP = 1,
	CODEC_BZIP2 = 2,
	CODEC_XZ = 4,
	CODEC_ZSTD = 8,
	CODEC_LZ4 = 16,
};

/* accept is a set of codecs; a known magic outside it is refused by name (status 400). */
struct filter *codec_reader_new(unsigned accept, uint64_t max, const char *rule);

/* What was sniffed, once at least 6 bytes or eof were seen; CODEC_NONE before. */
enum codec codec_reader_kind(const struct filter *f);

/* level as the library's own; zstd uses one worker thread with 1 MiB jobs (RSS about 12 MiB, storage.md C).
 */
struct filter *codec_writer_new(enum codec kind, int level);

/* Ends the current zstd frame at this point of the stream (no-op for the others): one frame per layer. */
int codec_writer_split(struct filter *f, struct buf *out, struct err *e);

/* "image.tar.zst" -> CODEC_ZSTD; -1 for an ending that is not .tar, .tar.gz, .tgz, .tar.zst, .tar.lz4. */
int codec_of_name(const char *name);

#endif
