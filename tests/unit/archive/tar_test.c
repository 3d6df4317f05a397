#include "archive/tar.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "raw_tar.h"
#include "tap.h"

/* One entry as text: "0 name" and what is not the default of raw_header(). */
static void
show_entry(struct buf *to, const struct tar_entry *t)
{
	buf_printf(to, "%c %s", t->type, t->name);
	if (t->link[0])
		buf_printf(to, " -> %s", t->link);
	if (t->mode != 0644)
		buf_printf(to, " mode %o", t->mode);
	if (t->uid || t->gid)
		buf_printf(to, " owner %llu:%llu", (unsigned long long)t->uid, (unsigned long long)t->gid);
	if (t->uname[0] || t->gname[0])
		buf_printf(to, " names %s:%s", t->uname, t->gname);
	if (t->mtime != 15 || t->mtime_ns)
		buf_printf(to, " mtime %lld.%09u", (long long)t->mtime, t->mtime_ns);
	if (t->dev_major || t->dev_minor)
		buf_printf(to, " device %u,%u", t->dev_major, t->dev_minor);
	for (size_t i = 0; i < t->xattr_count; i++)
		buf_printf(to, " %s(%zu)", t->xattrs[i].name, t->xattrs[i].len);
	if (t->size)
		buf_printf(to, " %llu:", (unsigned long long)t->size);
}

struct seen {
	struct buf text;          /* what was read */
	struct buf again;         /* and written anew, when wanted */
	int status, write_failed; /* of a refusal */
};

/* Acts on one event; 0 when the archive has ended. */
static int
take(struct seen *s, struct tar_reader *r, int ev, const uint8_t *data, size_t len)
{
	const struct tar_entry *t = tar_reader_entry(r);
	struct err e;

	switch (ev) {
	case TAR_ENTRY:
		show_entry(&s->text, t);
		s->write_failed |= tar_write_header(&s->again, t, &e) < 0;
		break;
	case TAR_DATA:
		buf_add(&s->text, data, len);
		buf_add(&s->again, data, len);
		break;
	case TAR_ENTRY_END:
		buf_adds(&s->text, ";");
		tar_write_pad(&s->again, t->size);
		break;
	}
	return ev != TAR_EOF;
}

static void
read_all(struct seen *s, const struct buf *tar, size_t piece)
{
	struct tar_reader *r = tar_reader_new();
	struct buf in = { 0 };
	size_t given = 0, len = 0;
	const uint8_t *data = NULL;
	struct err e = { 0 };
	int ev;

	*s = (struct seen){ 0 };
	for (;;) {
		ev = tar_read(r, &in, given == buf_len(tar), &data, &len, &e);
		if (ev < 0 || (!take(s, r, ev, data, len) && given == buf_len(tar)))
			break;
		if (ev == TAR_NEED || ev == TAR_EOF) {
			size_t n = buf_len(tar) - given < piece ? buf_len(tar) - given : piece;

			buf_add(&in, buf_ptr(tar) + given, n);
			given += n;
		}
	}
	if (ev < 0) {
		buf_clear(&s->text);
		buf_printf(&s->text, "%d %s", e.status, e.text);
	} else {
		tar_write_end(&s->again);
	}
	tar_reader_free(r);
	buf_done(&in);
}

static void
forget(struct seen *s)
{
	buf_done(&s->text);
	buf_done(&s->again);
}

