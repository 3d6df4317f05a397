#ifndef ARCHIVE_CODEC_DECODE_H
#define ARCHIVE_CODEC_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "archive/codec.h"

/* Inside of the reader: one decoder of each format behind four functions. */

struct decoding; /* the library's own state */

struct codec_step {
	const uint8_t *in;
	size_t in_len; /* left after the step */
	uint8_t *out;
	size_t out_len; /* left after the step */
	int eof;        /* nothing comes behind in */
};

struct decoder {
	unsigned kind; /* enum codec; CODEC_ZSTD may be with CODEC_LONG */
	const char *name;
	struct decoding *(*open)(void);
	/* 1: a member has ended, 0: not yet, -1: damaged. No progress is no error. */
	int (*step)(struct decoding *d, struct codec_step *s, struct err *e);
	void (*again)(struct decoding *d); /* another member follows */
	void (*close)(struct decoding *d);
};

const struct decoder *decoder_of(unsigned kind);

#endif
