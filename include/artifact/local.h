#ifndef ARTIFACT_LOCAL_H
#define ARTIFACT_LOCAL_H

#include <jansson.h>
#include <stdint.h>

struct err;
struct event_base;
struct settings;
struct store;

/*
 * The store that is a directory: <dir>/<taskId>/<runId>/<artifact name> with `<artifact name>.json` beside
 * it. The bytes are linked from the spool when both lie on one file system (nothing of an image is written
 * twice), else copied, and read once to check their hashes. The record comes last: with it the artifact
 * exists, without it nothing does. Files of an unfinished put are `.<name>.new`.
 */
struct store *local_store_new(struct event_base *base, const struct settings *s, struct err *e);

/*
 * The artifact at path of a task; run_id -1 is the latest run that has it. record (new reference) is a
 * spool record with "stored"; file is its path, heap. -1 with status 400 (malformed), 404 (not there), 410
 * (expired), or no status (the store is damaged).
 */
int local_store_find(const char *dir, const char *task_id, int64_t run_id, const char *path, json_t **record,
    char **file, struct err *e);

#endif
