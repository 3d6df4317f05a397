/* The file that is fetched: written as it comes, hashed as it is meant. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/codec.h"
#include "base/fs.h"
#include "base/mem.h"
#include "fetch_private.h"

enum { HIGH = 256 * 1024 }; /* of decoded bytes in memory */

/* Its own words: what the disk says is the worker's affair. */
static int
of_disk(struct err *e)
{
	e->status = 503;
	e->rule = "worker";
	return -1;
}

int
keep_open(struct keep *k, char *path, uint64_t max, struct err *e)
{
	*k = (struct keep){ .fd = -1, .path = path, .max = max };
	k->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (k->fd >= 0)
		return 0;
	err_set(e, errno, "cannot make '%s': %m", path);
	return of_disk(e);
}

static void
drop_state(struct keep *k)
{
	hash_free(k->sha256);
	hash_free(k->sha512);
	filter_free(k->filter);
	k->sha256 = k->sha512 = NULL;
	k->filter = NULL;
	buf_clear(&k->in);
	buf_clear(&k->out);
}

void
keep_done(struct keep *k)
{
	drop_state(k);
	buf_done(&k->in);
	buf_done(&k->out);
	if (k->path != NULL && k->fd >= 0)
		close(k->fd);
	free(k->path);
	*k = (struct keep){ .fd = -1 };
}

int
keep_restart(struct keep *k, int encoded, struct filter *check, struct err *e)
{
	drop_state(k);
	k->filter = encoded ? codec_reader_new(CODEC_GZIP, k->max, "limit-image-bytes") : check;
	k->encoded = encoded;
	k->size = 0;
	k->sha256 = hash_new(HASH_SHA256);
	k->sha512 = hash_new(HASH_SHA512);
	if (lseek(k->fd, 0, SEEK_SET) == 0 && ftruncate(k->fd, 0) == 0)
		return 0;
	err_set(e, errno, "cannot empty '%s': %m", k->path);
	return of_disk(e);
}

static int
write_out(struct keep *k, struct err *e)
{
	size_t len = buf_len(&k->out);

	k->size += len;
	if (k->max > 0 && k->size > k->max)
		return err_refuse(e, 413, "task",
		    "the artifact is larger than limits.imageBytes (%llu bytes)", (unsigned long long)k->max);
	hash_add(k->sha256, buf_ptr(&k->out), len);
	hash_add(k->sha512, buf_ptr(&k->out), len);
	if (len > 0 && fs_write_all(k->fd, buf_ptr(&k->out), len, e) < 0) {
		(void)err_wrap(e, "'%s'", k->path);
		return of_disk(e);
	}
	buf_clear(&k->out);
	return 0;
}

/* Through the filter, if there is one; what it refuses is not what was promised. */
static int
run(struct keep *k, int eof, struct err *e)
{
	int rc;

	if (k->filter == NULL) {
		(void)buf_move(&k->in, &k->out, buf_len(&k->in));
		return FILTER_DONE;
	}
	rc = k->filter->run(k->filter, &k->in, eof, &k->out, HIGH, e);
	if (rc < 0) {
		e->rule = e->status == 413 ? "task" : "service";
		e->status = e->status == 413 ? 413 : 502;
	}
	return rc;
}

/* All that goes; with eof, all. */
static int
pump(struct keep *k, int eof, struct err *e)
{
	int rc, moved;

	do {
		size_t before = buf_len(&k->in);

		rc = run(k, eof, e);
		moved = buf_len(&k->in) != before || buf_len(&k->out) > 0;
		if (rc < 0 || write_out(k, e) < 0)
			return -1;
	} while (rc == FILTER_MORE && moved && (eof || buf_len(&k->in) > 0));
	return 0;
}

int
keep_add(struct keep *k, const void *bytes, size_t len, struct err *e)
{
	buf_add(&k->in, bytes, len);
	return pump(k, 0, e);
}

int
keep_end(struct keep *k, char sha256[HASH_HEX_MAX], char sha512[HASH_HEX_MAX], struct err *e)
{
	if (pump(k, 1, e) < 0)
		return -1;
	if (k->encoded && codec_reader_kind(k->filter) != CODEC_GZIP)
		return err_refuse(e, 502, "service", "it was said to be gzip (Content-Encoding), and is not");
	hash_hex(k->sha256, sha256);
	hash_hex(k->sha512, sha512);
	k->sha256 = k->sha512 = NULL;
	return 0;
}
