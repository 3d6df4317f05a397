#include "names.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/call.h"
#include "policy/owned.h"

static const char hex[] = "0123456789abcdef";

static int
missing(const struct reference *r, struct err *e)
{
	char canonical[REFERENCE_MAX], familiar[REFERENCE_MAX];
	struct reference full;
	struct err ignored;

	reference_canonical(r, canonical);
	if (reference_parse(&full, canonical, &ignored) < 0)
		full = *r;
	reference_familiar(&full, familiar);
	return err_refuse(e, 404, "not-owned", "No such image: %s", familiar);
}

/* The one own image whose id begins so; the engine is asked by the whole id. */
static int
look_id(const struct owned *o, const char *text, struct named *out)
{
	const char *digits = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;

	if (strlen(digits) < NAMES_ID_MIN || owned_by_id(o, text, &out->image) != 1) {
		out->image = NULL;
		return 0;
	}
	snprintf(out->engine, sizeof(out->engine), "%s", out->image->id);
	return 1;
}

/* out->image is NULL when nothing was found; r is what was parsed. */
static int
look(const struct owned *o, const char *text, struct named *out, struct reference *r, struct err *e)
{
	const char *id;

	memset(out, 0, sizeof(*out));
	if (reference_parse(r, text, e) < 0) {
		if (reference_looks_like_id(text)) { /* 64 digits are an id, never a name */
			(void)look_id(o, text, out);
			strcpy(r->domain, "docker.io");
			strcpy(r->path, "library/sha256");
			snprintf(r->tag, sizeof(r->tag), "%s", text);
			return 0;
		}
		return -1;
	}
	reference_canonical(r, out->name);
	id = owned_by_name(o, out->name);
	if (id == NULL) {
		out->name[0] = '\0';
		(void)look_id(o, text, out);
		return 0;
	}
	out->image = owned_image(o, id);
	names_map(o->ns, out->name, out->engine);
	return 0;
}

int
names_look(const struct owned *o, const char *text, struct named *out, struct err *e)
{
	struct reference r;

	return look(o, text, out, &r, e);
}

int
names_find(const struct owned *o, const char *text, struct named *out, struct err *e)
{
	struct reference r;

	if (look(o, text, out, &r, e) < 0)
		return -1;
	return out->image != NULL ? 0 : missing(&r, e);
}

/* "cafe:1" and "sha256:1" would hide an image id from the task's own commands. */
static int
like_id(const struct reference *r)
{
	struct reference bare = *r;
	char familiar[REFERENCE_MAX];
	size_t n;

	bare.tag[0] = bare.digest[0] = '\0';
	reference_familiar(&bare, familiar);
	n = strlen(familiar);
	return strcmp(familiar, "sha256") == 0 ||
	       (n >= NAMES_ID_MIN && n <= 64 && strspn(familiar, hex) == n);
}

int
names_new(const char *ns, const char *text, const char *tag, char name[REFERENCE_MAX],
    char mapped[REFERENCE_MAX], struct err *e)
{
	char full[REFERENCE_MAX * 2];
	struct reference r;

	if (reference_parse(&r, text, e) < 0)
		return -1;
	if (r.digest[0] != '\0')
		return err_refuse(e, 400, "name-digest",
		    "a name with a digest cannot be given: leave @%.19s... out", r.digest);
	if (like_id(&r))
		return err_refuse(
		    e, 400, "name-like-id", "'%s' reads as an image id: choose another name", text);
	if (tag == NULL || tag[0] == '\0')
		tag = r.tag[0] != '\0' ? r.tag : "latest";
	reference_repository(&r, full);
	snprintf(full + strlen(full), REFERENCE_MAX, ":%s", tag);
	if (reference_parse(&r, full, e) < 0)
		return -1;
	reference_canonical(&r, name);
	return reference_map(&r, ns, mapped, e);
}

void
names_map(const char *ns, const char *name, char mapped[REFERENCE_MAX])
{
	struct reference r;
	struct err e;
	int rc = reference_parse(&r, name, &e);

	if (rc == 0)
		rc = reference_map(&r, ns, mapped, &e);
	assert(rc == 0); /* owned names went through names_new() */
}

void
names_removed(const char *ns, const char *id, char repository[REFERENCE_MAX], char name[REFERENCE_MAX])
{
	snprintf(repository, REFERENCE_MAX, REFERENCE_REGISTRY "/%s/removed/%s", ns, id + 7);
	snprintf(name, REFERENCE_MAX, REFERENCE_REGISTRY "/%s/removed/%s:" NAMES_REMOVED_TAG, ns, id + 7);
}

/* Exactly `before`, `digits` hex digits, `after`. */
static int
is_hex_between(const char *text, const char *before, size_t digits, const char *after)
{
	size_t n = strlen(before);

	return strncmp(text, before, n) == 0 && strspn(text + n, hex) == digits &&
	       strcmp(text + n + digits, after) == 0;
}

int
names_in(const char *ns, const char *mapped, int removed)
{
	char before[REFERENCE_MAX];
	struct reference r;

	if (strcmp(ns, CALL_NS_IMAGE) == 0)
		return is_hex_between(mapped, REFERENCE_REGISTRY "/" CALL_NS_IMAGE "/", 32, ":latest");
	if (!reference_is_ns(ns))
		return 0;
	snprintf(before, sizeof(before), REFERENCE_REGISTRY "/%s/removed/", ns);
	if (removed)
		return is_hex_between(mapped, before, 64, ":" NAMES_REMOVED_TAG);
	return strchr(mapped, '@') == NULL && reference_unmap(&r, mapped, ns) == 0 && r.tag[0] != '\0';
}

const char *
names_tag(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strchr(slash != NULL ? slash : name, ':');
}
