#ifndef ARTIFACT_HAWK_H
#define ARTIFACT_HAWK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/*
 * Hawk, the way Taskcluster's services know who asks: a MAC over method, path and query, host, port, time and
 * the payload's hash. Pure: no clock, no descriptor. Signed is the URL as it is given, and as it must be
 * sent.
 */
enum { HAWK_HASH_MAX = 48 };

struct hawk_key {
	const char *id, *secret;
	const char *ext; /* hawk_ext(); NULL = none */
};

struct hawk_request {
	const char *method, *url; /* "https://host[:port]/path?query", everything escaped */
	const char *content_type; /* of body; NULL: there is none, and no hash */
	const void *body;
	size_t length;
	int64_t time; /* seconds since 1970, by the server's clock */
	const char *nonce;
};

/* Appends "Authorization: Hawk ...\n". -1 with EINVAL for a URL or a key that cannot be signed with; no
 * secret is in the text. */
int hawk_sign(const struct hawk_request *r, const struct hawk_key *key, struct buf *header, struct err *e);

/* base64 of the payload's hash; the type counts in lower case and without its parameters. */
void hawk_hash(const char *content_type, const void *body, size_t length, char out[HAWK_HASH_MAX]);

/*
 * What may stand in `ext`, as base64 (heap): the certificate of temporary credentials (an object, NULL =
 * none), and the only scope that the request may use of all that the credentials have (NULL = all).
 */
char *hawk_ext(const json_t *certificate, const char *scope);

#endif
