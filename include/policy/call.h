#ifndef POLICY_CALL_H
#define POLICY_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "docker/reference.h"

struct buf;
struct err;
struct policy;

/*
 * What leaves the proxy, and nothing else does: a route and values for rows of the parameter table, in one
 * flat struct without pointers, so that the front can hand it to the gate as bytes. decide() fills it,
 * call_check() (run again by the gate, with its own copy of the policy) says whether policy allows it,
 * call_print() makes the request head from it. Pure.
 */
enum { CALL_VALUES_MAX = 96, CALL_TEXT_MAX = 96 * 1024 };

/* Every route that may reach the engine. Zero is DENY. Rows: policy/route.h. */
enum route {
	ROUTE_DENY = 0,
	ROUTE_PING,
	ROUTE_VERSION,
	ROUTE_INFO, /* answered here */
	ROUTE_BUILD,
	ROUTE_IMAGE_LIST,
	ROUTE_IMAGE_INSPECT,
	ROUTE_IMAGE_HISTORY,
	ROUTE_IMAGE_TAG,
	ROUTE_IMAGE_REMOVE,
	ROUTE_IMAGE_SAVE,        /* both spellings */
	ROUTE_CONTAINER_INSPECT, /* answered here: 404 */
	ROUTE_NETWORK_INSPECT,   /* answered here: 404 */
	ROUTE_BASE_INSPECT,      /* our own: is a base image here, what are its triggers */
	ROUTE_BASE_PULL,         /* our own: fetches a base image before a build that needs it */
	ROUTE_IMAGE_LOAD,        /* our own: dind-image load */
	ROUTE_SWEEP_LIST,        /* our own: images left under a namespace when a task ends */
	ROUTE_COUNT
};

/* Loaded images are dind.invalid/image/<32 hex>:latest: the namespace of no task. */
#define CALL_NS_IMAGE "image"

/* Rows of the parameter table, in policy/param.h; PARAM_NAME is the {name} in the path. */
enum param;

struct call_value {
	uint16_t param;
	uint16_t pad;
	uint32_t off, len; /* into text; a NUL stands behind each value */
};

struct call {
	uint16_t route;
	uint16_t api; /* NN of the /v1.NN prefix to print; 0 = no prefix (ping and version only) */
	uint16_t count;
	uint16_t policy; /* version of the policy that judged it; 0 = the present one: our own calls */
	char ns[24];     /* namespace of the task that asks; CALL_NS_IMAGE for loaded images; else "" */
	uint32_t text_len;
	struct call_value values[CALL_VALUES_MAX];
	char text[CALL_TEXT_MAX];
};

/* The bytes of a call that carry something: what is sent over the socketpair. */
size_t call_size(const struct call *c);

/* Takes bytes from the other side of the socketpair: -1 unless every count, offset and end is in order. */
int call_take(struct call *c, const void *bytes, size_t len, struct err *e);

void call_start(struct call *c, enum route route, const char *ns, unsigned api);

/* Adds a value; -1 (status 400, rule "request-size") when the table or the text is full. */
int call_add(struct call *c, enum param param, const char *value, struct err *e);

/* First value of a parameter or NULL; the next behind `after` (NULL = first) for lists. */
const char *call_get(const struct call *c, enum param param);
const char *call_next(const struct call *c, enum param param, const char *after);

/*
 * May this call be made? Route row, parameters of that route, each value against its row and the policy's
 * caps, forced values present, names only under dind.invalid/<ns>/, ids whole, the network the policy's own.
 * -1 with status 403 and the rule. What a caller owns is not known here.
 */
int call_check(const struct call *c, const struct policy *p, struct err *e);

/* Appends the request head of a call that passed call_check(). The body that follows is chunked for BUILD and
 * IMAGE_LOAD, none otherwise. */
void call_print(const struct call *c, struct buf *out);

#endif
