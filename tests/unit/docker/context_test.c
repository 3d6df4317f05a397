#include "docker/context.h"

#include <bzlib.h>
#include <lzma.h>
#include <stdlib.h>

#include "archive/codec.h"
#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "clear.h"
#include "raw_tar.h"
#include "tap.h"

#define GOOD "FROM debian:12\n"
#define EVIL "FROM victim-task/priv:1\n"

/* Names that begin with "own" are the task's, those with "victim" are somebody else's. */
static int
resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	(void)arg;
	if (strncmp(word, "victim", 6) == 0)
		return err_refuse(e, 403, "base-image", "image %s is not allowed", word);
	*own = strncmp(word, "own", 3) == 0;
	(void)snprintf(mapped, REFERENCE_MAX, "%s%s", *own ? "dind.invalid/t/" : "", word);
	return 0;
}

struct outcome {
	int rc, judged;
	struct buf out;
	struct dockerfile_facts facts;
	char digest[HASH_HEX_MAX];
	struct err e;
};

/* Pieces of an odd size go the short way where it is open. */
static void
run(struct outcome *o, const struct buf *body, const struct context_ask *ask, size_t piece, size_t high)
{
	struct filter *f = context_filter_new(ask, &o->facts);
	struct buf in = { 0 }, part = { 0 };
	size_t given = 0, n;

	do {
		n = buf_len(body) - given < piece ? buf_len(body) - given : piece;
		if (piece % 2 == 1)
			given += go_clear(f, &in, buf_ptr(body) + given, n, &o->out);
		n = buf_len(body) - given < n ? buf_len(body) - given : n;
		buf_add(&in, buf_ptr(body) + given, n);
		given += n;
		do {
			o->rc = f->run(f, &in, given == buf_len(body), &part, high, &o->e);
			n = buf_move(&part, &o->out, buf_len(&part));
		} while (o->rc == FILTER_MORE && n >= high);
	} while (o->rc == FILTER_MORE && (given < buf_len(body) || buf_len(&in) > 0 || n > 0));
	o->judged = context_judged(f);
	(void)snprintf(
	    o->digest, sizeof o->digest, "%s", o->rc == FILTER_DONE ? context_facts(f)->sha256 : "");
	filter_free(f);
	buf_done(&in);
	buf_done(&part);
}

static void
show_entry(struct buf *to, const struct tar_entry *t)
{
	buf_printf(to, "%c %s", t->type, t->name);
	if (t->link[0])
		buf_printf(to, " -> %s", t->link);
	if (t->mode != 0644 || t->uid || t->gid || t->mtime != 15)
		buf_printf(to, " %o %llu:%llu @%lld", t->mode, (unsigned long long)t->uid,
		    (unsigned long long)t->gid, (long long)t->mtime);
	buf_printf(to, "%s%s", t->uname, t->mtime_ns ? " ns" : "");
	for (size_t i = 0; i < t->xattr_count; i++)
		buf_printf(to, " %s", t->xattrs[i].name);
	if (t->size)
		buf_adds(to, "=");
}

/* What came out, as text: "0 Dockerfile=FROM ...;5 d/;" or "403 rule text". */
static void
show(struct buf *to, struct outcome *o)
{
	struct tar_reader *r = tar_reader_new();
	const uint8_t *data = NULL;
	size_t len = 0;
	struct err e;
	int ev = TAR_EOF;

	if (o->rc != FILTER_DONE)
		buf_printf(
		    to, "%d %s %s", o->rc < 0 ? o->e.status : 0, o->e.rule ? o->e.rule : "?", o->e.text);
	while (o->rc == FILTER_DONE && (ev = tar_read(r, &o->out, 1, &data, &len, &e)) != TAR_EOF) {
		if (ev == TAR_ENTRY)
			show_entry(to, tar_reader_entry(r));
		else if (ev == TAR_DATA)
			buf_add(to, data, len);
		else if (ev == TAR_ENTRY_END)
			buf_adds(to, ";");
		else
			break;
	}
	if (o->rc == FILTER_DONE && ev != TAR_EOF)
		buf_printf(to, "what was written is not a tar: %s", e.text);
	tar_reader_free(r);
}

/* A refusal is compared by its beginning, and by what it must say behind "~". */
static int
fits(const char *got, const char *want)
{
	const char *more = strchr(want, '~');

	if (more == NULL)
		return strcmp(got, want) == 0;
	return strncmp(got, want, (size_t)(more - want)) == 0 && strstr(got, more + 1) != NULL;
}

