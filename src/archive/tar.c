#include "archive/tar.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "tar_meta.h"

enum state { STATE_HEAD, STATE_EXTENDED, STATE_DATA, STATE_PAD, STATE_AFTER, STATE_ZERO, STATE_END, STATES };

struct tar_reader {
	enum state state;
	struct tar_meta meta;
	size_t span;     /* bytes of in that the last TAR_DATA showed */
	uint64_t left;   /* of the entry's data, or of an extended header */
	size_t pad;      /* up to the next block */
	char extended;   /* whose body is read: x g L K */
	struct buf body; /* of the extended header */
};

struct input {
	struct buf *in;
	int eof;
	const uint8_t **data;
	size_t *len;
};

enum { AGAIN = 100 }; /* beside enum tar_event: the state moved */

static const int64_t time_max = (int64_t)1 << 56; /* far beyond any file system, far from overflow */

static size_t
padding(uint64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}

struct tar_reader *
tar_reader_new(void)
{
	return mem_new(sizeof(struct tar_reader));
}

void
tar_reader_free(struct tar_reader *r)
{
	if (r == NULL)
		return;
	tar_meta_clear(&r->meta);
	buf_done(&r->body);
	free(r);
}

const struct tar_entry *
tar_reader_entry(const struct tar_reader *r)
{
	return &r->meta.entry;
}

