#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "tar_meta.h"

/*
 * One header block. Where readers are known to differ (what stands behind a NUL, GNU's use of the
 * prefix, sizes on links) a header that needs the difference is refused.
 */

static const int64_t time_max = (int64_t)1 << 56; /* far beyond any file system, far from overflow */

int
tar_all_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/*
 * Octal digits with blanks before and blanks or NULs behind them, or GNU's base-256. An empty
 * field is 0. What stands behind a NUL is not looked at by some readers: here it must be empty.
 */
static int
number(const char *field, size_t n, int64_t *value)
{
	const unsigned char *f = (const unsigned char *)field;
	uint64_t v = 0;
	size_t i = 0;

	if (f[0] & 0x80) {
		unsigned char minus = f[0] & 0x40 ? 0xff : 0;

		for (; i < n; i++) {
			if (v >> 55)
				return -1;
			v = v << 8 | ((f[i] ^ minus) & (i == 0 ? 0x7f : 0xff));
		}
		*value = minus ? -(int64_t)v - 1 : (int64_t)v;
		return 0;
	}
	while (i < n && f[i] == ' ')
		i++;
	for (; i < n && f[i] >= '0' && f[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(f[i] - '0');
	for (; i < n; i++)
		if (f[i] != ' ' && f[i] != '\0')
			return -1;
	*value = (int64_t)v; /* at most 12 digits: 36 bits */
	return 0;
}

int
tar_natural(const char *field, size_t n, const char *what, uint64_t max, uint64_t *value, struct err *e)
{
	int64_t v;

	if (number(field, n, &v) < 0 || v < 0 || (uint64_t)v > max)
		return err_refuse(
		    e, 400, NULL, "tar: %s is not a number from 0 to %llu", what, (unsigned long long)max);
	*value = (uint64_t)v;
	return 0;
}

/* The length of a NUL-padded text field; -1 when something stands behind the NUL. */
static ssize_t
text_length(const char *field, size_t n)
{
	size_t len = strnlen(field, n);

	return tar_all_zero((const uint8_t *)field + len, n - len) ? (ssize_t)len : -1;
}

static int
check_sum(const struct tar_raw *h, struct err *e)
{
	const uint8_t *p = (const uint8_t *)h;
	unsigned sum = 8 * ' ';
	int64_t want;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += p[i];
	for (size_t i = 0; i < sizeof h->sum; i++)
		sum -= (uint8_t)h->sum[i];
	if (number(h->sum, sizeof h->sum, &want) < 0 || want != sum)
		return err_refuse(e, 400, NULL, "tar: invalid tar header (its checksum does not fit)");
	return 0;
}

/* ustar, GNU or v7. GNU keeps times where ustar keeps the prefix: what is neither is refused. */
static int
check_format(const struct tar_raw *h, int *ustar, struct err *e)
{
	int64_t when;

	*ustar = memcmp(h->magic, "ustar\00000", 8) == 0;
	if (*ustar && memcmp(h->end + 8, "tar", 4) == 0)
		return err_refuse(e, 400, NULL, "tar: 'star' headers are not accepted");
	if (*ustar || tar_all_zero((const uint8_t *)h->magic, 8))
		return 0;
	if (memcmp(h->magic, "ustar  \0", 8) != 0)
		return err_refuse(e, 400, NULL, "tar: unknown header format");
	for (int i = 0; i < 2; i++)
		if (h->prefix[12 * i] != '\0' && number(h->prefix + 12 * i, 12, &when) < 0)
			return err_refuse(e, 400, NULL, "tar: GNU header with something else than times");
	return 0;
}

static int
take_name(struct tar_meta *m, const struct tar_raw *h, int ustar, struct err *e)
{
	char whole[sizeof h->prefix + 1 + sizeof h->name];
	ssize_t prefix = ustar ? text_length(h->prefix, sizeof h->prefix) : 0;
	ssize_t name = text_length(h->name, sizeof h->name);
	size_t at = 0;

	if (m->seen & META_NAME)
		return 0;
	if (prefix < 0 || name < 0)
		return err_refuse(e, 400, NULL, "tar: bytes behind the end of a name");
	if (prefix > 0) {
		memcpy(whole, h->prefix, (size_t)prefix);
		whole[prefix] = '/';
		at = (size_t)prefix + 1;
	}
	memcpy(whole + at, h->name, (size_t)name);
	return tar_meta_text(m, META_NAME, whole, at + (size_t)name, e);
}

static int
take_link(struct tar_meta *m, const struct tar_raw *h, struct err *e)
{
	int wanted = m->entry.type == TAR_HARDLINK || m->entry.type == TAR_SYMLINK;
	ssize_t len = text_length(h->link, sizeof h->link);

	if (!wanted) {
		free(m->entry.link);
		m->entry.link = mem_str("");
		return 0;
	}
	if (m->seen & META_LINK)
		return 0;
	if (len < 0)
		return err_refuse(e, 400, NULL, "tar: bytes behind the end of a link target");
	return tar_meta_text(m, META_LINK, h->link, (size_t)len, e);
}

static void
take_owner(struct tar_meta *m, const struct tar_raw *h)
{
	int known = h->magic[0] != '\0'; /* v7 has no such fields */

	if (m->entry.uname == NULL)
		m->entry.uname = mem_strn(h->uname, known ? strnlen(h->uname, sizeof h->uname) : 0);
	if (m->entry.gname == NULL)
		m->entry.gname = mem_strn(h->gname, known ? strnlen(h->gname, sizeof h->gname) : 0);
}

static int
take_numbers(struct tar_meta *m, const struct tar_raw *h, struct err *e)
{
	struct tar_entry *t = &m->entry;
	uint64_t mode = 0, major = 0, minor = 0;

	if (tar_natural(h->mode, sizeof h->mode, "mode", UINT32_MAX, &mode, e) < 0)
		return -1;
	if (!(m->seen & META_UID) && tar_natural(h->uid, sizeof h->uid, "uid", INT64_MAX, &t->uid, e) < 0)
		return -1;
	if (!(m->seen & META_GID) && tar_natural(h->gid, sizeof h->gid, "gid", INT64_MAX, &t->gid, e) < 0)
		return -1;
	if (!(m->seen & META_SIZE) &&
	    tar_natural(h->size, sizeof h->size, "size", INT64_MAX, &t->size, e) < 0)
		return -1;
	if (!(m->seen & META_MTIME) && number(h->mtime, sizeof h->mtime, &t->mtime) < 0)
		return err_refuse(e, 400, NULL, "tar: mtime is not a number");
	if (t->type == TAR_CHAR || t->type == TAR_BLOCKDEV)
		if (tar_natural(h->major, sizeof h->major, "device", UINT32_MAX, &major, e) < 0 ||
		    tar_natural(h->minor, sizeof h->minor, "device", UINT32_MAX, &minor, e) < 0)
			return -1;
	t->mode = (uint32_t)mode & 07777; /* some clients put the file type above it */
	t->dev_major = (uint32_t)major;
	t->dev_minor = (uint32_t)minor;
	return 0;
}

static int
ends_in_slash(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && name[len - 1] == '/';
}

int
tar_head_check(const struct tar_raw *h, int *ustar, struct err *e)
{
	return check_sum(h, e) < 0 ? -1 : check_format(h, ustar, e);
}

static int
take_type(struct tar_meta *m, char type, struct err *e)
{
	char shown[8];

	if (type != '\0' && strchr("0123456", type) == NULL)
		return err_refuse(e, 400, NULL, "tar: entries of type '%s' are not accepted",
		    log_quote(&type, 1, shown, sizeof shown));
	m->entry.type = type ? (enum tar_type)type : ends_in_slash(m->entry.name) ? TAR_DIR : TAR_FILE;
	return 0;
}

int
tar_head_entry(struct tar_meta *m, const struct tar_raw *h, int ustar, struct err *e)
{
	struct tar_entry *t = &m->entry;

	if (take_name(m, h, ustar, e) < 0 || take_type(m, h->type[0], e) < 0 || take_link(m, h, e) < 0 ||
	    take_numbers(m, h, e) < 0)
		return -1;
	take_owner(m, h);
	if (t->mtime > time_max || t->mtime < -time_max)
		return err_refuse(e, 400, NULL, "tar: mtime out of range");
	if (t->type != TAR_FILE && t->size > 0) /* readers disagree whether data follows */
		return err_refuse(e, 400, NULL, "tar: an entry that is not a file has a size");
	return 0;
}
