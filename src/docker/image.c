#include "docker/image.h"

#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/layer.h"
#include "image_parts.h"

/* What is done with a member's data. */
enum action {
	DROP = 0,
	PASS,    /* as it came */
	REWRITE, /* held, and written with other names in the same place */
	HOLD,
	LAYER, /* written and hashed */
	PEEK,  /* its first byte tells */
};

enum { SPAN = 64 * 1024 };

static const enum action actions[MEMBER_KINDS][2] = {
	/*                       SAVE     EXPORT and LOAD */
	[MEMBER_MANIFEST] = { REWRITE, HOLD },
	[MEMBER_REPOSITORIES] = { REWRITE, DROP },
	[MEMBER_INDEX] = { REWRITE, DROP },
	[MEMBER_LAYOUT] = { PASS, DROP },
	[MEMBER_CONFIG] = { PASS, HOLD },
	[MEMBER_DIR] = { PASS, DROP },
	[MEMBER_LEGACY] = { PASS, DROP },
	[MEMBER_LAYER] = { PASS, LAYER },
	[MEMBER_BLOB] = { PASS, PEEK },
};

static int
tar_error(struct err *e)
{
	if (e->rule == NULL)
		e->rule = "image-tar";
	return -1;
}

static int
too_large(const struct image *m, struct err *e)
{
	return err_refuse(e, 413, "limit-image-bytes",
	    "the image tarball is above %llu bytes (limits.imageBytes)",
	    (unsigned long long)m->ask.max_bytes);
}

int
image_put_head(struct buf *out, const char *name, uint64_t size, struct err *e)
{
	char none[] = "", copy[MEMBER_NAME_MAX];
	struct tar_entry t = { .type = TAR_FILE, .name = copy, .link = none, .uname = none, .gname = none };

	memcpy(copy, name, strlen(name) + 1);
	t.mode = 0644;
	t.size = size;
	return tar_write_header(out, &t, e);
}

int
image_put(struct buf *out, const char *name, const void *bytes, size_t len, struct err *e)
{
	if (image_put_head(out, name, len, e) < 0)
		return -1;
	buf_add(out, bytes, len);
	tar_write_pad(out, len);
	return 0;
}

static int
on_entry(struct image *m, struct err *e)
{
	const struct tar_entry *t = tar_reader_entry(m->tar);

	if (m->ask.max_bytes > 0 && t->size > m->ask.max_bytes)
		return too_large(m, e);
	m->now = member_add(m, t, e);
	if (m->now == NULL)
		return -1;
	m->action = (int)actions[m->now->kind][m->ask.mode != IMAGE_SAVE];
	switch (m->action) {
	case PASS:
		return tar_write_header(&m->ready, t, e);
	case HOLD:
	case REWRITE:
		return member_hold(m, m->now, "", 0, e);
	case LAYER:
		if (m->now->link[0] == '\0')
			return image_layer_start(m, e);
		m->action = DROP; /* the manifest will name what the link means */
		return 0;
	}
	return 0;
}

/*
 * A blob says by its first byte what it may be: all metadata is a JSON object. A small layer whose
 * first file's name begins with '{' is held as well, which does no harm; a large one is a layer.
 */
static int
peek(struct image *m, uint8_t first, struct err *e)
{
	if (first != '{' || m->now->size > HELD_MAX || m->now->size > HELD_ALL_MAX - m->held_bytes) {
		m->action = LAYER;
		return image_layer_start(m, e);
	}
	m->action = HOLD;
	return 0;
}

static int
on_data(struct image *m, const uint8_t *data, size_t len, struct err *e)
{
	if (m->action == PEEK && peek(m, data[0], e) < 0)
		return -1;
	switch (m->action) {
	case HOLD:
	case REWRITE:
		return member_hold(m, m->now, data, len, e);
	case PASS:
		buf_add(&m->ready, data, len);
		return 0;
	case LAYER:
		return image_layer_data(m, data, len, e);
	}
	return 0;
}

static int
rewrite(struct image *m, struct err *e)
{
	json_t *given = member_json(m->now, "image-names", e), *own;
	char *text;
	int rc = -1;

	if (given == NULL)
		return -1;
	own = image_rewrite(m->now->kind, given, m->ask.ns);
	json_decref(given);
	if (own == NULL)
		return 0;
	text = json_text(own, 0);
	if (text != NULL)
		rc = image_put(&m->ready, m->now->name, text, strlen(text), e);
	else
		err_refuse(e, 400, "image-names", "'%s' cannot be written", m->now->name);
	free(text);
	json_decref(own);
	return rc;
}