/* What is read: in one piece, in small ones, and again from what was written of it. */
static void
check(const struct buf *tar, const char *want, const char *name)
{
	static const size_t pieces[] = { 1, 511, 1 << 20 };
	struct seen s, second;

	for (size_t i = 0; i < 3; i++) {
		read_all(&s, tar, pieces[i]);
		if (want[0] == '!')
			ok(strstr(buf_text(&s.text), want + 1) != NULL &&
			        strncmp(buf_text(&s.text), "400 tar: ", 9) == 0,
			    name);
		else
			is_str(buf_text(&s.text), want, name);
		if (want[0] == '!' && strstr(buf_text(&s.text), want + 1) == NULL)
			printf("#  got: %s\n", buf_text(&s.text));
		if (i < 2)
			forget(&s);
	}
	if (want[0] != '!') {
		read_all(&second, &s.again, 1000);
		is_str(buf_text(&second.text), want, "written and read again");
		ok(buf_len(&second.again) == buf_len(&s.again) &&
		        memcmp(buf_ptr(&second.again), buf_ptr(&s.again), buf_len(&s.again)) == 0,
		    "equal entries are written in equal bytes");
		forget(&second);
	}
	forget(&s);
}

/* A file "f" with "hello" and one field of its header changed. */
static const struct {
	const char *name;
	size_t at;
	const char *bytes;
	size_t len;
	int wrong_sum;
	const char *want;
} fields[] = {
	{ "plain", 0, "f", 1, 0, "0 f 5:hello;" },
	{ "full name field", 0,
	    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij012345"
	    "6789",
	    100, 0,
	    "0 "
	    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij012345"
	    "6789"
	    " 5:hello;" },
	{ "no name", 0, "", 1, 0, "!empty name" },
	{ "junk behind the name", 0, "f\0g", 3, 0, "!behind the end of a name" },
	{ "prefix", 345, "a/./.", 5, 0, "0 a/././f 5:hello;" },
	{ "junk behind the prefix", 345, "a\0/", 3, 0, "!behind the end of a name" },
	{ "wrong checksum", 0, "g", 1, 1, "!invalid tar header" },
	{ "size with blanks", 124, "          5 ", 12, 0, "0 f 5:hello;" },
	{ "size base-256", 124, "\x80\0\0\0\0\0\0\0\0\0\0\5", 12, 0, "0 f 5:hello;" },
	{ "size base-256 negative", 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, 0,
	    "!size is not a number" },
	{ "size base-256 too large", 124, "\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, 0, "!size is not a number" },
	{ "size with a NUL inside", 124, "5\0000000000005", 12, 0, "!size is not a number" },
	{ "size with leading NUL", 124, "\0000000000005", 12, 0, "!size is not a number" },
	{ "size with a letter", 124, "0000000000z\0", 12, 0, "!size is not a number" },
	{ "size with a digit 8", 124, "00000000008\0", 12, 0, "!size is not a number" },
	{ "size with a sign", 124, "-0000000005\0", 12, 0, "!size is not a number" },
	{ "size larger than what follows", 124, "00000010000\0", 12, 0, "!cut off" },
	{ "size of 8 EiB", 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, 0, "!cut off" },
	{ "file type bits in the mode", 100, "0100755", 7, 0, "0 f mode 755 5:hello;" },
	{ "negative uid", 108, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8, 0, "!uid is not a number" },
	{ "uid base-256", 108, "\x80\0\0\0\0\x2d\xc6\xc0", 8, 0, "0 f owner 3000000:0 5:hello;" },
	{ "empty uid", 108, "\0\0\0\0\0\0\0\0", 8, 0, "0 f 5:hello;" },
	{ "time before 1970", 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12, 0,
	    "0 f mtime -2.000000000 5:hello;" },
	{ "time out of range", 136, "\x80\0\0\0\x40\0\0\0\0\0\0\0", 12, 0, "!mtime out of range" },
	{ "names of the owner", 265, "root", 4, 0, "0 f names root: 5:hello;" },
	{ "v7", 257, "\0\0\0\0\0\0\0\0", 8, 0, "0 f 5:hello;" },
	{ "GNU", 257, "ustar  \0", 8, 0, "0 f 5:hello;" },
	{ "unknown magic", 257, "USTAR\00000", 8, 0, "!unknown header format" },
	{ "star", 508, "tar\0", 4, 0, "!'star'" },
	{ "type NUL", 156, "\0", 1, 0, "0 f 5:hello;" },
	{ "type 7", 156, "7", 1, 0, "!type '7'" },
	{ "sparse", 156, "S", 1, 0, "!type 'S'" },
	{ "volume", 156, "M", 1, 0, "!type 'M'" },
	{ "label", 156, "V", 1, 0, "!type 'V'" },
	{ "dump", 156, "D", 1, 0, "!type 'D'" },
	{ "Solaris", 156, "X", 1, 0, "!type 'X'" },
	{ "unknown type", 156, "\x80", 1, 0, "!type '\\x80'" },
	{ "directory with a size", 156, "5", 1, 0, "!has a size" },
	{ "symlink without a target", 156, "2", 1, 0, "!empty name or link" },
	{ "link field of a file", 157, "x", 1, 0, "0 f 5:hello;" },
};

static void
test_fields(void)
{
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct buf tar = { 0 };

		raw_file(&tar, "f", "hello");
		memcpy(tar.data + fields[i].at, fields[i].bytes, fields[i].len);
		if (!fields[i].wrong_sum)
			raw_sum(&tar, 0);
		raw_zeros(&tar, 2);
		check(&tar, fields[i].want, fields[i].name);
		buf_done(&tar);
	}
}

