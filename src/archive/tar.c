#include "archive/tar.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
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

uint64_t
tar_reader_left(const struct tar_reader *r)
{
	return r->state == STATE_DATA && r->span == 0 ? r->left : 0;
}

void
tar_reader_skip(struct tar_reader *r, uint64_t len)
{
	assert(len <= tar_reader_left(r));
	r->left -= len;
}

static int
starved(const struct input *i, struct err *e)
{
	return i->eof ? err_refuse(e, 400, NULL, "tar: the archive is cut off") : TAR_NEED;
}

static int
take_entry(struct tar_reader *r, const struct tar_raw *h, int ustar, struct err *e)
{
	if (tar_head_entry(&r->meta, h, ustar, e) < 0)
		return -1;
	r->left = r->meta.entry.size;
	r->pad = padding(r->left);
	r->state = STATE_DATA;
	return TAR_ENTRY;
}

static int
start_extended(struct tar_reader *r, const struct tar_raw *h, struct err *e)
{
	uint64_t max = strchr("LK", h->type[0]) ? TAR_NAME_MAX + 1 : TAR_PAX_MAX;

	if (tar_natural(h->size, sizeof h->size, "size of an extended header", max, &r->left, e) < 0)
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
	if (tar_all_zero(buf_ptr(i->in), TAR_BLOCK))
		rc = head_end(r, STATE_ZERO, e);
	else if (tar_head_check(h, &ustar, e) < 0)
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
	size_t n = r->pad;

	/* `docker build -f - DIR` of CLI 20.10 ends right behind the last file's bytes: the engine takes it
	 */
	if (buf_len(i->in) < n && i->eof)
		n = buf_len(i->in);
	if (buf_len(i->in) < n)
		return starved(i, e);
	buf_drop(i->in, n);
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
	if (!tar_all_zero(buf_ptr(i->in), TAR_BLOCK))
		return err_refuse(e, 400, NULL, "tar: a single zero block inside the archive");
	buf_drop(i->in, TAR_BLOCK);
	r->state = STATE_END;
	return AGAIN;
}

static int
on_end(struct tar_reader *r, const struct input *i, struct err *e)
{
	(void)r;
	if (!tar_all_zero(buf_ptr(i->in), buf_len(i->in)))
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
