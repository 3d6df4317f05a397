#ifndef ARCHIVE_FRAMES_FORMAT_H
#define ARCHIVE_FRAMES_FORMAT_H

#include "archive/frames.h"

/* Inside of the index of frames: its layout, for the writer and the reader. */

#define FRAMES_FORMAT "dind-image-frames"
#define FRAMES_MARK "dindfrm1"

enum {
	FRAMES_MAGIC =
	    0x184d2a5d,     /* skippable; ...50 is of zstd:chunked and pzstd, ...5e of the seekable format */
	FRAMES_HEAD = 8,    /* magic and length, 4 bytes each, little-endian */
	FRAMES_FOOTER = 16, /* length of the JSON, and the mark */
	FRAMES_AROUND = FRAMES_HEAD + FRAMES_FOOTER,
	FRAMES_TAR_BLOCK = 512,
};
#define FRAMES_BYTES_MAX ((int64_t)1 << 48) /* of one frame: 128 of them never overflow */

uint64_t frames_le(const uint8_t *p, size_t n);

#endif
