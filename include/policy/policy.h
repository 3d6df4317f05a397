#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct settings;

/*
 * What the operator allows: the host's policy comes from the settings, a task's policy is a copy that the
 * worker may widen or narrow when it registers the task. Immutable while requests are judged by it. Pure.
 */
enum {
	POLICY_API_USUAL = 41
}; /* Debian 12's engine, and all later ones: until the engine has told its own */

enum cache_mode { CACHE_NONE = 0, CACHE_PRIVATE, CACHE_SHARED };

struct policy {
	char *network; /* "" = the engine's default bridge */
	size_t base_count;
	char **bases; /* patterns, reference_match() */
	int pull, add_urls, extra_hosts, registry_auth;
	enum cache_mode cache;
	char *cgroup_parent;            /* "" = the engine's own */
	int64_t memory, cpus, shm_size; /* caps; 0 = none (shm_size: never above) */
	unsigned api_usual; /* NN for a request without a version: the engine's own, once it is known */
	unsigned api_min, api_max; /* NN of 1.NN; lowered and raised to what the engine speaks */
	size_t request_names, names, images;
	int64_t context_bytes, context_entries, image_bytes;
	size_t public_arg_count;
	char **public_args;
};

const char *policy_cache_word(enum cache_mode mode); /* "private" */

void policy_init(struct policy *p, const struct settings *s);

/*
 * Applies a task's own "policy" object ({"baseImages": [...], "network", "pull", "cache", "addUrls",
 * "extraHosts", "registryAuth", "memory", "cpus"}: the same words as in the settings) over p. Unknown keys
 * and wrong types are -1 with status 400.
 */
int policy_override(struct policy *p, const json_t *object, struct err *e);

/*
 * May builds use this network? "", "none", or the name of a network; never host, container:..., or what
 * the engine would not read as a name.
 */
int policy_network_ok(const char *network);

void policy_copy(struct policy *to, const struct policy *from);
void policy_done(struct policy *p);

#endif
