#ifndef SEED_H
#define SEED_H

/* A scratch directory with a spool in it, and sealed artifacts to put there. */

#include <event2/event.h>
#include <sys/stat.h>

#include "artifact/local.h"
#include "artifact/store.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/settings.h"
#include "scratch.h"
#include "tap.h"
#include "task/task.h"

static struct settings settings;
static struct event_base *base;

static inline void
seed_start(void)
{
	struct err e;

	scratch_make();
	settings_init(&settings);
	free(settings.spool_dir);
	free(settings.store_dir);
	free(settings.state_dir);
	settings.spool_dir = scratch_path("spool");
	settings.store_dir = scratch_path("store");
	settings.state_dir = scratch_path("state");
	(void)spool_make_dirs(settings.spool_dir, &e);
	base = event_base_new();
}

static inline int
seed_end(void)
{
	event_base_free(base);
	settings_done(&settings);
	scratch_remove();
	return tap_end();
}

struct seed {
	const char *task_id, *name, *bytes;
	const char *expires; /* may be NULL */
	unsigned run_id;
};

/* Fills a record for the bytes; strings point into static memory that the next call overwrites. */
static inline void
seed_record(struct spool_record *r, const struct seed *s)
{
	static char ns[REFERENCE_NS_LEN + 1], sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];

	task_make_id(s->task_id, s->run_id, ns);
	hash_once(HASH_SHA256, s->bytes, strlen(s->bytes), sha256);
	hash_once(HASH_SHA512, s->bytes, strlen(s->bytes), sha512);
	*r = (struct spool_record){ .task_id = s->task_id,
		.run_id = s->run_id,
		.session = ns,
		.name = s->name,
		.expires = s->expires,
		.content_type = "application/zstd",
		.sha256 = sha256,
		.sha512 = sha512,
		.size = strlen(s->bytes),
		.tar_sha256 = sha256,
		.tar_size = 10240,
		.image_id = "sha256:1111111111111111111111111111111111111111111111111111111111111111",
		.image = "app:1",
		.created = "2026-11-24T16:07:11.000Z" };
}

/* Seals it into ready/; id is that of the artifact. */
static inline void
seed_ready(const struct seed *s, char id[SPOOL_ID_MAX])
{
	struct spool_record r;
	struct err e = { 0 };
	int fd;

	seed_record(&r, s);
	spool_make_id(r.session, r.name, id);
	fd = spool_begin(settings.spool_dir, id, &e);
	if (fd < 0 || fs_write_all(fd, s->bytes, strlen(s->bytes), &e) < 0 ||
	    spool_seal(settings.spool_dir, id, fd, &r, &e) < 0) {
		printf("Bail out! %s\n", e.text);
		exit(1);
	}
	close(fd);
}

/* Puts other bytes in the place of an artifact's data. */
static inline void
seed_damage(enum spool_state state, const char *id, const char *bytes)
{
	char *path = spool_path(settings.spool_dir, state, id, "data");
	FILE *f = fopen(path, "we");

	if (f == NULL || fputs(bytes, f) < 0 || fclose(f) != 0)
		exit(1);
	free(path);
}

#endif
