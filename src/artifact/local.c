#include "artifact/local.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "local_private.h"

enum { SLICE = 1024 * 1024 }; /* one turn of the loop: some milliseconds of hashing */

struct store_job {
	struct local *home;
	struct store_item item;
	store_end_cb *cb;
	void *arg;
	struct event *turn;
	struct local_names names;
	struct hash *sha256, *sha512;
	int in;  /* what is read and hashed: the link, or the spool's data */
	int out; /* the copy, -1 when there is a link */
	uint64_t read;
	uint8_t *slice;
};

static void
job_free(struct store_job *j)
{
	if (j->turn != NULL)
		event_free(j->turn);
	if (j->in >= 0)
		close(j->in);
	if (j->out >= 0)
		close(j->out);
	hash_free(j->sha256);
	hash_free(j->sha512);
	local_names_done(&j->names);
	free(j->slice);
	free(j);
}

/* Every directory from the artifact's up to the store's is on the disk: one that is there already may be new.
 */
static int
make_dir(const struct local *l, const char *dir, struct err *e)
{
	char *path = mem_str(dir);
	size_t root = strlen(l->dir);
	int rc = fs_mkdirs(dir, 0700, e);

	while (rc == 0 && strlen(path) > root) {
		*strrchr(path, '/') = '\0';
		rc = fs_sync_dir(path, e);
	}
	free(path);
	return rc;
}

static int
open_file(const char *path, int flags, struct err *e)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		err_set(e, errno, "cannot open '%s': %m", path);
	return fd;
}

/* A second name for the spool's bytes where the file system can, else a file to copy them to. */
static int
open_fresh(struct store_job *j, struct err *e)
{
	if (unlink(j->names.fresh) < 0 && errno != ENOENT)
		return err_set(e, errno, "cannot remove '%s': %m", j->names.fresh);
	if (link(j->item.data, j->names.fresh) == 0) {
		j->in = open_file(j->names.fresh, O_RDONLY, e);
		return j->in < 0 ? -1 : 0;
	}
	if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP && errno != ENOSYS)
		return err_set(e, errno, "cannot link '%s' into the store: %m", j->item.data);
	j->in = open_file(j->item.data, O_RDONLY, e);
	if (j->in < 0)
		return -1;
	j->out = open_file(j->names.fresh, O_WRONLY | O_CREAT | O_EXCL, e);
	return j->out < 0 ? -1 : 0;
}

/* 1 = the same content is there already, 0 = there is none, -1 = there is another. */
static int
look(const struct store_job *j, struct err *e)
{
	json_t *there = local_read(&j->names, e);
	const char *sha256 = json_str(there, "sha256", "");
	int rc = 0;

	if (there != NULL && strcmp(sha256, j->item.record->sha256) == 0)
		rc = 1;
	else if (there != NULL)
		rc = err_set(e, EEXIST,
		    "the store has another '%s' of task %s already: sha256 %.16s..., not %.16s...",
		    j->item.record->name, j->item.record->task_id, sha256, j->item.record->sha256);
	json_decref(there);
	return rc; /* missing, expired, or damaged: made anew */
}

static int
start(struct store_job *j, struct err *e)
{
	const struct spool_record *r = j->item.record;
	struct stat st;
	int rc;

	if (local_names_init(&j->names, j->home->dir, r->task_id, r->run_id, r->name, e) < 0)
		return -1;
	rc = look(j, e);
	if (rc != 0)
		return rc;
	if (make_dir(j->home, j->names.dir, e) < 0 || open_fresh(j, e) < 0)
		return -1;
	if (fstat(j->in, &st) < 0)
		return err_set(e, errno, "cannot look at '%s': %m", j->item.data);
	if ((uint64_t)st.st_size != r->size)
		return err_set(e, EBADMSG, "damaged in the spool: it has %lld bytes, %llu were sealed",
		    (long long)st.st_size, (unsigned long long)r->size);
	j->sha256 = hash_new(HASH_SHA256);
	j->sha512 = hash_new(HASH_SHA512);
	j->slice = mem_new(SLICE);
	return 0;
}

/* 1 = there is more, 0 = all was read. */
static int
step(struct store_job *j, struct err *e)
{
	ssize_t n = read(j->in, j->slice, SLICE);

	if (n < 0)
		return errno == EINTR ? 1 : err_set(e, errno, "cannot read '%s': %m", j->item.data);
	hash_add(j->sha256, j->slice, (size_t)n);
	hash_add(j->sha512, j->slice, (size_t)n);
	j->read += (uint64_t)n;
	if (j->out >= 0 && fs_write_all(j->out, j->slice, (size_t)n, e) < 0)
		return err_wrap(e, "'%s'", j->names.fresh);
	return n > 0;
}

