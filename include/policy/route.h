#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include <stddef.h>

#include "http/head.h"
#include "policy/call.h"

/*
 * The route table: what a task may call, and the routes of the Docker API that are refused with a word of
 * their own (so that `docker run` says why). Every other path is refused by rule "default-deny".
 * The rows are in src/policy/route.c; README and docs/policy.md are generated from them.
 */
enum verdict {
	VERDICT_DENY = 0,
	VERDICT_ALLOW,  /* goes to the engine */
	VERDICT_ANSWER, /* answered here, without the engine */
};

struct route_row {
	const char *rule;        /* "image-tag": the name in audit and refusals */
	enum http_method method; /* HTTP_NONE = any */
	const char
	    *path; /* "/images/{name}/tag"; {name} is greedy as in the engine; "*" at the end is any rest */
	enum verdict verdict;
	enum route route;
	int status;         /* of DENY and ANSWER: 403, 404, ... */
	const char *reason; /* what the task reads when it is refused; docs */
	const char *client; /* the command that people type: "docker tag", for docs */
};

const struct route_row *route_rows(size_t *count);

/*
 * The first row that fits; name (of size bytes) gets what stands for {name}, "" when the path has none or it
 * is too long to be a name. NULL when none fits.
 */
const struct route_row *route_find(enum http_method method, const char *path, char *name, size_t size);

/* The row by which our own calls and call_print() know method and path of a route. */
const struct route_row *route_by_id(enum route route);

#endif
