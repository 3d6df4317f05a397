#ifndef DOCKER_DOCKERFILE_H
#define DOCKER_DOCKERFILE_H

#include <stddef.h>

#include "docker/reference.h"

struct buf;
struct err;

/*
 * Reads a Dockerfile as the engine's classic builder does and writes it anew with
 * mapped image names. Where engines 20.10 and 28.5 could read it differently, or where
 * it cannot be sure, it refuses and says which line: status 400, rule "dockerfile"
 * for what is not understood; 403 and rule "add-url" or "workdir-proc" for what is forbidden;
 * or what resolve() set. Lines without a mapped name come out byte for byte. Pure.
 *
 * Known here: stages and their names, ARG before the first FROM with build-args, defaults and the builder's
 * own proxy names, ${x}, $x, ${x:-y}, ${x:+y}, ${x:?y}, escape directives, continuation lines with comments
 * and blanks, JSON forms, ONBUILD, builder flags, CRLF. A FROM with a variable is written with what came
 * out, stages and scratch too. Comments may hold all but control characters; "# syntax=" is one for the
 * classic builder.
 *
 * Refused: FROM --platform unless empty, BuildKit's flags, here-documents (20.10 runs their lines, 28.5 also
 * takes "1 << 2" for one), BOM, NUL, control characters, text that is not UTF-8, white space that only
 * Unicode knows where it could matter, quotes or escapes in flags and FROM, an image name broken over
 * lines, ADD of what is or could become an address (unless add_urls), ONBUILD COPY --from an image whose
 * name would have to be changed: the trigger stays in the image.
 */
enum {
	DOCKERFILE_MAX = 1024 * 1024,
	DOCKERFILE_LINES_MAX = 10000,
	DOCKERFILE_BASES_MAX = 128,
};

/* An image that a FROM or COPY --from names. */
struct dockerfile_base {
	struct reference_pair name; /* typed word (before expansion) and what was written instead */
	int own;                    /* the task's own image; else a base that the policy allowed */
	int line;
};

/*
 * resolve() maps an expanded image word (not a stage, not scratch) to what the engine shall read:
 * 0 with mapped and *own set, or -1 with status and rule. In pure code it is policy's base_resolve().
 */
struct dockerfile_ask {
	int (*resolve)(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e);
	void *arg;
	const char *build_args; /* the buildargs parameter, JSON object text; NULL = none */
	const char
	    *target;  /* the target parameter; NULL = none: an unknown target is the engine's to refuse */
	int add_urls; /* policy: ADD of http(s) and git sources */
};

struct dockerfile_facts {
	size_t base_count; /* distinct names */
	struct dockerfile_base bases[DOCKERFILE_BASES_MAX];
	int stages;
	int steps; /* instructions, as "Step n/steps" counts them */
};

/* Appends the rewritten text to out and fills facts (zeroed by the caller). 0 or -1. */
int dockerfile_rewrite(const char *text, size_t len, const struct dockerfile_ask *ask, struct buf *out,
    struct dockerfile_facts *facts, struct err *e);

/* Judges one ONBUILD trigger of a base image as if it stood behind its FROM; nothing is rewritten. 0 or -1.
 */
int dockerfile_judge_trigger(const char *trigger, const struct dockerfile_ask *ask, struct err *e);

#endif
