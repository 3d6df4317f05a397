/* Reading audit logs: for people and tools. Lines are as hostile as whoever could write the file. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "task/audit.h"
#include "task/chain.h"

enum { KEPT = CHAIN_LINE_MAX + 1 }; /* of a longer line: enough to see that it is one */

/* 1 = a line, 0 = end. */
static int
read_line(FILE *f, char *line, size_t *len, int *whole)
{
	int c;

	for (*len = 0; (c = getc_unlocked(f)) != EOF && c != '\n';)
		if (*len < KEPT)
			line[(*len)++] = (char)c;
	*whole = c == '\n';
	return *whole || *len > 0;
}

int
audit_lines(const char *path, audit_line_cb *visit, void *arg, struct err *e)
{
	FILE *f = fopen(path, "re");
	char line[KEPT];
	unsigned long number = 0;
	int rc = 0, whole;
	size_t len;

	if (f == NULL)
		return err_set(e, errno, "cannot open '%s': %m", path);
	while (rc == 0 && read_line(f, line, &len, &whole))
		rc = visit(arg, ++number, line, len, whole);
	if (rc == 0 && ferror(f))
		rc = err_set(e, EIO, "cannot read '%s'", path);
	fclose(f);
	return rc;
}

struct reading {
	int (*visit)(void *arg, const json_t *record);
	void *arg;
	unsigned long first, damaged;
};

static int
on_line(void *arg, unsigned long number, const char *line, size_t len, int whole)
{
	struct reading *r = arg;
	struct err ignored;
	json_t *record = json_parse(line, len, &ignored);
	int rc = 0;

	(void)whole;
	if (json_is_object(record))
		rc = r->visit(r->arg, record);
	else if (r->damaged++ == 0)
		r->first = number;
	json_decref(record);
	return rc;
}

int
audit_read(const char *path, int (*visit)(void *arg, const json_t *record), void *arg, struct err *e)
{
	struct reading r = { visit, arg, 0, 0 };
	int rc = audit_lines(path, on_line, &r, e);

	if (rc == 0 && r.damaged > 0)
		return err_set(e, EBADMSG, "'%s' has %lu damaged line%s, the first is line %lu", path,
		    r.damaged, r.damaged == 1 ? "" : "s", r.first);
	return rc;
}
