#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

int
fs_write_all(int fd, const void *bytes, size_t len, struct err *e)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write: %m");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
fs_sync_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return err_set(e, errno, "cannot open directory '%s': %m", path);
	if (fsync(fd) < 0)
		rc = err_set(e, errno, "cannot sync directory '%s': %m", path);
	close(fd);
	return rc;
}

static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? mem_str(".") : mem_strn(path, slash == path ? 1 : (size_t)(slash - path));
}

static int
fill_new(const char *tmp, const void *bytes, size_t len, mode_t mode, struct err *e)
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int rc;

	if (fd < 0)
		return err_set(e, errno, "cannot create '%s': %m", tmp);
	rc = fs_write_all(fd, bytes, len, e);
	if (rc == 0 && fchmod(fd, mode) < 0) /* whatever the umask says */
		rc = err_set(e, errno, "chmod: %m");
	if (rc == 0 && fsync(fd) < 0)
		rc = err_set(e, errno, "fsync: %m");
	close(fd);
	return rc == 0 ? 0 : err_wrap(e, "cannot write '%s'", tmp);
}

int
fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct err *e)
{
	char *tmp = mem_printf("%s.new", path), *dir = parent_of(path);
	int rc = fill_new(tmp, bytes, len, mode, e);

	if (rc == 0 && rename(tmp, path) < 0)
		rc = err_set(e, errno, "cannot rename '%s': %m", tmp);
	if (rc == 0)
		rc = fs_sync_dir(dir, e);
	else
		(void)unlink(tmp);
	free(tmp);
	free(dir);
	return rc;
}

int
fs_show(const char *path, const char *text, struct err *e)
{
	char *tmp = mem_printf("%s.new", path);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0) {
		rc = err_set(e, errno, "cannot create '%s': %m", tmp);
	} else {
		rc = fs_write_all(fd, text, strlen(text), e);
		close(fd);
		if (rc == 0 && rename(tmp, path) < 0)
			rc = err_set(e, errno, "cannot rename '%s': %m", tmp);
	}
	free(tmp);
	return rc;
}

static int
read_fd(int fd, size_t max, struct buf *out, struct err *e)
{
	size_t start = buf_len(out), piece = 4096;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)piece) /* most files are small */
		piece = 64 * 1024;
	do {
		n = read(fd, buf_reserve(out, piece), piece);
		if (n > 0)
			buf_commit(out, (size_t)n);
		if (buf_len(out) - start > max)
			return err_set(e, EFBIG, "larger than %zu bytes", max);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_set(e, errno, "read: %m") : 0;
}

int
fs_read(const char *path, size_t max, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_set(e, errno, "cannot open '%s': %m", path);
	rc = read_fd(fd, max, out, e);
	close(fd);
	return rc == 0 ? 0 : err_wrap(e, "cannot read '%s'", path);
}

int
fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char *copy;
	int rc = 0;

	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0; /* mostly only the last part is missing */
	copy = mem_str(path);
	for (char *p = copy + 1; rc == 0 && p[-1] != '\0'; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			rc = err_set(e, errno, "cannot make directory '%s': %m", copy);
		*p = c;
	}
	free(copy);
	return rc;
}

int
fs_walk(const char *path, fs_visit *visit)
{
	enum { DESCRIPTORS = 16 };

	/* without FTW_MOUNT: an overlay file system may give files another device number than their directory
	 */
	return nftw(path, visit, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int
fs_remove_tree(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	return fs_walk(path, remove_one) == 0 ? 0 : err_set(e, errno, "cannot remove '%s': %m", path);
}