/* In one piece and in small ones, with much room and with little: always the same. */
static void
check_ask(const struct buf *body, const struct context_ask *ask, const char *want, const char *name)
{
	static const size_t pieces[] = { 1 << 20, 1, 700 }, highs[] = { 1 << 20, 1, 100 };
	char digest[HASH_HEX_MAX] = "";

	for (size_t i = 0; i < 3; i++) {
		struct outcome o = { 0 };
		struct buf text = { 0 };
		char hex[HASH_HEX_MAX];
		int bad = 0;

		run(&o, body, ask, pieces[i], highs[i]);
		hash_once(HASH_SHA256, buf_ptr(&o.out), buf_len(&o.out), hex);
		if (o.rc == FILTER_DONE)
			bad = strcmp(hex, o.digest) != 0 || (i > 0 && strcmp(hex, digest) != 0) || !o.judged;
		memcpy(digest, hex, sizeof hex);
		show(&text, &o);
		bad |= !fits(buf_text(&text), want);
		ok(!bad, name);
		if (bad)
			printf("#  got: %s\n# want: %s\n", buf_text(&text), want);
		buf_done(&text);
		buf_done(&o.out);
	}
}

static void
check(const struct buf *body, const char *dockerfile, const char *want, const char *name)
{
	struct context_ask ask = { .dockerfile = dockerfile, .reading = { .resolve = resolve }, .zstd = 1 };

	check_ask(body, &ask, want, name);
}

/*
 * Archives as a line of text: "f" a file, "d" a directory, "s" a symlink, "h" a hard link, "c" a device,
 * "p" a FIFO, then name, and what a file holds or a link names.
 */
struct row {
	const char *name;
	const char *dockerfile;
	const char *entries[10]; /* "f Dockerfile", "FROM scratch", "d dir", "" ... */
	const char *want;
};

