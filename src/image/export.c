#include "image/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/codec.h"
#include "archive/frames.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "docker/image.h"
#include "image/engine.h"
#include "image/event.h"
#include "task/spool.h"

enum { TAR_HIGH = 128 * 1024, OUT_HIGH = 256 * 1024, TAGS_MAX = 64 };

struct export
{
	const json_t *job;
	const char *spool;
	char id[SPOOL_ID_MAX];
	int fd; /* of data, -1 = none */
	struct spool_record record;
	const char *tags[TAGS_MAX];
	struct image_ask ask;
	struct image_facts facts;

	struct engine engine;
	struct filter *image, *codec;
	struct buf in, tar, out; /* from the engine, checked, compressed */
	int idle;                /* the last turn gave nothing: the filter needs input */
	struct hash *tar_sha256, *sha256, *sha512;
	struct frames *frames; /* zstd: what has been written so far; else NULL */
	struct hash *frame;    /* since the last of them */
	struct event_progress progress;
};

static int
read_tags(struct export *x)
{
	const json_t *tags = json_object_get(x->job, "tags"), *tag;
	size_t i;

	if (json_array_size(tags) > TAGS_MAX)
		return -1;
	json_array_foreach(tags, i, tag)
	{
		x->tags[i] = json_string_value(tag);
		if (x->tags[i] == NULL)
			return -1;
	}
	x->ask.tags = x->tags;
	x->ask.tag_count = i;
	return 0;
}

static int
read_job(struct export *x, struct err *e)
{
	const json_t *j = x->job;
	struct spool_record *r = &x->record;

	x->spool = json_str(j, "spool", NULL);
	r->task_id = json_str(j, "taskId", NULL);
	r->run_id = (unsigned)json_num(j, "runId", 0);
	r->session = json_str(j, "session", NULL);
	r->name = json_str(j, "name", NULL);
	r->content_type = json_str(j, "contentType", NULL);
	r->image = json_str(j, "image", NULL);
	r->expires = json_str(j, "expires", NULL);
	r->engine = json_str(j, "engine", NULL);
	r->version = json_str(j, "version", NULL);
	r->evidence = json_object_get(j, "evidence");
	x->ask.mode = IMAGE_EXPORT;
	x->ask.id = json_str(j, "imageId", NULL);
	x->ask.max_bytes = (uint64_t)json_num(j, "maxBytes", 0);
	if (x->spool == NULL || r->task_id == NULL || r->session == NULL || !reference_is_ns(r->session) ||
	    r->name == NULL || r->content_type == NULL || r->image == NULL || read_tags(x) < 0)
		return err_refuse(e, 400, "image-job",
		    "the job lacks one of spool, session, taskId, name, contentType, image, tags");
	if (codec_of_name(r->name) < 0)
		return err_refuse(e, 400, "image-name",
		    "the artifact's name must end in .tar, .tar.gz, .tgz, .tar.zst or .tar.lz4");
	spool_make_id(r->session, r->name, x->id);
	return 0;
}

static int
disk_error(struct err *e)
{
	e->status = e->code == ENOSPC || e->code == EDQUOT  ? 507
	            : e->code == EEXIST || e->code == EBUSY ? 409
	                                                    : 500;
	e->rule = "spool";
	return -1;
}

static int
start(struct export *x, struct err *e)
{
	x->fd = spool_begin(x->spool, x->id, e);
	if (x->fd < 0)
		return disk_error(e);
	x->image = image_filter_new(&x->ask, &x->facts);
	x->codec =
	    codec_writer_new((enum codec)codec_of_name(x->record.name), (int)json_num(x->job, "level", 0));
	x->tar_sha256 = hash_new(HASH_SHA256);
	x->sha256 = hash_new(HASH_SHA256);
	x->sha512 = hash_new(HASH_SHA512);
	if (codec_of_name(x->record.name) == CODEC_ZSTD) {
		x->frames = mem_new(sizeof *x->frames);
		x->frame = hash_new(HASH_SHA256);
	}
	return 0;
}

static int
write_out(struct export *x, struct err *e)
{
	size_t len = buf_len(&x->out);

	hash_add(x->sha256, buf_ptr(&x->out), len);
	hash_add(x->sha512, buf_ptr(&x->out), len);
	if (x->frame != NULL)
		hash_add(x->frame, buf_ptr(&x->out), len);
	x->record.size += len;
	if (fs_write_all(x->fd, buf_ptr(&x->out), len, e) < 0)
		return disk_error(e);
	buf_clear(&x->out);
	return 0;
}

/* Compresses all that is in tar; with eof, ends the stream. */
static int
compress(struct export *x, int eof, struct err *e)
{
	int rc;

	do {
		rc = x->codec->run(x->codec, &x->tar, eof, &x->out, OUT_HIGH, e);
		if (rc < 0 || write_out(x, e) < 0)
			return -1;
	} while (rc == FILTER_MORE && (eof || buf_len(&x->tar) > 0));
	return 0;
}

/* All since the last frame is one: of a layer, or (NULL) the metadata. */
static void
end_frame(struct export *x, const char *diff_id)
{
	char hex[HASH_HEX_MAX];

	hash_hex(x->frame, hex);
	x->frame = diff_id != NULL ? hash_new(HASH_SHA256) : NULL;
	frames_add(x->frames, x->record.size - x->frames->index_offset,
	    x->facts.tar_bytes - x->frames->tar_size, hex, diff_id);
}

