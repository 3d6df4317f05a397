/* The tasks' own logs: copies of the host's lines. A few stay open, so that a record costs one call. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_private.h"
#include "base/err.h"
#include "base/mem.h"
#include "docker/reference.h"

enum { SLOTS = 256 }; /* descriptors; ids are evenly spread, so their first letters choose */

struct copies {
	int dir;
	struct copy {
		char id[REFERENCE_NS_LEN + 1]; /* "" = free */
		int fd, torn;
	} slot[SLOTS];
};

struct copies *
copies_new(int dir)
{
	struct copies *c = mem_new(sizeof *c);

	c->dir = dir;
	return c;
}

static void
let_go(struct copy *s)
{
	if (s->id[0] != '\0')
		close(s->fd);
	s->id[0] = '\0';
}

void
copies_let_go(struct copies *c)
{
	for (size_t i = 0; i < SLOTS; i++)
		let_go(&c->slot[i]);
}

void
copies_free(struct copies *c)
{
	if (c != NULL)
		copies_let_go(c);
	free(c);
}

/* Did a crash or a full disk leave half a line at the end? */
static int
ends_inside_line(int fd)
{
	struct stat st;
	char last = '\n';

	return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	       last != '\n';
}

static struct copy *
find(struct copies *c, const char *id, struct err *e)
{
	struct copy *s = &c->slot[((unsigned char)id[0] * 31U + (unsigned char)id[1]) % SLOTS];
	char name[REFERENCE_NS_LEN + sizeof ".jsonl"];

	if (strcmp(s->id, id) == 0)
		return s;
	let_go(s);
	(void)snprintf(name, sizeof name, "%s.jsonl", id);
	s->fd = audit_open_file(c->dir, name, e);
	if (s->fd < 0)
		return NULL;
	memcpy(s->id, id, sizeof s->id);
	s->torn = ends_inside_line(s->fd);
	return s;
}

int
copies_write(struct copies *c, const char *id, const char *line, size_t len, struct err *e)
{
	size_t taken = 0;
	struct copy *s;

	if (!reference_is_ns(id))
		return err_set(e, EINVAL, "the audit log knows no such task");
	s = find(c, id, e);
	if (s == NULL ||
	    (s->torn && audit_write_line(s->fd, CHAIN_TORN_END, strlen(CHAIN_TORN_END), &taken, e) < 0))
		return -1;
	s->torn = 0;
	if (audit_write_line(s->fd, line, len, &taken, e) == 0)
		return 0;
	s->torn = taken > 0;
	return -1;
}
