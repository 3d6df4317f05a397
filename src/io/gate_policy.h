#ifndef IO_GATE_POLICY_H
#define IO_GATE_POLICY_H

#include <stddef.h>

#include "base/hash.h"

struct err;
struct policy;
struct settings;

/*
 * The gate's own policies, made from the settings file that it reads itself: the front only says when. Three
 * of each: the present one, the one before it (requests that it judged are still on their way), and the next
 * one, from reading the file to gate_policies_switch(). Internal to the gate.
 */
struct gate_policies;

/* version 1 is made of s. path is that of the settings file, whose directory is open as CONFINE_CONFIG_FD;
 * NULL: nothing can be read anew. */
struct gate_policies *gate_policies_new(const struct settings *s, const char *path);
void gate_policies_free(struct gate_policies *g);

/* What the worker gave for a namespace; empty text forgets it. */
int gate_policies_learn(struct gate_policies *g, const char *ns, const char *text, size_t len, struct err *e);

/*
 * The policy that judges calls of this namespace: a task's, or the host's for the service's own calls.
 * version 0 is the present one. NULL with e: the namespace is not known (403), or the version is not there
 * any more (503, "policy-replaced").
 */
const struct policy *
gate_policies_find(const struct gate_policies *g, const char *ns, unsigned version, struct err *e);

/*
 * Reads the file and makes the next policies of it. Returns a descriptor of the file, and its text's SHA-256,
 * for the front to read the same; -1 with what is wrong, and nothing has changed.
 */
int gate_policies_load(struct gate_policies *g, char hash[HASH_HEX_MAX], struct err *e);

/* The next ones are the present ones now, by this version; -1 when none were read. */
int gate_policies_switch(struct gate_policies *g, unsigned version, struct err *e);

/* The ones before are not needed any more. */
void gate_policies_release(struct gate_policies *g);

#endif
