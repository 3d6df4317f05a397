#ifndef ARTIFACT_S3_H
#define ARTIFACT_S3_H

struct err;
struct event_base;
struct settings;
struct store;

/*
 * The store that is a bucket, by credentials: <prefix><taskId>/<runId>/<artifact name>, and the record beside
 * it as `<key>.json`. The record comes last: with it the artifact exists. An object of up to 8 MiB is one
 * PUT, a larger one a multipart upload, up to three parts at a time, each with its own checksum and its own
 * tries. Nothing of an image is held in memory. Which parts the store has is kept in `journal` beside the
 * spool's data: an uploader that died goes on with the parts that are missing. What is given up is aborted.
 *
 * Every request is signed (artifact/sigv4.h), judged by class (artifact/retry.h) and made again only when its
 * class says so. Credentials stand in a file, never in a setting, a log, an argument or a result.
 */
struct store *s3_store_new(struct event_base *base, const struct settings *s, struct err *e);

#endif
