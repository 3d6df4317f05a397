#ifndef PROXY_ELEMENTS_H
#define PROXY_ELEMENTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;

/*
 * A JSON array that may be of any length, taken apart into its elements as it streams by: only one element
 * (at most ELEMENT_MAX bytes) is held. The host's image list may be megabytes long; a task's part of it is
 * small.
 */
enum { ELEMENT_MAX = 256 * 1024 };

struct elements {
	struct buf one;
	unsigned depth;
	int in_string, escaped, ended;
	int (*take)(void *arg, json_t *element, struct err *e); /* borrowed; -1 ends */
	void *arg;
};

/* -1: not an array, an element too large, or take() refused. ended is set behind the closing bracket. */
int elements_feed(struct elements *x, const uint8_t *bytes, size_t len, struct err *e);
void elements_done(struct elements *x);

#endif
