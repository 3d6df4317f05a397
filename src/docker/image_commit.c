/* The end of an exported or loaded image: everything is checked before the first byte of metadata is written.
 */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "docker/layer.h"
#include "image_parts.h"

static int
bad(struct err *e, const char *rule, const char *text)
{
	return err_refuse(e, 400, rule, "%s", text);
}

static int
read_manifest(struct commit *c, struct err *e)
{
	static const char *const known[] = { "Config", "RepoTags", "Layers", "LayerSources" };
	struct member *k = member_find(c->m, "manifest.json");
	const char *key;
	json_t *v;

	if (k == NULL)
		return bad(e, "image-manifest", "the image tarball has no manifest.json");
	c->manifest = member_json(k, "image-manifest", e);
	if (c->manifest == NULL)
		return -1;
	if (!json_is_array(c->manifest) || json_array_size(c->manifest) != 1)
		return bad(e, "image-manifest", "manifest.json must name exactly one image");
	c->entry = json_array_get(c->manifest, 0);
	if (!json_is_object(c->entry))
		return bad(e, "image-manifest", "manifest.json does not hold an object");
	json_object_foreach(
	    (json_t *)c->entry, key, v) /* engines read keys in any case: only these spellings */
	{
		size_t i = 0;

		while (i < 4 && strcmp(known[i], key) != 0)
			i++;
		if (i == 4)
			return bad(e, "image-manifest",
			    "manifest.json has keys other than Config, RepoTags, Layers and LayerSources");
	}
	return 0;
}

/*
 * Engines read "Rootfs", "ROOTFS" and "rootf\u017f" as "rootfs", the last one wins: a config that is checked
 * here by one name could mean another's layers there. All that tools write is lower case.
 */
static int
plain_keys(const json_t *object)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key,
	    v) if (key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') return 0;
	return 1;
}

