#include "image/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/codec.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "docker/image.h"
#include "image/engine.h"
#include "image/event.h"

enum { PIECE = 64 * 1024, HIGH = 128 * 1024, ANSWER_MAX = 256 * 1024 };

struct load {
	const char *path, *name, *sha256, *tag;
	uint64_t size, read;
	const char *have[IMAGE_LAYERS_MAX];
	struct image_ask ask;
	struct image_facts facts;

	int fd; /* of the file, -1 = none */
	struct hash *hash;
	struct filter *codec, *image;
	struct buf in, tar, out, wire; /* from the file, decoded, checked, as chunks */
	struct engine engine;
	struct event_progress progress;
};

static int
read_have(struct load *x, const json_t *have)
{
	const json_t *id;
	size_t i;

	if (json_array_size(have) > IMAGE_LAYERS_MAX || (json_array_size(have) > 0 && x->ask.id == NULL))
		return -1;
	json_array_foreach(have, i, id)
	{
		x->have[i] = json_string_value(id);
		if (x->have[i] == NULL || !reference_is_id(x->have[i]))
			return -1;
	}
	x->ask.have = x->have;
	x->ask.have_count = i;
	return 0;
}

static int
read_job(struct load *x, const json_t *j, struct err *e)
{
	x->path = json_str(json_object_get(j, "source"), "path", NULL);
	x->name = json_str(j, "name", NULL);
	x->sha256 = json_str(j, "sha256", NULL);
	x->tag = json_str(j, "tag", NULL);
	x->size = (uint64_t)json_num(j, "size", 0);
	x->ask.mode = IMAGE_LOAD;
	x->ask.id = json_str(j, "imageId", NULL);
	x->ask.tags = &x->tag;
	x->ask.tag_count = 1;
	x->ask.max_bytes = (uint64_t)json_num(j, "maxBytes", 0);
	if (x->path == NULL || x->name == NULL || x->sha256 == NULL || x->tag == NULL)
		return err_refuse(e, 400, "image-job", "the job lacks one of source.path, name, sha256, tag");
	if (read_have(x, json_object_get(j, "have")) < 0)
		return err_refuse(e, 400, "image-job",
		    "'have' must be at most %d diff ids, beside an imageId", IMAGE_LAYERS_MAX);
	return 0;
}

static int
not_the_artifact(const struct load *x, const char *what, struct err *e)
{
	char quoted[200];

	return err_refuse(e, 400, "image-artifact", "artifact '%s' does not have the recorded %s",
	    log_quote(x->name, strlen(x->name), quoted, sizeof quoted), what);
}

static int
start(struct load *x, int engine_fd, struct err *e)
{
	struct stat st;

	engine_init(&x->engine, engine_fd, NULL);
	x->fd = open(x->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (x->fd < 0 || fstat(x->fd, &st) < 0)
		return err_set(e, errno, "cannot open the artifact: %m");
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != x->size)
		return not_the_artifact(x, "size", e);
	x->hash = hash_new(HASH_SHA256);
	x->codec = codec_reader_new(
	    CODEC_GZIP | CODEC_ZSTD | CODEC_LONG | CODEC_LZ4, x->ask.max_bytes, "limit-image-bytes");
	x->image = image_filter_new(&x->ask, &x->facts);
	return 0;
}

