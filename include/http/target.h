#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <stddef.h>

struct err;

/*
 * A request target in its one accepted spelling: "/v1.NN/path?key=value&...".
 * The path is unreserved bytes and "/:@" (all that names and ids are made of), no
 * '%', no empty and no dot segments, no trailing '/' ("/" alone is fine).
 * The query is split at '&' and decoded ('+' is a space, %XX); ';', '#', a bad
 * escape, an encoded NUL, an empty key or bytes that are not UTF-8 are errors:
 * the engine would drop or re-read them (threats.md A.5.1, A.5.5). Pure.
 */
enum { TARGET_PAIRS_MAX = 256, TARGET_MAX = 60 * 1024 };

struct target_pair {
	char *key;
	char *value; /* "" when there was no '=' */
};

struct target {
	unsigned api; /* NN of the /v1.NN prefix, 0 when there is none */
	char *path;   /* behind the prefix, starts with '/' */
	size_t count;
	struct target_pair *query; /* in the order received, duplicates kept */
};

/* Returns 0, or -1 with e->status 400 and a rule. target_done() after 0. */
int target_parse(struct target *t, const char *raw, struct err *e);

/* The first value of key, or NULL; how often key occurs. */
const char *target_get(const struct target *t, const char *key);
size_t target_times(const struct target *t, const char *key);

void target_done(struct target *t);

#endif
