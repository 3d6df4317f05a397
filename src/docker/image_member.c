/* What may lie in an image tarball, by name. */

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "image_parts.h"

/* '#' stands for 64 lower-case hex digits. Whatever is in no row is refused (storage.md D1 has the families).
 */
static const struct {
	const char *pattern;
	enum tar_type type;
	enum member_kind kind;
} patterns[] = {
	{ "manifest.json", TAR_FILE, MEMBER_MANIFEST },
	{ "repositories", TAR_FILE, MEMBER_REPOSITORIES },
	{ "#", TAR_DIR, MEMBER_DIR }, /* engine 20.10 */
	{ "#/VERSION", TAR_FILE, MEMBER_LEGACY },
	{ "#/json", TAR_FILE, MEMBER_LEGACY },
	{ "#/layer.tar", TAR_FILE, MEMBER_LAYER },
	{ "#/layer.tar", TAR_SYMLINK, MEMBER_LAYER }, /* a layer that came before, or comes */
	{ "#.json", TAR_FILE, MEMBER_CONFIG },
	{ "index.json", TAR_FILE, MEMBER_INDEX }, /* engine 28 */
	{ "oci-layout", TAR_FILE, MEMBER_LAYOUT },
	{ "blobs", TAR_DIR, MEMBER_DIR },
	{ "blobs/sha256", TAR_DIR, MEMBER_DIR },
	{ "blobs/sha256/#", TAR_FILE, MEMBER_BLOB },
	{ "#.tar", TAR_FILE, MEMBER_LAYER },    /* skopeo, podman */
	{ "#.tar.gz", TAR_FILE, MEMBER_LAYER }, /* crane */
	{ "sha256:#", TAR_FILE, MEMBER_CONFIG },
};

static const char *const link_patterns[] = { "../#/layer.tar", "../#.tar" };

static int
matches(const char *pattern, const char *name)
{
	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '#') {
			if (*name++ != *pattern)
				return 0;
			continue;
		}
		if (strspn(name, "0123456789abcdef") < 64)
			return 0;
		name += 64;
	}
	return *name == '\0';
}

static enum member_kind
kind_of(const char *name, enum tar_type type)
{
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		if (patterns[i].type == type && matches(patterns[i].pattern, name))
			return patterns[i].kind;
	return MEMBER_NONE;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

struct member *
member_find(const struct image *m, const char *name)
{
	struct member key = { 0 };
	void *found;

	if (strlen(name) >= sizeof key.name)
		return NULL;
	memcpy(key.name, name, strlen(name) + 1);
	found = tfind(&key, &m->by_name, by_name);
	return found == NULL ? NULL : *(struct member **)found;
}

/* Every accepted name is shorter than MEMBER_NAME_MAX, so what is longer is none. */
static int
copy_name(char out[MEMBER_NAME_MAX], const char *name, enum tar_type type)
{
	size_t len = strlen(name);

	if (type == TAR_DIR && len > 1 && name[len - 1] == '/')
		len--;
	if (len >= MEMBER_NAME_MAX)
		return -1;
	memcpy(out, name, len);
	out[len] = '\0';
	return 0;
}

static int
copy_link(struct member *k, const char *target)
{
	for (size_t i = 0; i < sizeof link_patterns / sizeof *link_patterns; i++)
		if (matches(link_patterns[i], target))
			return copy_name(k->link, target + 3, TAR_FILE);
	return -1;
}

static int
check(const struct image *m, struct member *k, const struct tar_entry *t, struct err *e)
{
	char quoted[160];

	log_quote(t->name, strlen(t->name), quoted, sizeof quoted);
	if (m->member_count >= MEMBERS_MAX)
		return err_refuse(
		    e, 400, "image-members", "more than %d members in the image tarball", MEMBERS_MAX);
	if (copy_name(k->name, t->name, t->type) == 0)
		k->kind = kind_of(k->name, t->type);
	if (k->kind == MEMBER_NONE)
		return err_refuse(e, 400, "image-member",
		    "'%s' (tar type '%c') is nothing that an image tarball has", quoted, (char)t->type);
	if (t->type == TAR_SYMLINK && copy_link(k, t->link) < 0)
		return err_refuse(
		    e, 400, "image-link", "'%s' is a link to something else than a layer", quoted);
	if (member_find(m, k->name) != NULL)
		return err_refuse(e, 400, "image-duplicate", "'%s' is in the image tarball twice", quoted);
	return 0;
}

static struct member *
keep_member(struct image *m, struct member *k)
{
	if (m->member_count % 64 == 0)
		m->members = mem_grow(m->members, m->member_count + 64, sizeof *m->members);
	m->members[m->member_count++] = k;
	if (tsearch(k, &m->by_name, by_name) == NULL)
		abort(); /* out of memory, as mem_new() does */
	return k;
}

struct member *
member_add(struct image *m, const struct tar_entry *t, struct err *e)
{
	struct member *k = mem_new(sizeof *k);

	if (check(m, k, t, e) < 0) {
		free(k);
		return NULL;
	}
	k->size = t->size;
	return keep_member(m, k);
}

struct member *
member_left_out(struct image *m, const char *name, const char *diff_id)
{
	enum member_kind kind = kind_of(name, TAR_FILE);
	struct member *k;

	if ((kind != MEMBER_LAYER && kind != MEMBER_BLOB) || m->member_count >= MEMBERS_MAX ||
	    member_find(m, name) != NULL)
		return NULL;
	k = mem_new(sizeof *k);
	(void)copy_name(k->name, name, TAR_FILE); /* a layer's name fits */
	memcpy(k->diff_id, diff_id, sizeof k->diff_id);
	k->kind = kind;
	k->left_out = 1;
	return keep_member(m, k);
}

static void
not_here(void *k)
{
	(void)k; /* m->members owns it */
}

void
members_free(struct image *m)
{
	tdestroy(m->by_name, not_here);
	for (size_t i = 0; i < m->member_count; i++) {
		buf_done(&m->members[i]->held);
		free(m->members[i]);
	}
	free(m->members);
}

int
member_hold(struct image *m, struct member *k, const void *bytes, size_t len, struct err *e)
{
	if (k->size > HELD_MAX || len > HELD_ALL_MAX - m->held_bytes)
		return err_refuse(e, 400, "image-metadata",
		    "'%s': metadata above %d MiB, or above %d MiB in all", k->name, HELD_MAX >> 20,
		    HELD_ALL_MAX >> 20);
	k->is_held = 1;
	m->held_bytes += len;
	buf_add(&k->held, bytes, len);
	return 0;
}

json_t *
member_json(struct member *k, const char *rule, struct err *e)
{
	json_t *v = json_parse(buf_text(&k->held), buf_len(&k->held), e);

	if (v == NULL) {
		err_wrap(e, "'%s' is not JSON", k->name);
		e->status = 400;
		e->rule = rule;
	}
	return v;
}
