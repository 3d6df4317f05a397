#ifndef STAGE_H
#define STAGE_H

/*
 * dind-image on a stage: the verb runs in a child of the test with its events in a file; the test plays the
 * engine on the other end of the socket. And a small image to work with.
 */

#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "image/event.h"
#include "scratch.h"
#include "tap.h"

#define NS "abcdefghijklmnop2345"
#define LAYER_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/layer.tar"

struct stage {
	pid_t pid;
	int engine; /* the test's end */
	json_t *last;
	int status;
};

typedef int stage_verb(const json_t *job, int engine_fd, struct err *e);

static inline void
stage_start(struct stage *s, stage_verb *verb, json_t *job)
{
	int pair[2];
	char *events = scratch_path("events");

	(void)unlink(events);
	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || (s->pid = fork()) < 0)
		exit(1);
	if (s->pid == 0) {
		struct err e = { 0 };
		int rc;

		close(pair[0]);
		if (freopen(events, "we", stdout) == NULL || dup2(fileno(stdout), 1) < 0)
			_exit(9);
		rc = verb(job, pair[1], &e);
		if (rc < 0)
			event_error(&e);
		_exit(rc < 0);
	}
	close(pair[1]);
	s->engine = pair[0];
	json_decref(job);
	free(events);
}

static inline void
stage_say(struct stage *s, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(s->engine, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* it has gone: as a row may want */
		p += n;
		len -= (size_t)n;
	}
}

/* The engine is done: what was the last event, and the exit status? */
static inline void
stage_end(struct stage *s)
{
	char *text, *line;
	int status;

	close(s->engine);
	waitpid(s->pid, &status, 0);
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	text = scratch_read("events");
	if (text[0] != '\0')
		text[strlen(text) - 1] = '\0';
	line = strrchr(text, '\n');
	s->last = json_loads(line ? line + 1 : text, 0, NULL);
	free(text);
}

static inline void
stage_put_bytes(struct buf *tar, const char *name, const void *bytes, size_t len)
{
	char none[] = "";
	struct tar_entry t = { .type = TAR_FILE, .uname = none, .gname = none, .link = none, .mode = 0644 };
	struct err e;

	t.name = (char *)(uintptr_t)name;
	t.size = len;
	(void)tar_write_header(tar, &t, &e);
	buf_add(tar, bytes, len);
	tar_write_pad(tar, t.size);
}

static inline void
stage_put(struct buf *tar, const char *name, const char *text)
{
	stage_put_bytes(tar, name, text, strlen(text));
}

/* As engine 20.10 saves it, with a layer of one file; extra is the name of one more member, or NULL. id: 72
 * bytes for the image's. */
static inline void
stage_image(struct buf *tar, const char *layer, const char *extra, char *id)
{
	char hex[HASH_HEX_MAX], *config, *name, *manifest;
	struct buf packed = { 0 };

	stage_put(&packed, "f", layer);
	tar_write_end(&packed);
	hash_once(HASH_SHA256, buf_ptr(&packed), buf_len(&packed), hex);
	config =
	    mem_printf("{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_"
	               "ids\":[\"sha256:%s\"]}}",
	        hex);
	hash_once(HASH_SHA256, config, strlen(config), hex);
	snprintf(id, 72, "sha256:%.64s", hex);
	name = mem_printf("%s.json", hex);
	manifest = mem_printf("[{\"Config\":\"%s\",\"RepoTags\":[\"dind.invalid/" NS
	                      "/docker.io/library/app:1\"],\"Layers\":[\"" LAYER_NAME "\"]}]",
	    name);
	stage_put_bytes(tar, LAYER_NAME, buf_ptr(&packed), buf_len(&packed));
	if (extra != NULL)
		stage_put(tar, extra, "x");
	stage_put(tar, name, config);
	stage_put(tar, "manifest.json", manifest);
	tar_write_end(tar);
	buf_done(&packed);
	free(config);
	free(name);
	free(manifest);
}

#endif
