#ifndef BASE_FS_H
#define BASE_FS_H

#include <ftw.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;

/*
 * Files that are either wholly there or not: written under a temporary name,
 * fsync'ed, renamed, directory fsync'ed. Paths are absolute.
 */

/* Writes all bytes to fd, through EINTR and short writes. */
int fs_write_all(int fd, const void *bytes, size_t len, struct err *e);

/* Replaces the file atomically and durably. */
int fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct err *e);

/* Replaces the file (mode 0600) by a rename, so that a reader sees one or the other, but does not sync: for
 * what is news, not a record. */
int fs_show(const char *path, const char *text, struct err *e);

/* Appends the file's bytes to out; refuses files above max bytes. e->code is ENOENT when missing. */
int fs_read(const char *path, size_t max, struct buf *out, struct err *e);

/* Makes the directory and its parents; an existing directory is fine. */
int fs_mkdirs(const char *path, mode_t mode, struct err *e);

/* fsync of the directory itself. */
int fs_sync_dir(const char *path, struct err *e);

/*
 * Calls visit() for all that is below path, then for path itself: a directory after what is in it, links are
 * not followed. nftw(3) says what visit() is given; it ends the walk with a value that is not 0, which is
 * returned.
 */
typedef int fs_visit(const char *path, const struct stat *st, int type, struct FTW *where);
int fs_walk(const char *path, fs_visit *visit);

/* Removes a file or a whole tree, never following links; missing is fine. */
int fs_remove_tree(const char *path, struct err *e);

#endif