static int
check_hashes(struct store_job *j, struct err *e)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];

	hash_hex(j->sha256, sha256);
	hash_hex(j->sha512, sha512);
	j->sha256 = j->sha512 = NULL;
	if (j->read == j->item.record->size && strcmp(sha256, j->item.record->sha256) == 0 &&
	    strcmp(sha512, j->item.record->sha512) == 0)
		return 0;
	return err_set(e, EBADMSG, "damaged in the spool: sha256 %s was sealed, it has %s",
	    j->item.record->sha256, sha256);
}

/* Bytes, then name, then record, each on the disk before the next. */
static int
finish(struct store_job *j, struct err *e)
{
	char now[STAMP_MAX];
	json_t *record;
	int rc;

	if (check_hashes(j, e) < 0)
		return -1;
	if (fsync(j->out >= 0 ? j->out : j->in) < 0)
		return err_set(e, errno, "cannot sync '%s': %m", j->names.fresh);
	if (rename(j->names.fresh, j->names.data) < 0)
		return err_set(e, errno, "cannot rename '%s': %m", j->names.fresh);
	(void)unlink(j->names.fresh); /* rename(2) leaves it when both were links to the same file already */
	if (fs_sync_dir(j->names.dir, e) < 0)
		return -1;
	record = spool_record_json(j->item.record);
	stamp_print(stamp_now(), now);
	json_object_set_new(record, "stored", json_string(now));
	rc = json_write(j->names.record, record, 0600, e);
	json_decref(record);
	return rc;
}

static void
end(struct store_job *j, enum store_end how, const struct err *why)
{
	json_t *where = how == STORE_DONE ? json_pack("{s:s}", "path", j->names.data) : NULL;

	if (how != STORE_DONE && j->names.fresh != NULL && j->in >= 0)
		(void)unlink(j->names.fresh);
	j->cb(j->arg, how, where, why);
	json_decref(where);
	job_free(j);
}

static void
again(struct store_job *j)
{
	struct timeval at_once = { 0, 0 };

	if (evtimer_add(j->turn, &at_once) < 0)
		abort();
}

/* start, step .. step, finish: one a turn. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct store_job *j = arg;
	struct err e = { 0 };
	int rc, first = j->slice == NULL;

	(void)fd;
	(void)what;
	rc = first ? start(j, &e) : step(j, &e);
	if (rc == (first ? 0 : 1)) {
		again(j);
		return;
	}
	if (rc == 0)
		rc = finish(j, &e);
	end(j, rc >= 0 ? STORE_DONE : store_judge(e.status != 0 ? EINVAL : e.code), &e);
}

static struct store_job *
put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg)
{
	struct local *l = (struct local *)s;
	struct store_job *j = mem_new(sizeof *j);

	*j = (struct store_job){ .home = l, .item = *item, .cb = cb, .arg = arg, .in = -1, .out = -1 };
	j->turn = evtimer_new(l->base, on_turn, j);
	if (j->turn == NULL)
		abort();
	again(j);
	return j;
}

static uint64_t
sent(const struct store_job *j)
{
	return j->read;
}

static void
cancel(struct store_job *j)
{
	if (j->in >= 0)
		(void)unlink(j->names.fresh);
	job_free(j);
}

static void
describe(const struct store *s, struct buf *out)
{
	buf_printf(out, "local directory %s", ((const struct local *)s)->dir);
}

static void
free_store(struct store *s)
{
	struct local *l = (struct local *)s;

	if (l->sweep != NULL)
		closedir(l->sweep);
	free(l);
}

static const struct store_ops ops = {
	.type = "local",
	.put = put,
	.sent = sent,
	.cancel = cancel,
	.out = &local_source_ops,
	.sweep = local_sweep,
	.describe = describe,
	.free = free_store,
};

struct store *
local_store_new(struct event_base *base, const struct settings *s, struct err *e)
{
	struct local *l;

	if (fs_mkdirs(s->store_dir, 0700, e) < 0)
		return NULL;
	l = mem_new(sizeof *l);
	l->store.ops = &ops;
	l->base = base;
	l->dir = s->store_dir;
	return &l->store;
}
