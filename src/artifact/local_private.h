#ifndef ARTIFACT_LOCAL_PRIVATE_H
#define ARTIFACT_LOCAL_PRIVATE_H

#include <dirent.h>

#include "artifact/local.h"
#include "artifact/store.h"

/* What the files of the local store share. */
enum { LOCAL_RECORD_MAX = SPOOL_RECORD_MAX + 4096, LOCAL_STALE = 86400 /* seconds: no put takes a day */ };

struct local {
	struct store store;
	struct event_base *base;
	const char *dir;
	DIR *sweep; /* where housekeeping stands; NULL between two rounds */
};

/* The files of one artifact, all heap. */
struct local_names {
	char *dir;    /* of the artifact */
	char *data;   /* <dir>/image.tar.zst */
	char *fresh;  /* <dir>/.image.tar.zst.new */
	char *record; /* <dir>/image.tar.zst.json */
};

/* -1 with status 400 for a task id or a name that may not be a path. */
int local_names_init(struct local_names *n, const char *root, const char *task_id, unsigned run_id,
    const char *name, struct err *e);
void local_names_done(struct local_names *n);

/* The record of an artifact that is there, whole and not expired; NULL with ENOENT (or status 410). */
json_t *local_read(const struct local_names *n, struct err *e);

/* Has the record an "expires" that lies behind us? */
int local_expired(const json_t *record);

extern const struct source_ops local_source_ops; /* local_source.c */

int local_sweep(struct store *s, struct err *e);

#endif
