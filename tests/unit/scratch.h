#ifndef SCRATCH_H
#define SCRATCH_H

/* A directory for one test, removed at its end. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"

static char scratch[64];

static inline void
scratch_make(void)
{
	const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* fsync is free there */

	(void)snprintf(scratch, sizeof scratch, "%s/dind-unit-XXXXXX", in);
	if (mkdtemp(scratch) == NULL) {
		perror(scratch);
		exit(1);
	}
}

static inline void
scratch_remove(void)
{
	struct err e;

	if (fs_remove_tree(scratch, &e) < 0)
		printf("# %s\n", e.text);
}

static inline char *
scratch_path(const char *name)
{
	return mem_printf("%s/%s", scratch, name);
}

static inline void
scratch_write(const char *name, const char *text)
{
	char *path = scratch_path(name);
	FILE *f = fopen(path, "we");

	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	free(path);
}

static inline void
scratch_append(const char *name, const char *text)
{
	char *path = scratch_path(name);
	FILE *f = fopen(path, "ae");

	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	free(path);
}

/* The file's text, heap; "" when it is missing. */
static inline char *
scratch_read(const char *name)
{
	char *path = scratch_path(name), *text;
	struct buf b = { 0 };
	struct err e;

	(void)fs_read(path, 64 * 1024 * 1024, &b, &e);
	text = mem_str(buf_text(&b));
	buf_done(&b);
	free(path);
	return text;
}

static inline int
scratch_has(const char *name)
{
	char *path = scratch_path(name);
	int there = access(path, F_OK) == 0;

	free(path);
	return there;
}

#endif
