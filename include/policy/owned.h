#ifndef POLICY_OWNED_H
#define POLICY_OWNED_H

#include <stddef.h>

#include "docker/reference.h"

/*
 * What one task owns, by image id: ids learned from its builds and the names it gave them. An id or name that
 * is not here does not exist for the task. Pure and in memory: task/ keeps it on disk. Names are canonical
 * ("docker.io/library/app:1"), ids "sha256:<64 hex>"; order is oldest first.
 */
enum { OWNED_STEP_LEN = 12, OWNED_STEPS_MAX = 4096 };

struct owned_image {
	char id[REFERENCE_ID_MAX];
	size_t name_count;
	char **names;
};

struct owned {
	char ns[REFERENCE_NS_LEN + 1];
	size_t count;
	struct owned_image *images;
	/* Abbreviated ids (12 hex) of the intermediate images that its builds printed: no right to anything,
	 * only what to look at when the task ends and the engine still has some (a build that failed leaves
	 * them). */
	size_t step_count;
	char (*steps)[OWNED_STEP_LEN + 1];
	/* What requests under way may still add: they were admitted with it. */
	size_t claimed_images, claimed_names;
	/* What the other tasks of this host have, but for those that have ended. NULL = there are no others.
	 */
	int (*elsewhere)(const void *arg, const char *id); /* does any own the id? */
	const char *(*nameless)(
	    const void *arg, const char *id); /* the ns of one that owns it without a name */
	int (*sharing)(
	    const void *arg); /* may any have built on images that are not its own (cache "shared")? */
	const void *arg;
};

void owned_init(struct owned *o, const char *ns);
void owned_done(struct owned *o);

/* Adds an id (known is fine). Returns 1 when it was new. */
int owned_learn(struct owned *o, const char *id);

/* Points a canonical name at an id, learning the id; the name leaves the image that had it. */
void owned_name(struct owned *o, const char *name, const char *id);

/* Takes a name away; the image stays owned. Returns 1 when it was there. */
int owned_unname(struct owned *o, const char *name);

/* Forgets an id and its names. */
void owned_forget(struct owned *o, const char *id);

/* The id that a canonical name stands for, or NULL. */
const char *owned_by_name(const struct owned *o, const char *name);

/* Does any name lie in this repository ("docker.io/library/app")? */
int owned_has_repository(const struct owned *o, const char *repository);

/*
 * Looks an id or abbreviated id up ([sha256:] 1 to 64 hex): number of owned images that match; the
 * only one's record in *image when it is 1.
 */
size_t owned_by_id(const struct owned *o, const char *prefix, const struct owned_image **image);

const struct owned_image *owned_image(const struct owned *o, const char *id);

/* Notes an intermediate image: 12 hex digits. Returns 1 when it was new; the oldest go above OWNED_STEPS_MAX.
 */
int owned_step(struct owned *o, const char *step);

/* Was this image ("sha256:...") printed as an intermediate one? */
int owned_has_step(const struct owned *o, const char *id);

/* Names of all images together. */
size_t owned_names(const struct owned *o);

#endif
