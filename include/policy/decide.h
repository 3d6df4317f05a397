#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include <stddef.h>

#include "http/head.h"
#include "http/target.h"
#include "policy/call.h"
#include "policy/owned.h"
#include "policy/policy.h"
#include "policy/route.h"

/*
 * The decision: a pure function of (policy, what the task owns, request). Every decision names its rule.
 */
enum {
	DECISION_CALLS_MAX = 64,   /* engine calls of one request: only a removal makes more than one */
	DECISION_OBSERVED_MAX = 4, /* refusals of one request that are kept; more are let through as well */
	DECISION_BODY_SMALL =
	    64 * 1024, /* a request body that the route does not need: read and dropped up to this */
};

enum body_use {
	BODY_REFUSED = 0, /* a body is a 400 (GET, HEAD, DELETE) */
	BODY_DROPPED,     /* read to its end, at most DECISION_BODY_SMALL, not forwarded */
	BODY_CONTEXT,     /* a build context */
};

enum answer_kind {
	ANSWER_PLAIN =
	    0, /* status and a small body as they are (ping: head fields rewritten by the session) */
	ANSWER_PING,
	ANSWER_VERSION,
	ANSWER_INSPECT,
	ANSWER_HISTORY,
	ANSWER_LIST,
	ANSWER_REMOVE,
	ANSWER_TAG,
	ANSWER_OUTPUT, /* build output, streamed */
	ANSWER_SAVE,   /* image tarball, streamed */
};

/* What would have been refused, but for policy.mode "observe". */
struct observed {
	const char *rule; /* static */
	char reason[256];
};

struct decision {
	enum verdict verdict;
	enum route route;
	const char *rule; /* static, never NULL */
	int status;       /* of a DENY or ANSWER */
	char reason[512]; /* DENY: what was wrong, what is expected */
	size_t observed_count;
	struct observed observed[DECISION_OBSERVED_MAX];
	int plain;    /* DENY: the reason is the engine's own words; the client reads it without the rule */
	char *answer; /* ANSWER: JSON body, heap, or NULL for none */
	enum body_use body;
	enum answer_kind kind;
	unsigned api; /* NN that will be spoken to the engine */
	/* ALLOW: calls in order; the first failing one ends the request. [0] only, but for removals. */
	size_t call_count;
	struct call *calls[DECISION_CALLS_MAX]; /* heap */
	/* build: what the session needs besides the call */
	int quiet;
	int pull; /* base images are asked for anew, by us: the engine is never told to pull in a build */
	char *registry;   /* credentials for pulls of base images, as call_add() takes them; heap or NULL */
	size_t new_names; /* build and tag: of `names`, those that the task does not have yet */
	size_t name_count;
	char **names; /* build and tag: canonical names to record on success; remove: names that go; heap */
	char id[REFERENCE_ID_MAX]; /* tag, remove: the image concerned */
	/*
	 * remove: the image itself is forgotten, too: at once when verdict is ANSWER, else when the engine's
	 * answer has {"Deleted": id}. An image that stays, because another was built from it, stays owned:
	 * the end of the task tries again.
	 */
	int forget;
	char *filters; /* list: the task's filters, evaluated on the answer; heap or NULL */
};

/*
 * Judges a request that was parsed. o may be owned by nobody else while this runs. decision_done() after it.
 * Never fails: what cannot be judged is DENY.
 */
void decide(const struct policy *p, const struct owned *o, const struct http_head *head,
    const struct target *target, struct decision *d);

void decision_done(struct decision *d);

/* May the task get so many images more? A build is one, and one for each stage once they are known. -1 (403,
 * "limit-images") when it may not. */
int decide_images(const struct policy *p, const struct owned *o, size_t more, struct err *e);

/*
 * Is this refusal only observed by the policy? Then it is noted in d, and e is cleared: 1. Else 0, and
 * nothing changed. For those limits that decide() does not know, too.
 */
int decision_let(struct decision *d, const struct policy *p, struct err *e);

/*
 * resolve() of struct dockerfile_ask: scratch is the reader's; an own name or id maps into the namespace, a
 * base image must match a pattern; otherwise 403 "base-image". arg is a struct base_ask. A policy that
 * observes lets public images (docker.io/library) through as well: observed, which may be NULL, hears why
 * they would have been refused.
 */
struct base_ask {
	const struct policy *policy;
	const struct owned *owned;
	void (*observed)(void *arg, const struct err *why);
	void *arg;
	char refused[REFERENCE_MAX]; /* the word that was refused last, cut; "" = none */
};

int base_resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e);

/*
 * The calls that take away the name by which an image is held for the task ns (removal_is_held(): another
 * task removed its own last name of it); appended to calls (room for max); returns their number.
 */
int removal_is_held(const char *ns, const char *engine_name);
size_t
plan_release(const struct owned *o, const char *id, const struct policy *p, struct call **calls, size_t max);

/* The calls that remove one image of a task and all its names; appended to calls (room for max); returns
 * their number. */
size_t plan_removal(const struct owned *o, const struct owned_image *image, const struct policy *p,
    struct call **calls, size_t max);

#endif