/* PAX headers before a file "f" with "hello". */
static const struct {
	const char *name;
	char type;
	const char *bytes;
	size_t len;
	const char *want;
} paxes[] = {
	{ "path", 'x', "9 path=g\n", 9, "0 g 5:hello;" },
	{ "path twice", 'x', "9 path=g\n9 path=h\n", 18, "!two names" },
	{ "empty path", 'x', "8 path=\n", 8, "!empty name" },
	{ "NUL in the path", 'x', "11 path=g\0h\n", 12, "!malformed" },
	{ "NUL in the path, right length", 'x', "12 path=g\0h\n", 12, "!NUL inside" },
	{ "size", 'x', "10 size=5\n", 10, "0 f 5:hello;" },
	{ "size lies", 'x', "13 size=1024\n", 13, "!cut off" },
	{ "size smaller", 'x', "10 size=0\n", 10, "!invalid tar header" },
	{ "size with a sign", 'x', "11 size=+5\n", 11, "!PAX number '+5'" },
	{ "size too large", 'x', "28 size=9223372036854775808\n", 28, "!PAX number" },
	{ "size twice", 'x', "10 size=5\n10 size=5\n", 20, "!PAX number" },
	{ "negative uid", 'x', "10 uid=-1\n", 10, "!PAX number '-1'" },
	{ "uid and gid", 'x', "15 uid=3000000\n9 gid=12\n", 24, "0 f owner 3000000:12 5:hello;" },
	{ "owner's names", 'x', "11 uname=a\n11 gname=b\n", 22, "0 f names a:b 5:hello;" },
	{ "mtime", 'x', "18 mtime=123.4567\n", 18, "0 f mtime 123.456700000 5:hello;" },
	{ "mtime before 1970", 'x', "15 mtime=-1.25\n", 15, "0 f mtime -2.750000000 5:hello;" },
	{ "mtime just before 1970", 'x', "14 mtime=-0.5\n", 14, "0 f mtime -1.500000000 5:hello;" },
	{ "mtime with many digits", 'x', "23 mtime=1.00000000199\n", 23, "0 f mtime 1.000000001 5:hello;" },
	{ "mtime without digits", 'x', "11 mtime=-\n", 11, "!PAX mtime '-'" },
	{ "mtime with an exponent", 'x', "13 mtime=1e9\n", 13, "!PAX mtime" },
	{ "mtime with two dots", 'x', "15 mtime=1.2.3\n", 15, "!PAX mtime" },
	{ "mtime out of range", 'x', "28 mtime=922337203685477580\n", 28, "!mtime out of range" },
	{ "times of access, comment, ACL", 'x', "11 atime=1\n13 comment=x\n23 SCHILY.acl.access=x\n", 47,
	    "0 f 5:hello;" },
	{ "attributes in order", 'x', "24 SCHILY.xattr.user.b=1\n24 SCHILY.xattr.user.a=2\n", 48,
	    "!malformed" },
	{ "attribute with NUL", 'x', "27 SCHILY.xattr.user.b=1\0\0\n", 27, "0 f user.b(3) 5:hello;" },
	{ "attribute twice", 'x', "25 SCHILY.xattr.user.b=1\n25 SCHILY.xattr.user.b=1\n", 50,
	    "!given twice" },
	{ "attribute without a name", 'x', "17 SCHILY.xattr.=\n", 17, "!malformed" },
	{ "sparse by PAX", 'x', "22 GNU.sparse.major=1\n", 22, "!sparse" },
	{ "volume by PAX", 'x', "21 GNU.volume.size=1\n", 21, "!sparse files, volumes" },
	{ "key alone", 'x', "7 path\n", 7, "!without a key" },
	{ "no key", 'x', "6 =xy\n", 6, "!without a key" },
	{ "no newline", 'x', "9 path=gg", 9, "!malformed" },
	{ "length 0", 'x', "0 path=g\n", 9, "!malformed" },
	{ "length with a zero", 'x', "010 path=g\n", 11, "!malformed" },
	{ "length past the end", 'x', "99 path=g\n", 10, "!malformed" },
	{ "length too small", 'x', "3 path=g\n", 9, "!malformed" },
	{ "huge length", 'x', "99999999999999999999 path=g\n", 28, "!malformed" },
	{ "negative length", 'x', "-9 path=g\n", 10, "!malformed" },
	{ "length and tab", 'x', "9\tpath=g\n", 9, "!malformed" },
	{ "no record", 'x', "", 0, "0 f 5:hello;" },
	{ "global comment", 'g', "13 comment=x\n", 13, "0 f 5:hello;" },
	{ "global path", 'g', "9 path=g\n", 9, "!global PAX header sets 'path'" },
	{ "global size", 'g', "10 size=1\n", 10, "!global PAX header sets 'size'" },
	{ "global attribute", 'g', "25 SCHILY.xattr.user.b=1\n", 25, "!global PAX header sets" },
	{ "GNU long name", 'L', "long\0", 5, "0 long 5:hello;" },
	{ "GNU long name without NUL", 'L', "long", 4, "0 long 5:hello;" },
	{ "GNU long name with junk", 'L', "long\0junk\0", 10, "!NUL inside" },
	{ "GNU empty long name", 'L', "\0\0", 2, "!empty name" },
	{ "GNU long link of a file", 'K', "long\0", 5, "0 f 5:hello;" },
};

