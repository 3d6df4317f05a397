#ifndef HTTP_READ_H
#define HTTP_READ_H

#include <stddef.h>

struct err;

/*
 * http-parser, in a file of its own: its names collide with ours. It only ever
 * gets one whole head that the raw check has passed, so its idea of a body, of
 * an upgrade and of a URL never matters. Internal to this floor; pure.
 */
struct reading {
	char *text;    /* room for as many bytes as the head has; strings, one behind the other: */
	size_t fields; /* the target of a request, then name (lower case) and value of so many fields */
	unsigned minor;
	unsigned status; /* responses */
};

/* method is the one http-parser shall see, rest is the head behind the method. */
int read_request(struct reading *r, const char *method, const char *rest, size_t len, struct err *e);
int read_response(struct reading *r, const char *head, size_t len, struct err *e);

#endif
