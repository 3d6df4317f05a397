/* Where the log ends: at a start, and after a write that failed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_private.h"
#include "base/err.h"
#include "base/mem.h"

enum { TAIL_MAX = 16 * CHAIN_LINE_MAX }; /* where the last whole record is looked for */

/* The last whole record in text, and the offset behind its newline; 0 when there is none. */
static size_t
last_record(const char *text, size_t len, struct chain_head *out)
{
	while (len > 0) {
		const char *end = memrchr(text, '\n', len), *start;

		if (end == NULL)
			return 0;
		start = memrchr(text, '\n', (size_t)(end - text));
		start = start == NULL ? text : start + 1;
		if (chain_read(start, (size_t)(end - start), out) == 0)
			return (size_t)(end - text) + 1;
		len = (size_t)(start - text);
	}
	return 0;
}

static int
read_tail(struct audit *a, struct chain_head *last, uint64_t *end, struct err *e)
{
	char *tail = mem_new(TAIL_MAX);
	struct stat st;
	off_t from;
	ssize_t n = -1;
	size_t found;

	if (fstat(a->host, &st) == 0) {
		from = st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
		n = pread(a->host, tail, TAIL_MAX, from);
	}
	if (n < 0) {
		free(tail);
		return err_set(e, errno, "cannot read the audit log: %m");
	}
	found = last_record(tail, (size_t)n, last);
	*end = (uint64_t)from + (size_t)n;
	/* without one, all that was looked at is no record */
	a->size = (uint64_t)from + found;
	free(tail);
	return 0;
}

int
audit_find_end(struct audit *a, const struct chain_head *kept, struct err *e)
{
	struct chain_head last;
	uint64_t end = 0;

	chain_begin(&last);
	if (read_tail(a, &last, &end, e) < 0)
		return -1;
	a->torn = end > a->size;
	a->head = last.seq > kept->seq ? last : *kept;
	if (last.seq == 0) /* a new file: the one before it was put aside */
		return 0;
	a->changed = last.seq == kept->seq && strcmp(last.hash, kept->hash) != 0;
	a->missing = last.seq < kept->seq ? kept->seq - last.seq : 0;
	return 0;
}
