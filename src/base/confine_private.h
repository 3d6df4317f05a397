#ifndef BASE_CONFINE_PRIVATE_H
#define BASE_CONFINE_PRIVATE_H

#include "base/confine.h"

/* Both: 0, 1 when this kernel has no such thing (e says why), -1. */
int confine_files(enum confine_profile profile, const struct confine_path *paths, struct err *e);
int confine_calls(enum confine_profile profile, struct err *e);

int confine_capabilities(struct err *e);

#endif
