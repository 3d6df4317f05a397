#include "image/load.h"

#include "archive/codec.h"
#include "http/body.h"
#include "stage.h"

#define TAG "dind.invalid/images/x:latest"
#define LOADED "{\"stream\":\"Loaded image: " TAG "\\n\"}\r\n"
#define BASE "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CLOSE "HTTP/1.1 200 OK\r\nContent-Length: "

enum when { AFTER, AT_ONCE, NEVER };
enum damage { NONE, WRONG_SHA, WRONG_SIZE, SHORTER, FLIPPED, NO_FILE, OTHER_ID, TOO_LARGE };

static const struct row {
	const char *title, *head, *body; /* of the engine's answer; body gets its length */
	enum when when;
	enum damage damage;
	const char *name; /* of the artifact, NULL: .tar.zst */
	const char *extra;
	const char *have; /* member of the job, JSON; without it NULL */
	int any_id;       /* no imageId */
	int status;       /* 0: done */
	const char *rule, *message;
	int whole; /* the engine got the end of the body */
} rows[] = {
	{ .title = "zstd", .body = LOADED, .whole = 1 },
	{ .title = "gzip", .body = LOADED, .name = "image.tar.gz", .whole = 1 },
	{ .title = "lz4", .body = LOADED, .name = "image.tar.lz4", .whole = 1 },
	{ .title = "tar", .body = LOADED, .name = "image.tar", .whole = 1 },
	{ .title = "told with other things",
	    .body = "{\"status\":\"x\"}" LOADED "{\"stream\":\"y\"}\n",
	    .whole = 1 },
	{ .title = "an error with status 200",
	    .body = "{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}\r\n",
	    .status = 502,
	    .rule = "engine",
	    .message = "did not load the image: no space",
	    .whole = 1 },
	{ .title = "an error behind a success",
	    .body = LOADED "{\"errorDetail\":{\"message\":\"after all\"}}",
	    .status = 502,
	    .rule = "engine",
	    .message = "after all",
	    .whole = 1 },
	{ .title = "an error as text, of the containerd store",
	    .body = "{\"stream\":\"Error unpacking image x: oops\\n\"}" LOADED,
	    .status = 502,
	    .rule = "engine",
	    .message = "Error unpacking",
	    .whole = 1 },
	{ .title = "not a word of it",
	    .body = "{\"stream\":\"hello\"}",
	    .status = 502,
	    .rule = "engine",
	    .message = "did not say",
	    .whole = 1 },
	{ .title = "nothing",
	    .body = "",
	    .status = 502,
	    .rule = "engine",
	    .message = "did not say",
	    .whole = 1 },
	{ .title = "not JSON",
	    .body = "<html>",
	    .status = 502,
	    .rule = "engine",
	    .message = "not JSON",
	    .whole = 1 },
	{ .title = "an HTTP error",
	    .head = "HTTP/1.1 500 Oops\r\nContent-Length: ",
	    .status = 500,
	    .body = "{\"message\":\"disk gone\"}",
	    .rule = "engine",
	    .message = "disk gone",
	    .whole = 1 },
	{ .title = "an early answer",
	    .head = "HTTP/1.1 400 Bad\r\nContent-Length: ",
	    .when = AT_ONCE,
	    .body = "{\"message\":\"too old\"}",
	    .status = 400,
	    .rule = "engine",
	    .message = "too old" },
	{ .title = "an early success",
	    .when = AT_ONCE,
	    .body = LOADED,
	    .status = 502,
	    .rule = "engine",
	    .message = "before it had" },
	{ .title = "an engine that goes", .when = NEVER, .status = 502, .rule = "engine", .whole = 1 },
	{ .title = "another sha256",
	    .damage = WRONG_SHA,
	    .status = 400,
	    .rule = "image-artifact",
	    .message = "recorded sha256" },
	{ .title = "another size",
	    .damage = WRONG_SIZE,
	    .status = 400,
	    .rule = "image-artifact",
	    .message = "recorded size" },
	{ .title = "cut", .damage = SHORTER, .status = 400, .rule = "image-artifact" },
	{ .title = "flipped", .damage = FLIPPED, .status = 400 },
	{ .title = "no file", .damage = NO_FILE, .status = 500 },
	{ .title = "another image", .damage = OTHER_ID, .status = 400, .rule = "image-id" },
	{ .title = "too large", .damage = TOO_LARGE, .status = 413, .rule = "limit-image-bytes" },
	{ .title = "layers are there", .have = "[\"" BASE "\"]", .body = LOADED, .whole = 1 },
	{ .title = "no layers are there", .have = "[]", .any_id = 1, .body = LOADED, .whole = 1 },
	{ .title = "layers are there of any image",
	    .have = "[\"" BASE "\"]",
	    .any_id = 1,
	    .when = NEVER,
	    .status = 400,
	    .rule = "image-job" },
	{ .title = "something is there",
	    .have = "[\"x\"]",
	    .when = NEVER,
	    .status = 400,
	    .rule = "image-job" },
	{ .title = "a number is there", .have = "[7]", .when = NEVER, .status = 400, .rule = "image-job" },
	{ .title = "a strange member", .extra = "../x", .status = 400, .rule = "image-member" },
};

