#include "image/export.h"

#include <signal.h>

#include "archive/codec.h"
#include "archive/frames.h"
#include "http/body.h"
#include "stage.h"
#include "task/spool.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

enum sending { NOTHING, CHUNKS, CHUNKS_CUT, COUNTED, COUNTED_CUT, BARE };

static const struct row {
	const char *title, *head;
	enum sending body;
	const char *artifact; /* NULL: public/image.tar.zst */
	const char *extra;    /* one more member in the tarball */
	int other_id;         /* another image than was asked for */
	int status;           /* 0: done */
	const char *rule, *message;
} rows[] = {
	{ .title = "chunks, zstd", .head = CHUNKED, .body = CHUNKS },
	{ .title = "chunks, gzip", .head = CHUNKED, .body = CHUNKS, .artifact = "public/image.tar.gz" },
	{ .title = "chunks, lz4", .head = CHUNKED, .body = CHUNKS, .artifact = "public/image.tar.lz4" },
	{ .title = "a length, tar", .head = HEAD, .body = COUNTED, .artifact = "public/image.tar" },
	{ .title = "100 before 200", .head = "HTTP/1.1 100 Continue\r\n\r\n" CHUNKED, .body = CHUNKS },
	{ .title = "no such image",
	    .head = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{\"message\":\"no dind.invalid/" NS
	            "/docker.io/library/app:1 here\"}",
	    .status = 404,
	    .rule = "engine",
	    .message = "the engine refused: no app:1 here" },
	{ .title = "an error that is not JSON",
	    .head = "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n<html>",
	    .status = 500,
	    .rule = "engine",
	    .message = "the engine refused: no reason given" },
	{ .title = "a redirect",
	    .head = "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
	    .status = 502,
	    .rule = "engine",
	    .message = "the engine refused: no reason given" },
	{ .title = "nothing",
	    .head = "",
	    .status = 502,
	    .rule = "engine",
	    .message = "closed the connection" },
	{ .title = "half a head",
	    .head = "HTTP/1.1 20",
	    .status = 502,
	    .rule = "engine",
	    .message = "closed" },
	{ .title = "no HTTP", .head = "SSH-2.0\r\n\r\n", .status = 502, .message = "the engine's answer" },
	{ .title = "an upgrade",
	    .head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	    .status = 502 },
	{ .title = "chunks, cut", .head = CHUNKED, .body = CHUNKS_CUT, .status = 502, .rule = "engine" },
	{ .title = "a length, cut", .head = HEAD, .body = COUNTED_CUT, .status = 502, .rule = "engine" },
	{ .title = "neither", .head = HEAD "\r\n", .body = BARE, .status = 502, .rule = "engine" },
	{ .title = "an empty body", .head = CHUNKED "0\r\n\r\n", .status = 400, .rule = "image-manifest" },
	{ .title = "a strange member",
	    .head = CHUNKED,
	    .body = CHUNKS,
	    .extra = "../x",
	    .status = 400,
	    .rule = "image-member" },
	{ .title = "another image",
	    .head = CHUNKED,
	    .body = CHUNKS,
	    .other_id = 1,
	    .status = 400,
	    .rule = "image-id" },
	{ .title = "a name without a format",
	    .head = CHUNKED,
	    .body = CHUNKS,
	    .artifact = "public/image",
	    .status = 400,
	    .rule = "image-name" },
};

static json_t *
job_of(const struct row *r, const char *id)
{
	char *spool = scratch_path("spool");
	json_t *job = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:n,s:s,s:s,s:[s],s:i,s:i,s:s}", "spool", spool,
	    "session", NS, "taskId", "task", "runId", 2, "name",
	    r->artifact ? r->artifact : "public/image.tar.zst", "contentType", "application/zstd", "expires",
	    "imageId", id, "image", "app:1", "tags", "app:1", "level", 0, "maxBytes", 0, "engine", "20.10");

	free(spool);
	return job;
}

static void
send_body(struct stage *s, enum sending how, const struct buf *tar)
{
	const uint8_t *p = buf_ptr(tar);
	size_t len = buf_len(tar), half = len / 2;
	struct buf out = { 0 };

	if (how == COUNTED || how == COUNTED_CUT)
		buf_printf(&out, "Content-Length: %zu\r\n\r\n", len);
	if (how == CHUNKS || how == CHUNKS_CUT)
		for (size_t n = 0; n < len && (how == CHUNKS || n < half); n += 1000)
			body_put_chunk(&out, p + n, len - n < 1000 ? len - n : 1000);
	else if (how != NOTHING)
		buf_add(&out, p, how == COUNTED_CUT ? half : len);
	if (how == CHUNKS)
		body_put_end(&out);
	stage_say(s, buf_text(&out), buf_len(&out));
	buf_done(&out);
}

