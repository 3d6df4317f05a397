#ifndef DOCKER_IMAGE_PARTS_H
#define DOCKER_IMAGE_PARTS_H

/* Shared by image.c (the filter), image_member.c (names), image_names.c (SAVE), image_layer.c, image_commit.c
 * (what must be true at the end) and image_write.c (what is written then). */

#include <jansson.h>

#include "archive/codec.h"
#include "base/buf.h"
#include "docker/image.h"

struct err;
struct hash;
struct layer;
struct tar_entry;
struct tar_reader;

enum {
	MEMBERS_MAX = 10000,
	MEMBER_NAME_MAX = 96,
	HELD_MAX = 4 * 1024 * 1024,      /* one member of metadata */
	HELD_ALL_MAX = 16 * 1024 * 1024, /* together */
};

enum member_kind {
	MEMBER_NONE = 0, /* nothing that an image tarball has */
	MEMBER_MANIFEST,
	MEMBER_REPOSITORIES,
	MEMBER_INDEX,
	MEMBER_LAYOUT,
	MEMBER_CONFIG,
	MEMBER_DIR,
	MEMBER_LEGACY, /* VERSION and json beside a layer: for engines before 1.10 */
	MEMBER_LAYER,
	MEMBER_BLOB, /* of an OCI layout: a layer, a config, or other metadata */
	MEMBER_KINDS,
};

/* A name that the archive has, and what is known of it. */
struct member {
	char name[MEMBER_NAME_MAX]; /* without a trailing '/' */
	char link[MEMBER_NAME_MAX]; /* the member that a link means, "" for others */
	enum member_kind kind;
	uint64_t size; /* in the archive */
	struct buf held;
	int is_held, used; /* used: a layer that the manifest names */
	int left_out;      /* the engine has it: no member, only its name */
	char diff_id[REFERENCE_ID_MAX];
	char digest[REFERENCE_ID_MAX]; /* of a compressed layer as it is; "" for others */
	enum codec codec;              /* that it is compressed with */
	uint64_t plain_size;           /* what diff_id is the digest of */
};

struct image {
	struct filter filter;
	struct image_ask ask;
	struct image_facts *facts;
	struct tar_reader *tar;
	uint64_t taken; /* bytes of the archive so far */

	size_t member_count;
	struct member **members;        /* in the order they came */
	void *by_name;                  /* tsearch(3) */
	size_t held_bytes, layer_count; /* layers: that were not held */

	struct member *now;       /* the member whose data comes */
	int action;               /* what is done with it */
	struct hash *diff, *blob; /* blob: of a compressed layer as it is */
	int sniffed;              /* whether it is one */
	struct layer *layer;      /* what lies in it */
	uint64_t entries;         /* of all layers */
	struct filter *inflate;
	uint64_t inflated; /* by all layers */
	struct buf raw, plain;

	struct buf ready; /* output that waits for room */
	int boundary, at_layer_end, ended;
};

/* Adds what the entry names; refuses what no image tarball has, and what came before. NULL with e. */
struct member *member_add(struct image *m, const struct tar_entry *t, struct err *e);
struct member *member_find(const struct image *m, const char *name);
/* The name of a layer that is left out, as if it had come; NULL when no layer can have that name, or it came.
 */
struct member *member_left_out(struct image *m, const char *name, const char *diff_id);
void members_free(struct image *m);

/* Bytes of metadata; 0, or -1 when they would pass the caps. */
int member_hold(struct image *m, struct member *k, const void *bytes, size_t len, struct err *e);
/* The held bytes as JSON; a new reference. */
json_t *member_json(struct member *k, const char *rule, struct err *e);

/* SAVE: the JSON of that member with the task's names; NULL: nothing is left, the member is not written. */
json_t *image_rewrite(enum member_kind kind, json_t *given, const char *ns);

struct commit {
	struct image *m;
	json_t *manifest, *config;
	const json_t *entry; /* the one of the manifest */
	struct member *config_member;
	size_t count;
	size_t shared; /* layers, from the base up, that the engine has */
	struct member *layers[IMAGE_LAYERS_MAX];
};

/* EXPORT, LOAD: m->now is a layer, to be written as it comes. */
int image_layer_start(struct image *m, struct err *e);
int image_layer_data(struct image *m, const uint8_t *data, size_t len, struct err *e);
int image_layer_end(struct image *m, struct err *e);

/* EXPORT, LOAD: the archive has ended. Checks it all, fills facts and writes the metadata to m->ready. */
int image_commit(struct image *m, struct err *e);
int image_write(struct commit *c, struct err *e); /* its second half */

/* A plain file in the one canonical form: header, bytes, padding. */
int image_put(struct buf *out, const char *name, const void *bytes, size_t len, struct err *e);
int image_put_head(struct buf *out, const char *name, uint64_t size, struct err *e);

#endif
