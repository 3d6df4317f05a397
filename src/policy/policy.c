#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "show.h"

enum {
	API_MIN = 24, /* what the tables were made for; engines from 26 on speak nothing older */
	PATTERNS_MAX = 256,
	PATTERN_MAX = 300,
};

static const char *const cache_words[] = {
	[CACHE_NONE] = "none", [CACHE_PRIVATE] = "private", [CACHE_SHARED] = "shared"
};

const char *
policy_cache_word(enum cache_mode mode)
{
	return cache_words[mode];
}

static int
cache_mode(const char *word)
{
	for (int i = CACHE_NONE; i <= CACHE_SHARED; i++)
		if (strcmp(word, policy_cache_word((enum cache_mode)i)) == 0)
			return i;
	return -1;
}

static char **
copy_list(char *const *from, size_t count)
{
	char **to = mem_array(count + 1, sizeof(*to)); /* never NULL */

	for (size_t i = 0; i < count; i++)
		to[i] = mem_str(from[i]);
	return to;
}

static void
free_list(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void
policy_init(struct policy *p, const struct settings *s)
{
	int cache = cache_mode(s->cache);

	memset(p, 0, sizeof(*p));
	p->refs = 1;
	p->mode = strcmp(s->mode, policy_mode_name(POLICY_OBSERVE)) == 0 ? POLICY_OBSERVE : POLICY_ENFORCE;
	p->network = mem_str(s->network);
	p->base_count = s->base_images.count;
	p->bases = copy_list(s->base_images.item, p->base_count);
	p->pull = s->pull != 0;
	p->add_urls = s->add_urls != 0;
	p->extra_hosts = s->extra_hosts != 0;
	p->registry_auth = s->registry_auth != 0;
	p->cache = cache < 0 ? CACHE_NONE : (enum cache_mode)cache;
	p->cgroup_parent = mem_str(s->cgroup_parent);
	p->label = mem_str(s->label);
	p->memory = s->build_memory;
	p->cpus = s->build_cpus;
	p->shm_size = s->shm_size;
	p->api_min = API_MIN;
	p->api_max = (unsigned)s->api_max;
	p->api_usual = POLICY_API_USUAL;
	p->request_names = (size_t)s->request_names;
	p->names = (size_t)s->names;
	p->images = (size_t)s->images;
	p->context_bytes = s->context_bytes;
	p->context_entries = s->context_entries;
	p->image_bytes = s->image_bytes;
	p->public_arg_count = s->audit_public_args.count;
	p->public_args = copy_list(s->audit_public_args.item, p->public_arg_count);
}

void
policy_copy(struct policy *to, const struct policy *from)
{
	*to = *from;
	to->refs = 1;
	to->network = mem_str(from->network);
	to->bases = copy_list(from->bases, from->base_count);
	to->cgroup_parent = mem_str(from->cgroup_parent);
	to->label = mem_str(from->label);
	to->public_args = copy_list(from->public_args, from->public_arg_count);
}

void
policy_done(struct policy *p)
{
	free(p->network);
	free_list(p->bases, p->base_count);
	free(p->cgroup_parent);
	free(p->label);
	free_list(p->public_args, p->public_arg_count);
	memset(p, 0, sizeof(*p));
}

int
policy_network_ok(const char *network)
{
	static const char members[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(network);

	return strcmp(network, "host") != 0 && n < 128 && strspn(network, members) == n &&
	       (n == 0 || strchr("_.-", network[0]) == NULL);
}

/* A task's own policy: one function for each type, one row for each word. */
static int
wrong(struct err *e, const char *key, const char *expected)
{
	return err_refuse(e, 400, "policy", "policy: '%s' must be %s", key, expected);
}

static int
take_bool(void *field, const char *key, const json_t *value, struct err *e)
{
	if (!json_is_boolean(value))
		return wrong(e, key, "true or false");
	*(int *)field = json_is_true(value);
	return 0;
}

static int
take_network(void *field, const char *key, const json_t *value, struct err *e)
{
	if (!json_is_string(value) || !policy_network_ok(json_string_value(value)))
		return wrong(e, key, "\"\", \"none\" or the name of a network, never \"host\"");
	free(*(char **)field);
	*(char **)field = mem_str(json_string_value(value));
	return 0;
}

static int
take_cache(void *field, const char *key, const json_t *value, struct err *e)
{
	int mode = json_is_string(value) ? cache_mode(json_string_value(value)) : -1;

	if (mode < 0)
		return wrong(e, key, "\"private\", \"none\" or \"shared\"");
	*(enum cache_mode *)field = (enum cache_mode)mode;
	return 0;
}

static int
take_mode(void *field, const char *key, const json_t *value, struct err *e)
{
	const char *word = json_is_string(value) ? json_string_value(value) : "";

	for (enum policy_mode m = POLICY_ENFORCE; m <= POLICY_OBSERVE; m++)
		if (strcmp(word, policy_mode_name(m)) == 0) {
			*(enum policy_mode *)field = m;
			return 0;
		}
	return wrong(e, key, "\"enforce\" or \"observe\"");
}

static int
take_cpus(void *field, const char *key, const json_t *value, struct err *e)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 4096)
		return wrong(e, key, "an integer from 0 (no limit of ours) to 4096");
	*(int64_t *)field = json_integer_value(value);
	return 0;
}

