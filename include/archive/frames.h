#ifndef ARCHIVE_FRAMES_H
#define ARCHIVE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/filter.h"

struct buf;
struct err;

/*
 * The index of an image in zstd form: which bytes of the file are which layer. The file is
 *
 *   a zstd frame for each layer   the tar header, bytes and padding of one member: left out, the rest is a
 * tar one zstd frame                the metadata and the end of the tar a skippable frame             magic
 * 0x184d2a5d, length, then JSON and a footer of 16 bytes: the length of the JSON (8 bytes, little-endian) and
 * "dindfrm1"
 *
 * so `zstd -d` and all that reads several frames sees a plain tarball, and whoever has the last
 * FRAMES_TAIL_MAX bytes knows where each layer lies. The JSON:
 *   {"format": "dind-image-frames", "version": 1, "imageId": "sha256:..", "tarSize": N,
 *    "layers": [diff ids, from the base up; one may come twice],
 *    "frames": [{"offset": N, "size": N, "tarSize": N, "sha256": of the compressed bytes, hex,
 *                "diffId": of the layer in it, or null: the metadata}, ...]}
 * Frames are in the order of the file, without gap or overlap from its first byte to the index; each diff id
 * is one of the layers; a layer without a frame lies in the metadata, which is last.
 * tarSize is in bytes of the tar and counts the header. Pure; nothing in it is proof: frames are checked
 * against its sha256 (frames_check_new), layers against diff ids and the config against imageId when they are
 * loaded.
 */
enum {
	FRAMES_LAYERS_MAX = 127, /* as an engine has */
	FRAMES_MAX = FRAMES_LAYERS_MAX + 1,
	FRAMES_ID_MAX = 72,  /* "sha256:" + 64 hex + NUL */
	FRAMES_HEX_MAX = 65, /* 64 hex + NUL */
	FRAMES_TAIL_MAX =
	    64 * 1024,          /* no index is longer: fetch so many bytes of the end, or the whole file */
	FRAMES_GAP = 16 * 1024, /* a hole smaller than this costs less than another request */
};

struct frames_row {
	uint64_t offset, size; /* in the file */
	uint64_t tar_size;
	char sha256[FRAMES_HEX_MAX];
	char diff_id[FRAMES_ID_MAX]; /* "": the metadata */
};

struct frames { /* 40 KiB: on the heap */
	char image_id[FRAMES_ID_MAX];
	uint64_t tar_size;
	size_t layer_count;
	char layers[FRAMES_LAYERS_MAX][FRAMES_ID_MAX];
	size_t count;
	struct frames_row rows[FRAMES_MAX];
	uint64_t index_offset; /* where the index frame begins: the end of the last row */
};

/* Writer: the next frame of the file; diff_id NULL for the metadata. Sets offset, and tar_size of f. */
void frames_add(struct frames *f, uint64_t size, uint64_t tar_size, const char *sha256, const char *diff_id);

/* Writer: the index frame; image_id and layers are set. -1 when the rows are not what frames_read() takes. */
int frames_print(const struct frames *f, struct buf *out, struct err *e);

/*
 * tail: the last len bytes of a file of file_size bytes. 0; 1 when the file has no index (fetch it whole);
 * -1 (status 400, rule "image-frames") when it has one that is not exactly as above: out of range,
 * overlapping, overflowing, cut off by tail, or longer than FRAMES_TAIL_MAX.
 */
int frames_read(struct frames *f, const void *tail, size_t len, uint64_t file_size, struct err *e);

struct frames_range {
	uint64_t offset, size; /* in the file */
};

struct frames_plan {
	size_t kept;                      /* layers of have, from the base up, that need not come */
	unsigned char wanted[FRAMES_MAX]; /* per row */
	size_t count;
	struct frames_range ranges[FRAMES_MAX]; /* of whole frames, in order of the file */
	uint64_t fetch, saved;                  /* bytes; together the file */
};

/*
 * What to fetch for a host whose engine has a chain of layers with these diff ids, from the base up (a prefix
 * of RootFS.Layers of an image there; whatever follows the first difference is of no use). The bytes of the
 * ranges one after the other are a zstd stream of a tarball that IMAGE_LOAD takes with the first
 * `kept` of have (docker/image.h). The index is never among them.
 */
void frames_plan(const struct frames *f, const char *const *have, size_t have_count, struct frames_plan *p);

/*
 * A filter over the bytes of the ranges, one after the other: they go through as they are, and a frame whose
 * sha256 is another than the index says is refused (400, "image-frames") at its end; too few or too many
 * bytes as well. FILTER_DONE only at eof. f and p are borrowed.
 */
struct filter *frames_check_new(const struct frames *f, const struct frames_plan *p);

#endif
