#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct settings;

/*
 * What the operator allows: the host's policy comes from the settings, a task's policy is a copy that the
 * worker may widen or narrow when it registers the task. Once requests are judged by it, it does not change:
 * a reload makes new ones, with the next version, and a request keeps the one that judged it (policy_ref())
 * to its end. Pure.
 */
enum {
	POLICY_API_USUAL = 41
}; /* Debian 12's engine, and all later ones: until the engine has told its own */

enum {
	POLICY_VERSIONS = 0xffff, /* versions are 1 to this, then 1 again; 0 is none */
	POLICY_HASH_LEN = 12,     /* hexadecimal digits: enough to tell an operator's policies apart */
	/* What is let through when limits are only observed stays within what settings could say. */
	POLICY_COUNT_MAX = 10000,
	POLICY_REQUEST_NAMES_MAX = 32
};

enum policy_mode { POLICY_ENFORCE = 0, POLICY_OBSERVE };

enum cache_mode { CACHE_NONE = 0, CACHE_PRIVATE, CACHE_SHARED };

struct policy {
	unsigned refs, version;
	char hash[POLICY_HASH_LEN + 1]; /* of all that an operator or worker said, "" until policy_seal() */
	enum policy_mode mode;          /* what observing lets through: policy/rule.h */
	char *network;                  /* "" = the engine's default bridge */
	size_t base_count;
	char **bases; /* patterns, reference_match() */
	int pull, add_urls, extra_hosts, registry_auth;
	enum cache_mode cache;
	char *cgroup_parent;            /* "" = the engine's own */
	char *label;                    /* of every image that is built, its value the namespace; "" = none */
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

/* On the heap, with one reference; version 1 to POLICY_VERSIONS. */
struct policy *policy_new(const struct settings *s, unsigned version);
struct policy *policy_dup(const struct policy *p); /* with a reference of its own */
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p); /* NULL is fine */

/* The version behind this one. */
unsigned policy_next(unsigned version);

/* Writes p->hash, when the policy is as it is to be. Two policies that say the same have the same. */
void policy_seal(struct policy *p);

/* What it says, in the words of the settings; new reference. */
json_t *policy_json(const struct policy *p);

const char *policy_mode_name(enum policy_mode mode);

/*
 * Applies a task's own "policy" object ({"mode", "baseImages": [...], "network", "pull", "cache", "addUrls",
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