static int
copy_word(char *out, size_t size, const json_t *config, const char *key, const char *fallback)
{
	const json_t *v = json_object_get(config, key);
	const char *s = v == NULL ? fallback : json_string_value(v);

	if (s == NULL || strlen(s) >= size || s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0')
		return -1;
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

/* An engine with the containerd store calls an image by the digest of its OCI manifest. */
static int
is_manifest(const struct commit *c, const char *id)
{
	struct member *k = NULL;
	char hex[HASH_HEX_MAX], *path;
	struct err ignored;
	json_t *v;
	int rc = 0;

	if (!reference_is_id(id))
		return 0;
	path = mem_printf("blobs/sha256/%s", id + 7);
	k = member_find(c->m, path);
	free(path);
	if (k == NULL || !k->is_held)
		return 0;
	hash_once(HASH_SHA256, buf_ptr(&k->held), buf_len(&k->held), hex);
	v = member_json(k, "image-id", &ignored);
	if (v != NULL && strcmp(hex, id + 7) == 0)
		rc = strcmp(json_str(json_object_get(v, "config"), "digest", ""), c->m->facts->id) == 0;
	json_decref(v);
	return rc;
}

/* The config is named by its digest, which is the image's id. */
static int
check_id(struct commit *c, struct err *e)
{
	struct member *k = c->config_member;
	struct image_facts *facts = c->m->facts;
	char hex[HASH_HEX_MAX];

	hash_once(HASH_SHA256, buf_ptr(&k->held), buf_len(&k->held), hex);
	if (strstr(k->name, hex) == NULL)
		return err_refuse(e, 400, "image-config", "'%s' is not the digest of that file", k->name);
	memcpy(facts->id, "sha256:", 7);
	memcpy(facts->id + 7, hex, 65);
	if (c->m->ask.id != NULL && strcmp(c->m->ask.id, facts->id) != 0 &&
	    (c->m->ask.mode != IMAGE_EXPORT || !is_manifest(c, c->m->ask.id)))
		return err_refuse(
		    e, 400, "image-id", "the tarball holds image %s, not %s", facts->id, c->m->ask.id);
	return 0;
}

static int
read_config(struct commit *c, struct err *e)
{
	const char *path = json_str(c->entry, "Config", "");
	struct member *k = member_find(c->m, path);
	char quoted[160];

	if (k == NULL || !k->is_held || (k->kind != MEMBER_CONFIG && k->kind != MEMBER_BLOB))
		return err_refuse(e, 400, "image-config",
		    "manifest.json names '%s' as config, which is not there",
		    log_quote(path, strlen(path), quoted, sizeof quoted));
	c->config_member = k;
	if (check_id(c, e) < 0)
		return -1;
	c->config = member_json(k, "image-config", e);
	if (c->config == NULL)
		return -1;
	if (!json_is_object(c->config) || !plain_keys(c->config) ||
	    !plain_keys(json_object_get(c->config, "rootfs")))
		return bad(e, "image-config", "the image's config is not an object with lower-case keys");
	if (copy_word(c->m->facts->os, sizeof c->m->facts->os, c->config, "os", "linux") < 0 ||
	    strcmp(c->m->facts->os, "linux") != 0)
		return bad(e, "image-config", "the image is not for linux");
	if (copy_word(c->m->facts->architecture, sizeof c->m->facts->architecture, c->config, "architecture",
	        "") < 0)
		return bad(e, "image-config", "the image's architecture is not a word");
	return 0;
}

/* The member that holds a layer's bytes, through at most one link. */
static struct member *
layer_member(const struct image *m, const char *path)
{
	struct member *k = member_find(m, path);

	if (k != NULL && k->link[0] != '\0')
		k = member_find(m, k->link);
	if (k == NULL || k->link[0] != '\0' || (k->kind != MEMBER_LAYER && k->kind != MEMBER_BLOB))
		return NULL;
	return k;
}

/* A blob that looked like metadata. */
static int
read_held(struct image *m, struct member *k, struct err *e)
{
	char hex[HASH_HEX_MAX];
	struct layer *l = layer_new(&m->entries);
	struct buf copy = { 0 };
	int rc;

	buf_add(&copy, buf_ptr(&k->held), buf_len(&k->held));
	rc = layer_add(l, &copy, 1, e);
	layer_free(l);
	buf_done(&copy);
	if (rc < 0)
		return err_wrap(e, "layer '%s'", k->name);
	hash_once(HASH_SHA256, buf_ptr(&k->held), buf_len(&k->held), hex);
	memcpy(k->diff_id, "sha256:", 7);
	memcpy(k->diff_id + 7, hex, 65);
	k->plain_size = buf_len(&k->held);
	return 0;
}

static int
read_layer(struct commit *c, size_t i, const char *path, const char *diff_id, struct err *e)
{
	struct member *k = layer_member(c->m, path);
	char quoted[160];

	log_quote(path, strlen(path), quoted, sizeof quoted);
	if (k == NULL && i < c->shared)
		k = member_left_out(c->m, path, diff_id);
	if (k == NULL || (k->left_out && i >= c->shared))
		return err_refuse(
		    e, 400, "image-layer", "layer '%s' of manifest.json is not in the image tarball", quoted);
	if (k->is_held && k->diff_id[0] == '\0' && read_held(c->m, k, e) < 0)
		return -1;
	if (strcmp(k->diff_id, diff_id) != 0)
		return err_refuse(e, 400, "image-layer", "layer '%s' is %s, where the config says otherwise",
		    quoted, k->diff_id);
	k->used = 1;
	c->layers[i] = k;
	memcpy(c->m->facts->layers[i].diff_id, k->diff_id, sizeof k->diff_id);
	c->m->facts->layers[i].size = k->plain_size;
	c->m->facts->left_out += (size_t)k->left_out;
	return 0;
}

/* How many layers the image has in common with the chain that the engine has. */
static void
count_shared(struct commit *c, const json_t *ids)
{
	const struct image_ask *ask = &c->m->ask;

	while (ask->id != NULL && c->shared < ask->have_count && c->shared < c->count) {
		const char *id = json_string_value(json_array_get(ids, c->shared));

		if (id == NULL || !reference_is_id(id) || strcmp(id, ask->have[c->shared]) != 0)
			return;
		c->shared++;
	}
}

static int
array_or_nothing(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_array(v);
}

static int
read_layers(struct commit *c, struct err *e)
{
	const json_t *rootfs = json_object_get(c->config, "rootfs");
	const json_t *ids = json_object_get(rootfs, "diff_ids"), *paths = json_object_get(c->entry, "Layers");

	if (strcmp(json_str(rootfs, "type", ""), "layers") != 0 || !array_or_nothing(ids) ||
	    !array_or_nothing(paths))
		return bad(
		    e, "image-layers", "the config has no rootfs of layers, or manifest.json no Layers");
	c->count = json_array_size(ids);
	if (c->count != json_array_size(paths) || c->count > IMAGE_LAYERS_MAX)
		return err_refuse(e, 400, "image-layers",
		    "the config has %zu layers, manifest.json %zu; at most %d are possible", c->count,
		    json_array_size(paths), IMAGE_LAYERS_MAX);
	count_shared(c, ids);
	for (size_t i = 0; i < c->count; i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		const char *id = json_string_value(json_array_get(ids, i));

		if (path == NULL || id == NULL)
			return bad(e, "image-layers", "a layer's path or diff id is not a string");
		if (read_layer(c, i, path, id, e) < 0)
			return -1;
	}
	c->m->facts->layer_count = c->count;
	return 0;
}

/* Layers that no one named have gone out already: nothing may hide in an artifact. */
static int
check_unused(const struct image *m, struct err *e)
{
	for (size_t i = 0; i < m->member_count; i++) {
		const struct member *k = m->members[i];

		if (k->diff_id[0] != '\0' && !k->used)
			return err_refuse(e, 400, "image-member", "'%s' is no layer of the image", k->name);
	}
	return 0;
}

int
image_commit(struct image *m, struct err *e)
{
	struct commit c = { .m = m };
	int rc = -1;

	if (read_manifest(&c, e) == 0 && read_config(&c, e) == 0 && read_layers(&c, e) == 0 &&
	    check_unused(m, e) == 0)
		rc = image_write(&c, e);
	json_decref(c.manifest);
	json_decref(c.config);
	return rc;
}
