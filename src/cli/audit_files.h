#ifndef CLI_AUDIT_FILES_H
#define CLI_AUDIT_FILES_H

#include <stddef.h>

struct cli;
struct err;
struct settings;

/* Files of the host's audit log, in the order in which they were written. A zeroed struct is none. */
struct audit_files {
	size_t count;
	char **path;
};

void audit_files_add(struct audit_files *f, const char *path); /* copies */
void audit_files_done(struct audit_files *f);

/* Adds all that a directory has: audit*.jsonl, and what somebody renamed with something behind that. -1 also
 * when there is none. */
int audit_files_find(struct audit_files *f, const char *dir, struct err *e);

/* By the first record that each has; those without one come last. */
void audit_files_sort(struct audit_files *f);

/* The settings that --config names; the defaults when the usual file is not there. settings_done() always. */
int audit_settings(const struct cli *c, struct settings *s, struct err *e);

#endif