static void
test_pax(void)
{
	for (size_t i = 0; i < sizeof paxes / sizeof paxes[0]; i++) {
		struct buf tar = { 0 };

		raw_extended(&tar, paxes[i].type, paxes[i].bytes, paxes[i].len);
		raw_file(&tar, "f", "hello");
		raw_zeros(&tar, 2);
		check(&tar, paxes[i].want, paxes[i].name);
		buf_done(&tar);
	}
}

static void
two_pax(struct buf *b)
{
	raw_pax(b, "path", "a", 1);
	raw_pax(b, "size", "1", 1);
	raw_file(b, "f", "x");
}

static void
pax_and_long(struct buf *b)
{
	raw_pax(b, "path", "a", 1);
	raw_extended(b, 'L', "b", 1);
	raw_file(b, "f", "x");
}

static void
long_both(struct buf *b)
{
	raw_extended(b, 'K', "target", 7);
	raw_extended(b, 'L', "name", 5);
	raw_entry(b, '2', "f", "x");
}

static void
long_twice(struct buf *b)
{
	raw_extended(b, 'L', "a", 1);
	raw_extended(b, 'L', "b", 1);
	raw_file(b, "f", "x");
}

static void
global_between(struct buf *b)
{
	raw_pax(b, "path", "a", 1);
	raw_extended(b, 'g', "13 comment=x\n", 13);
	raw_file(b, "f", "x");
}

