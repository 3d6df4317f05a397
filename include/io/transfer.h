#ifndef IO_TRANSFER_H
#define IO_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct event_base;

/*
 * HTTP requests to the outside on the event loop (libcurl's multi interface): what the stores are made of. A
 * transfer is one request and its answer. It is never repeated here and no redirect is followed: whoever
 * asked judges the answer. TLS certificates are verified against the system's; HTTP/1.1; no Expect. Proxies
 * are those of the environment (https_proxy, no_proxy).
 *
 * Nothing is held of a body that is sent; of an answer the head (64 KiB at most) and as much of the body as
 * `answer_max` allows, or nothing when there is a sink. Waiting is bounded: connect 10 s; less than 1 KiB/s
 * over 30 s in either direction (bytes count when the peer's kernel has them, not when ours has); 60 s, or
 * reply_seconds, from the last byte of the request to the first of the answer.
 */
struct transfers; /* the connections, kept alive between requests */
struct transfer;
struct transfer_result;

struct transfer_ask {        /* copied, except the body, which stays as it is until the callback */
	const char *method;  /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;     /* "http://.." or "https://..", sent as it is */
	const char *headers; /* "Name: value\n" lines; NULL = none */
	const void *bytes;   /* body from memory, */
	int fd;              /* or from offset of this file when bytes is NULL and length is not 0 */
	uint64_t offset, length;
	size_t answer_max;      /* of the body; more is TRANSFER_EXCESS */
	unsigned reply_seconds; /* 0: 60 */
	/* With a sink: sees status and head of the answer (struct transfer_result without a body and an end)
	 * before the first piece, or at the end of an answer without one; not 0 ends the transfer as
	 * TRANSFER_EXCESS. Starts and cancels no transfer. May be NULL. */
	int (*begin)(void *arg, const struct transfer_result *head);
	/* Takes the answer's body when the status is 200 or 206, piece by piece; not 0 ends the transfer as
	 * TRANSFER_EXCESS. Starts and cancels no transfer. */
	int (*sink)(void *arg, const void *bytes, size_t len);
};

enum transfer_end {
	TRANSFER_IMPOSSIBLE = 0, /* our own fault: a URL that is none, a file that cannot be read */
	TRANSFER_ANSWERED,       /* a whole answer, whatever its status */
	TRANSFER_UNREACHABLE,    /* no such host, no connection */
	TRANSFER_UNTRUSTED,      /* the certificate is not good */
	TRANSFER_CUT,            /* the connection ended or made no sense before the answer was whole */
	TRANSFER_STALLED,        /* one of the times above has passed */
	TRANSFER_EXCESS,         /* more than answer_max, or the sink refused */
};

struct transfer_result { /* borrowed: valid during the callback */
	enum transfer_end end;
	unsigned status;  /* of the answer, 0 = none came; with TRANSFER_EXCESS and _CUT it may have */
	const char *head; /* its header lines, for transfer_header() */
	struct buf *body; /* without a sink, or when the status was not for it */
	uint64_t sent, received;
	struct err why; /* set unless ANSWERED; names the host, never a query */
};

/* Once, never from inside transfer_start(); the transfer is gone when it returns. Others may be started and
 * cancelled. */
typedef void transfer_cb(void *arg, const struct transfer_result *r);

struct transfers *transfers_new(struct event_base *base);
void transfers_free(struct transfers *all); /* needs all of them to be over or cancelled */

struct transfer *
transfer_start(struct transfers *all, const struct transfer_ask *ask, transfer_cb *cb, void *arg);
void transfer_cancel(struct transfer *t); /* no callback any more; NULL is fine. Not from inside a sink. */

/* Bytes of the bodies that are through; for progress. */
uint64_t transfer_sent(const struct transfer *t);
uint64_t transfer_received(const struct transfer *t);

/* The first header of that name, any case, into out: 1, or 0 (and "") when it is missing or does not fit. */
int transfer_header(const struct transfer_result *r, const char *name, char *out, size_t size);

const char *transfer_end_name(enum transfer_end end);

/* Shorter times, for tests: connect, stall and reply in milliseconds; 0 = as above. */
void transfers_hurry(struct transfers *all, int64_t connect, int64_t stall, int64_t reply);

#endif
