#ifndef IMAGE_EXPORT_H
#define IMAGE_EXPORT_H

#include <jansson.h>

struct err;

/*
 * `dind-image export` and `dind-image load`: one child process per image, started by dind-proxyd.
 *
 *   fd 0  the job: one JSON object, read to its end before anything is done (at most 256 KiB)
 *   fd 1  events: one JSON object a line
 *           {"event":"progress","phase":"waiting"|"streaming"|"sealing","bytes":N,"compressed":N}
 *             at the start of each phase and then about once a second while bytes flow
 *           {"event":"done", ...}           the last line of a success
 *           {"event":"error","status":S,"rule":"..."|null,"message":"..."}   the last line of a failure; S
 *             is what an HTTP client would be told: the engine's own status, 400 for a bad image, 500, 507
 *   fd 2  log, for people
 *   fd 3  a connection to the engine on which the gate has already written the request head
 *
 * Exit status: 0 after "done", 1 after "error"; anything else (a signal) is a failure without a last line.
 * SIGTERM or a closed fd 1 ends it at once; whatever it held is gone or is swept by spool_sweep().
 * RSS <= 32 MiB whatever the image's size; nothing is written but the one spool directory.
 *
 * export: the head on fd 3 is GET /images/get?names=<one own name>. Its job:
 *   {"spool": dir, "session": ns, "taskId", "runId", "name": "public/image.tar.zst", "contentType",
 *    "expires": RFC 3339 or null, "imageId": "sha256:.." or null (any), "image": as typed,
 *    "tags": [names to write, familiar], "level": compression level, 0 = the format's usual one,
 *    "maxBytes": of the tar, 0 = no limit, "engine": version or null, "version": ours or null}
 * "done" holds the fields of record.json (task/spool.h) and "id", the artifact's id in the spool; it is
 * printed when the artifact lies in ready/. The engine prepares a tarball for seconds per GiB before its
 * first byte: phase "waiting" has no timeout here; the parent may kill.
 *
 * With "error": {"reason", "message"} (task/spool.h) no image is read: what is sealed says why there is no
 * artifact, and "done" has nothing but "id".
 */
int image_export(const json_t *job, int engine_fd, struct err *e);

#endif
