#ifndef POLICY_NAMES_H
#define POLICY_NAMES_H

#include "docker/reference.h"

struct err;
struct owned;
struct owned_image;

/* What a task types, and what the engine is asked instead. Internal to this floor. */

/* Abbreviated ids of fewer digits are names: "db" and "web" are what people call images. */
enum { NAMES_ID_MIN = 4 };

struct named {
	const struct owned_image *image;
	char name[REFERENCE_MAX];   /* canonical; "" when the image was asked for by id */
	char engine[REFERENCE_MAX]; /* mapped name, or whole id */
};

/*
 * Finds an own image: an own name first, then an own id or the beginning of exactly one. -1 with the engine's
 * own words, status 404, rule "not-owned": the same for what belongs to others and for what nobody has; or
 * status 400, rule "reference", for what cannot be a name.
 */
int names_find(const struct owned *o, const char *text, struct named *out, struct err *e);

/* As names_find(), but 0 with out->image NULL when the task owns nothing by that name. */
int names_look(const struct owned *o, const char *text, struct named *out, struct err *e);

/*
 * A name that the task gives, tag made explicit: canonical and mapped. tag replaces the one in text unless it
 * is NULL or "". -1 with status 400: no digests, nothing that reads as an image id.
 */
int names_new(const char *ns, const char *text, const char *tag, char name[REFERENCE_MAX],
    char mapped[REFERENCE_MAX], struct err *e);

/* The engine's name for a canonical name that is owned. */
void names_map(const char *ns, const char *name, char mapped[REFERENCE_MAX]);

/* A temporary name by which an image without names is removed: no task can type it. */
void names_removed(const char *ns, const char *id, char repository[REFERENCE_MAX], char name[REFERENCE_MAX]);

/* Does a mapped name with its tag lie in the namespace (as names_removed() makes it when `removed`)? */
int names_in(const char *ns, const char *mapped, int removed);

/* "repository", ":tag": where a name with an explicit tag is split. */
const char *names_tag(const char *name);

#define NAMES_REMOVED_TAG "removed"

#endif
