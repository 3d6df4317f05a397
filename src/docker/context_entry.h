#ifndef DOCKER_CONTEXT_ENTRY_H
#define DOCKER_CONTEXT_ENTRY_H

#include "base/buf.h"
#include "context_names.h"
#include "docker/context.h"

/*
 * Entries of a build context, one after the other: judged by name and type, and written anew. What
 * is written stands in `pending` until the filter passes it on; file data does not go through here.
 */
enum context_fate {
	FATE_PASS,
	FATE_TARGET,   /* the Dockerfile: held, judged at its end */
	FATE_FALLBACK, /* "dockerfile" while no "Dockerfile" came: held until one comes, or the end */
};

struct context_tree {
	struct dockerfile_ask reading;
	struct dockerfile_facts *facts;
	char *typed;                /* the parameter as it came */
	struct context_name target; /* and cleaned */
	const char *fallback;       /* what the engine tries next, or NULL */
	struct context_names *names;
	uint64_t max_entries;
	struct context_facts known;

	struct context_name name, link; /* of the current entry */
	enum context_fate fate;
	uint64_t size;
	struct tar_entry held; /* of the held file, without names and attributes */
	struct buf text;       /* and its bytes */
	int target_seen, fallback_held, fallback_long, judged;

	int started; /* something was written */
	struct buf pending;
};

/* Refuses a parameter that names no file below the root; done() is due in any case. */
int context_tree_init(
    struct context_tree *t, const struct context_ask *ask, struct dockerfile_facts *facts, struct err *e);
void context_tree_done(struct context_tree *t);

/* An entry begins and ends; between them the data of a fate other than FATE_PASS is added to text. */
int context_tree_entry(struct context_tree *t, const struct tar_entry *entry, struct err *e);
int context_tree_entry_end(struct context_tree *t, struct err *e);

/* The archive has ended: there must have been a Dockerfile. */
int context_tree_end(struct context_tree *t, struct err *e);

#endif