static const struct row rows[] = {
	{ "plain", NULL, { "f Dockerfile", GOOD, "f a", "1" }, "0 Dockerfile=FROM debian:12\n;0 a=1;" },
	{ "own image is mapped, and the new size written", NULL,
	    { "f Dockerfile", "FROM own:1\nCOPY a /\n", "f a", "1" },
	    "0 Dockerfile=FROM dind.invalid/t/own:1\nCOPY a /\n;0 a=1;" },
	{ "foreign image", NULL, { "f Dockerfile", EVIL, "f a", "1" }, "403 base-image ~victim" },
	{ "Dockerfile last", NULL, { "f a", "1", "f Dockerfile", GOOD }, "0 a=1;0 Dockerfile=" GOOD ";" },
	{ "names are cleaned", NULL,
	    { "d ./", "", "f ./Dockerfile", GOOD, "d ./a//b/.", "", "f a/./b//c", "1" },
	    "5 ./;0 Dockerfile=" GOOD ";5 a/b/;0 a/b/c=1;" },
	{ "directory twice", NULL, { "d a", "", "f Dockerfile", GOOD, "d a/", "" },
	    "5 a/;0 Dockerfile=" GOOD ";5 a/;" },
	{ "directory after what is in it", NULL, { "f a/b", "1", "d a", "", "f Dockerfile", GOOD },
	    "0 a/b=1;5 a/;0 Dockerfile=" GOOD ";" },
	{ "links", NULL,
	    { "f Dockerfile", GOOD, "f f", "1", "s g", "f", "h h", "./f", "s out", "../../etc/passwd" },
	    "0 Dockerfile=" GOOD ";0 f=1;2 g -> f;1 h -> f;2 out -> ../../etc/passwd;" },
	{ "hard link to a hard link", NULL, { "f Dockerfile", GOOD, "f f", "1", "h g", "f", "h h", "g" },
	    "0 Dockerfile=" GOOD ";0 f=1;1 g -> f;1 h -> g;" },

	{ "CX-002 duplicate, evil first", NULL, { "f Dockerfile", EVIL, "f Dockerfile", GOOD },
	    "403 ~victim" },
	{ "duplicate, evil last", NULL, { "f Dockerfile", GOOD, "f Dockerfile", EVIL },
	    "400 context ~twice" },
	{ "duplicate as ./", NULL, { "f Dockerfile", GOOD, "f ./Dockerfile", EVIL }, "400 context ~twice" },
	{ "duplicate as .//./", NULL, { "f Dockerfile", GOOD, "f .//./Dockerfile", EVIL },
	    "400 context ~twice" },
	{ "CX-005 duplicate by a/..", NULL, { "f Dockerfile", GOOD, "f a/../Dockerfile", EVIL },
	    "400 context ~'..'" },
	{ "CX-007 duplicate by ..", NULL, { "f Dockerfile", GOOD, "f ../Dockerfile", EVIL },
	    "400 context ~'..'" },
	{ "absolute", NULL, { "f Dockerfile", GOOD, "f /Dockerfile", EVIL }, "400 context ~absolute" },
	{ "CX-009 symlink instead", NULL, { "f Dockerfile", GOOD, "s Dockerfile", "x", "f x", EVIL },
	    "400 context ~twice" },
	{ "symlink as Dockerfile", NULL, { "f x", EVIL, "s Dockerfile", "x" },
	    "400 context ~not a regular file" },
	{ "hard link as Dockerfile", NULL, { "f x", EVIL, "h Dockerfile", "x" },
	    "400 context ~not a regular file" },
	{ "hard link to the Dockerfile", NULL, { "f Dockerfile", GOOD, "h x", "Dockerfile" },
	    "400 context ~hard link to the Dockerfile" },
	{ "hard link to what comes later", NULL, { "f Dockerfile", GOOD, "h x", "y", "f y", "1" },
	    "400 context ~not an earlier file" },
	{ "hard link to a host file", NULL, { "f Dockerfile", GOOD, "h x", "/etc/passwd" },
	    "400 context ~absolute" },
	{ "hard link that leaves", NULL, { "f Dockerfile", GOOD, "h x", "../../etc/passwd" },
	    "400 context ~'..'" },
	{ "hard link to a symlink", NULL, { "f Dockerfile", GOOD, "s s", "f", "h x", "s" },
	    "400 context ~not an earlier file" },
	{ "hard link to a directory", NULL, { "f Dockerfile", GOOD, "d d", "", "h x", "d/" },
	    "400 context ~not an earlier file" },
	{ "below a symlink", NULL, { "f Dockerfile", GOOD, "s d", "/tmp", "f d/x", "1" },
	    "400 context ~below what is not a directory" },
	{ "far below a symlink", NULL, { "f Dockerfile", GOOD, "s d", ".", "f d/e/f/x", "1" },
	    "400 context ~below what is not a directory" },
	{ "below a file", NULL, { "f d", "1", "f d/x", "1" }, "400 context ~below what is not a directory" },
	{ "symlink over a directory", NULL, { "f Dockerfile", GOOD, "f d/x", "1", "s d", "/tmp" },
	    "400 context ~twice" },
	{ "directory over a file", NULL, { "f d", "1", "d d/", "" }, "400 context ~twice" },
	{ "root as a symlink", NULL, { "s .", "/tmp" }, "400 context ~" },
	{ "file with a slash", NULL, { "f Dockerfile/", GOOD }, "400 context ~may end in '/'" },
	{ "file with a dot", NULL, { "f Dockerfile/.", GOOD }, "400 context ~may end in '/'" },
	{ "CX-036 device", NULL, { "f Dockerfile", GOOD, "c null", "" }, "400 context ~devices" },
	{ "FIFO", NULL, { "f Dockerfile", GOOD, "p fifo", "" }, "400 context ~devices" },

	{ "directory as Dockerfile", NULL, { "d Dockerfile", "" }, "400 context ~not a regular file" },
	{ "file below Dockerfile", NULL, { "f Dockerfile/x", GOOD, "f dockerfile", GOOD },
	    "400 context ~not a regular file" },
	{ "no Dockerfile", NULL, { "f a", "1" },
	    "500 context Cannot locate specified Dockerfile: Dockerfile~" },
	{ "empty parameter", "", { "f a", "1" },
	    "500 context Cannot locate specified Dockerfile: Dockerfile~" },
	{ "other letters", NULL, { "f DOCKERFILE", GOOD },
	    "500 context Cannot locate specified Dockerfile: Dockerfile~" },
	{ "lower case", NULL, { "f dockerfile", "FROM own\n", "f a", "1" },
	    "0 a=1;0 dockerfile=FROM dind.invalid/t/own\n;" },
	{ "lower case, evil", NULL, { "f dockerfile", EVIL, "f a", "1" }, "403 base-image ~victim" },
	{ "lower case before the real one", NULL, { "f dockerfile", EVIL, "f Dockerfile", "FROM own\n" },
	    "0 dockerfile=" EVIL ";0 Dockerfile=FROM dind.invalid/t/own\n;" },
	{ "lower case behind the real one", NULL,
	    { "f Dockerfile", GOOD, "f dockerfile", EVIL, "h x", "dockerfile" },
	    "0 Dockerfile=" GOOD ";0 dockerfile=" EVIL ";1 x -> dockerfile;" },
	{ "hard link to the lower case one", NULL, { "f dockerfile", GOOD, "h x", "dockerfile" },
	    "400 context ~hard link to the Dockerfile" },
	{ "lower case directory", NULL, { "f dockerfile/x", "1", "f Dockerfile", GOOD },
	    "0 dockerfile/x=1;0 Dockerfile=" GOOD ";" },
	{ "only a lower case directory", NULL, { "f dockerfile/x", "1" }, "400 context ~not a regular file" },
	{ "lower case symlink", NULL, { "s dockerfile", "x", "f x", EVIL },
	    "400 context ~not a regular file" },

	{ "parameter", "docker/Dockerfile.ci", { "f Dockerfile", EVIL, "f docker/Dockerfile.ci", GOOD },
	    "0 Dockerfile=" EVIL ";0 docker/Dockerfile.ci=" GOOD ";" },
	{ "parameter is judged", "docker/Dockerfile.ci",
	    { "f Dockerfile", GOOD, "f docker/Dockerfile.ci", EVIL }, "403 base-image ~victim" },
	{ "parameter of docker build -f -", ".dockerfile.0123456789abcdef0123",
	    { "f Dockerfile", EVIL, "f .dockerfile.0123456789abcdef0123", GOOD, "f .dockerignore", "x" },
	    "0 Dockerfile=" EVIL ";0 .dockerfile.0123456789abcdef0123=" GOOD ";0 .dockerignore=x;" },
	{ "parameter is cleaned", "./x//./z", { "f x/z", EVIL }, "403 base-image ~victim" },
	{ "parameter with ./", "./Dockerfile", { "f Dockerfile", EVIL }, "403 base-image ~victim" },
	{ "parameter in lower case", "dockerfile", { "f Dockerfile", GOOD, "f dockerfile", EVIL },
	    "403 base-image ~victim" },
	{ "no second try for other names", "sub/Dockerfile", { "f sub/dockerfile", GOOD },
	    "500 context Cannot locate specified Dockerfile: sub/Dockerfile~" },
	{ "CX-017 parameter with ..", "./x//y/../z", { "f x/z", EVIL, "f Dockerfile", GOOD },
	    "400 context parameter 'dockerfile'~'..'" },
	{ "CX-020 parameter that leaves", "../../etc/passwd", { "f Dockerfile", GOOD },
	    "400 context parameter 'dockerfile'~'..'" },
	{ "absolute parameter", "/Dockerfile", { "f Dockerfile", GOOD },
	    "400 context parameter 'dockerfile'~absolute" },
	{ "parameter that is the root", "./.", { "f Dockerfile", GOOD },
	    "400 context ~does not name a file" },
	{ "parameter that is a directory", "Dockerfile/", { "f Dockerfile", GOOD },
	    "400 context ~does not name a file" },
	{ "Dockerfile below a symlink", "d/Dockerfile", { "s d", "e", "f e/Dockerfile", EVIL },
	    "500 context Cannot locate~" },
	{ "its directory replaced", "d/Dockerfile",
	    { "f d/Dockerfile", GOOD, "f e/Dockerfile", EVIL, "s d", "e" }, "400 context ~twice" },
	{ "gzip by name", NULL, { "f ./\x1f\x8b\x08 and so on", "1", "f Dockerfile", GOOD },
	    "400 context ~compressed" },
	{ "bzip2 by name", NULL, { "d ./BZh91AY", "", "f Dockerfile", GOOD }, "400 context ~compressed" },
	{ "such a name later", NULL, { "f Dockerfile", GOOD, "f BZh91AY", "1" },
	    "0 Dockerfile=" GOOD ";0 BZh91AY=1;" },
};