/* The next bytes of the file: 1, 0 when it has ended and is what was recorded, -1. */
static int
read_file(struct load *x, struct err *e)
{
	char hex[HASH_HEX_MAX];
	ssize_t n;

	if (x->hash == NULL)
		return 0;
	while ((n = read(x->fd, buf_reserve(&x->in, PIECE), PIECE)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return err_set(e, errno, "cannot read the artifact: %m");
	hash_add(x->hash, buf_ptr(&x->in) + buf_len(&x->in), (size_t)n);
	buf_commit(&x->in, (size_t)n);
	x->read += (uint64_t)n;
	if (n > 0)
		return 1;
	hash_hex(x->hash, hex);
	x->hash = NULL;
	if (x->read != x->size)
		return not_the_artifact(x, "size", e);
	return strcmp(hex, x->sha256) == 0 ? 0 : not_the_artifact(x, "sha256", e);
}

/* The engine spoke before it had everything: it cannot have loaded, and only its reason is of use. */
static int
spoke_early(struct load *x, struct err *e)
{
	if (engine_head(&x->engine, e) < 0)
		return -1;
	return err_refuse(e, 502, "engine", "the engine ended the load before it had the image");
}

/* Sends out as a chunk; with last, the end of the body in the same breath. */
static int
send_chunk(struct load *x, int last, struct err *e)
{
	int rc;

	body_put_chunk(&x->wire, buf_ptr(&x->out), buf_len(&x->out));
	if (last)
		body_put_end(&x->wire);
	buf_clear(&x->out);
	rc = engine_send(&x->engine, buf_ptr(&x->wire), buf_len(&x->wire), e);
	buf_clear(&x->wire);
	if (rc == 1 && !last)
		return spoke_early(x, e);
	return rc < 0 ? -1 : 0; /* behind the metadata the engine may answer when it likes */
}

/* decoded: nothing comes behind what is in tar. The filter's answer, or -1. */
static int
check_and_send(struct load *x, int decoded, struct err *e)
{
	int rc;

	do {
		rc = x->image->run(x->image, &x->tar, decoded, &x->out, HIGH, e);
		if (rc < 0 || (buf_len(&x->out) == 0 && rc == FILTER_MORE))
			return rc;
		if (send_chunk(x, rc == FILTER_DONE, e) < 0)
			return -1;
		event_progress(&x->progress, "streaming", x->facts.tar_bytes, x->read);
	} while (rc == FILTER_MORE);
	return rc;
}

/*
 * The image filter learns of the end only when the whole file has been read, its hash is right and the
 * decoder is satisfied: only then does the metadata go out, without which the engine does nothing.
 */
static int
stream(struct load *x, struct err *e)
{
	int got = 1, decoded, rc;

	do {
		if (buf_len(&x->in) == 0 && (got = read_file(x, e)) < 0)
			return -1;
		decoded = x->codec->run(x->codec, &x->in, got == 0, &x->tar, HIGH, e);
		if (decoded < 0) {
			if (e->rule == NULL)
				e->rule = "image-artifact";
			return -1;
		}
		rc = check_and_send(x, decoded == FILTER_DONE, e);
	} while (rc == FILTER_MORE);
	return rc < 0 ? -1 : 0;
}

/* One object of the answer; 1 when it says that the image is there. */
static int
judge(const json_t *v, struct err *e)
{
	const char *text = json_str(v, "stream", ""), *error = json_str(v, "error", NULL);
	const json_t *detail = json_object_get(v, "errorDetail");
	char quoted[300];

	if (error == NULL && detail != NULL)
		error = json_str(detail, "message", "no reason given");
	/* the containerd store says this as plain text, and makes the name all the same */
	if (error == NULL && strstr(text, "Error unpacking") != NULL)
		error = text;
	if (error != NULL)
		return err_refuse(e, 502, "engine", "the engine did not load the image: %s",
		    log_quote(error, strlen(error), quoted, sizeof quoted));
	return strncmp(text, "Loaded image", 12) == 0;
}

static int
judge_all(struct buf *answer, struct err *e)
{
	int loaded = 0;

	while (buf_len(answer) > 0) {
		json_error_t je;
		json_t *v;
		int rc;

		if (strchr(" \t\r\n", *buf_ptr(answer)) != NULL && *buf_ptr(answer) != '\0') {
			buf_drop(answer, 1);
			continue;
		}
		v = json_loadb((const char *)buf_ptr(answer), buf_len(answer), JSON_DISABLE_EOF_CHECK, &je);
		if (v == NULL)
			return err_refuse(e, 502, "engine", "the engine's answer to the load is not JSON");
		rc = judge(v, e);
		json_decref(v);
		if (rc < 0)
			return -1;
		loaded |= rc;
		buf_drop(answer, (size_t)je.position);
	}
	if (!loaded)
		return err_refuse(e, 502, "engine", "the engine did not say that it loaded the image");
	return 0;
}

/* Errors come with status 200, inside the body (storage.md D3: nothing else of it can be believed). */
static int
read_answer(struct load *x, struct err *e)
{
	struct buf answer = { 0 };
	int rc = engine_head(&x->engine, e);

	if (rc == 0)
		while ((rc = engine_read(&x->engine, &answer, e)) > 0)
			if (buf_len(&answer) > ANSWER_MAX) {
				rc = err_refuse(
				    e, 502, "engine", "the engine's answer to the load is too long");
				break;
			}
	if (rc == 0)
		rc = judge_all(&answer, e);
	if (rc < 0 && x->facts.left_out > 0) { /* most likely it lacks them; whole, the image may load */
		e->rule = "image-parts";
		err_wrap(e, "without %zu of %zu layers", x->facts.left_out, x->facts.layer_count);
	}
	buf_done(&answer);
	return rc;
}

static void
say_done(const struct load *x)
{
	event_done(json_pack("{s:s, s:s?, s:s, s:I, s:I, s:I, s:s, s:s}", "imageId", x->facts.id,
	    "manifestId", x->facts.manifest_id[0] != '\0' ? x->facts.manifest_id : NULL, "tag", x->tag,
	    "layers", (json_int_t)x->facts.layer_count, "leftOut", (json_int_t)x->facts.left_out, "tarSize",
	    (json_int_t)x->facts.tar_bytes, "architecture", x->facts.architecture, "os", x->facts.os));
}

static void
done(struct load *x)
{
	if (x->fd >= 0)
		close(x->fd);
	hash_free(x->hash);
	filter_free(x->codec);
	filter_free(x->image);
	engine_done(&x->engine);
	buf_done(&x->in);
	buf_done(&x->tar);
	buf_done(&x->out);
	buf_done(&x->wire);
	free(x);
}

int
image_load(const json_t *job, int engine_fd, struct err *e)
{
	struct load *x = mem_new(sizeof *x);
	int rc = -1;

	x->fd = -1;
	if (read_job(x, job, e) == 0 && start(x, engine_fd, e) == 0) {
		event_progress(&x->progress, "streaming", 0, 0);
		if (stream(x, e) == 0) {
			event_progress(&x->progress, "waiting", x->facts.tar_bytes, x->read);
			rc = read_answer(x, e);
		}
	}
	if (rc == 0)
		say_done(x);
	done(x);
	return rc;
}
