#include "archive/frames.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "frames_format.h"

void
frames_add(struct frames *f, uint64_t size, uint64_t tar_size, const char *sha256, const char *diff_id)
{
	struct frames_row *row = &f->rows[f->count++];

	assert(f->count <= FRAMES_MAX);
	*row = (struct frames_row){ .offset = f->index_offset, .size = size, .tar_size = tar_size };
	memcpy(row->sha256, sha256, FRAMES_HEX_MAX);
	if (diff_id != NULL)
		memcpy(row->diff_id, diff_id, FRAMES_ID_MAX);
	f->index_offset += size;
	f->tar_size += tar_size;
}

static json_t *
index_json(const struct frames *f)
{
	json_t *layers = json_array(), *rows = json_array();

	for (size_t i = 0; i < f->layer_count; i++)
		json_array_append_new(layers, json_string(f->layers[i]));
	for (size_t i = 0; i < f->count; i++) {
		const struct frames_row *r = &f->rows[i];

		json_array_append_new(
		    rows, json_pack("{s:I, s:I, s:I, s:s, s:s?}", "offset", (json_int_t)r->offset, "size",
		              (json_int_t)r->size, "tarSize", (json_int_t)r->tar_size, "sha256", r->sha256,
		              "diffId", r->diff_id[0] != '\0' ? r->diff_id : NULL));
	}
	return json_pack("{s:s, s:i, s:s, s:I, s:o, s:o}", "format", FRAMES_FORMAT, "version", 1, "imageId",
	    f->image_id, "tarSize", (json_int_t)f->tar_size, "layers", layers, "frames", rows);
}

static void
put_le(struct buf *out, uint64_t v, size_t n)
{
	for (; n > 0; n--, v >>= 8)
		buf_add(out, &(uint8_t){ (uint8_t)v }, 1);
}

int
frames_print(const struct frames *f, struct buf *out, struct err *e)
{
	struct frames *back = mem_new(sizeof *back);
	struct buf b = { 0 };
	json_t *v = index_json(f);
	char *text = json_text(v, 1);
	size_t len = strlen(text);
	int rc;

	put_le(&b, FRAMES_MAGIC, 4);
	put_le(&b, len + FRAMES_FOOTER, 4);
	buf_add(&b, text, len);
	put_le(&b, len, 8);
	buf_add(&b, FRAMES_MARK, 8);
	rc = frames_read(back, buf_ptr(&b), buf_len(&b), f->index_offset + buf_len(&b), e);
	if (rc == 0)
		buf_move(&b, out, buf_len(&b));
	buf_done(&b);
	free(text);
	json_decref(v);
	free(back);
	return rc;
}

/* A layer that lies only in what the host has: where a chain repeats a layer above it, the engine reads it.
 */
static int
is_kept(const struct frames *f, const char *diff_id, size_t kept)
{
	int below = 0;

	for (size_t i = 0; i < f->layer_count; i++) {
		if (strcmp(f->layers[i], diff_id) != 0)
			continue;
		if (i >= kept)
			return 0;
		below = 1;
	}
	return below;
}

/* Small holes between what is wanted are filled. */
static void
fill_gaps(const struct frames *f, struct frames_plan *p)
{
	size_t last = f->count; /* wanted before; none */

	for (size_t i = 0; i < f->count; i++) {
		const struct frames_row *r = &f->rows[i];

		if (!p->wanted[i])
			continue;
		if (last < i && r->offset - (f->rows[last].offset + f->rows[last].size) < FRAMES_GAP)
			memset(p->wanted + last, 1, i - last);
		last = i;
	}
}

static void
add_range(struct frames_plan *p, const struct frames_row *r)
{
	struct frames_range *last = p->count > 0 ? &p->ranges[p->count - 1] : NULL;

	if (last != NULL && last->offset + last->size == r->offset)
		last->size += r->size;
	else
		p->ranges[p->count++] = (struct frames_range){ r->offset, r->size };
	p->fetch += r->size;
}

void
frames_plan(const struct frames *f, const char *const *have, size_t have_count, struct frames_plan *p)
{
	*p = (struct frames_plan){ 0 };
	while (p->kept < have_count && p->kept < f->layer_count &&
	       strcmp(have[p->kept], f->layers[p->kept]) == 0)
		p->kept++;
	for (size_t i = 0; i < f->count; i++)
		p->wanted[i] = !is_kept(f, f->rows[i].diff_id, p->kept);
	fill_gaps(f, p);
	for (size_t i = 0; i < f->count; i++)
		if (p->wanted[i])
			add_range(p, &f->rows[i]);
		else
			p->saved += f->rows[i].size;
}

struct check {
	struct filter filter;
	const struct frames *frames;
	const struct frames_plan *plan;
	size_t row;        /* whose bytes come */
	uint64_t left;     /* of it */
	struct hash *hash; /* NULL: none has begun */
};

static int
refuse(struct err *e, const char *what)
{
	return err_refuse(e, 400, "image-frames", "what was fetched of the artifact %s", what);
}

/* The next row that is wanted; 0 when there is none. */
static int
begin_row(struct check *c)
{
	while (c->row < c->frames->count && !c->plan->wanted[c->row])
		c->row++;
	if (c->row == c->frames->count)
		return 0;
	c->left = c->frames->rows[c->row].size;
	c->hash = hash_new(HASH_SHA256);
	return 1;
}

static int
end_row(struct check *c, struct err *e)
{
	char hex[HASH_HEX_MAX];

	hash_hex(c->hash, hex);
	c->hash = NULL;
	return strcmp(hex, c->frames->rows[c->row++].sha256) == 0
	           ? 0
	           : refuse(e, "is not what its index says: a frame has another sha256");
}

static int
check_run(struct filter *filter, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct check *c = (struct check *)filter;

	while (buf_len(in) > 0 && buf_len(out) < high) {
		size_t n = buf_len(in) < high - buf_len(out) ? buf_len(in) : high - buf_len(out);

		if (c->hash == NULL && !begin_row(c))
			return refuse(e, "is longer than its index says");
		n = n < c->left ? n : (size_t)c->left;
		hash_add(c->hash, buf_ptr(in), n);
		c->left -= n;
		buf_move(in, out, n);
		if (c->left == 0 && end_row(c, e) < 0)
			return -1;
	}
	if (!eof || buf_len(in) > 0)
		return FILTER_MORE;
	if (c->hash != NULL || begin_row(c))
		return refuse(e, "is cut off");
	return FILTER_DONE;
}

static void
check_free(struct filter *filter)
{
	struct check *c = (struct check *)filter;

	hash_free(c->hash);
	free(c);
}

struct filter *
frames_check_new(const struct frames *f, const struct frames_plan *p)
{
	struct check *c = mem_new(sizeof *c);

	c->filter = (struct filter){ .run = check_run, .free = check_free };
	c->frames = f;
	c->plan = p;
	return &c->filter;
}