/* The artifact's file as the row wants it; sha and size are those of the record. */
static void
make_file(const struct row *r, char id[72], char sha[HASH_HEX_MAX], size_t *size)
{
	struct buf tar = { 0 }, data = { 0 };
	const char *name = r->name ? r->name : "image.tar.zst";
	struct filter *f = codec_writer_new((enum codec)codec_of_name(name), 0);
	char *path = scratch_path("data"), *layer = mem_new(300001);
	struct err e = { 0 };
	unsigned seed = 1;

	for (size_t i = 0; i < 300000; i++)
		layer[i] = (char)('a' + (seed = seed * 1103515245 + 12345) / 65536 % 26);
	stage_image(&tar, layer, r->extra, id);
	(void)f->run(f, &tar, 1, &data, 1 << 24, &e);
	if (r->damage == FLIPPED)
		data.data[data.head + buf_len(&data) / 2] ^= 1;
	if (r->damage == SHORTER)
		data.tail -= 100;
	hash_once(HASH_SHA256, buf_ptr(&data), buf_len(&data), sha);
	sha[0] = r->damage != WRONG_SHA ? sha[0] : sha[0] == '0' ? '1' : '0';
	*size = buf_len(&data) + (r->damage == WRONG_SIZE);
	if (r->damage == OTHER_ID)
		id[10] = id[10] == '0' ? '1' : '0';
	(void)fs_replace(path, buf_ptr(&data), buf_len(&data), 0600, &e);
	if (r->damage == NO_FILE)
		(void)unlink(path);
	filter_free(f);
	buf_done(&tar);
	buf_done(&data);
	free(path);
	free(layer);
}

static json_t *
job_of(const struct row *r, const char *id, const char *sha, size_t size)
{
	char *path = scratch_path("data");
	json_t *job = json_pack("{s:{s:s},s:s,s:s,s:I,s:s,s:s,s:i}", "source", "path", path, "name",
	    "public/i", "sha256", sha, "size", (json_int_t)size, "imageId", id, "tag", TAG, "maxBytes",
	    r->damage == TOO_LARGE ? 100000 : 0);

	if (r->have != NULL)
		json_object_set_new(job, "have", json_loads(r->have, 0, NULL));
	if (r->any_id)
		json_object_del(job, "imageId");
	free(path);
	return job;
}

/* What the engine gets: the tarball, and whether the body came to its end. */
static int
hear(struct stage *s, struct buf *tar)
{
	struct buf net = { 0 };
	struct body b;
	const uint8_t *data;
	size_t used, size;
	struct err e;
	ssize_t n;

	body_init(&b, HTTP_BODY_CHUNKED, 0);
	while (!b.ended && (n = recv(s->engine, buf_reserve(&net, 4096), 4096, 0)) > 0) {
		buf_commit(&net, (size_t)n);
		while (buf_len(&net) > 0 && !b.ended &&
		       body_walk(&b, buf_ptr(&net), buf_len(&net), &used, &data, &size, &e) == 0) {
			buf_add(tar, data, size);
			buf_drop(&net, used);
		}
	}
	buf_done(&net);
	return b.ended;
}

static void
answer(struct stage *s, const struct row *r)
{
	struct buf out = { 0 };

	buf_printf(&out, "%s%zu\r\n\r\n%s", r->head ? r->head : CLOSE, strlen(r->body), r->body);
	stage_say(s, buf_ptr(&out), buf_len(&out));
	buf_done(&out);
}

static void
test_row(const struct row *r)
{
	struct stage s = { 0 };
	struct buf tar = { 0 };
	char id[72], sha[HASH_HEX_MAX];
	size_t size;
	int whole;

	make_file(r, id, sha, &size);
	stage_start(&s, image_load, job_of(r, id, sha, size));
	if (r->when == AT_ONCE)
		answer(&s, r);
	whole = hear(&s, &tar);
	if (r->when == AFTER && whole)
		answer(&s, r);
	stage_end(&s);
	is_str(json_str(s.last, "event", ""), r->status ? "error" : "done", r->title);
	is_int(s.status, r->status != 0, "exit status");
	is_int(json_num(s.last, "status", 0), r->status, json_str(s.last, "message", ""));
	if (r->rule != NULL)
		is_str(json_str(s.last, "rule", ""), r->rule, "rule");
	if (r->message != NULL)
		ok(strstr(json_str(s.last, "message", ""), r->message) != NULL, r->message);
	/* AT_ONCE: it may have sent everything before the answer came to its eyes, but not from here on */
	if (r->when != AT_ONCE)
		is_int(whole, r->whole, "the end of the body is sent for what is good only");
	if (!whole)
		ok(memmem(buf_text(&tar), buf_len(&tar), "manifest.json", 13) == NULL,
		    "no metadata without it");
	else if (r->when != AT_ONCE)
		ok(memmem(buf_text(&tar), buf_len(&tar), "[\"" TAG "\"]", sizeof TAG + 3) != NULL,
		    "one name");
	if (r->status == 0)
		is_str(json_str(s.last, "imageId", ""), id, "its id");
	json_decref(s.last);
	buf_done(&tar);
}

int
main(void)
{
	scratch_make();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_row(&rows[i]);
	scratch_remove();
	return tap_end();
}
