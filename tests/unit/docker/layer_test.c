#include "docker/layer.h"

#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

static const struct row {
	const char *title;
	const char *says; /* NULL: it is a layer */
	char type;
	const char *name, *link, *xattr;
	unsigned major, minor, mode;
} rows[] = {
	{ "a file", NULL, '0', .name = "etc/passwd" },
	{ "a file with a dot", NULL, '0', .name = "./etc/passwd" },
	{ "a file from the root", NULL, '0', .name = "/etc/passwd" },
	{ "dots that are no step", NULL, '0', .name = "..a/b../..." },
	{ "a step up", "'..'", '0', .name = "a/../b" },
	{ "a way out", "'..'", '0', .name = "../b" },
	{ "a step up at the end", "'..'", '5', .name = "a/../" },
	{ "only that", "'..'", '5', .name = ".." },
	{ "a set-uid file", NULL, '0', .name = "bin/su", .mode = 04755 },
	{ "a symlink to anywhere", NULL, '2', .name = "a", .link = "../../../../etc/shadow" },
	{ "a symlink from the root", NULL, '2', .name = "a", .link = "/proc/self/fd" },
	{ "a hard link", NULL, '1', .name = "a", .link = "b/c" },
	{ "a hard link from the root", NULL, '1', .name = "a", .link = "/b/c" },
	{ "a hard link to a way out", "'..'", '1', .name = "a", .link = "../../etc/shadow" },
	{ "a FIFO", NULL, '6', .name = "a" },
	{ "dev/null", NULL, '3', .name = "dev/null", .major = 1, .minor = 3 },
	{ "dev/ptmx", NULL, '3', .name = "dev/ptmx", .major = 5, .minor = 2 },
	{ "another name for dev/null", NULL, '3', .name = "a", .major = 1, .minor = 3 },
	{ "dev/mem", "a device", '3', .name = "dev/mem", .major = 1, .minor = 1 },
	{ "a whiteout of overlayfs", "a device", '3', .name = "etc", .major = 0, .minor = 0 },
	{ "a disk", "a device", '4', .name = "dev/null", .major = 8, .minor = 0 },
	{ "a disk with the numbers of null", "a device", '4', .name = "dev/null", .major = 1, .minor = 3 },
	{ "a whiteout", NULL, '0', .name = "etc/.wh.passwd" },
	{ "an opaque directory", NULL, '0', .name = "etc/.wh..wh..opq" },
	{ "a whiteout of a name with dots", NULL, '0', .name = "etc/.wh...." },
	{ "a name that is nearly one", NULL, '0', .name = "etc/.wh" },
	{ "a whiteout of nothing", "a whiteout of nothing", '0', .name = "etc/.wh." },
	{ "at the root", "a whiteout of nothing", '0', .name = ".wh." },
	{ "of the directory", "a whiteout of nothing", '0', .name = "etc/.wh.." },
	{ "of the one above", "a whiteout of nothing", '0', .name = ".wh..." },
	{ "as a directory", "a whiteout of nothing", '5', .name = ".wh.../" },
	{ "a capability", NULL, '0', .name = "bin/ping", .xattr = "security.capability" },
	{ "an attribute of users", NULL, '0', .name = "a", .xattr = "user.note" },
	{ "a redirect of overlayfs", "overlayfs", '5', .name = "a/", .xattr = "trusted.overlay.redirect" },
	{ "the same for users", "overlayfs", '0', .name = "a", .xattr = "user.overlay.metacopy" },
};

static void
put(struct buf *out, const struct row *r)
{
	char none[] = "", value[] = "v";
	struct tar_entry t = { .type = (enum tar_type)r->type, .uname = none, .gname = none, .link = none };
	struct err e;

	t.name = (char *)(uintptr_t)r->name;
	if (r->link != NULL)
		t.link = (char *)(uintptr_t)r->link;
	t.mode = r->mode ? r->mode : 0644;
	t.dev_major = r->major;
	t.dev_minor = r->minor;
	if (r->xattr != NULL) {
		t.xattr_count = 1;
		t.xattrs[0] = (struct tar_xattr){ (char *)(uintptr_t)r->xattr, value, 1 };
	}
	if (tar_write_header(out, &t, &e) < 0)
		printf("# %s\n", e.text);
}

/* 0, or -1; what is left of in is less than a header. */
static int
look(const struct buf *tar, size_t piece, uint64_t *entries, struct err *e)
{
	struct layer *l = layer_new(entries);
	struct buf in = { 0 };
	size_t given = 0, n;
	int rc;

	do {
		n = buf_len(tar) - given < piece ? buf_len(tar) - given : piece;
		buf_add(&in, buf_ptr(tar) + given, n);
		given += n;
		rc = layer_add(l, &in, given == buf_len(tar), e);
		if (rc == 0 && buf_len(&in) >= TAR_BLOCK)
			rc = 9;
	} while (rc == 0 && given < buf_len(tar));
	layer_free(l);
	buf_done(&in);
	return rc;
}

static void
test_row(const struct row *r, size_t piece)
{
	static const struct row file = { .type = '0', .name = "before" };
	struct buf tar = { 0 };
	struct err e = { 0 };
	uint64_t entries = 0;
	int rc;

	put(&tar, &file);
	put(&tar, r);
	tar_write_end(&tar);
	rc = look(&tar, piece, &entries, &e);
	is_int(rc, r->says ? -1 : 0, r->title);
	is_int(entries, 2, "entries are counted");
	if (r->says != NULL) {
		ok(strstr(e.text, r->says) != NULL, e.text);
		is_str(e.rule, "image-contents", "rule");
		is_int(e.status, 400, "status");
	}
	buf_done(&tar);
}

static void
test_bytes(void)
{
	struct buf tar = { 0 };
	struct err e = { 0 };
	uint64_t entries = 0;

	is_int(look(&tar, 1, &entries, &e), 0, "no byte at all");
	tar_write_end(&tar);
	is_int(look(&tar, 512, &entries, &e), 0, "an empty layer");
	buf_adds(&tar, "x");
	is_int(look(&tar, 512, &entries, &e), -1, "something behind the end");
	is_str(e.rule, "image-contents", "rule");
	buf_clear(&tar);
	buf_adds(&tar, "this is no tar");
	is_int(look(&tar, 1, &entries, &e), -1, "text");
	is_str(e.rule, "image-contents", "rule");
	buf_done(&tar);
}

static void
test_count(void)
{
	struct buf tar = { 0 };
	struct err e = { 0 };
	uint64_t entries = LAYER_ENTRIES_MAX - 1;

	put(&tar, &rows[0]);
	tar_write_end(&tar);
	is_int(look(&tar, 4096, &entries, &e), 0, "4,000,000 entries");
	is_int(look(&tar, 4096, &entries, &e), -1, "one more");
	is_str(e.rule, "image-contents", "rule");
	buf_done(&tar);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		test_row(&rows[i], 1 << 20);
		test_row(&rows[i], 1);
	}
	test_bytes();
	test_count();
	return tap_end();
}