/* "64MiB" as in the settings; -1 for anything else. */
static int64_t
read_size(const char *text)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	int64_t n = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 15)
		return -1;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (text[i] - '0');
	for (unsigned u = 0; u < sizeof(units) / sizeof(*units); u++)
		if (strcmp(text + digits, units[u]) == 0)
			return n > INT64_MAX >> (10 * u) ? -1 : n << (10 * u);
	return -1;
}

static int
take_size(void *field, const char *key, const json_t *value, struct err *e)
{
	int64_t n = -1;

	if (json_is_integer(value))
		n = json_integer_value(value);
	else if (json_is_string(value))
		n = read_size(json_string_value(value));
	if (n < 0)
		return wrong(e, key, "a size: bytes, or \"64MiB\", \"4GiB\"; 0 is no limit of ours");
	*(int64_t *)field = n;
	return 0;
}

static int
check_patterns(const json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) > PATTERNS_MAX)
		return -1;
	json_array_foreach((json_t *)list, i, v)
	{
		const char *s = json_string_value(v);

		if (s == NULL || s[0] == '\0' || strlen(s) > PATTERN_MAX)
			return -1;
		for (; *s != '\0'; s++)
			if (*s <= ' ' || *s > '~')
				return -1;
	}
	return 0;
}

static int
take_bases(void *field, const char *key, const json_t *value, struct err *e)
{
	struct policy *p = field;

	if (check_patterns(value) < 0)
		return wrong(e, key, "a list of image patterns such as \"docker.io/library/*\"");
	free_list(p->bases, p->base_count);
	p->base_count = json_array_size(value);
	p->bases = mem_array(p->base_count + 1, sizeof(*p->bases));
	for (size_t i = 0; i < p->base_count; i++)
		p->bases[i] = mem_str(json_string_value(json_array_get(value, i)));
	return 0;
}

static const struct {
	const char *key;
	int (*take)(void *field, const char *key, const json_t *value, struct err *e);
	size_t offset;
} words[] = {
	{ "mode", take_mode, offsetof(struct policy, mode) },
	{ "baseImages", take_bases, 0 },
	{ "network", take_network, offsetof(struct policy, network) },
	{ "pull", take_bool, offsetof(struct policy, pull) },
	{ "cache", take_cache, offsetof(struct policy, cache) },
	{ "addUrls", take_bool, offsetof(struct policy, add_urls) },
	{ "extraHosts", take_bool, offsetof(struct policy, extra_hosts) },
	{ "registryAuth", take_bool, offsetof(struct policy, registry_auth) },
	{ "memory", take_size, offsetof(struct policy, memory) },
	{ "cpus", take_cpus, offsetof(struct policy, cpus) },
};

static int
take_word(struct policy *p, const char *key, const json_t *value, struct err *e)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i].key, key) == 0)
			return words[i].take((char *)p + words[i].offset, words[i].key, value, e);
	return err_refuse(e, 400, "policy",
	    "policy: unknown key '%s'; known are mode, baseImages, network, pull, cache, addUrls, "
	    "extraHosts, "
	    "registryAuth, memory, cpus",
	    show(key).text);
}

int
policy_override(struct policy *p, const json_t *object, struct err *e)
{
	const char *key;
	json_t *value;

	if (object == NULL)
		return 0;
	if (!json_is_object(object))
		return err_refuse(e, 400, "policy", "policy: an object was expected");
	json_object_foreach((json_t *)object, key, value)
	{
		if (take_word(p, key, value, e) < 0)
			return -1;
	}
	return 0;
}