static int
count(void *arg, const char *id)
{
	(void)id;
	++*(int *)arg;
	return 0;
}

static int
in_spool(enum spool_state state)
{
	char *root = scratch_path("spool");
	struct err e;
	int n = 0;

	(void)spool_list(root, state, count, &n, &e);
	free(root);
	return n;
}

/* The data is what the record says, and the tarball in it too. */
static void
check_data(const char *root, const char *id, const struct spool_record *r)
{
	struct buf data = { 0 }, tar = { 0 };
	char *path = spool_path(root, SPOOL_READY, id, "data"), hex[HASH_HEX_MAX];
	struct filter *f = codec_reader_new(CODEC_GZIP | CODEC_ZSTD | CODEC_LZ4, 0, NULL);
	struct err e = { 0 };

	is_int(fs_read(path, 1 << 24, &data, &e), 0, "data");
	is_int(buf_len(&data), r->size, "size");
	hash_once(HASH_SHA256, buf_ptr(&data), buf_len(&data), hex);
	is_str(r->sha256, hex, "sha256");
	hash_once(HASH_SHA512, buf_ptr(&data), buf_len(&data), hex);
	is_str(r->sha512, hex, "sha512");
	is_int(f->run(f, &data, 1, &tar, 1 << 24, &e), FILTER_DONE, "it is compressed as named");
	is_int(buf_len(&tar), r->tar_size, "size of the tarball");
	hash_once(HASH_SHA256, buf_ptr(&tar), buf_len(&tar), hex);
	is_str(r->tar_sha256, hex, "sha256 of the tarball");
	ok(memmem(buf_ptr(&tar), buf_len(&tar), "[\"app:1\"]", 9) != NULL, "with the name that was typed");
	ok(memmem(buf_ptr(&tar), buf_len(&tar), "dind.invalid", 12) == NULL, "and no other");
	filter_free(f);
	free(path);
	buf_done(&data);
	buf_done(&tar);
}

/* The zstd form has an index: a layer and the metadata, and leaving the layer out leaves a tarball. */
static void
check_frames(const char *root, const char *id, const struct spool_record *r)
{
	static struct frames f;
	static struct frames_plan plan;
	const char *const have[] = { r->layers[0].diff_id };
	struct buf data = { 0 }, part = { 0 }, tar = { 0 };
	char *path = spool_path(root, SPOOL_READY, id, "data");
	struct err e = { 0 };
	struct filter *check, *codec;

	(void)fs_read(path, 1 << 24, &data, &e);
	free(path);
	if (codec_of_name(r->name) != CODEC_ZSTD) {
		is_int(frames_read(&f, buf_ptr(&data), buf_len(&data), r->size, &e), 1, "no index");
		buf_done(&data);
		return;
	}
	is_int(frames_read(&f, buf_ptr(&data), buf_len(&data), r->size, &e), 0, "an index");
	is_str(f.image_id, r->image_id, "of that image");
	ok(f.layer_count == 1 && f.count == 2 && f.tar_size == r->tar_size, "with all in it");
	frames_plan(&f, have, 1, &plan);
	check = frames_check_new(&f, &plan);
	codec = codec_reader_new(CODEC_ZSTD, 0, NULL);
	buf_drop(&data, (size_t)f.rows[1].offset);
	data.tail = data.head + (size_t)f.rows[1].size;
	is_int(check->run(check, &data, 1, &part, 1 << 24, &e), FILTER_DONE, "its sums are right");
	is_int(codec->run(codec, &part, 1, &tar, 1 << 24, &e), FILTER_DONE, "a part is zstd");
	is_int(buf_len(&tar), f.rows[1].tar_size, "of the rest of the tarball");
	ok(buf_len(&tar) > 512 && memcmp(buf_ptr(&tar) + 257, "ustar", 5) == 0, "from a header on");
	filter_free(check);
	filter_free(codec);
	buf_done(&data);
	buf_done(&part);
	buf_done(&tar);
}