static int
on_entry_end(struct image *m, struct err *e)
{
	switch (m->action) {
	case PASS:
		tar_write_pad(&m->ready, m->now->size);
		return 0;
	case REWRITE:
		return rewrite(m, e);
	case LAYER:
		return image_layer_end(m, e);
	}
	return 0;
}

static int
on_eof(struct image *m, struct err *e)
{
	m->ended = 1;
	if (m->ask.mode == IMAGE_SAVE)
		tar_write_end(&m->ready);
	else if (image_commit(m, e) < 0)
		return -1;
	return 0;
}

/* One event of the archive: 1 something was done, 0 it needs input, -1. */
static int
step(struct image *m, struct buf *in, int eof, struct err *e)
{
	const uint8_t *data = NULL;
	size_t len = 0, before = buf_len(in);
	int event = tar_read(m->tar, in, eof, &data, &len, e);

	m->taken += before - buf_len(in);
	if (event < 0)
		return tar_error(e);
	if (m->ask.max_bytes > 0 && m->taken > m->ask.max_bytes)
		return too_large(m, e);
	switch (event) {
	case TAR_ENTRY:
		return on_entry(m, e) < 0 ? -1 : 1;
	case TAR_DATA:
		return on_data(m, data, len, e) < 0 ? -1 : 1;
	case TAR_ENTRY_END:
		return on_entry_end(m, e) < 0 ? -1 : 1;
	case TAR_EOF: /* what follows must be zeros, up to the last byte */
		return !eof ? 0 : on_eof(m, e) < 0 ? -1 : 1;
	}
	return 0;
}

/* Moves what is ready; 1 when all of it has gone. */
static int
drain(struct image *m, struct buf *out, size_t high)
{
	size_t n = buf_len(out) < high ? high - buf_len(out) : 0;

	n = buf_move(&m->ready, out, n);
	if (m->facts != NULL)
		m->facts->tar_bytes += n;
	return buf_len(&m->ready) == 0;
}

static int
run(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e)
{
	struct image *m = (struct image *)f;
	int rc;

	m->at_layer_end = 0;
	for (;;) {
		if (!drain(m, out, high))
			return FILTER_MORE;
		if (m->boundary) {
			m->boundary = 0;
			m->at_layer_end = 1;
			return FILTER_MORE;
		}
		if (m->ended)
			return FILTER_DONE;
		rc = buf_len(out) < high ? step(m, in, eof, e) : 0;
		if (rc <= 0)
			return rc;
	}
}

static void
image_free(struct filter *f)
{
	struct image *m = (struct image *)f;

	tar_reader_free(m->tar);
	hash_free(m->diff);
	hash_free(m->blob);
	filter_free(m->inflate);
	layer_free(m->layer);
	members_free(m);
	buf_done(&m->raw);
	buf_done(&m->plain);
	buf_done(&m->ready);
	free(m);
}

static uint64_t
image_clear(const struct filter *f)
{
	const struct image *m = (const struct image *)f;
	uint64_t left = tar_reader_left(m->tar), max = m->ask.max_bytes;

	if (m->action != PASS || buf_len(&m->ready) > 0)
		return 0;
	return max > 0 && left > max - m->taken ? max - m->taken : left;
}

static void
image_passed(struct filter *f, const void *bytes, size_t len)
{
	struct image *m = (struct image *)f;

	(void)bytes;
	if (m->ready.cap > 0)
		buf_done(&m->ready); /* it is empty, and may be for long */
	tar_reader_skip(m->tar, len);
	m->taken += len;
	if (m->facts != NULL)
		m->facts->tar_bytes += len;
}

struct filter *
image_filter_new(const struct image_ask *ask, struct image_facts *facts)
{
	struct image *m = mem_new(sizeof *m);

	m->filter = (struct filter){ run, image_free, image_clear, image_passed };
	m->ask = *ask;
	m->facts = facts;
	if (facts != NULL)
		*facts = (struct image_facts){ 0 };
	m->tar = tar_reader_new();
	return &m->filter;
}

const char *
image_at_layer_end(const struct filter *f)
{
	const struct image *m = (const struct image *)f;

	return m->at_layer_end ? m->now->diff_id : NULL;
}
