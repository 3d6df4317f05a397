#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "tar_meta.h"

/*
 * The writer: equal entries give equal bytes. A PAX header's own block has a fixed name and no
 * times, so only what the entry says is in it.
 */

static const uint8_t zeros[2 * TAR_BLOCK];

void
tar_write_pad(struct buf *out, uint64_t size)
{
	buf_add(out, zeros, (size_t)(-size & (TAR_BLOCK - 1)));
}

void
tar_write_end(struct buf *out)
{
	buf_add(out, zeros, sizeof zeros);
}

/* Adds "<length> key=value\n", where the length counts its own digits. */
static void
add_record(struct buf *pax, const char *key, const char *more, const void *value, size_t len)
{
	size_t rest = strlen(key) + strlen(more) + len + 3, total = rest;
	char digits[24];
	int n;

	do {
		n = snprintf(digits, sizeof digits, "%zu", total);
		total = rest + (size_t)n;
	} while (snprintf(NULL, 0, "%zu", total) != n);
	buf_printf(pax, "%zu %s%s=", total, key, more);
	buf_add(pax, value, len);
	buf_add(pax, "\n", 1);
}

static void
add_text(struct buf *pax, const char *key, const char *value)
{
	add_record(pax, key, "", value, strlen(value));
}

static void
add_number(struct buf *pax, const char *key, uint64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	add_text(pax, key, digits);
}

/* -2 s and 750000000 ns are "-1.25". */
static void
add_mtime(struct buf *pax, int64_t seconds, uint32_t ns)
{
	char text[48];
	int minus = seconds < 0;
	uint64_t whole = minus ? -(uint64_t)seconds : (uint64_t)seconds;

	if (minus && ns > 0) {
		whole--;
		ns = 1000000000 - ns;
	}
	if (ns > 0)
		(void)snprintf(
		    text, sizeof text, "%s%llu.%09u", minus ? "-" : "", (unsigned long long)whole, ns);
	else
		(void)snprintf(text, sizeof text, "%s%llu", minus ? "-" : "", (unsigned long long)whole);
	add_text(pax, "mtime", text);
}

/* Digits and a NUL; 0 when they do not fit. */
static int
put_octal(char *field, size_t size, uint64_t value)
{
	int fits = value >> (3 * (size - 1)) == 0;

	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = fits ? (char)('0' + (value & 7)) : '0';
	field[size - 1] = '\0';
	return fits;
}

/* Fills name, and prefix when the name must be split at a '/'; 0 when neither fits. */
static int
put_name(struct tar_raw *h, const char *name)
{
	size_t len = strlen(name), cut;

	if (len <= sizeof h->name) {
		memcpy(h->name, name, len);
		return 1;
	}
	for (cut = len > 1 + sizeof h->name ? len - 1 - sizeof h->name : 1;
	     cut <= sizeof h->prefix && cut + 1 < len; cut++)
		if (name[cut] == '/' && name[cut - 1] != '/') {
			memcpy(h->prefix, name, cut);
			memcpy(h->name, name + cut + 1, len - cut - 1);
			return 1;
		}
	memcpy(h->name, name, sizeof h->name);
	return 0;
}

/* Cut when it does not fit: the PAX record says the whole. */
static int
put_text(char *field, size_t size, const char *text)
{
	size_t len = strlen(text);

	memcpy(field, text, len < size ? len : size);
	return len <= size;
}

