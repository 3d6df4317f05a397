#ifndef ARTIFACT_UPLOAD_H
#define ARTIFACT_UPLOAD_H

#include <stdint.h>

struct err;
struct event_base;
struct settings;
struct signer;
struct store;

/*
 * From the spool to the store: ready/ -> uploading/ -> done/ or failed/, each with result.json. What lies in
 * uploading/ at the start belongs to an uploader that died, and goes on. An artifact is tried again, with
 * growing pauses, while the store says that it may work later; then, or at once when it cannot work, it is
 * failed. One uploader works on a spool: the root is flock'ed. Artifacts in done/ and failed/ whose task has
 * ended are removed (proxyd removes the others when it ends the task).
 *
 * With a signer, a statement about each artifact is signed first and lies in provenance/data; where it is
 * asked for it is put behind its artifact, as NAME.provenance.json. An artifact is done when both are stored.
 */
struct uploader;

struct upload_pace {
	int64_t pause_first, pause_most; /* ms between two tries: doubled each time, with full jitter */
	unsigned tries;                  /* without a byte of progress */
	int64_t poll;                    /* ms between two looks at the spool when inotify says nothing */
	int64_t sweep;                   /* ms between two rounds of the store's housekeeping */
};
extern const struct upload_pace upload_pace;

/* All are borrowed until uploader_free(); signer NULL: nothing is signed. once: the loop is left when nothing
 * is ready or under way. */
struct uploader *uploader_new(struct event_base *base, const struct settings *s, struct store *store,
    const struct signer *signer, const struct upload_pace *pace, int once, struct err *e);

/* Stops what runs, as it is: the next start takes it up. */
void uploader_free(struct uploader *u);

/* What waits for its next try tries now: somebody has repaired something. */
void uploader_hurry(struct uploader *u);

/* The signer has gone, and so the loop was left. */
int uploader_is_broken(const struct uploader *u);

/* Artifacts that ended since the start. */
unsigned uploader_done(const struct uploader *u);
unsigned uploader_failed(const struct uploader *u);

#endif
