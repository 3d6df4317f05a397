#ifndef TASK_EVIDENCE_H
#define TASK_EVIDENCE_H

#include <jansson.h>
#include <stddef.h>

#include "task/spool.h"

struct err;

/*
 * Evidence: what this host says of an artifact that a task made, or of an image that it loaded for one. Pure:
 * facts in, JSON out. docs/evidence.md has the fields; they fit Taskcluster's chain of trust. Hashes are over
 * the file as it is stored: after its compression, before any content encoding.
 */
#define EVIDENCE_VERSION 1

/*
 * Of an artifact whose record was sealed. result is the uploader's (its storageType is taken), NULL when
 * there is none yet. New reference; NULL for a record that only says why there is no artifact, or that is
 * not of an image.
 */
json_t *evidence_artifact(const struct spool_record *r, const json_t *result);

/*
 * The part of a spool record that its export is given: who builds here, and what is known of the image's
 * build (builds.h). provenance: the signed statement becomes an artifact of its own. New reference.
 */
json_t *evidence_make(const char *builder, json_t *build, int provenance); /* takes build */

/* Is it asked for that the statement becomes an artifact? */
int evidence_wants_upload(const struct spool_record *r);

/* Of an image that was loaded for a task. Strings may be NULL when they are not known. */
struct evidence_load {
	const char *for_task_id; /* the task that runs in it */
	unsigned for_run_id;
	const json_t *artifact; /* taskId, runId, name, sha256, sha512, size, storageType: as far as known */
	const char *image_id;   /* what the engine has under the name, compared with what was promised */
	const char *local_name;
	const char *loaded; /* RFC 3339 */
	const char *engine, *version, *builder;
};
json_t *evidence_load(const struct evidence_load *l);

/*
 * For chain-of-trust-additional-data.json, from {"artifacts": [..], "uploads": [..], "loads": [..]}:
 * {"environment":
 * {"imageHash", "imageArtifactHash"}, "artifacts": {name: {"sha256"}}, "dindProxy": {..}}. The environment is
 * that of the load whose artifact is `path`, with NULL of the only one. New reference; NULL with e when path
 * is none of them, or NULL and there are several.
 */
json_t *evidence_chain_of_trust(const json_t *evidence, const char *path, struct err *e);

/*
 * An artifact's record that came from somewhere: every field that others rely on is there and well formed. -1
 * says which is not. A spool record, as stores keep it beside the artifact, becomes one: new reference in
 * *out.
 */
int evidence_read(json_t *from, json_t **out, struct err *e);

#endif
