#include "base/fs.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "scratch.h"
#include "tap.h"

static void
test_replace(void)
{
	char *path = scratch_path("file"), *text;
	struct err e = { 0 };
	struct stat st;

	is_int(fs_replace(path, "one", 3, 0640, &e), 0, "a new file");
	is_int(fs_replace(path, "two!", 4, 0600, &e), 0, "replaced");
	text = scratch_read("file");
	is_str(text, "two!", "its bytes");
	free(text);
	is_int(stat(path, &st), 0, "it is there");
	is_int(st.st_mode & 07777, 0600, "with the mode that was asked for");
	ok(!scratch_has("file.new"), "nothing beside it");
	is_int(fs_replace("/nonexistent/file", "x", 1, 0600, &e), -1, "no directory");
	is_int(e.code, ENOENT, e.text);
	free(path);
}

/* A disk that is full in the middle: the old file stays as it was. */
static void
test_full(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, full = { 10, RLIM_INFINITY };
	char *path = scratch_path("file"), *text;
	struct err e = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &full);
	is_int(fs_replace(path, "0123456789abcdef", 16, 0600, &e), -1, "no room");
	setrlimit(RLIMIT_FSIZE, &none);
	is_int(e.code, EFBIG, e.text);
	text = scratch_read("file");
	is_str(text, "two!", "the file is as it was");
	ok(!scratch_has("file.new"), "nothing beside it");
	free(text);
	free(path);
}

/* A link in the place of the temporary file is not written through. */
static void
test_link(void)
{
	char *path = scratch_path("file"), *tmp = scratch_path("file.new"), *target = scratch_path("target"),
	     *text;
	struct err e = { 0 };

	scratch_write("target", "untouched");
	is_int(symlink(target, tmp), 0, "a link");
	is_int(fs_replace(path, "x", 1, 0600, &e), -1, "is refused");
	text = scratch_read("target");
	is_str(text, "untouched", "its target is as it was");
	free(text);
	free(path);
	free(tmp);
	free(target);
}

static void
test_read(void)
{
	char *path = scratch_path("file");
	struct buf b = { 0 };
	struct err e = { 0 };

	scratch_write("file", "0123456789");
	buf_adds(&b, ">");
	is_int(fs_read(path, 10, &b, &e), 0, "as large as it may be");
	is_str(buf_text(&b), ">0123456789", "appended");
	is_int(fs_read(path, 9, &b, &e), -1, "one byte more than allowed");
	is_int(e.code, EFBIG, e.text);
	is_int(fs_read("/nonexistent", 9, &b, &e), -1, "missing");
	is_int(e.code, ENOENT, e.text);
	is_int(fs_read("/", 9, &b, &e), -1, "a directory");
	is_int(e.code, EISDIR, e.text);
	buf_done(&b);
	free(path);
}

static void
test_trees(void)
{
	char *deep = scratch_path("tree/a/b/c"), *tree = scratch_path("tree"), *out = scratch_path("outside");
	char *link_path = scratch_path("tree/a/link"), *blocked = scratch_path("file/x");
	struct err e = { 0 };

	is_int(fs_mkdirs(deep, 0700, &e), 0, "directories and their parents");
	is_int(fs_mkdirs(deep, 0700, &e), 0, "again");
	is_int(fs_mkdirs(blocked, 0700, &e), -1, "below a file");
	is_int(e.code, ENOTDIR, e.text);
	is_int(fs_mkdirs(out, 0700, &e), 0, "a directory outside");
	scratch_write("outside/kept", "");
	scratch_write("tree/a/b/file", "");
	is_int(symlink(out, link_path), 0, "a link to it inside");
	is_int(fs_remove_tree(tree, &e), 0, "the tree is removed");
	ok(!scratch_has("tree"), "wholly");
	ok(scratch_has("outside/kept"), "links are not followed");
	is_int(fs_remove_tree(tree, &e), 0, "missing is fine");
	is_int(fs_sync_dir(out, &e), 0, "a directory is synced");
	is_int(fs_sync_dir(tree, &e), -1, "not one that is gone");
	free(deep);
	free(tree);
	free(out);
	free(link_path);
	free(blocked);
}

static void
test_write_all(void)
{
	struct err e = { 0 };
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), pipes[2];
	char got[8] = "";

	is_int(fs_write_all(fd, "x", 1, &e), -1, "a full disk");
	is_int(e.code, ENOSPC, e.text);
	close(fd);
	is_int(pipe(pipes), 0, "a pipe");
	is_int(fs_write_all(pipes[1], "bytes", 5, &e), 0, "takes all");
	is_int(read(pipes[0], got, sizeof got), 5, "and gives all");
	is_int(fs_write_all(pipes[1], NULL, 0, &e), 0, "nothing is fine");
	close(pipes[0]);
	close(pipes[1]);
}

int
main(void)
{
	scratch_make();
	test_replace();
	test_full();
	test_link();
	test_read();
	test_trees();
	test_write_all();
	scratch_remove();
	return tap_end();
}
