#ifndef HTTP_PRINT_H
#define HTTP_PRINT_H

#include <stddef.h>
#include <stdint.h>

#include "http/head.h"

struct buf;

/* Heads as we write them: the only place where request and status lines are made. Pure. */

/* Appends "key=value" to a query, percent-encoding all but unreserved bytes; '?' or '&' before it. */
void http_print_pair(struct buf *target, const char *key, const char *value, size_t len);

/* Escapes all but unreserved bytes and '/' ':' '@' for use in a path. */
void http_print_path(struct buf *target, const char *text, size_t len);

/*
 * A request to the engine, method not HTTP_NONE: target is complete; Host: docker, our User-Agent,
 * Connection: close; framing of the body (type is its Content-Type or NULL);
 * extra is NULL or whole "Name: value\r\n" lines that we made.
 */
void http_print_request(struct buf *out, enum http_method method, const char *target,
    enum http_framing framing, uint64_t length, const char *type, const char *extra);

/*
 * A response to a client that speaks HTTP/1.minor. HTTP_BODY_TO_EOF implies
 * Connection: close. HTTP_BODY_CHUNKED needs minor 1: the caller takes
 * HTTP_BODY_TO_EOF for older clients. Server and Date are left out. extra as above.
 */
void http_print_response(struct buf *out, unsigned minor, unsigned status, enum http_framing framing,
    uint64_t length, const char *type, int keep_alive, const char *extra);

/*
 * A whole error answer in Docker's shape: {"message":"<text> (rule: <rule>)"}\n as
 * application/json with Content-Length; without " (rule: ...)" when rule is NULL.
 * head_only leaves the body out (answers to HEAD).
 */
void http_print_error(struct buf *out, unsigned minor, unsigned status, const char *rule, const char *text,
    int keep_alive, int head_only);

#endif
