#ifndef IO_TRANSFER_PRIVATE_H
#define IO_TRANSFER_PRIVATE_H

#include <curl/curl.h>
#include <event2/event.h>

#include "io/transfer.h"

/* What the one transfer (transfer.c) and the connections (transfers.c) share. */
struct transfers {
	CURLM *multi;
	struct event_base *base;
	struct event *timer; /* libcurl's */
	struct event *watch; /* ours: looks at what stands still, while there are transfers */
	int64_t connect_ms, stall_ms, reply_ms;
	struct transfer *first;
};

enum transfer_phase { PHASE_CONNECT = 0, PHASE_SEND, PHASE_REPLY, PHASE_RECEIVE };

struct transfer {
	struct transfers *home;
	CURL *easy;
	transfer_cb *cb;
	void *arg;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	char *host; /* for messages */

	const uint8_t *bytes;
	int fd;
	uint64_t offset, length, at; /* at: of the body, where libcurl reads next */
	int read_errno;              /* the file could not be read */

	size_t answer_max;
	int (*begin)(void *arg, const struct transfer_result *head);
	int (*sink)(void *arg, const void *bytes, size_t len);
	int begun; /* begin() was called */
	int excess, head_whole;
	struct buf head, body;
	uint64_t received;

	curl_socket_t socket; /* CURL_SOCKET_BAD while it has none */
	enum transfer_phase phase;
	int64_t phase_since, mark_since, reply_ms; /* ms, monotonic */
	uint64_t mark;                             /* bytes moved at mark_since */
	enum transfer_end ended;                   /* by us; valid with `over` */
	int over;
	struct transfer *next;
};

/* In and out of the list, and of libcurl's. */
void transfer_enter(struct transfer *t);
void transfer_leave(struct transfer *t);

/* Has it stood still for too long? Then over and ended are set. */
void transfer_watch(struct transfer *t, int64_t now);

/* libcurl is done with it: the callback, then it is gone. */
void transfer_finish(struct transfer *t, CURLcode code);

int64_t transfer_clock(void);

#endif
