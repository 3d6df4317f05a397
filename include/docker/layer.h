#ifndef DOCKER_LAYER_H
#define DOCKER_LAYER_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/*
 * What lies in a layer, looked at while it is hashed. Builds make layers of every sort, and engines unpack
 * them below the layer's own directory as their root: what is refused is what no build makes and what engines
 * read in more ways than one. Status 400, rule "image-contents":
 *
 *   - what archive/tar.h refuses: sparse files (a header of 1 KiB would be written out as a terabyte of
 * zeros), bytes behind the end, two sizes or names for one entry, ...
 *   - names with "..", also of what a hard link means (20.10 clamps them, 28 refuses the layer); absolute
 * ones are below the layer for all engines
 *   - whiteouts of nothing: ".wh.", ".wh..", ".wh..." remove the directory they lie in, or what is above
 *   - devices other than null, zero, full, random, urandom, tty, console and ptmx: a disk has no
 *     place in an image, and 0:0 is how overlayfs itself hides a file
 *   - extended attributes of overlayfs (trusted.overlay.*, user.overlay.*): engines set them, and the mount
 * would obey
 *   - more than LAYER_ENTRIES_MAX entries in all layers together: inodes are a resource of the host
 *
 * Not refused: set-uid and set-gid files, capabilities, FIFOs, links that point anywhere, entries behind a
 * link of the same layer. Pure; memory of one entry.
 */
enum { LAYER_ENTRIES_MAX = 4 * 1000 * 1000 };

struct layer;

/* entries is counted up, over all layers of an image. */
struct layer *layer_new(uint64_t *entries);
void layer_free(struct layer *l);

/* Takes what it can of in, the uncompressed layer; with eof, all of it. */
int layer_add(struct layer *l, struct buf *in, int eof, struct err *e);

#endif