static void
dangling_pax(struct buf *b)
{
	raw_pax(b, "path", "a", 1);
}

static void
all_types(struct buf *b)
{
	size_t at;

	raw_entry(b, '5', "d/", "");
	raw_entry(b, '1', "h", "f");
	raw_entry(b, '2', "s", "/etc");
	raw_entry(b, '6', "p", "");
	raw_entry(b, '\0', "old/", "");
	at = raw_header(b, '3', "c", "", 0);
	memcpy(b->data + at + 329, "0000001", 7);
	memcpy(b->data + at + 337, "0000003", 7);
	raw_sum(b, at);
}

static void
bad_device(struct buf *b)
{
	size_t at = raw_header(b, '4', "c", "", 0);

	memcpy(b->data + at + 329, "zzzzzzz", 7);
	raw_sum(b, at);
}

static void
gnu_times(struct buf *b)
{
	size_t at = raw_header(b, '0', "f", "", 0);

	memcpy(b->data + at + 257, "ustar  \0", 8);
	memcpy(b->data + at + 345, "00000000017", 11);
	raw_sum(b, at);
}

static void
gnu_prefix(struct buf *b)
{
	size_t at = raw_header(b, '0', "f", "", 0);

	memcpy(b->data + at + 257, "ustar  \0", 8);
	memcpy(b->data + at + 345, "some/prefix", 11);
	raw_sum(b, at);
}

static void
long_pax_name(struct buf *b)
{
	char name[TAR_NAME_MAX + 1];

	memset(name, 'n', sizeof name);
	raw_pax(b, "path", name, sizeof name);
	raw_file(b, "f", "");
}

static void
huge_pax(struct buf *b)
{
	(void)raw_header(b, 'x', "ext", "", TAR_PAX_MAX + 1);
}

static void
many_xattrs(struct buf *b)
{
	struct buf r = { 0 };

	for (int i = 0; i <= TAR_XATTRS_MAX; i++)
		buf_printf(&r, "26 SCHILY.xattr.user.%02d=1\n", i);
	raw_extended(b, 'x', buf_ptr(&r), buf_len(&r));
	raw_file(b, "f", "");
	buf_done(&r);
}

static void
second_archive(struct buf *b)
{
	raw_file(b, "f", "x");
	raw_zeros(b, 2);
	raw_file(b, "g", "y");
}

static void
one_zero_block(struct buf *b)
{
	raw_file(b, "f", "x");
	raw_zeros(b, 1);
	raw_file(b, "g", "y");
}

static void
nothing(struct buf *b)
{
	(void)b;
}

static const struct {
	const char *name;
	void (*build)(struct buf *b);
	size_t zeros;
	const char *want;
} built[] = {
	{ "two PAX headers", two_pax, 2, "!two PAX headers" },
	{ "PAX path and GNU long name", pax_and_long, 2, "!two names" },
	{ "GNU long name and link", long_both, 2, "2 name -> target;" },
	{ "GNU long name twice", long_twice, 2, "!two names" },
	{ "global header between", global_between, 2, "!global header between" },
	{ "PAX header without its entry", dangling_pax, 2, "!without its entry" },
	{ "PAX header at the end", dangling_pax, 0, "!without its entry" },
	{ "all types", all_types, 2, "5 d/;1 h -> f;2 s -> /etc;6 p;5 old/;3 c device 1,3;" },
	{ "device number", bad_device, 2, "!device is not a number" },
	{ "GNU times", gnu_times, 2, "0 f;" },
	{ "GNU header with a prefix", gnu_prefix, 2, "!something else than times" },
	{ "name of 4097 bytes", long_pax_name, 2, "!at most 4096" },
	{ "PAX header above its cap", huge_pax, 2, "!extended header is not a number" },
	{ "65 attributes", many_xattrs, 2, "!more than 64" },
	{ "second archive behind the end", second_archive, 2, "!behind the end" },
	{ "zero block inside", one_zero_block, 2, "!single zero block" },
	{ "one zero block at the end", all_types, 1, "!cut off" },
	{ "no zero blocks", gnu_times, 0, "0 f;" },
	{ "padding to a record", gnu_times, 20, "0 f;" },
	{ "empty", nothing, 0, "" },
	{ "zeros only", nothing, 2, "" },
};