static void
add_row(struct buf *body, const struct row *row)
{
	static const char letters[] = "fdshcp", types[] = "052136";

	for (size_t i = 0; i < 10 && row->entries[i] != NULL; i += 2) {
		const char *name = row->entries[i] + 2, *more = row->entries[i + 1];
		char type = types[strchr(letters, row->entries[i][0]) - letters];

		if (type == '0')
			raw_file(body, name, more);
		else
			raw_entry(body, type, name, more);
	}
	raw_zeros(body, 2);
}

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf body = { 0 };

		add_row(&body, &rows[i]);
		check(&body, rows[i].dockerfile, rows[i].want, rows[i].name);
		buf_done(&body);
	}
}

static void
one_file(struct buf *b, const char *text)
{
	raw_file(b, "Dockerfile", text);
	raw_zeros(b, 2);
}

static void
change(struct buf *b, size_t at, const void *bytes, size_t len)
{
	memcpy(b->data + at, bytes, len);
	raw_sum(b, 0);
}

/* Headers of other kinds around one Dockerfile. */
static void
test_headers(void)
{
	static const struct {
		const char *name;
		size_t at;
		const char *bytes;
		size_t len;
		const char *want;
	} changed[] = {
		{ "CX-023 base-256 size", 124, "\x80\0\0\0\0\0\0\0\0\0\0\x18", 12, "403 base-image ~victim" },
		{ "CX-024 size with blanks", 124, "         30 ", 12, "403 base-image ~victim" },
		{ "CX-026 prefix", 345, "././.", 5, "403 base-image ~victim" },
		{ "CX-027 v7", 257, "\0\0\0\0\0\0\0\0", 8, "403 base-image ~victim" },
		{ "CX-028 type NUL", 156, "\0", 1, "403 base-image ~victim" },
		{ "CX-031 type 7", 156, "7", 1, "400 context ~type '7'" },
		{ "NUL and junk in the name", 10, "\0x", 2, "400 context ~behind the end" },
		{ "sparse", 156, "S", 1, "400 context ~type 'S'" },
		{ "owner -1", 108, "\x80\0\0\0\xff\xff\xff\xff", 8, "400 context ~32-bit" },
		{ "owner 2^32", 116, "\x80\0\0\1\0\0\0\0", 8, "400 context ~32-bit" },
	};
	struct buf body = { 0 };

	for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
		one_file(&body, EVIL);
		change(&body, changed[i].at, changed[i].bytes, changed[i].len);
		check(&body, NULL, changed[i].want, changed[i].name);
		buf_clear(&body);
	}
	buf_done(&body);
}

