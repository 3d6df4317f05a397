#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

struct buf;

/*
 * How long things took: counts below fixed bounds, from a millisecond to an hour. A zeroed struct is empty;
 * adding never fails and allocates nothing.
 */
enum { HISTOGRAM_BOUNDS = 10 };

struct histogram {
	uint64_t below[HISTOGRAM_BOUNDS]; /* each alone: those of smaller bounds are not in it */
	uint64_t count;
	uint64_t ms; /* of all */
};

void histogram_add(struct histogram *h, int64_t ms);

/*
 * Appends it as Prometheus text: NAME_bucket{LABELS,le="0.001"} ... NAME_sum, NAME_count. labels is "" or
 * "route=\"build\"".
 */
void histogram_print(const struct histogram *h, const char *name, const char *labels, struct buf *out);

#endif
