#ifndef DOCKER_CONTEXT_H
#define DOCKER_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/filter.h"
#include "base/hash.h"
#include "docker/dockerfile.h"

/*
 * The build context as a filter: any compression that the engine sniffs in, one canonical
 * uncompressed tar out, the Dockerfile judged and written anew on its way. Equal files in equal order give
 * equal bytes, whatever wrote them (GNU, PAX or ustar, any compression).
 *
 * Kept: files, directories, symlinks, hard links to an earlier file, modes, owners (numbers), mtimes,
 * xattrs user.* and security.capability; times to the second, no owners' names. Names are cleaned ("./a" is
 * "a"). Refused with 400 and rule "context": duplicates (a directory may come twice), absolute names and
 * "..", anything below a non-directory, devices and FIFOs, links as or to the Dockerfile, more than 255
 * levels, a first name that an engine would take for compressed data. Refused with 413: more than allowed,
 * rules "limit-context-entries" (directories that are only implied count), "limit-context-bytes",
 * "limit-dockerfile-bytes". The Dockerfile is the one that the engine would
 * use: the parameter, or "Dockerfile", or "dockerfile" when there is none (it is held until that is known,
 * and passes untouched beside a "Dockerfile"); without one the engine's own words
 * ("Cannot locate specified Dockerfile: ...", status 500) are the answer. A body that is not a tar
 * at all is refused. Memory: the Dockerfile (DOCKERFILE_MAX), 8 to 16 bytes an entry, codec state. It takes
 * random numbers (getrandom(2)) for the key of its hash, which show in nothing that comes out.
 */
struct context_ask {
	const char *dockerfile; /* the parameter, cleaned here; NULL or "" = default */
	struct dockerfile_ask reading;
	uint64_t max_bytes;   /* of the uncompressed context, 0 = no limit */
	uint64_t max_entries; /* 0 = no limit; at most 2^20 */
	int zstd; /* the engine reads zstd itself (>= 23): otherwise it is refused as the engine would */
};

/* facts (owned by the caller, alive until the filter is freed) are valid once context_judged(). ask is copied
 * shallowly. */
struct filter *context_filter_new(const struct context_ask *ask, struct dockerfile_facts *facts);

/* 1 once the Dockerfile that the engine will use is known and judged (with fallback names: only at the end).
 */
int context_judged(const struct filter *f);

/*
 * What was judged and what became of it, for evidence. Hashes are SHA-256 in hex, "" until they are known.
 * `sha256` is that of the canonical tar, every byte that the engine gets as the context, its end included.
 */
struct context_facts {
	const char *dockerfile;               /* its cleaned name; NULL until context_judged() */
	uint64_t dockerfile_bytes;            /* as it came */
	char dockerfile_sha256[HASH_HEX_MAX]; /* as it came */
	char rewritten_sha256[HASH_HEX_MAX];  /* as the engine gets it, with mapped names */
	uint64_t entries;
	uint64_t bytes; /* of the canonical tar */
	char sha256[HASH_HEX_MAX];
};

/* Borrowed from the filter. */
const struct context_facts *context_facts(const struct filter *f);

#endif