static void
pax_size(struct buf *b)
{
	raw_pax(b, "size", "5", 1);
	one_file(b, "FROM victim\n");
}

static void
pax_path(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
	raw_pax(b, "path", "Dockerfile", 10);
	raw_file(b, "other", EVIL);
}

static void
gnu_path(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
	raw_extended(b, 'L', "./Dockerfile", 13);
	raw_file(b, "other", EVIL);
}

static void
global_path(struct buf *b)
{
	raw_extended(b, 'g', "19 path=Dockerfile\n", 19);
	one_file(b, GOOD);
}

static void
git_archive(struct buf *b)
{
	raw_extended(b, 'g', "52 comment=0123456789012345678901234567890123456789\n", 52);
	one_file(b, GOOD);
}

static void
second_archive(struct buf *b)
{
	one_file(b, GOOD);
	one_file(b, EVIL);
}

static void
one_zero_block(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
	raw_zeros(b, 1);
	one_file(b, EVIL);
}

static void
no_end(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
}

static void
no_padding(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
	b->tail -= 1;
}

static void
cut(struct buf *b)
{
	raw_file(b, "Dockerfile", GOOD);
	b->tail -= 512 - (sizeof GOOD - 1) + 1;
}

static void
empty(struct buf *b)
{
	(void)b;
}

static void
plain_text(struct buf *b)
{
	for (int i = 0; i < 100; i++)
		buf_adds(b, GOOD);
}

static void
short_text(struct buf *b)
{
	buf_adds(b, GOOD);
}

static void
zip(struct buf *b)
{
	raw_zeros(b, 2);
	memcpy(b->data, "PK\3\4", 4);
}

static void
zlib_stream(struct buf *b)
{
	buf_add(b, "\x78\x9c\x03\0\0\0\0\1", 8);
}

static void
lz4_stream(struct buf *b)
{
	buf_add(b, "\x04\x22\x4d\x18\x60\x40\x82\0\0\0\0", 11);
}

static void
deep(struct buf *b)
{
	char name[1201] = "";

	for (int i = 0; i < 600; i++)
		strcat(name, "a/");
	raw_file(b, "Dockerfile", GOOD);
	raw_pax(b, "path", name, 1200);
	raw_entry(b, '5', "x", "");
}

