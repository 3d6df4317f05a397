#ifndef DOCKER_OUTPUT_H
#define DOCKER_OUTPUT_H

#include "base/filter.h"
#include "docker/reference.h"

/*
 * The engine's build output (JSON objects, one after the other) on its way to the task: names mapped back
 * in stream, status, error and errorDetail.message; image ids learned from aux records, which RUN cannot
 * forge (it only reaches "stream"). One object is at most 1 MiB; unknown shapes pass with all their strings
 * mapped; what is not JSON, or is cut, ends the answer with an errorDetail object that says so: run() never
 * returns -1. Each object leaves with CR LF behind it, as the engine sends it; without a name in it, as it
 * came.
 *
 * quiet: the request was sent without q=1 (with it the engine sends no aux): only the last
 * id is printed, as the engine would; on failure the last 256 KiB of output and the error.
 */
struct output_ask {
	const char *ns;
	const struct reference_pair *pairs; /* alive until freed; may grow before the first byte comes */
	const size_t *pair_count;
	int quiet;
	void (*on_image)(
	    void *arg, const char *id); /* each "sha256:..." of an aux record, before it is relayed */
	/* each " ---> 0123456789ab" line: an intermediate image, or a RUN step that prints the like; NULL =
	 * not asked */
	void (*on_step)(void *arg, const char *step);
	void (*on_failure)(void *arg); /* an error passes; the client may close as soon as it has read it */
	void *arg;
};

struct filter *output_filter_new(const struct output_ask *ask);

/* After FILTER_DONE: the id of the build's result, "" when it failed; and whether an error was relayed. */
const char *output_image(const struct filter *f);
int output_failed(const struct filter *f);

#endif
