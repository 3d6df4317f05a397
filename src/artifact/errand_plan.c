/* Which layers of an artifact need not come: those that a chain of the host's begins with. Pure. */

#include <stdio.h>
#include <string.h>

#include "docker/reference.h"
#include "fetch_private.h"

enum { SAVED_LEAST = 256 * 1024 /* less is not worth that a layer may vanish before it is needed */ };

static int
has(const json_t *chains, const char *chain)
{
	const json_t *v;
	size_t i;

	json_array_foreach(
	    chains, i, v) if (json_is_string(v) && strcmp(json_string_value(v), chain) == 0) return 1;
	return 0;
}

int
errand_plan(struct frames *f, struct frames_plan *plan, const struct buf *tail, uint64_t size,
    const json_t *chains, char *note, size_t note_size)
{
	const char *have[FRAMES_LAYERS_MAX];
	char chain[REFERENCE_ID_MAX] = "";
	struct err e = { 0 };
	size_t n = 0;
	int rc = frames_read(f, buf_ptr(tail), buf_len(tail), size, &e);

	(void)snprintf(note, note_size, "%s", rc < 0 ? e.text : "it has no index of its layers");
	if (rc != 0)
		return 0;
	for (; n < f->layer_count; n++) {
		reference_chain(chain, f->layers[n]);
		if (!has(chains, chain))
			break;
		have[n] = f->layers[n];
	}
	frames_plan(f, have, n, plan);
	(void)snprintf(note, note_size, "the host has %zu of %zu layers, %llu of %llu bytes are fetched", n,
	    f->layer_count, (unsigned long long)plan->fetch, (unsigned long long)size);
	return plan->kept > 0 && plan->saved >= SAVED_LEAST;
}