static void
finish_block(struct buf *out, struct tar_raw *h)
{
	const uint8_t *p = (const uint8_t *)h;
	unsigned sum = 0;

	memcpy(h->magic, "ustar\00000", 8);
	memset(h->sum, ' ', sizeof h->sum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += p[i];
	(void)snprintf(h->sum, sizeof h->sum, "%06o", sum);
	buf_add(out, h, sizeof *h);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(
	    (*(const struct tar_xattr *const *)a)->name, (*(const struct tar_xattr *const *)b)->name);
}

static void
add_xattrs(struct buf *pax, const struct tar_entry *t)
{
	const struct tar_xattr *sorted[TAR_XATTRS_MAX];

	assert(t->xattr_count <= TAR_XATTRS_MAX);
	for (size_t i = 0; i < t->xattr_count; i++)
		sorted[i] = &t->xattrs[i];
	qsort(sorted, t->xattr_count, sizeof sorted[0], by_name);
	for (size_t i = 0; i < t->xattr_count; i++)
		add_record(pax, "SCHILY.xattr.", sorted[i]->name, sorted[i]->value, sorted[i]->len);
}

/* Fills the block and notes in pax what it cannot say. */
static void
put_entry(struct tar_raw *h, struct buf *pax, const struct tar_entry *t)
{
	if (!put_name(h, t->name))
		add_text(pax, "path", t->name);
	if (!put_text(h->link, sizeof h->link, t->link))
		add_text(pax, "linkpath", t->link);
	if (!put_text(h->uname, sizeof h->uname - 1, t->uname))
		add_text(pax, "uname", t->uname);
	if (!put_text(h->gname, sizeof h->gname - 1, t->gname))
		add_text(pax, "gname", t->gname);
	if (!put_octal(h->uid, sizeof h->uid, t->uid))
		add_number(pax, "uid", t->uid);
	if (!put_octal(h->gid, sizeof h->gid, t->gid))
		add_number(pax, "gid", t->gid);
	if (!put_octal(h->size, sizeof h->size, t->size))
		add_number(pax, "size", t->size);
	if (!put_octal(h->mtime, sizeof h->mtime, (uint64_t)t->mtime) || t->mtime_ns > 0)
		add_mtime(pax, t->mtime, t->mtime_ns);
	(void)put_octal(h->mode, sizeof h->mode, t->mode & 07777);
	(void)put_octal(h->major, sizeof h->major, t->dev_major);
	(void)put_octal(h->minor, sizeof h->minor, t->dev_minor);
	h->type[0] = (char)t->type;
	add_xattrs(pax, t);
}

static void
write_pax(struct buf *out, const struct buf *pax)
{
	struct tar_raw h = { .name = "PaxHeaders.0/entry", .type = "x" };

	(void)put_octal(h.mode, sizeof h.mode, 0644);
	(void)put_octal(h.uid, sizeof h.uid, 0);
	(void)put_octal(h.gid, sizeof h.gid, 0);
	(void)put_octal(h.size, sizeof h.size, buf_len(pax));
	(void)put_octal(h.mtime, sizeof h.mtime, 0);
	finish_block(out, &h);
	buf_add(out, buf_ptr(pax), buf_len(pax));
	tar_write_pad(out, buf_len(pax));
}

static int
check_entry(const struct tar_entry *t, struct err *e)
{
	int link = t->type == TAR_HARDLINK || t->type == TAR_SYMLINK;
	size_t name = strlen(t->name), target = strlen(t->link);

	if (name == 0 || name > TAR_NAME_MAX || target > TAR_NAME_MAX || link != (target > 0))
		return err_set(e, 0, "tar: cannot write an entry with a name of %zu and a link of %zu bytes",
		    name, target);
	if (t->type != TAR_FILE && t->size > 0)
		return err_set(e, 0, "tar: only a file may have a size");
	if (t->dev_major > 07777777 || t->dev_minor > 07777777)
		return err_set(e, 0, "tar: device number out of range");
	return 0;
}

int
tar_write_header(struct buf *out, const struct tar_entry *entry, struct err *e)
{
	struct tar_raw h = { 0 };
	struct buf pax = { 0 };
	int rc = check_entry(entry, e);

	if (rc < 0)
		return rc;
	put_entry(&h, &pax, entry);
	if (buf_len(&pax) > TAR_PAX_MAX)
		rc = err_set(e, 0, "tar: extended attributes of more than %d bytes", TAR_PAX_MAX);
	else if (buf_len(&pax) > 0)
		write_pax(out, &pax);
	if (rc == 0)
		finish_block(out, &h);
	buf_done(&pax);
	return rc;
}