static void
long_component(struct buf *b)
{
	char name[257] = "";

	memset(name, 'a', 256);
	raw_file(b, "Dockerfile", GOOD);
	raw_pax(b, "path", name, 256);
	raw_file(b, "x", "1");
}

static void
kept_facts(struct buf *b)
{
	size_t at;

	raw_file(b, "Dockerfile", GOOD);
	raw_pax(b, "mtime", "1700000000.123456789", 20);
	at = raw_header(b, '0', "f", "", 0);
	memcpy(b->data + at + 100, "0104755", 7);
	memcpy(b->data + at + 108, "0001750", 7);
	memcpy(b->data + at + 265, "user", 4);
	raw_sum(b, at);
}

static void
attributes(struct buf *b)
{
	static const char *const keys[] = { "user.mine", "security.capability", "security.selinux",
		"trusted.overlay.opaque", "user.overlay.whiteout", "system.posix_acl_access", "userx" };
	struct buf r = { 0 };

	for (size_t i = 0; i < 7; i++)
		buf_printf(&r, "%zu SCHILY.xattr.%s=1\n", strlen(keys[i]) + 19, keys[i]);
	raw_file(b, "Dockerfile", GOOD);
	raw_extended(b, 'x', buf_ptr(&r), buf_len(&r));
	raw_file(b, "f", "");
	buf_done(&r);
}

static void
long_dockerfile(struct buf *b)
{
	(void)raw_header(b, '0', "Dockerfile", "", DOCKERFILE_MAX + 1);
	raw_zeros(b, 1);
}

static void
long_lower(struct buf *b)
{
	(void)raw_header(b, '0', "dockerfile", "", DOCKERFILE_MAX + 1);
	raw_zeros(b, DOCKERFILE_MAX / 512 + 3);
}

static void
test_built(void)
{
	static const struct {
		const char *name;
		void (*build)(struct buf *b);
		const char *want;
	} built[] = {
		{ "CX-014 PAX size lies", pax_size, "400 ~" },
		{ "PAX path", pax_path, "400 context ~twice" },
		{ "GNU long name", gnu_path, "400 context ~twice" },
		{ "global PAX path", global_path, "400 context ~global" },
		{ "git archive's comment", git_archive, "0 Dockerfile=" GOOD ";" },
		{ "CX-033 second archive", second_archive, "400 context ~behind the end" },
		{ "single zero block", one_zero_block, "400 context ~single zero block" },
		{ "no zero blocks at the end", no_end, "0 Dockerfile=" GOOD ";" },
		{ "no padding at the end, as CLI 20.10 with -f -", no_padding, "0 Dockerfile=" GOOD ";" },
		{ "cut", cut, "400 context ~cut off" },
		{ "empty body", empty, "500 context Cannot locate specified Dockerfile: Dockerfile~" },
		{ "CX-051 a Dockerfile as body", plain_text,
		    "400 context the build context is not a tar archive~" },
		{ "a short one", short_text, "400 context the build context is not a tar archive~" },
		{ "CX-054 zip", zip, "400 context the build context is not a tar archive~" },
		{ "zlib", zlib_stream, "400 context the build context is not a tar archive~" },
		{ "lz4", lz4_stream, "400 context lz4 compression is not accepted~" },
		{ "CX-050 600 levels", deep, "400 context ~255 levels" },
		{ "component of 256 bytes", long_component, "400 context ~255 bytes" },
		{ "mode, owner and second are kept", kept_facts,
		    "0 Dockerfile=" GOOD ";0 f 4755 1000:0 @1700000000;" },
		{ "attributes", attributes, "0 Dockerfile=" GOOD ";0 f security.capability user.mine;" },
		{ "long Dockerfile", long_dockerfile, "413 limit-dockerfile-bytes ~" },
	};

	for (size_t i = 0; i < sizeof built / sizeof built[0]; i++) {
		struct buf body = { 0 };

		built[i].build(&body);
		check(&body, NULL, built[i].want, built[i].name);
		buf_done(&body);
	}
}