static void
test_built(void)
{
	for (size_t i = 0; i < sizeof built / sizeof built[0]; i++) {
		struct buf tar = { 0 };

		built[i].build(&tar);
		raw_zeros(&tar, built[i].zeros);
		check(&tar, built[i].want, built[i].name);
		buf_done(&tar);
	}
}

/* Every cut is refused but those at an entry's end, with its padding or (CLI 20.10's -f -) without all of it.
 */
static void
test_cuts(void)
{
	struct buf tar = { 0 }, cut = { 0 };
	struct seen s;
	int good = 1;

	raw_pax(&tar, "path", "a", 1);
	raw_file(&tar, "f", "hello");
	raw_entry(&tar, '5', "d", "");
	raw_zeros(&tar, 2);
	for (size_t n = 0; n < buf_len(&tar); n++) {
		int whole = n == 0 || (n >= 1541 && n <= 2048) || n == 2560;

		buf_clear(&cut);
		buf_add(&cut, buf_ptr(&tar), n);
		read_all(&s, &cut, 100);
		if (whole == (strncmp(buf_text(&s.text), "400", 3) == 0)) {
			printf("# cut at %zu: %s\n", n, buf_text(&s.text));
			good = 0;
		}
		forget(&s);
	}
	ok(good, "a cut archive is refused");
	buf_done(&tar);
	buf_done(&cut);
}

static char *
repeat(char c, size_t n)
{
	char *s = mem_new(n + 1);

	memset(s, c, n);
	return s;
}

/* Entries that need PAX for one reason each come back as they were. */
static void
test_written(void)
{
	char *n100 = repeat('a', 100), *n101 = repeat('a', 101), *split = mem_printf("%s/%s", n100, n100);
	char *deep = mem_printf("%s/%s/%s", n100, n100, n100), *dir = mem_printf("%s/", n101);
	struct tar_xattr attr = { (char *)(uintptr_t) "user.x", (char *)(uintptr_t) "\0\1", 2 };
	char none[] = "", owner[] = "someone with a name of more than 32 bytes";
	struct tar_entry rows[] = {
		{ .type = TAR_FILE, .name = n100 },
		{ .type = TAR_FILE, .name = n101 },
		{ .type = TAR_FILE, .name = split },
		{ .type = TAR_FILE, .name = deep },
		{ .type = TAR_DIR, .name = dir },
		{ .type = TAR_SYMLINK, .name = n100, .link = n100 },
		{ .type = TAR_HARDLINK, .name = n100, .link = deep },
		{ .type = TAR_FILE, .name = n100, .uid = 07777777, .gid = 07777777 },
		{ .type = TAR_FILE, .name = n100, .uid = 010000000, .gid = 5000000000 },
		{ .type = TAR_FILE, .name = n100, .mtime = -1, .mtime_ns = 1 },
		{ .type = TAR_FILE, .name = n100, .mtime = 077777777777 },
		{ .type = TAR_FILE, .name = n100, .mtime = 0100000000000, .mtime_ns = 999999999 },
		{ .type = TAR_FILE, .name = n100, .uname = owner, .gname = owner },
		{ .type = TAR_FILE, .name = n100, .xattr_count = 1, .xattrs = { attr } },
		{ .type = TAR_FILE, .name = n100, .mode = 07777 },
	};
	struct err e;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf out = { 0 }, want = { 0 };
		struct seen s;

		rows[i].link = rows[i].link ? rows[i].link : none;
		rows[i].uname = rows[i].uname ? rows[i].uname : none;
		rows[i].gname = rows[i].gname ? rows[i].gname : none;
		show_entry(&want, &rows[i]);
		buf_adds(&want, ";");
		is_int(tar_write_header(&out, &rows[i], &e), 0, "written");
		tar_write_end(&out);
		read_all(&s, &out, 1000);
		is_str(buf_text(&s.text), buf_text(&want), "read as it was");
		forget(&s);
		buf_done(&out);
		buf_done(&want);
	}
	free(n100), free(n101), free(split), free(deep), free(dir);
}