static int
all_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int
starved(const struct input *i, struct err *e)
{
	return i->eof ? err_refuse(e, 400, NULL, "tar: the archive is cut off") : TAR_NEED;
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

static int
natural(const char *field, size_t n, const char *what, uint64_t max, uint64_t *value, struct err *e)
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

	return all_zero((const uint8_t *)field + len, n - len) ? (ssize_t)len : -1;
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
	if (*ustar || all_zero((const uint8_t *)h->magic, 8))
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
	uint64_t mode, major = 0, minor = 0;

	if (natural(h->mode, sizeof h->mode, "mode", UINT32_MAX, &mode, e) < 0)
		return -1;
	if (!(m->seen & META_UID) && natural(h->uid, sizeof h->uid, "uid", INT64_MAX, &t->uid, e) < 0)
		return -1;
	if (!(m->seen & META_GID) && natural(h->gid, sizeof h->gid, "gid", INT64_MAX, &t->gid, e) < 0)
		return -1;
	if (!(m->seen & META_SIZE) && natural(h->size, sizeof h->size, "size", INT64_MAX, &t->size, e) < 0)
		return -1;
	if (!(m->seen & META_MTIME) && number(h->mtime, sizeof h->mtime, &t->mtime) < 0)
		return err_refuse(e, 400, NULL, "tar: mtime is not a number");
	if (t->type == TAR_CHAR || t->type == TAR_BLOCKDEV)
		if (natural(h->major, sizeof h->major, "device", UINT32_MAX, &major, e) < 0 ||
		    natural(h->minor, sizeof h->minor, "device", UINT32_MAX, &minor, e) < 0)
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

static int
take_entry(struct tar_reader *r, const struct tar_raw *h, int ustar, struct err *e)
{
	struct tar_entry *t = &r->meta.entry;
	char type = h->type[0], shown[8];

	if (type != '\0' && strchr("0123456", type) == NULL)
		return err_refuse(e, 400, NULL, "tar: entries of type '%s' are not accepted",
		    log_quote(&type, 1, shown, sizeof shown));
	if (take_name(&r->meta, h, ustar, e) < 0)
		return -1;
	t->type = type ? (enum tar_type)type : ends_in_slash(t->name) ? TAR_DIR : TAR_FILE;
	if (take_link(&r->meta, h, e) < 0 || take_numbers(&r->meta, h, e) < 0)
		return -1;
	take_owner(&r->meta, h);
	if (t->mtime > time_max || t->mtime < -time_max)
		return err_refuse(e, 400, NULL, "tar: mtime out of range");
	if (t->type != TAR_FILE && t->size > 0) /* readers disagree whether data follows */
		return err_refuse(e, 400, NULL, "tar: an entry that is not a file has a size");
	r->left = t->size;
	r->pad = padding(t->size);
	r->state = STATE_DATA;
	return TAR_ENTRY;
}

static int
start_extended(struct tar_reader *r, const struct tar_raw *h, struct err *e)
{
	uint64_t max = strchr("LK", h->type[0]) ? TAR_NAME_MAX + 1 : TAR_PAX_MAX;

	if (natural(h->size, sizeof h->size, "size of an extended header", max, &r->left, e) < 0)
		return -1;
	if (h->type[0] == 'x' && (r->meta.seen & META_PAX))
		return err_refuse(e, 400, NULL, "tar: two PAX headers for one entry");
	if (h->type[0] == 'g' && r->meta.seen)
		return err_refuse(e, 400, NULL, "tar: a global header between an entry and its own");
	r->extended = h->type[0];
	r->pad = padding(r->left);
	r->state = STATE_EXTENDED;
	return AGAIN;
}

static int
head_end(struct tar_reader *r, enum state next, struct err *e)
{
	if (r->meta.seen)
		return err_refuse(e, 400, NULL, "tar: an extended header without its entry");
	r->state = next;
	return AGAIN;
}

static int
on_head(struct tar_reader *r, const struct input *i, struct err *e)
{
	const struct tar_raw *h = (const void *)buf_ptr(i->in);
	int ustar, rc;

	if (buf_len(i->in) == 0 && i->eof)
		return head_end(r, STATE_END, e);
	if (buf_len(i->in) < TAR_BLOCK)
		return starved(i, e);
	if (all_zero(buf_ptr(i->in), TAR_BLOCK))
		rc = head_end(r, STATE_ZERO, e);
	else if (check_sum(h, e) < 0 || check_format(h, &ustar, e) < 0)
		rc = -1;
	else if (h->type[0] != '\0' && strchr("xgLK", h->type[0]) != NULL)
		rc = start_extended(r, h, e);
	else
		rc = take_entry(r, h, ustar, e);
	buf_drop(i->in, TAR_BLOCK);
	return rc;
}

/* GNU: the name with a NUL, and sometimes more of them, behind it. */
static int
take_gnu(struct tar_meta *m, unsigned which, const char *text, size_t len, struct err *e)
{
	while (len > 0 && text[len - 1] == '\0')
		len--;
	return tar_meta_text(m, which, text, len, e);
}

static int
take_extended(struct tar_reader *r, struct err *e)
{
	const char *text = buf_text(&r->body);
	size_t len = buf_len(&r->body);

	switch (r->extended) {
	case 'L':
		return take_gnu(&r->meta, META_NAME, text, len, e);
	case 'K':
		return take_gnu(&r->meta, META_LINK, text, len, e);
	case 'x':
		r->meta.seen |= META_PAX;
		break;
	}
	return tar_pax_read(&r->meta, text, len, r->extended == 'g', e);
}

static int
on_extended(struct tar_reader *r, const struct input *i, struct err *e)
{
	r->left -= buf_move(i->in, &r->body, (size_t)r->left);
	if (r->left > 0 || buf_len(i->in) < r->pad)
		return starved(i, e);
	buf_drop(i->in, r->pad);
	if (take_extended(r, e) < 0)
		return -1;
	buf_done(&r->body);
	r->state = STATE_HEAD;
	return AGAIN;
}

static int
on_data(struct tar_reader *r, const struct input *i, struct err *e)
{
	size_t n = buf_len(i->in) < TAR_SPAN_MAX ? buf_len(i->in) : TAR_SPAN_MAX;

	if (n > r->left)
		n = (size_t)r->left;
	if (r->left == 0) {
		r->state = STATE_PAD;
		return AGAIN;
	}
	if (n == 0)
		return starved(i, e);
	*i->data = buf_ptr(i->in);
	*i->len = r->span = n;
	r->left -= n;
	return TAR_DATA;
}

static int
on_pad(struct tar_reader *r, const struct input *i, struct err *e)
{
	if (buf_len(i->in) < r->pad)
		return starved(i, e);
	buf_drop(i->in, r->pad);
	r->state = STATE_AFTER;
	return TAR_ENTRY_END;
}

static int
on_after(struct tar_reader *r, const struct input *i, struct err *e)
{
	(void)i, (void)e;
	tar_meta_clear(&r->meta);
	r->state = STATE_HEAD;
	return AGAIN;
}

/* One zero block came: a second one must follow, or readers disagree where the archive ends. */
static int
on_zero(struct tar_reader *r, const struct input *i, struct err *e)
{
	if (buf_len(i->in) < TAR_BLOCK)
		return starved(i, e);
	if (!all_zero(buf_ptr(i->in), TAR_BLOCK))
		return err_refuse(e, 400, NULL, "tar: a single zero block inside the archive");
	buf_drop(i->in, TAR_BLOCK);
	r->state = STATE_END;
	return AGAIN;
}

static int
on_end(struct tar_reader *r, const struct input *i, struct err *e)
{
	(void)r;
	if (!all_zero(buf_ptr(i->in), buf_len(i->in)))
		return err_refuse(e, 400, NULL, "tar: data behind the end of the archive");
	buf_drop(i->in, buf_len(i->in));
	return TAR_EOF;
}

static int (*const steps[STATES])(struct tar_reader *, const struct input *, struct err *) = {
	[STATE_HEAD] = on_head,
	[STATE_EXTENDED] = on_extended,
	[STATE_DATA] = on_data,
	[STATE_PAD] = on_pad,
	[STATE_AFTER] = on_after,
	[STATE_ZERO] = on_zero,
	[STATE_END] = on_end,
};

int
tar_read(struct tar_reader *r, struct buf *in, int eof, const uint8_t **data, size_t *len, struct err *e)
{
	struct input i = { in, eof, data, len };
	int rc;

	assert(r->span <= buf_len(in)); /* the span shown last is still there */
	buf_drop(in, r->span);
	r->span = 0;
	do
		rc = steps[r->state](r, &i, e);
	while (rc == AGAIN);
	return rc;
}
