#ifndef DOCKER_IMAGE_H
#define DOCKER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/filter.h"
#include "docker/reference.h"

/*
 * Image tarballs (docker save, docker load) as a filter: strict tar check in, the same layers out,
 * names rewritten in every place that carries one (manifest.json, repositories, index.json
 * annotations). Formats: engine 20.10 (layer directories, symlinks for repeated layers), 28 graphdriver and
 * containerd store (OCI layout), skopeo and crane archives. storage.md D.
 *
 * SAVE keeps members, order and headers. EXPORT and LOAD write a docker-archive that all engines
 * load: the layers as they came, under their own names, then (the commit point of a load, after everything
 * has been checked and the input has ended) the config, manifest.json and repositories; owners and times are
 * zero. An engine sends the layers of an image in an order of its own, 20.10 by directory and 28 by digest:
 * the bytes are the same for the same image and kind of engine.
 *
 * Refused with status 400 and the rule
 *   image-tar        not a strict tar, or something behind its end
 *   image-member     a name or type that no image tarball has, or a layer that no one names
 *   image-duplicate  a name twice            image-link      a link to something else than a layer
 *   image-members    above 10,000 names      image-metadata  above 4 MiB a member or 16 MiB in all
 *   image-manifest   not exactly one image, or keys that engines could read differently
 *   image-config     missing, not its digest, not for linux, or keys that engines could read differently
 *   image-id         another image than asked for
 *   image-layers     count of layers         image-layer     missing, damaged, or not its diff id
 *   image-contents   of a layer (docker/layer.h)
 *   image-names      names that cannot be rewritten
 * and with 413 limit-image-bytes. Memory: metadata <= 16 MiB, one hash, the names, a layer's decoder (gzip,
 * zstd).
 */
enum image_mode {
	IMAGE_SAVE,   /* to the task: names of ns mapped back, foreign names dropped, any number of images */
	IMAGE_EXPORT, /* to the artifact: exactly one image, layers hashed against diff ids, config against
	                 id, canonical order, `tags` as names, deterministic: same image, same bytes */
	IMAGE_LOAD,   /* from an artifact to an engine: as EXPORT, with the one name `tags[0]` */
};

struct image_ask {
	enum image_mode mode;
	const char *ns; /* SAVE: the namespace to map back; else NULL */
	/* EXPORT, LOAD: the expected "sha256:..." config digest (EXPORT: or that of the OCI manifest in the
	 * archive, by which an engine with the containerd store calls the image); NULL = any */
	const char *id;
	size_t tag_count; /* EXPORT, LOAD: names to write, familiar or canonical with tag */
	const char *const *tags;
	uint64_t max_bytes; /* of the tar, 0 = no limit; rule "limit-image-bytes" */
	/*
	 * LOAD: diff ids of layers that the engine has one upon the other, from the base up. What the image
	 * begins with of them may be missing in the tarball: engines with graph drivers look for the chain
	 * before the file. Then id must be given: layers that are not seen are vouched for by the config
	 * alone.
	 */
	size_t have_count;
	const char *const *have;
};

enum { IMAGE_LAYERS_MAX = 127 };

struct image_layer {
	char diff_id[REFERENCE_ID_MAX];
	uint64_t size; /* of what diff_id is the digest of: uncompressed; 0 when it was left out */
};

struct image_facts {                        /* of the one image, valid after FILTER_DONE (EXPORT, LOAD) */
	char id[REFERENCE_ID_MAX];          /* the config's digest */
	char manifest_id[REFERENCE_ID_MAX]; /* LOAD, nothing left out: what the containerd store calls it */
	char architecture[32], os[32];
	uint64_t tar_bytes;           /* of the output */
	size_t layer_count, left_out; /* of them: that the tarball did not have */
	struct image_layer layers[IMAGE_LAYERS_MAX];
};

/* ask is copied shallowly; facts may be NULL for SAVE, else they live as long as the filter. */
struct filter *image_filter_new(const struct image_ask *ask, struct image_facts *facts);

/*
 * The diff id of a layer right when out ends behind it (EXPORT): where a compressor starts a new frame; else
 * NULL. run() returns FILTER_MORE there, whatever is left in its input: call it again.
 */
const char *image_at_layer_end(const struct filter *f);

#endif
