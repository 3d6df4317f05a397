#ifndef ARTIFACT_SIGV4_H
#define ARTIFACT_SIGV4_H

#include <stddef.h>
#include <stdint.h>

struct buf;

/*
 * AWS Signature Version 4, as S3 wants it. Pure: no clock, no descriptor. One canonical form is made of the
 * parts, and both what is signed and what goes over the wire come from it, so they cannot differ (libcurl's
 * own signer signs what it was given and sends something else: storage.md, finding 9).
 */
struct sigv4_pair {
	const char *name, *value;
};

struct sigv4_key {
	const char *id, *secret;
	const char *token; /* of temporary credentials; NULL = none */
};

struct sigv4_scope {
	const char *region, *service; /* "us-east-1", "s3" */
	int64_t time;                 /* seconds since 1970 */
};

/* Path and query as they are meant, nothing escaped. Header names in lower case, each once; host, x-amz-date
 * and x-amz-security-token are ours. S3 wants x-amz-content-sha256 among them, with the same payload hash. */
struct sigv4_request {
	const char *method, *host, *path;
	const struct sigv4_pair *query;
	size_t query_count;
	const struct sigv4_pair *headers;
	size_t header_count;
	const char *payload_sha256; /* hex, or "UNSIGNED-PAYLOAD" */
};

enum { SIGV4_PAIRS_MAX = 24 };

/*
 * target: "/path?query" as it goes over the wire. headers: "Name: value\n" for all that were signed except
 * host, and for Authorization; each line ends with a newline. Both are appended to. They hold a signature
 * (headers, also the token) but never the secret.
 */
void sigv4_sign(const struct sigv4_request *r, const struct sigv4_scope *scope, const struct sigv4_key *key,
    struct buf *target, struct buf *headers);

/* Percent-encodes all but unreserved bytes; with path, '/' stays too. */
void sigv4_escape(struct buf *out, const char *text, int path);

#endif
