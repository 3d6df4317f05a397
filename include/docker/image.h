#ifndef DOCKER_IMAGE_H
#define DOCKER_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/filter.h"
#include "docker/reference.h"

/*
 * Image tarballs (docker save, docker load) as a filter: strict tar check in, the same layers out,
 * names rewritten in every place that carries one (manifest.json, repositories, index.json
 * annotations), metadata held back and emitted last: the commit point of a load. storage.md D.
 * Formats: engine 20.10 (layer directories, symlinks for repeated layers), 28 graphdriver and containerd
 * store (OCI layout), skopeo and crane archives. Refused with status 400 and a rule that begins with
 * "image-": what storage.md D4 lists. Memory: metadata <= 16 MiB, one hash, member table <= 10,000 names.
 */
enum image_mode {
	IMAGE_SAVE,   /* to the task: names of ns mapped back, foreign names dropped, any number of images */
	IMAGE_EXPORT, /* to the artifact: exactly one image, layers hashed against diff ids, config against
	                 id, canonical order, `tags` as names, deterministic: same image, same bytes */
	IMAGE_LOAD,   /* from an artifact to an engine: as EXPORT, but RepoTags is exactly `tags[0]` whatever
	                 the   archive says, `repositories` always, no index.json and no oci-layout */
};

struct image_ask {
	enum image_mode mode;
	const char *ns;   /* SAVE: the namespace to map back; else NULL */
	const char *id;   /* EXPORT, LOAD: the expected "sha256:..." config digest; NULL = any */
	size_t tag_count; /* EXPORT, LOAD: names to write, familiar or canonical with tag */
	const char *const *tags;
	uint64_t max_bytes; /* of the tar, 0 = no limit; rule "limit-image-bytes" */
};

enum { IMAGE_LAYERS_MAX = 127 };

struct image_layer {
	char diff_id[REFERENCE_ID_MAX];
	uint64_t size;
};

struct image_facts { /* of the one image, valid after FILTER_DONE (EXPORT, LOAD) */
	char id[REFERENCE_ID_MAX];
	char architecture[32], os[32];
	uint64_t tar_bytes; /* of the output */
	size_t layer_count;
	struct image_layer layers[IMAGE_LAYERS_MAX];
};

struct filter *image_filter_new(const struct image_ask *ask, struct image_facts *facts);

/* 1 right when out ends at a layer boundary of the output (EXPORT): where a compressor starts a new frame. */
int image_at_layer_end(const struct filter *f);

#endif
