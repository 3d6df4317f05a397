#include "audit_files.h"

#include <errno.h>
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "task/audit.h"
#include "task/chain.h"

void
audit_files_add(struct audit_files *f, const char *path)
{
	f->path = mem_grow(f->path, f->count + 1, sizeof *f->path);
	f->path[f->count++] = mem_str(path);
}

void
audit_files_done(struct audit_files *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->path[i]);
	free(f->path);
}

/* Ends the reading at the first whole record. */
static int
take_first(void *arg, unsigned long number, const char *line, size_t len, int whole)
{
	(void)number;
	return whole && chain_read(line, len, arg) == 0;
}

static int
by_first(const void *a, const void *b)
{
	const char *const *path[] = { a, b };
	uint64_t first[2];

	for (size_t i = 0; i < 2; i++) {
		struct chain_head h = { .seq = UINT64_MAX };
		struct err ignored;

		(void)audit_lines(*path[i], take_first, &h, &ignored);
		first[i] = h.seq;
	}
	return (first[0] > first[1]) - (first[0] < first[1]);
}

void
audit_files_sort(struct audit_files *f)
{
	if (f->count > 1)
		qsort(f->path, f->count, sizeof *f->path, by_first);
}

int
audit_files_find(struct audit_files *f, const char *dir, struct err *e)
{
	char *pattern = mem_printf("%s/audit*.jsonl*", dir);
	glob_t found;
	int rc = glob(pattern, GLOB_ERR, NULL, &found);

	free(pattern);
	if (rc != 0)
		return err_set(e, rc == GLOB_NOMATCH ? ENOENT : errno, "cannot find an audit log in '%s'%s",
		    dir, rc == GLOB_NOMATCH ? "" : ": %m");
	for (size_t i = 0; i < found.gl_pathc; i++)
		audit_files_add(f, found.gl_pathv[i]);
	globfree(&found);
	audit_files_sort(f);
	return 0;
}

int
audit_settings(const struct cli *c, struct settings *s, struct err *e)
{
	const char *file = c->opt[OPT_CONFIG];
	int rc = settings_load(s, file != NULL ? file : CLI_CONFIG, e);

	return rc < 0 && file == NULL && e->code == ENOENT ? 0 : rc;
}
