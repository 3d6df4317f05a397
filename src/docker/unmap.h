#ifndef DOCKER_UNMAP_H
#define DOCKER_UNMAP_H

#include <jansson.h>
#include <stddef.h>

#include "docker/reference.h"

/*
 * Replaces the mapped names in every string value of v, however deep; keys stay. Returns how many strings
 * changed.
 */
size_t unmap_strings(json_t *v, const char *ns, const struct reference_pair *pairs, size_t count);

#endif
