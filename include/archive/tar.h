#ifndef ARCHIVE_TAR_H
#define ARCHIVE_TAR_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/*
 * Tar as a stream: ustar, GNU (long names, base-256 numbers) and PAX extended
 * headers, one entry at a time, in bounded memory. The reader is strict: bad
 * checksums, negative or overflowing numbers, sparse files, multi-volume and
 * label entries, global PAX headers that change anything, NUL inside a name,
 * bytes behind a name's NUL, a name given twice, a size on what is not a file, names longer
 * than TAR_NAME_MAX, PAX headers above TAR_PAX_MAX are errors (status 400, rule left
 * to the user). It does not judge names or types: that is its user's. Pure.
 */
enum {
	TAR_BLOCK = 512,
	TAR_NAME_MAX = 4096,
	TAR_PAX_MAX = 1024 * 1024,
	TAR_XATTRS_MAX = 64,
	TAR_SPAN_MAX = 64 * 1024, /* of one TAR_DATA */
};

enum tar_type {
	TAR_FILE = '0', /* also '\0' of old archives ('7' is refused, as the engine does) */
	TAR_HARDLINK = '1',
	TAR_SYMLINK = '2',
	TAR_CHAR = '3',
	TAR_BLOCKDEV = '4',
	TAR_DIR = '5',
	TAR_FIFO = '6',
};

struct tar_xattr {
	char *name; /* behind "SCHILY.xattr." */
	char *value;
	size_t len;
};

struct tar_entry {
	enum tar_type type;
	char *name; /* as in the archive, PAX/GNU/prefix applied; a directory's trailing '/' kept */
	char *link; /* target of links, else "" */
	char *uname, *gname;
	uint32_t mode; /* 07777 */
	uint64_t uid, gid;
	uint64_t size; /* bytes of data that follow; 0 for all but files */
	int64_t mtime; /* seconds; may be negative through PAX */
	uint32_t mtime_ns;
	uint32_t dev_major, dev_minor;
	size_t xattr_count;
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
};

enum tar_event {
	TAR_NEED = 0, /* give more input */
	TAR_ENTRY,    /* a new entry: tar_reader_entry() */
	TAR_DATA,     /* *data, *len: next bytes of its data, valid until the next call or change of in */
	TAR_ENTRY_END,
	TAR_EOF, /* two zero blocks, or eof at an entry boundary; the rest of the input is padding */
};

struct tar_reader;

struct tar_reader *tar_reader_new(void);
void tar_reader_free(struct tar_reader *r);

/*
 * Takes bytes from in (they are dropped from it as they are used; a TAR_DATA
 * span is dropped by the next call). Returns an enum tar_event or -1. After
 * TAR_EOF it swallows what follows if it is zero bytes, else -1: nothing hides
 * behind the end. eof in the middle of an entry, or after a single zero block, is -1; only the padding
 * of the last file may be missing.
 */
int tar_read(struct tar_reader *r, struct buf *in, int eof, const uint8_t **data, size_t *len, struct err *e);

const struct tar_entry *tar_reader_entry(const struct tar_reader *r);

/* Bytes of the entry's data that have not been shown yet, once all that was is dropped; and those of them
 * that went another way: the reader will not see them. */
uint64_t tar_reader_left(const struct tar_reader *r);
void tar_reader_skip(struct tar_reader *r, uint64_t len);

/*
 * Appends an entry's header blocks: ustar when everything fits, else a PAX
 * header before it (names, sizes, times with ns != 0, xattrs in sorted order).
 * The caller appends exactly size bytes of data, then tar_write_pad().
 */
int tar_write_header(struct buf *out, const struct tar_entry *entry, struct err *e);
void tar_write_pad(struct buf *out, uint64_t size);
void tar_write_end(struct buf *out);

#endif
