#ifndef TASK_BUILDS_H
#define TASK_BUILDS_H

#include <jansson.h>
#include <stddef.h>

#include "docker/reference.h"

struct buf;

/*
 * What is known of the builds that made a task's images: for each image id the facts (an object,
 * proxy/build.c fills it) of the build that made it first. In memory they are text, together at most
 * BUILDS_MAX_BYTES: the oldest go. An image whose build is not here is one whose build is not known, and
 * evidence says so. A zeroed struct is empty.
 */
enum { BUILDS_MAX_BYTES = 1024 * 1024, BUILD_MAX_BYTES = 32 * 1024 };

struct build_entry {
	char id[REFERENCE_ID_MAX];
	char *text;
};

struct builds {
	size_t count, bytes;
	struct build_entry *entries; /* oldest first */
};

/* Facts for an id; those that an id has already stay. Too large for BUILD_MAX_BYTES: not kept. */
void builds_keep(struct builds *b, const char *id, const json_t *facts);
void builds_forget(struct builds *b, const char *id);

/* The text of the facts, or NULL. */
const char *builds_find(const struct builds *b, const char *id);

/*
 * Evidence of an image: {"build": facts or null[, "buildUnknown": why][, "ancestors": [facts, ..]]}, where
 * the ancestors are the builds that made the task's own images that it was built from, theirs, and so on,
 * each once; of those that are not known, {"image": id, "unknown": why}. New reference.
 */
json_t *builds_evidence(const struct builds *b, const char *id);

void builds_done(struct builds *b);

#endif
