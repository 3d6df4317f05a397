#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "policy/policy.h"

/* How policies are made, shared, told apart and let go. */

static const char *const modes[] = { [POLICY_ENFORCE] = "enforce", [POLICY_OBSERVE] = "observe" };

const char *
policy_mode_name(enum policy_mode mode)
{
	return modes[mode];
}

struct policy *
policy_new(const struct settings *s, unsigned version)
{
	struct policy *p = mem_new(sizeof(*p));

	policy_init(p, s);
	p->version = version;
	return p;
}

struct policy *
policy_dup(const struct policy *p)
{
	struct policy *copy = mem_new(sizeof(*copy));

	policy_copy(copy, p);
	return copy;
}

struct policy *
policy_ref(struct policy *p)
{
	p->refs++;
	return p;
}

void
policy_unref(struct policy *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	policy_done(p);
	free(p);
}

unsigned
policy_next(unsigned version)
{
	return version >= POLICY_VERSIONS ? 1 : version + 1;
}

static json_t *
list_json(char *const *items, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(items[i]));
	return list;
}

json_t *
policy_json(const struct policy *p)
{
	json_t *v = json_pack("{s:s, s:o, s:s, s:b, s:s, s:b, s:b, s:b, s:s, s:s, s:I, s:I, s:I, s:i}",
	    "mode", modes[p->mode], "baseImages", list_json(p->bases, p->base_count), "network", p->network,
	    "pull", p->pull, "cache", policy_cache_word(p->cache), "addUrls", p->add_urls, "extraHosts",
	    p->extra_hosts, "registryAuth", p->registry_auth, "cgroupParent", p->cgroup_parent, "label",
	    p->label, "memory", (json_int_t)p->memory, "cpus", (json_int_t)p->cpus, "shmSize",
	    (json_int_t)p->shm_size, "apiMax", (int)p->api_max);
	json_t *limits = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "requestNames",
	    (json_int_t)p->request_names, "names", (json_int_t)p->names, "images", (json_int_t)p->images,
	    "contextBytes", (json_int_t)p->context_bytes, "contextEntries", (json_int_t)p->context_entries,
	    "imageBytes", (json_int_t)p->image_bytes);

	json_object_set_new(v, "limits", limits);
	json_object_set_new(v, "publicBuildArgs", list_json(p->public_args, p->public_arg_count));
	return v;
}

void
policy_seal(struct policy *p)
{
	json_t *v = policy_json(p);
	char *text = json_text(v, 1), hex[HASH_HEX_MAX];

	hash_once(HASH_SHA256, text != NULL ? text : "", text != NULL ? strlen(text) : 0, hex);
	memcpy(p->hash, hex, POLICY_HASH_LEN);
	p->hash[POLICY_HASH_LEN] = '\0';
	free(text);
	json_decref(v);
}
