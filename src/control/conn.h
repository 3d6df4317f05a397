#ifndef CONN_H
#define CONN_H

#include <stddef.h>

struct err;
struct event_base;
struct life;

/*
 * One connection of the control socket: HEAD -> BODY -> WORK -> SEND -> HEAD or LINGER. Callbacks bring in
 * facts and call conn_run(); only it frees, as its last act. A connection is in its home's list from open to
 * free, and refers to nothing else.
 */
struct conn;

struct conn_home {
	struct event_base *base;
	struct life *life;
	unsigned count;
	struct conn *first;
};

/* Takes fd (non-blocking). refusal, when not NULL, is answered at once, whatever the client sends. */
void conn_open(struct conn_home *home, int fd, const struct err *refusal);

/* Closes without a word. An answer still owed to it will be dropped. */
void conn_drop(struct conn *c);

#endif
