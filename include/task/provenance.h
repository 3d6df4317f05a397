#ifndef TASK_PROVENANCE_H
#define TASK_PROVENANCE_H

#include <jansson.h>

struct err;

/*
 * The statement about an artifact: in-toto Statement v1 with a SLSA v1 provenance predicate, made of the
 * artifact's record (task/evidence.h) and nothing else. So whoever has record and statement makes the
 * statement again and compares. It holds the record whole, but for storageType, which nobody knows when it is
 * signed. Pure. docs/evidence.md describes its fields and this project's build type.
 */
#define PROVENANCE_PAYLOAD "application/vnd.in-toto+json"
#define PROVENANCE_CONTENT_TYPE "application/vnd.in-toto.provenance+dsse"
#define PROVENANCE_SUFFIX ".provenance.json"
#define PROVENANCE_DIR "provenance" /* of an artifact in the spool */
#define PROVENANCE_FILE PROVENANCE_DIR "/data"
#define PROVENANCE_BUILD_TYPE "urn:dind-proxy:docker-build:v1"
enum { PROVENANCE_MAX = 2 * 1024 * 1024 };

/* New reference; the record has passed evidence_read(). */
json_t *provenance_statement(const json_t *record);

/* Bytes of the statement as they are signed: compact, keys in the order in which they were made. Heap. */
char *provenance_text(const json_t *statement);

/*
 * Is this statement about that record? -1 names the first field that differs, and both values. builder and
 * version of a build type that is not ours are refused, too.
 */
int provenance_compare(const json_t *statement, const json_t *record, struct err *e);

/* The record in a statement, borrowed; NULL with e when it is none of ours. */
const json_t *provenance_record(const json_t *statement, struct err *e);

#endif
