#ifndef DOCKER_CONTEXT_NAMES_H
#define DOCKER_CONTEXT_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "archive/tar.h"

struct err;

/*
 * What a build context has named so far, and as what. Names are kept as 62 bits of a hash with a
 * random key (8 bytes, about 12 with the free slots), so that a million of them cost no more than
 * a few MiB: two names that collide make one build fail once, and nobody can aim for it.
 */
enum context_kind { CONTEXT_UNKNOWN = 0, CONTEXT_FILE = 1, CONTEXT_DIR = 2, CONTEXT_OTHER = 3 };

enum { CONTEXT_DEPTH_MAX = 255, CONTEXT_COMPONENT_MAX = 255, CONTEXT_ENTRIES_MAX = 1024 * 1024 };

struct context_name {
	char text[TAR_NAME_MAX + 1]; /* "a/b": no empty, "." or ".." component; "" is the root */
	int slash;                   /* it was written as a directory: "a/b/", "a/b/." */
};

/* Absolute names, "..", and what no file system takes are refused. */
int context_name_clean(const char *name, struct context_name *out, struct err *e);

struct context_names;

/* max: how many names, with the directories that are only named by what is in them. */
struct context_names *context_names_new(size_t max);
void context_names_free(struct context_names *n);

/* Adds a cleaned name and its parents. A directory may come twice; all else is refused, and so is a
 * name below what is not a directory. */
int context_names_add(struct context_names *n, const char *name, enum context_kind kind, struct err *e);

enum context_kind context_names_find(const struct context_names *n, const char *name);

#endif
