/* The metadata of an exported or loaded image: what engines act on. Everything has been checked before. */

#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "image_parts.h"

#define OCI "application/vnd.oci.image."

static int
put_held_layers(struct commit *c, struct err *e)
{
	for (size_t i = 0; i < c->count; i++) {
		struct member *k = c->layers[i];

		if (k->is_held &&
		    image_put(&c->m->ready, k->name, buf_ptr(&k->held), buf_len(&k->held), e) < 0)
			return -1;
		k->is_held = 0; /* once */
	}
	return 0;
}

static int
put_json(struct buf *out, const char *name, json_t *v, struct err *e)
{
	char *text = json_text(v, 0);
	int rc = text == NULL ? err_refuse(e, 400, "image-names", "a name is not UTF-8")
	                      : image_put(out, name, text, strlen(text), e);

	free(text);
	json_decref(v);
	return rc;
}

static json_t *
manifest_of(const struct commit *c, const char *config_name)
{
	json_t *tags = json_array(), *paths = json_array();

	for (size_t i = 0; i < c->m->ask.tag_count; i++)
		json_array_append_new(tags, json_string(c->m->ask.tags[i]));
	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(paths, json_string(c->layers[i]->name));
	return json_pack("[{s:s, s:o, s:o}]", "Config", config_name, "RepoTags", tags, "Layers", paths);
}

/* {"app": {"1": top layer}}: old consumers read the names there, and none the layer. */
static json_t *
repositories_of(const struct commit *c)
{
	const char *top = c->count > 0 ? c->layers[c->count - 1]->diff_id : c->m->facts->id;
	json_t *all = json_object();

	for (size_t i = 0; i < c->m->ask.tag_count; i++) {
		const char *name = c->m->ask.tags[i], *slash = strrchr(name, '/'),
		           *colon = strrchr(name, ':');
		size_t len =
		    colon != NULL && colon > (slash ? slash : name) ? (size_t)(colon - name) : strlen(name);
		json_t *tags = json_object_getn(all, name, len);

		if (tags == NULL) {
			tags = json_object();
			json_object_setn_new(all, name, len, tags);
		}
		json_object_set_new(tags, name[len] ? name + len + 1 : "latest", json_string(top + 7));
	}
	return all;
}

static const char *
layer_type(const struct member *k)
{
	return k->codec == CODEC_GZIP   ? OCI "layer.v1.tar+gzip"
	       : k->codec == CODEC_ZSTD ? OCI "layer.v1.tar+zstd"
	                                : OCI "layer.v1.tar";
}

static json_t *
oci_manifest(const struct commit *c)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < c->count; i++) {
		const struct member *k = c->layers[i];

		json_array_append_new(
		    layers, json_pack("{s:s, s:s, s:I}", "mediaType", layer_type(k), "digest",
		                k->digest[0] != '\0' ? k->digest : k->diff_id, "size", (json_int_t)k->size));
	}
	return json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:o}", "schemaVersion", 2, "mediaType",
	    OCI "manifest.v1+json", "config", "mediaType", OCI "config.v1+json", "digest", c->m->facts->id,
	    "size", (json_int_t)buf_len(&c->config_member->held), "layers", layers);
}

/* One image under one name, as the containerd store reads it. */
static json_t *
oci_index(const struct commit *c, size_t manifest_size)
{
	const char *name = c->m->ask.tags[0], *colon = strrchr(name, ':');

	return json_pack("{s:i, s:s, s:[{s:s, s:s, s:I, s:{s:s, s:s}}]}", "schemaVersion", 2, "mediaType",
	    OCI "index.v1+json", "manifests", "mediaType", OCI "manifest.v1+json", "digest",
	    c->m->facts->manifest_id, "size", (json_int_t)manifest_size, "annotations",
	    "io.containerd.image.name", name, "org.opencontainers.image.ref.name",
	    colon != NULL ? colon + 1 : "latest");
}

/*
 * Engines with the containerd store call an image by its OCI manifest, which they would make up themselves:
 * with one of ours its digest is known. They read index.json alone, the others manifest.json alone
 * (storage.md D3), and here both say the same. An image in parts has none: that store has layers in other
 * forms than the archive, and would take an image whose layers it lacks.
 */
static int
is_whole_load(const struct commit *c)
{
	return c->m->ask.mode == IMAGE_LOAD && c->m->facts->left_out == 0;
}

static int
put_oci(struct commit *c, struct err *e)
{
	struct image_facts *facts = c->m->facts;
	struct buf *out = &c->m->ready;
	json_t *v = oci_manifest(c);
	char *text = json_text(v, 1), hex[HASH_HEX_MAX], *name;
	int rc;

	json_decref(v);
	hash_once(HASH_SHA256, text, strlen(text), hex);
	memcpy(facts->manifest_id, "sha256:", 7);
	memcpy(facts->manifest_id + 7, hex, 65);
	name = mem_printf("blobs/sha256/%s", hex);
	rc = member_find(c->m, name) != NULL && member_find(c->m, name)->used
	         ? err_refuse(e, 400, "image-duplicate", "'%s' cannot be a layer: it is the manifest", name)
	         : image_put(out, name, text, strlen(text), e);
	if (rc == 0)
		rc = put_json(out, "index.json", oci_index(c, strlen(text)), e);
	if (rc == 0)
		rc = put_json(out, "oci-layout", json_pack("{s:s}", "imageLayoutVersion", "1.0.0"), e);
	free(name);
	free(text);
	return rc;
}

int
image_write(struct commit *c, struct err *e)
{
	struct buf *out = &c->m->ready;
	const struct buf *config = &c->config_member->held;
	char name[MEMBER_NAME_MAX];

	memcpy(name, c->m->facts->id + 7, 64);
	memcpy(name + 64, ".json", 6);
	if (put_held_layers(c, e) < 0 || image_put(out, name, buf_ptr(config), buf_len(config), e) < 0 ||
	    (is_whole_load(c) && put_oci(c, e) < 0) ||
	    put_json(out, "manifest.json", manifest_of(c, name), e) < 0 ||
	    put_json(out, "repositories", repositories_of(c), e) < 0)
		return -1;
	tar_write_end(out);
	return 0;
}
