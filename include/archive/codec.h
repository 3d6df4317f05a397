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
 * the caller names (status 413). Decoder memory is bounded: xz 68 MiB (its -9 needs 65), zstd 8 MiB and
 * a little (what its levels up to 19 need), 128 MiB with CODEC_LONG.
 * Damage is status 400, rule left to the user.
 */
enum codec {
	CODEC_NONE = 0,
	CODEC_GZIP = 1,
	CODEC_BZIP2 = 2,
	CODEC_XZ = 4,
	CODEC_ZSTD = 8,
	CODEC_LZ4 = 16,
	CODEC_LONG = 32, /* with CODEC_ZSTD: windows up to 128 MiB (zstd --long), not only up to 8 MiB */
};
enum { CODEC_SNIFF = 6 };

/* What the first bytes (CODEC_SNIFF are enough) say; CODEC_NONE when they are no known magic. */
enum codec codec_sniff(const void *bytes, size_t len);

/* accept is a set of codecs; a known magic outside it is refused by name (status 400). */
struct filter *codec_reader_new(unsigned accept, uint64_t max, const char *rule);

/* How many bytes will pass as they are, when nothing is compressed: 0 when it is, or not known yet. They are
 * counted here. */
uint64_t codec_reader_clear(const struct filter *f);
void codec_reader_passed(struct filter *f, size_t len);

/* What was sniffed, once at least CODEC_SNIFF bytes or eof were seen; CODEC_NONE before. */
enum codec codec_reader_kind(const struct filter *f);

/*
 * none, gzip, zstd or lz4; level as the library's own, 0 = its default, others are brought into its range.
 * Equal input gives equal bytes however it is cut. zstd uses one worker thread with 1 MiB jobs
 * (about 12 MiB of memory at level 3).
 */
struct filter *codec_writer_new(enum codec kind, int level);

/* Ends the zstd frame behind what run() has taken so far (no-op for the others, and for an empty frame): one
 * frame per layer. May add a few MiB to out. Never fails. */
int codec_writer_split(struct filter *f, struct buf *out, struct err *e);

/* "image.tar.zst" -> CODEC_ZSTD; -1 for an ending that is not .tar, .tar.gz, .tgz, .tar.zst, .tar.lz4. */
int codec_of_name(const char *name);

#endif
