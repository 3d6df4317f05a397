#ifndef IMAGE_EVENT_H
#define IMAGE_EVENT_H

#include <jansson.h>
#include <stdint.h>

struct err;

/* The lines on stdout (image/export.h). A reader that has gone ends the process: SIGPIPE is left as it is. */
struct event_progress {
	const char *phase;
	int64_t last; /* when the last line went out, milliseconds */
};

/* Says it when the phase is new or a second has passed; phase is static. */
void event_progress(struct event_progress *p, const char *phase, uint64_t bytes, uint64_t compressed);

/* {"event": "done", ...}: takes the reference. */
void event_done(json_t *fields);

void event_error(const struct err *e);

#endif
