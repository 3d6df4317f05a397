#ifndef POLICY_VALUE_H
#define POLICY_VALUE_H

#include "policy/param.h"

struct buf;
struct err;

/*
 * Reads one value as its row's kind says and appends the one text that may be sent: nothing for the engine's
 * default. -1 with status 400 and the row's rule; values that may be secret are not repeated in the text.
 * What was appended reads to itself: call_check() relies on it. Names pass as text, names.c judges them.
 */
int value_read(const struct param_row *row, const char *text, struct buf *out, struct err *e);

/* The number of a KIND_INT that was read. */
int64_t value_number(const char *text);

/* X-Registry-Config, KIND_REGISTRY: in registry.c. 0 or -1. */
int registry_read(const char *text, struct buf *out);

/* Appends an X-Registry-Auth line with the credentials that a registry_read() value has for an image's
 * registry. */
void registry_pick(const char *config, const char *image, struct buf *out);

/* The ulimits list, KIND_ULIMITS: in ulimits.c. 0 or -1. */
int ulimits_read(const char *text, struct buf *out);

#endif
