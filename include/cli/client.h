#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

struct cli;
struct client;
struct err;

/*
 * The control socket as its caller: one kept connection, one call at a time, JSON both ways (libcurl). No
 * proxy, no redirect, nothing but the unix socket.
 */

/* Finds the socket (--control, else runDir of --config or of the default settings); nothing is sent yet. */
struct client *client_new(const struct cli *c, struct err *e);
void client_free(struct client *k);

/*
 * Calls, and waits for the answer as long as it takes. 0 for a 2xx; *answer is a new reference, a null value
 * when there was no body. -1 with e->status (0: no answer came, e->code is connect()'s errno) and a text that
 * says what to do. body may be NULL.
 */
int client_call(struct client *k, const char *method, const char *path, const json_t *body, json_t **answer,
    struct err *e);

/* A line on f every second while a call takes long, when f is a terminal: "loading ... 12s". NULL: none. */
void client_patience(struct client *k, FILE *f, const char *what);

#endif
