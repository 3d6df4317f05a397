/* The index as it is found at the end of a file that anyone may have written. */

#include <jansson.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "frames_format.h"

static int
bad(struct err *e, const char *what)
{
	return err_refuse(e, 400, "image-frames", "the artifact's index of layers %s", what);
}

uint64_t
frames_le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static int
is_hex(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int
copy_id(char out[FRAMES_ID_MAX], const char *s)
{
	if (strncmp(s, "sha256:", 7) != 0 || !is_hex(s + 7))
		return -1;
	memcpy(out, s, FRAMES_ID_MAX);
	return 0;
}

static int
is_layer(const struct frames *f, const char *id)
{
	for (size_t i = 0; i < f->layer_count; i++)
		if (strcmp(f->layers[i], id) == 0)
			return 1;
	return 0;
}

static int
read_layers(struct frames *f, const json_t *layers, struct err *e)
{
	const json_t *v;
	size_t i;

	if (!json_is_array(layers) || json_array_size(layers) > FRAMES_LAYERS_MAX)
		return bad(e, "has no list of at most 127 layers");
	json_array_foreach(layers, i,
	    v) if (!json_is_string(v) || copy_id(f->layers[i], json_string_value(v)) < 0) return bad(e,
	    "has a layer that is no sha256");
	f->layer_count = i;
	return 0;
}

/* A number of bytes that is there at all, and that adds up with others. */
static int
is_size(json_int_t n)
{
	return n > 0 && n <= FRAMES_BYTES_MAX;
}

static int
read_row(struct frames *f, json_t *v, struct err *e)
{
	struct frames_row *row = &f->rows[f->count];
	const char *sha256, *diff_id;
	json_int_t offset, size, tar_size;
	json_t *layer;

	if (json_unpack(v, "{s:I, s:I, s:I, s:s, s:o!}", "offset", &offset, "size", &size, "tarSize",
	        &tar_size, "sha256", &sha256, "diffId", &layer) < 0)
		return bad(e, "has a frame with other keys than offset, size, tarSize, sha256 and diffId");
	diff_id = json_string_value(layer);
	if (offset < 0 || (uint64_t)offset != f->index_offset || !is_size(size) || !is_size(tar_size) ||
	    tar_size % FRAMES_TAR_BLOCK != 0 || !is_hex(sha256))
		return bad(e, "has a frame that does not begin where the one before it ends");
	if (diff_id == NULL ? !json_is_null(layer) : !is_layer(f, diff_id))
		return bad(e, "has a frame that is no layer of the image");
	*row = (struct frames_row){
		.offset = (uint64_t)offset, .size = (uint64_t)size, .tar_size = (uint64_t)tar_size
	};
	memcpy(row->sha256, sha256, FRAMES_HEX_MAX);
	if (diff_id != NULL)
		memcpy(row->diff_id, diff_id, FRAMES_ID_MAX);
	f->index_offset += row->size; /* 128 times 2^48 at most */
	f->tar_size += row->tar_size;
	f->count++;
	return 0;
}

static int
read_rows(struct frames *f, const json_t *rows, struct err *e)
{
	size_t n = json_array_size(rows);

	if (n == 0 || n > FRAMES_MAX)
		return bad(e, "has no list of 1 to 128 frames");
	for (size_t i = 0; i < n; i++)
		if (read_row(f, json_array_get(rows, i), e) < 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		if ((f->rows[i].diff_id[0] == '\0') != (i == n - 1))
			return bad(e, "does not have the metadata last");
	return 0;
}

static int
read_index(struct frames *f, json_t *v, struct err *e)
{
	const char *format, *image_id;
	json_int_t version, tar_size;
	json_t *layers, *rows;

	if (json_unpack(v, "{s:s, s:I, s:s, s:I, s:o, s:o!}", "format", &format, "version", &version,
	        "imageId", &image_id, "tarSize", &tar_size, "layers", &layers, "frames", &rows) < 0 ||
	    strcmp(format, FRAMES_FORMAT) != 0 || version != 1)
		return bad(e, "is not of version 1 of " FRAMES_FORMAT);
	if (copy_id(f->image_id, image_id) < 0)
		return bad(e, "has an image id that is no sha256");
	if (read_layers(f, layers, e) < 0 || read_rows(f, rows, e) < 0)
		return -1;
	return tar_size >= 0 && (uint64_t)tar_size == f->tar_size ? 0 : bad(e, "does not add up");
}

/* The JSON between the frame's head and the footer; NULL with e when the frame is not what it must be. */
static const uint8_t *
find_json(const uint8_t *end, size_t len, uint64_t *json_len, struct err *e)
{
	const uint8_t *json, *head;

	*json_len = frames_le(end - FRAMES_FOOTER, 8);
	if (*json_len > FRAMES_TAIL_MAX - FRAMES_AROUND || *json_len + FRAMES_AROUND > len) {
		bad(e, "is longer than 64 KiB, or than what was read of it");
		return NULL;
	}
	json = end - FRAMES_FOOTER - *json_len;
	head = json - FRAMES_HEAD;
	if (frames_le(head, 4) == FRAMES_MAGIC && frames_le(head + 4, 4) == *json_len + FRAMES_FOOTER)
		return json;
	bad(e, "does not fill its frame");
	return NULL;
}

int
frames_read(struct frames *f, const void *tail, size_t len, uint64_t file_size, struct err *e)
{
	const uint8_t *end = (const uint8_t *)tail + len, *text;
	uint64_t n;
	json_t *v;
	int rc;

	*f = (struct frames){ 0 };
	if (len < FRAMES_AROUND || memcmp(end - 8, FRAMES_MARK, 8) != 0)
		return 1;
	text = find_json(end, len, &n, e);
	if (text == NULL)
		return -1;
	v = json_parse(text, (size_t)n, e);
	if (v == NULL)
		return bad(e, "is not JSON");
	rc = read_index(f, v, e);
	json_decref(v);
	if (rc == 0 && (file_size < len || f->index_offset != file_size - n - FRAMES_AROUND))
		rc = bad(e, "does not fit the size of the file");
	return rc;
}
