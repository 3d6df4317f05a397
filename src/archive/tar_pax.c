#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "tar_meta.h"

/*
 * PAX records: "<length> <key>=<value>\n". Where POSIX lets the last of two equal keys win, or an
 * empty value take one back, readers disagree: both are refused for the keys that matter.
 */

void
tar_meta_clear(struct tar_meta *m)
{
	for (size_t i = 0; i < m->entry.xattr_count; i++) {
		free(m->entry.xattrs[i].name);
		free(m->entry.xattrs[i].value);
	}
	free(m->entry.name);
	free(m->entry.link);
	free(m->entry.uname);
	free(m->entry.gname);
	*m = (struct tar_meta){ 0 };
}

static char **
slot_of(struct tar_meta *m, unsigned which)
{
	switch (which) {
	case META_NAME:
		return &m->entry.name;
	case META_LINK:
		return &m->entry.link;
	case META_UNAME:
		return &m->entry.uname;
	default:
		return &m->entry.gname;
	}
}

int
tar_meta_text(struct tar_meta *m, unsigned which, const char *text, size_t len, struct err *e)
{
	char shown[80];

	if (m->seen & which)
		return err_refuse(e, 400, NULL, "tar: an entry is given two names or link targets");
	if (len > TAR_NAME_MAX)
		return err_refuse(e, 400, NULL, "tar: name of %zu bytes, at most %d are allowed: '%s'", len,
		    TAR_NAME_MAX, log_quote(text, len, shown, sizeof shown));
	if (memchr(text, '\0', len) != NULL)
		return err_refuse(
		    e, 400, NULL, "tar: NUL inside the name '%s'", log_quote(text, len, shown, sizeof shown));
	if (len == 0 && (which == META_NAME || which == META_LINK))
		return err_refuse(e, 400, NULL, "tar: empty name or link target");
	*slot_of(m, which) = mem_strn(text, len);
	m->seen |= which;
	return 0;
}

/* Plain decimal digits: no sign, no blanks, no overflow past INT64_MAX. */
static int
decimal(const char *text, size_t len, uint64_t *value)
{
	uint64_t v = 0;

	if (len == 0 || len > 19)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	if (v > INT64_MAX)
		return -1;
	*value = v;
	return 0;
}

static int
take_path(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return tar_meta_text(m, META_NAME, v, len, e);
}

static int
take_linkpath(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return tar_meta_text(m, META_LINK, v, len, e);
}

static int
take_uname(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return tar_meta_text(m, META_UNAME, v, len, e);
}

static int
take_gname(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return tar_meta_text(m, META_GNAME, v, len, e);
}

static int
take_number(struct tar_meta *m, unsigned which, uint64_t *slot, const char *v, size_t len, struct err *e)
{
	char shown[80];

	if ((m->seen & which) || decimal(v, len, slot) < 0)
		return err_refuse(e, 400, NULL, "tar: PAX number '%s' is not one decimal number, given once",
		    log_quote(v, len, shown, sizeof shown));
	m->seen |= which;
	return 0;
}

static int
take_size(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return take_number(m, META_SIZE, &m->entry.size, v, len, e);
}

static int
take_uid(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return take_number(m, META_UID, &m->entry.uid, v, len, e);
}

static int
take_gid(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	return take_number(m, META_GID, &m->entry.gid, v, len, e);
}

/* The digits behind the dot as nanoseconds; more than nine are cut. -1 for anything but digits. */
static int
fraction(const char *v, size_t len, uint32_t *ns)
{
	uint32_t scale = 100000000;

	*ns = 0;
	for (size_t i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9')
			return -1;
		*ns += scale * (uint32_t)(v[i] - '0');
		scale /= 10;
	}
	return 0;
}

/* "[-]seconds[.fraction]"; -1.25 is -2 s and 750000000 ns. */
static int
take_mtime(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	int minus = len > 0 && v[0] == '-';
	const char *dot = memchr(v, '.', len);
	size_t whole = dot ? (size_t)(dot - v) : len;
	uint64_t seconds;
	uint32_t ns = 0;
	char shown[80];

	if ((m->seen & META_MTIME) || decimal(v + minus, whole - (size_t)minus, &seconds) < 0 ||
	    (dot && fraction(dot + 1, len - whole - 1, &ns) < 0))
		return err_refuse(e, 400, NULL, "tar: PAX mtime '%s' is not a time, given once",
		    log_quote(v, len, shown, sizeof shown));
	m->entry.mtime = minus ? -(int64_t)seconds - (ns > 0) : (int64_t)seconds;
	m->entry.mtime_ns = minus && ns > 0 ? 1000000000 - ns : ns;
	m->seen |= META_MTIME;
	return 0;
}