/* A "dockerfile" that is too long to be one is a file, unless it would have to be one. */
static void
test_long_lower(void)
{
	struct context_ask ask = { .reading = { .resolve = resolve } };
	struct outcome alone = { 0 }, beside = { 0 };
	struct buf body = { 0 };

	long_lower(&body);
	run(&alone, &body, &ask, 1 << 20, 1 << 20);
	ok(alone.rc < 0 && strcmp(alone.e.rule, "limit-dockerfile-bytes") == 0, "alone it is refused");
	body.tail -= 1024;
	one_file(&body, GOOD);
	run(&beside, &body, &ask, 1000, 1000);
	is_int(beside.rc, FILTER_DONE, "beside a Dockerfile it passes");
	is_int(buf_len(&beside.out), buf_len(&body), "whole");
	buf_done(&alone.out);
	buf_done(&beside.out);
	buf_done(&body);
}

static void
compress(enum codec kind, struct buf *body)
{
	struct buf out = { 0 };
	struct err e;

	if (kind == CODEC_XZ) {
		size_t at = 0;

		(void)!lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, buf_ptr(body), buf_len(body),
		    buf_reserve(&out, buf_len(body) + 1000), &at, buf_len(body) + 1000);
		buf_commit(&out, at);
	} else if (kind == CODEC_BZIP2) {
		unsigned room = (unsigned)buf_len(body) + 1000;

		(void)BZ2_bzBuffToBuffCompress((char *)buf_reserve(&out, room), &room, (char *)body->data,
		    (unsigned)buf_len(body), 1, 0, 0);
		buf_commit(&out, room);
	} else {
		struct filter *f = codec_writer_new(kind, 0);

		(void)f->run(f, body, 1, &out, 64 << 20, &e);
		filter_free(f);
	}
	buf_done(body);
	*body = out;
}

static void
test_compressed(void)
{
	static const enum codec kinds[] = { CODEC_GZIP, CODEC_BZIP2, CODEC_XZ, CODEC_ZSTD };
	struct context_ask old = { .reading = { .resolve = resolve } };

	for (size_t i = 0; i < 4; i++) {
		struct buf good = { 0 }, evil = { 0 };

		one_file(&good, GOOD);
		one_file(&evil, EVIL);
		compress(kinds[i], &good);
		compress(kinds[i], &evil);
		check(&good, NULL, "0 Dockerfile=" GOOD ";", "a compressed context comes out plain");
		check(&evil, NULL, "403 base-image ~victim", "and is judged");
		if (kinds[i] == CODEC_ZSTD)
			check_ask(&good, &old, "400 context zstd compression is not accepted~",
			    "an engine without zstd is not sent any");
		buf_add(&good, "x", 1);
		check(&good, NULL, "400 context ~", "bytes behind the stream");
		buf_done(&good);
		buf_done(&evil);
	}
}

/* Two gzip members are one archive; the second one hides nothing. */
static void
test_members(void)
{
	struct buf first = { 0 }, second = { 0 };

	raw_file(&first, "Dockerfile", GOOD);
	one_file(&second, EVIL);
	compress(CODEC_GZIP, &first);
	compress(CODEC_GZIP, &second);
	buf_add(&first, buf_ptr(&second), buf_len(&second));
	check(&first, NULL, "400 context ~twice", "a second gzip member is read");
	buf_done(&first);
	buf_done(&second);
}

static void
test_limits(void)
{
	struct context_ask ask = { .reading = { .resolve = resolve }, .max_bytes = 2560, .max_entries = 4 };
	struct buf body = { 0 }, bomb = { 0 };
	struct outcome o = { 0 };

	raw_file(&body, "a/b/f", "");
	one_file(&body, GOOD);
	check_ask(&body, &ask, "0 a/b/f;0 Dockerfile=" GOOD ";", "exactly as large as allowed");
	ask.max_bytes = 2559;
	check_ask(&body, &ask, "413 limit-context-bytes ~", "one byte more");
	ask.max_bytes = 0;
	ask.max_entries = 3;
	check_ask(&body, &ask, "413 limit-context-entries ~", "directories count that are only implied");
	buf_clear(&body);
	for (int i = 0; i < 4; i++)
		raw_entry(&body, '5', "d", "");
	check_ask(&body, &ask, "413 limit-context-entries ~", "a directory named again counts");

	raw_file(&bomb, "Dockerfile", GOOD);
	(void)raw_header(&bomb, '0', "z", "", 64 << 20);
	raw_zeros(&bomb, (64 << 20) / 512 + 2);
	compress(CODEC_GZIP, &bomb);
	ask = (struct context_ask){ .reading = { .resolve = resolve }, .max_bytes = 1 << 20 };
	run(&o, &bomb, &ask, 4096, 65536);
	ok(o.rc < 0 && o.e.status == 413 && buf_len(&o.out) <= (1 << 20) + 65536,
	    "CX-048 a bomb ends at the cap");
	buf_done(&o.out);
	buf_done(&body);
	buf_done(&bomb);
}

