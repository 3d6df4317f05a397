/* A layer of an exported or loaded image: it goes out as it came, and is unpacked, hashed and looked at. */

#include <string.h>

#include "archive/tar.h"
#include "base/err.h"
#include "base/hash.h"
#include "docker/layer.h"
#include "image_parts.h"

enum { SPAN = 64 * 1024 };

int
image_layer_start(struct image *m, struct err *e)
{
	uint64_t max = m->ask.max_bytes;

	if (m->layer_count++ == IMAGE_LAYERS_MAX)
		return err_refuse(
		    e, 400, "image-layers", "the image tarball has more than %d layers", IMAGE_LAYERS_MAX);
	/* gzip and zstd: as registries deliver them to the containerd store */
	if (max > 0)
		max = max > m->inflated ? max - m->inflated : 1;
	m->diff = hash_new(HASH_SHA256);
	m->layer = layer_new(&m->entries);
	m->sniffed = 0;
	m->inflate = codec_reader_new(CODEC_GZIP | CODEC_ZSTD | CODEC_LONG, max, "limit-image-bytes");
	return image_put_head(&m->ready, m->now->name, m->now->size, e);
}

/* A compressed layer has a digest of its own; raw holds what came of it, m->sniffed bytes are needed to tell.
 */
static void
hash_blob(struct image *m, const uint8_t *data, size_t len)
{
	if (m->blob != NULL) {
		hash_add(m->blob, data, len);
		return;
	}
	if (m->sniffed || buf_len(&m->raw) < CODEC_SNIFF)
		return;
	m->sniffed = 1;
	m->now->codec = codec_sniff(buf_ptr(&m->raw), buf_len(&m->raw));
	if (m->now->codec == CODEC_NONE)
		return;
	m->blob = hash_new(HASH_SHA256);
	hash_add(m->blob, buf_ptr(&m->raw), buf_len(&m->raw));
}

/* Ends a hash, if there is one, as a digest. */
static void
end_hash(struct hash **h, char digest[REFERENCE_ID_MAX])
{
	char hex[HASH_HEX_MAX];

	if (*h == NULL)
		return;
	hash_hex(*h, hex);
	*h = NULL;
	memcpy(digest, "sha256:", 7);
	memcpy(digest + 7, hex, 65);
}

/* A piece of what the layer is when it is not compressed: hashed, and looked at; 1 when there was one. */
static int
inflate_some(struct image *m, int eof, int *rc, struct err *e)
{
	size_t kept = buf_len(&m->plain), more; /* less than a tar header, not yet looked at */

	*rc = m->inflate->run(m->inflate, &m->raw, eof, &m->plain, SPAN, e);
	if (*rc < 0)
		return -1;
	more = buf_len(&m->plain) - kept;
	if (more > 0)
		hash_add(m->diff, buf_ptr(&m->plain) + kept, more);
	m->now->plain_size += more;
	if (layer_add(m->layer, &m->plain, *rc == FILTER_DONE, e) < 0)
		return -1;
	return more > 0;
}

/* rc as the codec's. */
static int
inflate(struct image *m, int eof, struct err *e)
{
	int rc, some;

	do
		some = inflate_some(m, eof, &rc, e);
	while (some > 0 && rc == FILTER_MORE);
	if (some >= 0)
		return rc;
	if (e->rule == NULL)
		e->rule = "image-layer";
	return err_wrap(e, "layer '%s'%s", m->now->name,
	    e->status == 413 ? " takes the image above limits.imageBytes" : "");
}

int
image_layer_data(struct image *m, const uint8_t *data, size_t len, struct err *e)
{
	buf_add(&m->ready, data, len);
	buf_add(&m->raw, data, len);
	hash_blob(m, data, len);
	return inflate(m, 0, e) < 0 ? -1 : 0;
}

int
image_layer_end(struct image *m, struct err *e)
{
	if (inflate(m, 1, e) < 0)
		return -1;
	end_hash(&m->diff, m->now->diff_id);
	end_hash(&m->blob, m->now->digest);
	filter_free(m->inflate);
	m->inflate = NULL;
	layer_free(m->layer);
	m->layer = NULL;
	m->inflated += m->now->plain_size;
	tar_write_pad(&m->ready, m->now->size);
	m->boundary = m->ask.mode == IMAGE_EXPORT;
	return 0;
}