static int
take_xattr(struct tar_meta *m, const char *name, size_t name_len, const char *v, size_t len, struct err *e)
{
	struct tar_entry *t = &m->entry;
	char shown[80];

	log_quote(name, name_len, shown, sizeof shown);
	for (size_t i = 0; i < t->xattr_count; i++)
		if (strlen(t->xattrs[i].name) == name_len && memcmp(t->xattrs[i].name, name, name_len) == 0)
			return err_refuse(e, 400, NULL, "tar: extended attribute '%s' is given twice", shown);
	if (name_len == 0 || t->xattr_count == TAR_XATTRS_MAX)
		return err_refuse(
		    e, 400, NULL, "tar: more than %d extended attributes, or an empty name", TAR_XATTRS_MAX);
	t->xattrs[t->xattr_count].name = mem_strn(name, name_len);
	t->xattrs[t->xattr_count].value = mem_strn(v, len); /* binary: a NUL is a byte like others */
	t->xattrs[t->xattr_count++].len = len;
	return 0;
}

static int
refuse_key(struct tar_meta *m, const char *v, size_t len, struct err *e)
{
	(void)m, (void)v, (void)len;
	return err_refuse(e, 400, NULL, "tar: sparse files, volumes and incremental dumps are not accepted");
}

static const char xattr_key[] = "SCHILY.xattr.";

/* A key that ends in '.' stands for all that begin with it. */
static const struct pax_key {
	const char *key;
	int (*take)(struct tar_meta *m, const char *value, size_t len, struct err *e);
} keys[] = {
	{ "path", take_path },
	{ "linkpath", take_linkpath },
	{ "uname", take_uname },
	{ "gname", take_gname },
	{ "size", take_size },
	{ "uid", take_uid },
	{ "gid", take_gid },
	{ "mtime", take_mtime },
	{ "GNU.", refuse_key },
	{ "SCHILY.realsize", refuse_key },
	{ "SCHILY.filetype", refuse_key },
	{ "SUN.holesdata", refuse_key },
	{ "SCHILY.volhdr.", refuse_key },
	{ "SCHILY.dump.", refuse_key },
};

static const struct pax_key *
find_key(const char *key, size_t len)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		size_t n = strlen(keys[i].key);

		if ((keys[i].key[n - 1] == '.' ? len >= n : len == n) && memcmp(key, keys[i].key, n) == 0)
			return &keys[i];
	}
	return NULL;
}

static int
take_record(
    struct tar_meta *m, const char *key, size_t key_len, const char *v, size_t len, int global, struct err *e)
{
	const struct pax_key *known = find_key(key, key_len);
	size_t n = sizeof xattr_key - 1;
	int xattr = key_len >= n && memcmp(key, xattr_key, n) == 0;
	char shown[80];

	if (memchr(key, '\0', key_len) != NULL)
		return err_refuse(e, 400, NULL, "tar: NUL inside a PAX key");
	if (global && (known || xattr))
		return err_refuse(e, 400, NULL, "tar: a global PAX header sets '%s' for all entries",
		    log_quote(key, key_len, shown, sizeof shown));
	if (xattr)
		return take_xattr(m, key + n, key_len - n, v, len, e);
	return known ? known->take(m, v, len, e) : 0; /* times of access, comments, ACLs: dropped */
}

/* The length in front of a record; 0 when it is not one, or reaches past the header. */
static size_t
record_length(const char *text, size_t len, size_t *digits)
{
	size_t n = 0, i;

	for (i = 0; i < len && i < 8 && text[i] >= '0' && text[i] <= '9'; i++)
		n = n * 10 + (size_t)(text[i] - '0');
	*digits = i;
	return i > 0 && i < len && text[i] == ' ' && text[0] != '0' && n > i + 3 && n <= len ? n : 0;
}

int
tar_pax_read(struct tar_meta *m, const char *text, size_t len, int global, struct err *e)
{
	while (len > 0) {
		size_t digits, n = record_length(text, len, &digits);
		const char *key = text + digits + 1, *equals;

		if (n == 0 || text[n - 1] != '\n')
			return err_refuse(e, 400, NULL, "tar: malformed PAX record");
		equals = memchr(key, '=', n - digits - 2);
		if (equals == NULL || equals == key)
			return err_refuse(e, 400, NULL, "tar: PAX record without a key and '='");
		if (take_record(m, key, (size_t)(equals - key), equals + 1,
		        (size_t)(text + n - 1 - (equals + 1)), global, e) < 0)
			return -1;
		text += n;
		len -= n;
	}
	return 0;
}
