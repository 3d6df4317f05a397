/* Reads the spool's data once, from front to back, a slice a turn of the loop: hashes of it all and of each
 * part. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "s3_private.h"

enum { SLICE = 1024 * 1024 }; /* some milliseconds of hashing */

struct s3_digest {
	struct event *turn;
	int fd;
	const struct spool_record *record;
	struct s3_part *parts;
	uint64_t part_size, at;
	size_t ready, wanted;
	int whole;
	struct hash *sha256, *sha512, *part;
	uint8_t *slice;
	s3_digest_cb *cb;
	void *arg;
};

static void
again(struct s3_digest *d)
{
	struct timeval at_once = { 0, 0 };

	if (!evtimer_pending(d->turn, NULL) && evtimer_add(d->turn, &at_once) < 0)
		abort();
}

static int
is_as_sealed(struct s3_digest *d, struct err *e)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];

	hash_hex(d->sha256, sha256);
	hash_hex(d->sha512, sha512);
	d->sha256 = d->sha512 = NULL;
	if (strcmp(sha256, d->record->sha256) == 0 && strcmp(sha512, d->record->sha512) == 0)
		return 0;
	return err_set(
	    e, EBADMSG, "damaged in the spool: sha256 %s was sealed, it has %s", d->record->sha256, sha256);
}

static void
end_part(struct s3_digest *d)
{
	char hex[HASH_HEX_MAX];

	hash_hex(d->part, hex);
	d->part = NULL;
	memcpy(d->parts[d->ready++].sha256, hex, sizeof d->parts[0].sha256);
}

/* 1: a part has ended, 0: not yet, -1. */
static int
step(struct s3_digest *d, struct err *e)
{
	uint64_t size = d->record->size, part_end = (d->ready + 1) * d->part_size, left;
	ssize_t n = 0;

	if (part_end > size)
		part_end = size;
	left = part_end - d->at;
	if (d->part == NULL)
		d->part = hash_new(HASH_SHA256);
	if (left > 0 &&
	    (n = pread(d->fd, d->slice, left < SLICE ? (size_t)left : SLICE, (off_t)d->at)) <= 0) {
		if (n < 0 && errno == EINTR)
			return 0;
		return n < 0
		           ? err_set(e, errno, "cannot read the spool's data: %m")
		           : err_set(e, EBADMSG, "damaged in the spool: it is shorter than what was sealed");
	}
	hash_add(d->sha256, d->slice, (size_t)n);
	hash_add(d->sha512, d->slice, (size_t)n);
	hash_add(d->part, d->slice, (size_t)n);
	d->at += (uint64_t)n;
	if (d->at < part_end)
		return 0;
	end_part(d);
	if (d->at < size)
		return 1;
	if (is_as_sealed(d, e) < 0)
		return -1;
	d->whole = 1;
	return 1;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct s3_digest *d = arg;
	struct err e = { 0 };
	int rc;

	(void)fd;
	(void)what;
	if (d->whole || d->ready >= d->wanted)
		return;
	rc = step(d, &e);
	if (rc >= 0)
		again(d);
	if (rc != 0)
		d->cb(d->arg, rc < 0 ? &e : NULL); /* may free d */
}

struct s3_digest *
s3_digest_new(struct event_base *base, int fd, const struct spool_record *record, struct s3_part *parts,
    uint64_t part_size, s3_digest_cb *cb, void *arg)
{
	struct s3_digest *d = mem_new(sizeof *d);

	*d = (struct s3_digest){ .fd = fd,
		.record = record,
		.parts = parts,
		.part_size = part_size,
		.sha256 = hash_new(HASH_SHA256),
		.sha512 = hash_new(HASH_SHA512),
		.slice = mem_new(SLICE),
		.cb = cb,
		.arg = arg };
	d->turn = evtimer_new(base, on_turn, d);
	if (d->turn == NULL)
		abort();
	return d;
}

void
s3_digest_want(struct s3_digest *d, size_t parts)
{
	if (parts > d->wanted)
		d->wanted = parts;
	if (!d->whole && d->ready < d->wanted)
		again(d);
}

size_t
s3_digest_ready(const struct s3_digest *d)
{
	return d->ready;
}

int
s3_digest_whole(const struct s3_digest *d)
{
	return d->whole;
}

void
s3_digest_free(struct s3_digest *d)
{
	if (d == NULL)
		return;
	event_free(d->turn);
	hash_free(d->sha256);
	hash_free(d->sha512);
	hash_free(d->part);
	free(d->slice);
	free(d);
}

int
s3_hash_range(int fd, uint64_t offset, uint64_t length, char out[HASH_HEX_MAX], struct err *e)
{
	struct hash *h = hash_new(HASH_SHA256);
	uint8_t *slice = mem_new(SLICE);
	int rc = 0;

	while (length > 0 && rc == 0) {
		ssize_t n = pread(fd, slice, length < SLICE ? (size_t)length : SLICE, (off_t)offset);

		if (n <= 0)
			rc = err_set(e, n < 0 ? errno : EIO, "cannot read the spool's data: %m");
		else
			hash_add(h, slice, (size_t)n);
		offset += n > 0 ? (uint64_t)n : 0;
		length -= n > 0 ? (uint64_t)n : 0;
	}
	free(slice);
	hash_hex(h, out);
	return rc;
}