/* What the filter holds back is never more than one piece beyond the room it was given. */
static void
test_room(void)
{
	struct context_ask ask = { .reading = { .resolve = resolve } };
	struct dockerfile_facts facts = { 0 };
	struct filter *f = context_filter_new(&ask, &facts);
	struct buf in = { 0 }, out = { 0 };
	size_t most = 0, total = 0;
	const struct context_facts *known;
	char hex[HASH_HEX_MAX];
	struct err e;
	int rc;

	raw_file(&in, "Dockerfile", "FROM own\n");
	(void)raw_header(&in, '0', "z", "", 4 << 20);
	raw_zeros(&in, (4 << 20) / 512 + 2);
	is_int(f->run(f, &(struct buf){ 0 }, 0, &out, 1000, &e), FILTER_MORE, "nothing to do");
	while ((rc = f->run(f, &in, 1, &out, 1000, &e)) == FILTER_MORE) {
		most = buf_len(&out) > most ? buf_len(&out) : most;
		total += buf_len(&out);
		buf_clear(&out);
	}
	is_int(rc, FILTER_DONE, "done");
	ok(total + buf_len(&out) > 4 << 20 && most < 1000 + 65536 + 1,
	    "out passes high by one piece at most");
	ok(context_judged(f) && facts.base_count == 1 && facts.bases[0].own, "the facts are there");
	is_int(f->run(f, &in, 1, &out, 1 << 20, &e), FILTER_DONE, "done stays done");
	known = context_facts(f);
	is_int(strlen(known->sha256), 64, "with its digest");
	is_int(known->bytes, total + buf_len(&out), "of so many bytes");
	is_int(known->entries, 2, "of so many entries");
	is_str(known->dockerfile, "Dockerfile", "the Dockerfile's name");
	is_int(known->dockerfile_bytes, 9, "its size as it came");
	hash_once(HASH_SHA256, "FROM own\n", 9, hex);
	is_str(known->dockerfile_sha256, hex, "its hash as it came");
	ok(strlen(known->rewritten_sha256) == 64 && strcmp(known->rewritten_sha256, hex) != 0,
	    "and as the engine gets it, with the mapped name");
	filter_free(f);
	buf_done(&in);
	buf_done(&out);
}

/* The names of a large context: none is lost, and each is refused when it comes again. */
static void
test_many(void)
{
	enum { MANY = 20000 };
	struct context_ask ask = { .reading = { .resolve = resolve } };
	struct outcome o = { 0 };
	struct buf body = { 0 };
	char name[64];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof name, "d%d/e%d/f%d", i % 10, i % 100, i);
		raw_entry(&body, '0', name, "");
	}
	raw_file(&body, "Dockerfile", GOOD);
	run(&o, &body, &ask, 1 << 16, 1 << 16);
	is_int(o.rc, FILTER_DONE, "many files");
	buf_clear(&o.out);
	raw_entry(&body, '0', "d7/e77/f777", "");
	run(&o, &body, &ask, 1 << 16, 1 << 16);
	ok(o.rc < 0 && strstr(o.e.text, "twice") != NULL, "one of them again");
	buf_done(&o.out);
	buf_done(&body);
}

/* A refused body stays refused, whatever comes. */
static void
test_stays_refused(void)
{
	struct context_ask ask = { .dockerfile = "..", .reading = { .resolve = resolve } };
	struct dockerfile_facts facts = { 0 };
	struct filter *f = context_filter_new(&ask, &facts);
	struct buf in = { 0 }, out = { 0 };
	struct err e = { 0 };

	one_file(&in, GOOD);
	is_int(f->run(f, &in, 0, &out, 1000, &e), -1, "refused");
	err_clear(&e);
	is_int(f->run(f, &in, 1, &out, 1000, &e), -1, "and again");
	ok(e.status == 400 && e.rule != NULL && buf_len(&out) == 0,
	    "for the same reason, with nothing passed");
	filter_free(f);
	buf_done(&in);
}

int
main(void)
{
	test_rows();
	test_headers();
	test_built();
	test_long_lower();
	test_compressed();
	test_members();
	test_limits();
	test_room();
	test_many();
	test_stays_refused();
	return tap_end();
}