/* A frame for each layer: equal layers are equal bytes in every artifact, and are fetched one by one. */
static int
split(struct export *x, const char *diff_id, struct err *e)
{
	if (codec_writer_split(x->codec, &x->out, e) < 0 || write_out(x, e) < 0)
		return -1;
	if (x->frames != NULL)
		end_frame(x, diff_id);
	return 0;
}

/* Behind the last frame: where each of them lies. */
static int
write_index(struct export *x, struct err *e)
{
	struct frames *f = x->frames;

	if (f == NULL)
		return 0;
	end_frame(x, NULL);
	memcpy(f->image_id, x->facts.id, sizeof f->image_id);
	f->layer_count = x->facts.layer_count;
	for (size_t i = 0; i < f->layer_count; i++)
		memcpy(f->layers[i], x->facts.layers[i].diff_id, sizeof f->layers[i]);
	return frames_print(f, &x->out, e) < 0 ? -1 : write_out(x, e);
}

/* One turn of the chain: what the image filter gives is hashed and compressed. Its answer, or -1. */
static int
turn(struct export *x, int eof, struct err *e)
{
	int rc = x->image->run(x->image, &x->in, eof, &x->tar, TAR_HIGH, e);
	const char *layer;

	if (rc < 0)
		return -1;
	x->idle = buf_len(&x->tar) == 0;
	hash_add(x->tar_sha256, buf_ptr(&x->tar), buf_len(&x->tar));
	if (compress(x, rc == FILTER_DONE, e) < 0)
		return -1;
	layer = image_at_layer_end(x->image);
	if (layer != NULL && split(x, layer, e) < 0)
		return -1;
	return rc == FILTER_DONE && write_index(x, e) < 0 ? -1 : rc;
}

static int
stream(struct export *x, struct err *e)
{
	int rc, got = 1;

	while ((rc = turn(x, got == 0, e)) == FILTER_MORE) {
		event_progress(&x->progress, "streaming", x->facts.tar_bytes, x->record.size);
		if (x->idle && (got = engine_read(&x->engine, &x->in, e)) < 0)
			return -1;
	}
	return rc < 0 ? -1 : 0;
}

static int
seal(struct export *x, struct err *e)
{
	char tar[HASH_HEX_MAX], sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX], created[STAMP_MAX];
	struct spool_record *r = &x->record;
	json_t *fields;

	hash_hex(x->tar_sha256, tar);
	hash_hex(x->sha256, sha256);
	hash_hex(x->sha512, sha512);
	x->tar_sha256 = x->sha256 = x->sha512 = NULL;
	stamp_print(stamp_now(), created);
	r->tar_sha256 = tar;
	r->sha256 = sha256;
	r->sha512 = sha512;
	r->created = created;
	r->tar_size = x->facts.tar_bytes;
	r->image_id = x->facts.id;
	r->layer_count = x->facts.layer_count;
	memcpy(r->layers, x->facts.layers, sizeof r->layers);
	event_progress(&x->progress, "sealing", r->tar_size, r->size);
	if (spool_seal(x->spool, x->id, x->fd, r, e) < 0)
		return disk_error(e);
	fields = spool_record_json(r);
	json_object_set_new(fields, "id", json_string(x->id));
	event_done(fields);
	return 0;
}

/* There is nothing to export: the reason goes the way of the artifact. */
static int
seal_error(struct export *x, const json_t *error, struct err *e)
{
	char created[STAMP_MAX];
	int rc;

	x->record.error_reason = json_str(error, "reason", "");
	x->record.error_message = json_str(error, "message", "");
	stamp_print(stamp_now(), created);
	x->record.created = created;
	x->fd = spool_begin(x->spool, x->id, e);
	rc = x->fd < 0 ? -1 : spool_seal(x->spool, x->id, x->fd, &x->record, e);
	x->record.created = NULL;
	if (rc < 0)
		return disk_error(e);
	event_done(json_pack("{s:s}", "id", x->id));
	return 0;
}

static void
done(struct export *x)
{
	if (x->fd >= 0)
		close(x->fd);
	filter_free(x->image);
	filter_free(x->codec);
	hash_free(x->tar_sha256);
	hash_free(x->sha256);
	hash_free(x->sha512);
	hash_free(x->frame);
	free(x->frames);
	engine_done(&x->engine);
	buf_done(&x->in);
	buf_done(&x->tar);
	buf_done(&x->out);
}

int
image_export(const json_t *job, int engine_fd, struct err *e)
{
	struct export *x = mem_new(sizeof *x);
	const json_t *error = json_object_get(job, "error");
	struct err ignored;
	int rc = -1;

	x->job = job;
	x->fd = -1;
	if (error != NULL) {
		rc = read_job(x, e) < 0 ? -1 : seal_error(x, error, e);
	} else if (read_job(x, e) == 0 && start(x, e) == 0) {
		engine_init(&x->engine, engine_fd, x->record.session);
		event_progress(&x->progress, "waiting", 0, 0);
		if (engine_head(&x->engine, e) == 0 && stream(x, e) == 0)
			rc = seal(x, e);
	}
	if (rc < 0 && x->fd >= 0)
		(void)spool_discard(x->spool, x->id, &ignored);
	done(x);
	free(x);
	return rc;
}
