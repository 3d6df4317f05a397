#ifndef DOCKER_REFERENCE_H
#define DOCKER_REFERENCE_H

#include <stddef.h>

struct buf;
struct err;

/*
 * Image references and their private names (design: "A task's names are private").
 *
 * What a task types, "app:1", is in the engine "dind.invalid/<ns>/docker.io/library/app:1":
 * its canonical repository under a reserved registry (.invalid, RFC 2606) and the task's
 * namespace. A registry port's ':' becomes "__" ("localhost:5000/app" ->
 * "dind.invalid/<ns>/localhost__5000/app"), which no domain can contain.
 * The grammar is that of github.com/distribution/reference as in engines 20.10 to 28.5;
 * upper case in the domain, IPv6 domains, digests other than sha256 and whatever contains
 * "dind.invalid" are refused (a task can never name the reserved registry itself). Pure.
 */
#define REFERENCE_REGISTRY "dind.invalid"

enum {
	REFERENCE_MAX = 512,   /* any printed reference, with its NUL */
	REFERENCE_NS_LEN = 20, /* a task's namespace: exactly 20 of [a-z2-7] */
	REFERENCE_ID_MAX = 72, /* "sha256:" + 64 hex + NUL */
};

struct reference {
	char domain[256];              /* "docker.io" when none was typed */
	char path[256];                /* "library/app" */
	char tag[129];                 /* "" when none was typed */
	char digest[REFERENCE_ID_MAX]; /* "sha256:..." or "" */
};

/* Parses what a task typed. -1 with status 400 and rule "reference". 64 hex digits alone are refused, as the
 * engine does. */
int reference_parse(struct reference *r, const char *text, struct err *e);

/* "docker.io/library/app:1"; a missing tag becomes ":latest" unless there is a digest. */
void reference_canonical(const struct reference *r, char out[REFERENCE_MAX]);

/* "docker.io/library/app": what patterns and repositories are compared by. */
void reference_repository(const struct reference *r, char out[REFERENCE_MAX]);

/* "app:1": as the engine prints it; without a tag when there is none. */
void reference_familiar(const struct reference *r, char out[REFERENCE_MAX]);

/*
 * The engine's name for a task's reference: tag kept only if typed, no digest.
 * -1 (400, "reference") when the engine's 255 characters would be passed.
 */
int reference_map(const struct reference *r, const char *ns, char out[REFERENCE_MAX], struct err *e);

/* Back: 0 and *r when engine_name lies under the namespace, -1 when it does not (foreign or malformed). */
int reference_unmap(struct reference *r, const char *engine_name, const char *ns);

/*
 * Does the reference match an operator's pattern such as docker.io/library/...: a star is any run without
 * '/',
 * "**" any run, '?' one character but '/'; without ':' or '@' the pattern leaves tag and digest open,
 * with ':' it matches the tag too ("latest" when none), with '@' the digest too. A tag beside a digest
 * proves nothing (the engine goes by the digest): "name:tag" alone does not match such a reference.
 */
int reference_match(const struct reference *r, const char *pattern);

/* 1 when text may be read by the engine as an image id or a prefix of one: [sha256:] 1 to 64 lower hex
 * digits. */
int reference_looks_like_id(const char *text);

/* 1 for exactly "sha256:" and 64 lower hex digits. */
int reference_is_id(const char *text);

/* 1 for exactly REFERENCE_NS_LEN characters of [a-z2-7]. */
int reference_is_ns(const char *text);

/*
 * Copies text to out with every mapped name of this namespace replaced: by the text that pairs gives
 * for it, else by its familiar form; other names under dind.invalid become "(hidden)".
 */
struct reference_pair {
	char mapped[REFERENCE_MAX]; /* as we wrote it */
	char typed[REFERENCE_MAX];  /* as the task wrote it */
};

void reference_unmap_text(const char *text, size_t len, const char *ns, const struct reference_pair *pairs,
    size_t count, struct buf *out);

/*
 * How an engine names a chain of layers, by the diff ids from the base up (OCI image-spec, config.md, "Layer
 * ChainID"): chain is "" before the first, and the name of the layers so far behind each call.
 */
void reference_chain(char chain[REFERENCE_ID_MAX], const char *diff_id);

#endif
