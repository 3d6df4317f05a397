#include "base/histogram.h"

#include "base/buf.h"

/* Small answers take a millisecond, builds minutes: one set of bounds serves both. */
static const struct {
	int64_t ms;
	const char *le;
} bounds[HISTOGRAM_BOUNDS] = {
	{ 1, "0.001" },
	{ 5, "0.005" },
	{ 25, "0.025" },
	{ 100, "0.1" },
	{ 500, "0.5" },
	{ 2500, "2.5" },
	{ 10000, "10" },
	{ 60000, "60" },
	{ 600000, "600" },
	{ 3600000, "3600" },
};

void
histogram_add(struct histogram *h, int64_t ms)
{
	int i = 0;

	while (i < HISTOGRAM_BOUNDS && ms > bounds[i].ms)
		i++;
	if (i < HISTOGRAM_BOUNDS)
		h->below[i]++;
	h->count++;
	h->ms += ms > 0 ? (uint64_t)ms : 0;
}

void
histogram_print(const struct histogram *h, const char *name, const char *labels, struct buf *out)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
	uint64_t sum = 0;

	for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
		sum += h->below[i];
		buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma, bounds[i].le,
		    (unsigned long long)sum);
	}
	buf_printf(
	    out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)h->count);
	buf_printf(out, "%s_sum%s%s%s %.3f\n", name, open, labels, close, (double)h->ms / 1000);
	buf_printf(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)h->count);
}
