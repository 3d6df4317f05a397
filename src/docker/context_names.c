#include "context_names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

struct context_names {
	uint64_t key[2];
	uint64_t *slots; /* a hash with its kind in the two low bits; 0 is free */
	size_t cap;      /* a power of two */
	size_t used, max;
};

static int
refuse(struct err *e, const char *what, const char *name)
{
	char shown[200];

	return err_refuse(e, 400, "context", "build context: %s: '%s'", what,
	    log_quote(name, strlen(name), shown, sizeof shown));
}

/* One component; -1 when it is "..", or longer than a file system takes. */
static int
add_component(struct context_name *out, size_t *at, const char *part, size_t len)
{
	if (len == 0 || (len == 1 && part[0] == '.'))
		return 0;
	if (len > CONTEXT_COMPONENT_MAX || (len == 2 && memcmp(part, "..", 2) == 0))
		return -1;
	if (*at > 0)
		out->text[(*at)++] = '/';
	memcpy(out->text + *at, part, len);
	*at += len;
	return 1;
}

int
context_name_clean(const char *name, struct context_name *out, struct err *e)
{
	size_t at = 0, depth = 0;
	int rc = 0;

	if (strlen(name) > TAR_NAME_MAX)
		return refuse(e, "a name that is too long", name);
	if (name[0] == '/')
		return refuse(e, "an absolute name", name);
	for (const char *part = name; part != NULL;) {
		size_t len = strcspn(part, "/");

		rc = add_component(out, &at, part, len);
		if (rc < 0)
			return refuse(e, "a name with '..' or a component above 255 bytes", name);
		depth += (size_t)rc;
		part = part[len] == '/' ? part + len + 1 : NULL;
	}
	if (depth > CONTEXT_DEPTH_MAX)
		return refuse(e, "a name of more than 255 levels", name);
	out->text[at] = '\0';
	out->slash = rc == 0;
	return 0;
}

struct context_names *
context_names_new(size_t max)
{
	struct context_names *n = mem_new(sizeof *n);

	if (getrandom(n->key, sizeof n->key, 0) != (ssize_t)sizeof n->key) {
		log_error("context", "no random numbers");
		abort();
	}
	n->max = max;
	n->cap = 256;
	n->slots = mem_array(n->cap, sizeof *n->slots);
	return n;
}

void
context_names_free(struct context_names *n)
{
	if (n == NULL)
		return;
	free(n->slots);
	free(n);
}

static uint64_t
rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* SipHash-2-4 of the parent's hash and the component: every prefix of a name is hashed on the way. */
static uint64_t
hash_below(const struct context_names *n, uint64_t parent, const char *part, size_t len)
{
	uint64_t v[4] = { n->key[0] ^ 0x736f6d6570736575, n->key[1] ^ 0x646f72616e646f6d,
		n->key[0] ^ 0x6c7967656e657261, n->key[1] ^ 0x7465646279746573 };
	uint64_t word, last = (uint64_t)(len + sizeof parent) << 56;

	sip_word(v, parent);
	for (; len >= sizeof word; part += sizeof word, len -= sizeof word) {
		memcpy(&word, part, sizeof word);
		sip_word(v, word);
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)(unsigned char)part[i] << (8 * i);
	sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return (v[0] ^ v[1] ^ v[2] ^ v[3]) & ~(uint64_t)3;
}

static uint64_t *
slot_of(const struct context_names *n, uint64_t hash)
{
	size_t i = (size_t)(hash >> 2) & (n->cap - 1);

	while (n->slots[i] != 0 && (n->slots[i] & ~(uint64_t)3) != hash)
		i = (i + 1) & (n->cap - 1);
	return &n->slots[i];
}

static enum context_kind
kind_of(uint64_t slot)
{
	return (enum context_kind)(slot & 3);
}

static void
grow(struct context_names *n)
{
	uint64_t *old = n->slots;
	size_t cap = n->cap;

	n->cap *= 2;
	n->slots = mem_array(n->cap, sizeof *n->slots);
	for (size_t i = 0; i < cap; i++)
		if (old[i] != 0)
			*slot_of(n, old[i] & ~(uint64_t)3) = old[i];
	free(old);
}

static int
insert(struct context_names *n, uint64_t hash, enum context_kind kind, struct err *e)
{
	if (n->used == n->max)
		return err_refuse(e, 413, "limit-context-entries",
		    "build context: more than %zu files and directories (limits.contextEntries)", n->max);
	if (n->used + 1 > n->cap - n->cap / 4)
		grow(n);
	*slot_of(n, hash) = hash | (uint64_t)kind;
	n->used++;
	return 0;
}

static int
add_hash(
    struct context_names *n, uint64_t hash, enum context_kind kind, int last, const char *name, struct err *e)
{
	enum context_kind old = kind_of(*slot_of(n, hash));

	if (old == CONTEXT_UNKNOWN)
		return insert(n, hash, kind, e);
	if (old == CONTEXT_DIR && kind == CONTEXT_DIR)
		return 0;
	return refuse(e, last ? "a name comes twice" : "a name below what is not a directory", name);
}

int
context_names_add(struct context_names *n, const char *name, enum context_kind kind, struct err *e)
{
	uint64_t hash = 0;
	int last = 0;

	for (const char *part = name; !last;) {
		size_t len = strcspn(part, "/");

		last = part[len] == '\0';
		hash = hash_below(n, hash, part, len);
		if (add_hash(n, hash, last ? kind : CONTEXT_DIR, last, name, e) < 0)
			return -1;
		part += len + 1;
	}
	return 0;
}

enum context_kind
context_names_find(const struct context_names *n, const char *name)
{
	uint64_t hash = 0;
	size_t len;

	for (;; name += len + 1) {
		len = strcspn(name, "/");
		hash = hash_below(n, hash, name, len);
		if (name[len] == '\0')
			return kind_of(*slot_of(n, hash));
	}
}