/* Sizes beyond eight GiB need PAX; their data is not made here. */
static void
test_large(void)
{
	static const uint64_t sizes[] = { 077777777777, 0100000000000, INT64_MAX };
	char name[] = "f", none[] = "";
	struct err e;

	for (size_t i = 0; i < 3; i++) {
		struct tar_entry t = { .type = TAR_FILE,
			.name = name,
			.link = none,
			.uname = none,
			.gname = none,
			.size = sizes[i] };
		struct tar_reader *r = tar_reader_new();
		struct buf out = { 0 };
		const uint8_t *data;
		size_t len;

		is_int(tar_write_header(&out, &t, &e), 0, "written");
		is_int(tar_read(r, &out, 0, &data, &len, &e), TAR_ENTRY, "read");
		ok(tar_reader_entry(r)->size == sizes[i], "a size beyond the field is kept");
		is_int(tar_read(r, &out, 0, &data, &len, &e), TAR_NEED, "and its data is awaited");
		tar_reader_free(r);
		buf_done(&out);
	}
}

static void
test_refused_writes(void)
{
	char none[] = "", name[] = "f", *longer = repeat('a', TAR_NAME_MAX + 1);
	const struct tar_entry rows[] = {
		{ .type = TAR_FILE, .name = none, .link = none, .uname = none, .gname = none },
		{ .type = TAR_FILE, .name = longer, .link = none, .uname = none, .gname = none },
		{ .type = TAR_SYMLINK, .name = name, .link = none, .uname = none, .gname = none },
		{ .type = TAR_FILE, .name = name, .link = name, .uname = none, .gname = none },
		{ .type = TAR_DIR, .name = name, .link = none, .uname = none, .gname = none, .size = 1 },
	};
	struct buf out = { 0 };
	struct err e;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		is_int(tar_write_header(&out, &rows[i], &e), -1,
		    "an entry that no reader would take is not written");
	is_int(buf_len(&out), 0, "and leaves no bytes");
	free(longer);
	buf_done(&out);
}

/* A large file comes in spans of at most TAR_SPAN_MAX. */
static void
test_spans(void)
{
	struct tar_reader *r = tar_reader_new();
	struct buf in = { 0 };
	size_t total = 0, len, most = 0;
	const uint8_t *data;
	struct err e;
	int ev;

	(void)raw_header(&in, '0', "f", "", 1 << 20);
	raw_zeros(&in, (1 << 20) / 512 + 2);
	while ((ev = tar_read(r, &in, 1, &data, &len, &e)) > 0 && ev != TAR_EOF)
		if (ev == TAR_DATA) {
			total += len;
			most = len > most ? len : most;
		}
	ok(ev == TAR_EOF && total == 1 << 20 && most == TAR_SPAN_MAX, "spans are bounded");
	is_int(buf_len(&in), 0, "all input is used");
	tar_reader_free(r);
	buf_done(&in);
}

int
main(void)
{
	test_fields();
	test_pax();
	test_built();
	test_cuts();
	test_written();
	test_large();
	test_refused_writes();
	test_spans();
	return tap_end();
}
