#ifndef IMAGE_LOAD_H
#define IMAGE_LOAD_H

#include <jansson.h>

struct err;

/*
 * `dind-image load`: an artifact from the local store into the engine under one name. Process, events and
 * errors as in image/export.h; the head on fd 3 is POST /images/load?quiet=1, Transfer-Encoding: chunked.
 * The job:
 *   {"source": {"path": file}, "name": the artifact's ("public/image.tar.zst": for messages),
 *    "sha256": hex, "size": of the file, "imageId": "sha256:.." or null (any),
 *    "tag": the one name that the image gets, "maxBytes": of the tar, 0 = no limit,
 *    "have": [diff ids of a chain of layers that the engine has, from the base up]; optional}
 *
 * With "have" the file may lack layers that the image begins with (the ranges of archive/frames.h one after
 * the other; size and sha256 are then those of that file), and imageId must be given. An engine that does not
 * have those layers after all, or one with the containerd store, refuses: the error's rule is "image-parts",
 * nothing was loaded, and the caller fetches the image whole.
 *
 * Nothing of the file is believed: size and sha256 are checked, the compression is sniffed, the tarball is
 * read strictly and written anew with that one name (docker/image.h, IMAGE_LOAD). The engine acts on the
 * metadata, which comes last, and only on a body that ends: on any doubt the connection is closed without
 * the last chunk, and nothing is loaded. Then the engine's answer is read: its errors come with status
 * 200. "done": {"imageId", "manifestId" (what an engine with the containerd store calls it; not with layers
 * left out), "tag", "layers": count, "leftOut": of them, "tarSize", "architecture", "os"}. The
 * caller then inspects the tag: the id must be one of them.
 */
int image_load(const json_t *job, int engine_fd, struct err *e);

#endif
