#include "cli/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/codec.h"
#include "base/buf.h"
#include "base/dsse.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "docker/image.h"
#include "task/evidence.h"
#include "task/provenance.h"

enum { PIECE = 64 * 1024, HIGH = 256 * 1024 };

/* One pass over the tarball. */
struct reading {
	int fd;
	struct filter *codec, *image;
	struct buf in, tar, out;
	struct hash *hash; /* of the tarball */
	uint64_t size;
	const char *tag;
	struct image_ask ask;
	struct image_facts facts;
};

json_t *
verify_record(const void *text, size_t len, struct err *e)
{
	json_t *v = json_parse(text, len, e), *record = NULL;

	if (v != NULL)
		(void)evidence_read(v, &record, e);
	json_decref(v);
	return record;
}

json_t *
verify_statement(const void *text, size_t len, const struct sign_key *key, struct err *e)
{
	json_t *envelope = json_parse(text, len, e), *statement = NULL;
	struct buf payload = { 0 };

	if (envelope != NULL && dsse_open(envelope, PROVENANCE_PAYLOAD, key, &payload, e) == 0) {
		statement = json_parse(buf_ptr(&payload), buf_len(&payload), e);
		if (statement == NULL)
			err_wrap(e, "the statement in the envelope");
	}
	json_decref(envelope);
	buf_done(&payload);
	return statement;
}

static int
differs(const char *what, const char *is, const char *wanted, struct err *e)
{
	return err_set(e, EBADMSG, "%s differs: it is %s, the record says %s", what, is, wanted);
}

static int
same_text(const char *what, const char *is, const char *wanted, struct buf *said, struct err *e)
{
	if (strcmp(is, wanted) != 0)
		return differs(what, is, wanted, e);
	buf_printf(said, "%s: %s\n", what, is);
	return 0;
}

static int
same_number(const char *what, uint64_t is, json_int_t wanted, struct buf *said, struct err *e)
{
	char a[24], b[24];

	(void)snprintf(a, sizeof a, "%llu", (unsigned long long)is);
	(void)snprintf(b, sizeof b, "%lld", (long long)wanted);
	return same_text(what, a, b, said, e);
}