static void
check_spool(const struct row *r, const json_t *last, const char *image_id)
{
	char *root = scratch_path("spool"), id[SPOOL_ID_MAX];
	struct spool_record record;
	struct err e = { 0 };

	spool_make_id(NS, r->artifact ? r->artifact : "public/image.tar.zst", id);
	is_str(json_str(last, "id", ""), id, "the artifact's id");
	is_int(spool_read_record(root, SPOOL_READY, id, &record, &e), 0, "a record");
	is_str(record.image_id, image_id, "image id");
	is_str(record.sha256, json_str(last, "sha256", ""), "the event says it too");
	is_int(record.run_id, 2, "run");
	is_int(record.layer_count, 1, "layers");
	check_data(root, id, &record);
	check_frames(root, id, &record);
	spool_record_done(&record);
	is_int(spool_remove(root, id, &e), 0, "removed");
	free(root);
}

static void
test_row(const struct row *r)
{
	struct stage s = { 0 };
	struct buf tar = { 0 };
	char id[72];

	stage_image(&tar, "layer", r->extra, id);
	if (r->other_id)
		id[10] = id[10] == '0' ? '1' : '0';
	stage_start(&s, image_export, job_of(r, id));
	stage_say(&s, r->head, strlen(r->head));
	send_body(&s, r->body, &tar);
	stage_end(&s);
	is_str(json_str(s.last, "event", ""), r->status ? "error" : "done", r->title);
	is_int(s.status, r->status != 0, "exit status");
	is_int(json_num(s.last, "status", 0), r->status, json_str(s.last, "message", ""));
	if (r->rule != NULL)
		is_str(json_str(s.last, "rule", ""), r->rule, "rule");
	if (r->message != NULL)
		ok(strstr(json_str(s.last, "message", ""), r->message) != NULL, r->message);
	is_int(in_spool(SPOOL_INCOMING), 0, "nothing half");
	is_int(in_spool(SPOOL_READY), r->status == 0, "what is ready is whole");
	if (r->status == 0)
		check_spool(r, s.last, id);
	json_decref(s.last);
	buf_done(&tar);
}

/* Two exports of one image are the same bytes; a second one of one artifact is refused. */
static void
test_twice(void)
{
	static const struct row first = { .artifact = "a.tar.zst" }, second = { .artifact = "b.tar.zst" };
	const struct row *order[] = { &first, &second, &first };
	char sums[3][HASH_HEX_MAX] = { "" };

	for (size_t i = 0; i < 3; i++) {
		struct stage s = { 0 };
		struct buf tar = { 0 };
		char id[72];

		stage_image(&tar, "layer", NULL, id);
		stage_start(&s, image_export, job_of(order[i], id));
		stage_say(&s, CHUNKED, strlen(CHUNKED));
		send_body(&s, CHUNKS, &tar);
		stage_end(&s);
		snprintf(sums[i], sizeof sums[i], "%s", json_str(s.last, "sha256", ""));
		is_int(json_num(s.last, "status", 0), i < 2 ? 0 : 409, "an artifact is made once");
		json_decref(s.last);
		buf_done(&tar);
	}
	is_str(sums[0], sums[1], "the same image, the same bytes");
	ok(sums[0][0] != '\0', "that are there");
}

/* Killed while the engine sends: what is left is swept, and the export can be made again. */
static void
test_killed(void)
{
	static const struct row plain = { .artifact = "k.tar.zst" };
	char *root = scratch_path("spool"), *events, id[72];
	struct stage s = { 0 };
	struct buf tar = { 0 };
	struct err e = { 0 };

	stage_image(&tar, "layer", NULL, id);
	stage_start(&s, image_export, job_of(&plain, id));
	stage_say(&s, CHUNKED, strlen(CHUNKED));
	send_body(&s, CHUNKS_CUT, &tar);
	while (events = scratch_read("events"), events[0] == '\0') { /* "waiting": it has its lock */
		free(events);
		usleep(1000);
	}
	is_int(spool_sweep(root, &e), 0, "sweep");
	is_int(in_spool(SPOOL_INCOMING), 1, "leaves a living export alone");
	free(events);
	kill(s.pid, SIGKILL);
	stage_end(&s);
	is_int(spool_sweep(root, &e), 0, "sweep");
	is_int(in_spool(SPOOL_INCOMING), 0, "takes a dead one's");
	json_decref(s.last);
	buf_done(&tar);
	free(root);
}

int
main(void)
{
	struct err e = { 0 };
	char *spool;

	scratch_make();
	spool = scratch_path("spool");
	is_int(spool_make_dirs(spool, &e), 0, "spool");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_row(&rows[i]);
	test_twice();
	test_killed();
	free(spool);
	scratch_remove();
	return tap_end();
}
