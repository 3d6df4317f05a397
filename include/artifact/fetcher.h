#ifndef ARTIFACT_FETCHER_H
#define ARTIFACT_FETCHER_H

#include <stdint.h>

struct err;
struct event_base;
struct settings;
struct store;

/*
 * From the store to the spool: what dind-proxyd asks for (task/want.h) is found, with the credentials of the
 * task that it is for, and fetched. `data` is written once, as it comes: checked for its size, hashed,
 * without a Content-Encoding, and goes on where a connection was cut, as long as the store says that the
 * bytes are still the same. What can pass is tried again with growing pauses, what cannot ends at once; a
 * hash that is wrong is never tried again. Where the artifact has an index of its layers (archive/frames.h),
 * and the store sends parts, what the host has is left out.
 *
 * Requests that are taken away while they run are given up; those of an uploader that died are begun anew.
 *
 * result.json: {"state": "found", "taskId", "runId", "name", "content"[, "sha256", "sha512", "imageId",
 * "size", "path"]}; when it was fetched "state": "fetched" and {"data": {"size", "sha256"}, "fetched",
 * "saved": bytes, "omitted": [diff ids of layers that are not in it]}; {"state": "failed", "status": as of
 * HTTP, "fault": "task", "worker" or "service", "error"}.
 */
struct fetcher;

struct fetch_pace {
	unsigned tries; /* without a byte of progress; their pauses are those of artifact/retry.h */
	int64_t poll;   /* ms between two looks when inotify says nothing */
};
extern const struct fetch_pace fetch_pace;

/* All are borrowed until fetcher_free(). */
struct fetcher *fetcher_new(struct event_base *base, const struct settings *s, struct store *store,
    const struct fetch_pace *pace, struct err *e);
void fetcher_free(struct fetcher *f);

unsigned fetcher_done(const struct fetcher *f);
unsigned fetcher_failed(const struct fetcher *f);

#endif