/* The next piece of the file into buf: bytes, 0 at its end, -1. */
static ssize_t
read_piece(int fd, struct buf *out, struct err *e)
{
	ssize_t n;

	while ((n = read(fd, buf_reserve(out, PIECE), PIECE)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return err_set(e, errno, "cannot read the file: %m");
	buf_commit(out, (size_t)n);
	return n;
}

static int
check_hashes(int fd, const json_t *record, struct buf *said, struct err *e)
{
	struct hash *sha256 = hash_new(HASH_SHA256), *sha512 = hash_new(HASH_SHA512);
	char hex256[HASH_HEX_MAX], hex512[HASH_HEX_MAX];
	struct buf piece = { 0 };
	ssize_t n;

	while ((n = read_piece(fd, &piece, e)) > 0) {
		hash_add(sha256, buf_ptr(&piece), (size_t)n);
		hash_add(sha512, buf_ptr(&piece), (size_t)n);
		buf_clear(&piece);
	}
	hash_hex(sha256, hex256);
	hash_hex(sha512, hex512);
	buf_done(&piece);
	if (n < 0 || same_text("sha256", hex256, json_str(record, "sha256", ""), said, e) < 0)
		return -1;
	return same_text("sha512", hex512, json_str(record, "sha512", ""), said, e);
}

/* What was decoded goes through the image filter; what that would write is of no interest. */
static int
take_tar(struct reading *r, int decoded, struct err *e)
{
	int rc;

	do {
		rc = r->image->run(r->image, &r->tar, decoded, &r->out, HIGH, e);
		if (rc == FILTER_MORE && buf_len(&r->out) == 0)
			return rc;
		buf_clear(&r->out);
	} while (rc == FILTER_MORE);
	return rc;
}

/* FILTER_DONE once the image has ended as it must. */
static int
turn(struct reading *r, struct err *e)
{
	ssize_t n = buf_len(&r->in) > 0 ? 1 : read_piece(r->fd, &r->in, e);
	size_t before = buf_len(&r->tar);
	int decoded;

	if (n < 0)
		return -1;
	decoded = r->codec->run(r->codec, &r->in, n == 0, &r->tar, HIGH, e);
	if (decoded < 0)
		return -1;
	hash_add(r->hash, buf_ptr(&r->tar) + before, buf_len(&r->tar) - before);
	r->size += buf_len(&r->tar) - before;
	return take_tar(r, decoded == FILTER_DONE, e);
}

static int
check_layers(const struct reading *r, const json_t *record, struct buf *said, struct err *e)
{
	const json_t *list = json_object_get(json_object_get(record, "image"), "layers");
	char what[48];

	if (same_number("layers", r->facts.layer_count, (json_int_t)json_array_size(list), said, e) < 0)
		return -1;
	for (size_t i = 0; i < r->facts.layer_count; i++) {
		const json_t *layer = json_array_get(list, i);

		(void)snprintf(what, sizeof what, "layer %zu", i);
		if (same_text(what, r->facts.layers[i].diff_id, json_str(layer, "diffId", ""), said, e) < 0)
			return -1;
		(void)snprintf(what, sizeof what, "size of layer %zu", i);
		if (same_number(what, r->facts.layers[i].size, json_num(layer, "size", -1), said, e) < 0)
			return -1;
	}
	return 0;
}

/* What was found in the file against the record. */
static int
compare(struct reading *r, const json_t *record, struct buf *said, struct err *e)
{
	const json_t *tar = json_object_get(record, "tar"), *image = json_object_get(record, "image");
	char hex[HASH_HEX_MAX];

	hash_hex(r->hash, hex);
	r->hash = NULL;
	if (same_number("tarball size", r->size, json_num(tar, "size", -1), said, e) < 0 ||
	    same_text("tarball sha256", hex, json_str(tar, "sha256", ""), said, e) < 0 ||
	    same_text("image id", r->facts.id, json_str(image, "id", ""), said, e) < 0)
		return -1;
	return check_layers(r, record, said, e);
}

/* The cap is what the record says: whatever unpacks to more is not what was recorded. */
static void
start(struct reading *r, int fd, const json_t *record)
{
	uint64_t max = (uint64_t)json_num(json_object_get(record, "tar"), "size", 0);

	r->fd = fd;
	r->tag = "verify:latest"; /* of what nobody reads */
	r->ask = (struct image_ask){ .mode = IMAGE_LOAD, .tags = &r->tag, .tag_count = 1 };
	r->codec = codec_reader_new(
	    CODEC_GZIP | CODEC_ZSTD | CODEC_LONG | CODEC_LZ4, max > 0 ? max : 1, "tarball size");
	r->image = image_filter_new(&r->ask, &r->facts);
	r->hash = hash_new(HASH_SHA256);
}

static int
check_content(int fd, const json_t *record, struct buf *said, struct err *e)
{
	struct reading *r = mem_new(sizeof *r);
	int rc;

	start(r, fd, record);
	while ((rc = turn(r, e)) == FILTER_MORE)
		;
	rc = rc < 0 ? err_wrap(e, "the file holds no image as it was recorded") : compare(r, record, said, e);
	filter_free(r->codec);
	filter_free(r->image);
	hash_free(r->hash);
	buf_done(&r->in);
	buf_done(&r->tar);
	buf_done(&r->out);
	free(r);
	return rc;
}

int
verify_file(const char *path, const json_t *record, struct buf *said, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc = -1;
	struct stat st;

	if (fd < 0)
		return err_set(e, errno, "cannot open '%s': %m", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		err_set(e, EINVAL, "'%s' is no plain file", path);
	else if (same_number("size", (uint64_t)st.st_size, json_num(record, "size", -1), said, e) == 0 &&
	         check_hashes(fd, record, said, e) == 0) {
		if (lseek(fd, 0, SEEK_SET) < 0)
			err_set(e, errno, "cannot read '%s' again: %m", path);
		else
			rc = check_content(fd, record, said, e);
	}
	close(fd);
	return rc;
}
