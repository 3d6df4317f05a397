#ifndef ARCHIVE_TAR_META_H
#define ARCHIVE_TAR_META_H

#include "archive/tar.h"

/* Inside of the tar reader and writer: the header block, and an entry while its headers come in. */

struct tar_raw {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type[1], link[100];
	char magic[8]; /* with the version */
	char uname[32], gname[32], major[8], minor[8], prefix[155], end[12];
};
_Static_assert(sizeof(struct tar_raw) == TAR_BLOCK, "a header is one block");

/* What an extended header has already said about the entry that follows. */
enum {
	META_NAME = 1,
	META_LINK = 2,
	META_SIZE = 4,
	META_UID = 8,
	META_GID = 16,
	META_UNAME = 32,
	META_GNAME = 64,
	META_MTIME = 128,
	META_PAX = 256, /* an 'x' header came */
};

struct tar_meta {
	struct tar_entry entry;
	unsigned seen;
};

void tar_meta_clear(struct tar_meta *m);

/* Keeps a name (META_NAME, META_LINK, META_UNAME or META_GNAME); twice, too long or with a NUL is refused. */
int tar_meta_text(struct tar_meta *m, unsigned which, const char *text, size_t len, struct err *e);

/* The records of one PAX header; in a global one nothing that this reader would have to obey. */
int tar_pax_read(struct tar_meta *m, const char *text, size_t len, int global, struct err *e);

int tar_all_zero(const uint8_t *p, size_t len);

/* A number field; negative ones and those above max are refused. */
int tar_natural(const char *field, size_t n, const char *what, uint64_t max, uint64_t *value, struct err *e);

/* Checksum and format of a block; *ustar says whether it has a prefix. */
int tar_head_check(const struct tar_raw *h, int *ustar, struct err *e);

/* Fills what no extended header has said. */
int tar_head_entry(struct tar_meta *m, const struct tar_raw *h, int ustar, struct err *e);

#endif
