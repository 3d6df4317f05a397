#ifndef BASE_FILTER_H
#define BASE_FILTER_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/*
 * The one way to touch a body in flight. A filter takes bytes from `in`, puts
 * bytes to `out`, and holds only what its own stated cap allows.
 *
 * run() consumes as much of `in` as it can while buf_len(out) < high (it may
 * pass `high` by one record of its own, at most 64 KiB); eof says that nothing
 * will be added to `in` any more. It returns
 *   FILTER_MORE  it needs more input, or room in out: call again
 *   FILTER_DONE  its output is complete (only after eof, or when its format has
 *                ended and the rest of the input may be dropped)
 *   -1           the body is refused: e tells the client why (status and rule set)
 * With in empty, no eof, and room in out it returns FILTER_MORE at once.
 * Filters are pure: no descriptors, no clock, no log.
 *
 * A filter for large bodies may also say that what comes next goes out as it is, whatever it is: the data of
 * a file in a tarball. clear() is for how many bytes, 0 when it does not know or has bytes of its own to give
 * first. Its user may then leave run() out for so many bytes, or less, and tell of them by passed(), in
 * order.
 */
enum { FILTER_MORE = 0, FILTER_DONE = 1 };

struct filter {
	int (*run)(struct filter *f, struct buf *in, int eof, struct buf *out, size_t high, struct err *e);
	void (*free)(struct filter *f);
	uint64_t (*clear)(const struct filter *f); /* both, or none */
	void (*passed)(struct filter *f, const void *bytes, size_t len);
};

static inline void
filter_free(struct filter *f)
{
	if (f != NULL)
		f->free(f);
}

#endif
