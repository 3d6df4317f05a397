#include "task/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

enum { HASH_PART = 16, RESULT_MAX = 64 * 1024, PROGRESS_MAX = 4096 };

static const char *const state_names[] = {
	[SPOOL_NONE] = "none",
	[SPOOL_INCOMING] = "incoming",
	[SPOOL_READY] = "ready",
	[SPOOL_UPLOADING] = "uploading",
	[SPOOL_DONE] = "done",
	[SPOOL_FAILED] = "failed",
};

const char *
spool_state_name(enum spool_state s)
{
	return s <= SPOOL_FAILED ? state_names[s] : state_names[SPOOL_NONE];
}

int
spool_is_id(const char *id)
{
	char ns[REFERENCE_NS_LEN + 1] = { 0 };

	if (id == NULL || strlen(id) != SPOOL_ID_MAX - 1 || id[REFERENCE_NS_LEN] != '-')
		return 0;
	memcpy(ns, id, REFERENCE_NS_LEN);
	return reference_is_ns(ns) && strspn(id + REFERENCE_NS_LEN + 1, "0123456789abcdef") == HASH_PART;
}

void
spool_make_id(const char *ns, const char *name, char out[SPOOL_ID_MAX])
{
	char hex[HASH_HEX_MAX];

	hash_once(HASH_SHA256, name, strlen(name), hex);
	(void)snprintf(out, SPOOL_ID_MAX, "%.*s-%.*s", (int)REFERENCE_NS_LEN, ns, (int)HASH_PART, hex);
}

static char *
state_dir(const char *root, enum spool_state state)
{
	return mem_printf("%s/%s", root, spool_state_name(state));
}

char *
spool_path(const char *root, enum spool_state state, const char *id, const char *file)
{
	if (state <= SPOOL_NONE || state > SPOOL_FAILED || !spool_is_id(id))
		return NULL;
	return file == NULL ? mem_printf("%s/%s/%s", root, spool_state_name(state), id)
	                    : mem_printf("%s/%s/%s/%s", root, spool_state_name(state), id, file);
}

/* As spool_path(), with the one error it has. */
static char *
path_of(const char *root, enum spool_state state, const char *id, const char *file, struct err *e)
{
	char *path = spool_path(root, state, id, file);

	if (path == NULL)
		err_set(e, EINVAL, "not the id of an artifact in the spool");
	return path;
}

int
spool_make_dirs(const char *root, struct err *e)
{
	int rc = fs_mkdirs(root, 0700, e);

	for (enum spool_state s = SPOOL_INCOMING; rc == 0 && s <= SPOOL_FAILED; s++) {
		char *dir = state_dir(root, s);

		rc = fs_mkdirs(dir, 0700, e);
		free(dir);
	}
	return rc == 0 ? fs_sync_dir(root, e) : -1;
}

/* The lock on an artifact's data, or -1: EWOULDBLOCK somebody writes it, ENOENT there is none. */
static int
lock_data(const char *dir)
{
	char *path = mem_printf("%s/data", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), code = errno;

	free(path);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		code = errno;
		close(fd);
		fd = -1;
	}
	errno = code;
	return fd;
}

/* Removes what a dead writer left; 0 also when a living one has it (*busy is set). */
static int
remove_left(const char *dir, int *busy, struct err *e)
{
	int fd = lock_data(dir), rc;

	*busy = fd < 0 && errno == EWOULDBLOCK;
	if (*busy)
		return 0;
	rc = fs_remove_tree(dir, e); /* under the lock: a writer that comes now finds its file unlinked */
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
sweep_one(void *root, const char *id)
{
	char *dir = spool_path(root, SPOOL_INCOMING, id, NULL);
	struct err e;
	int busy, rc = remove_left(dir, &busy, &e);

	free(dir);
	return rc < 0; /* the walk ends: spool_sweep() tries again to say why */
}

int
spool_sweep(const char *root, struct err *e)
{
	char *copy = mem_str(root);
	int rc = spool_list(root, SPOOL_INCOMING, sweep_one, copy, e);

	free(copy);
	return rc > 0 ? err_set(e, EIO, "cannot clean '%s/incoming'", root) : rc;
}

static int
make_incoming(const char *dir, struct err *e)
{
	int busy;

	if (mkdir(dir, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return err_set(e, errno, "cannot make '%s': %m", dir);
	if (remove_left(dir, &busy, e) < 0)
		return -1;
	if (busy)
		return err_set(e, EBUSY, "'%s' is being written", dir);
	if (mkdir(dir, 0700) < 0)
		return err_set(e, errno, "cannot make '%s': %m", dir);
	return 0;
}

static int
create_data(const char *dir, struct err *e)
{
	char *path = mem_printf("%s/data", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		err_set(e, errno, "cannot create '%s': %m", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0) {
		err_set(e, EBUSY, "'%s' was taken away while it was made", path);
		close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}

int
spool_begin(const char *root, const char *id, struct err *e)
{
	enum spool_state now = spool_find(root, id);
	char *dir = path_of(root, SPOOL_INCOMING, id, NULL, e);
	int fd = -1;

	if (dir == NULL)
		return -1;
	if (now > SPOOL_INCOMING)
		err_set(e, EEXIST, "artifact '%s' is in the spool already (%s)", id, spool_state_name(now));
	else if (make_incoming(dir, e) == 0)
		fd = create_data(dir, e);
	free(dir);
	return fd;
}

/* Is fd still the artifact's data, and of the size that the record says? */
static int
check_data(const char *path, int fd, uint64_t size, struct err *e)
{
	struct stat mine, there;

	if (fstat(fd, &mine) < 0 || lstat(path, &there) < 0)
		return err_set(e, errno, "cannot look at '%s': %m", path);
	if (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
		return err_set(e, EBUSY, "'%s' is not the file that was written", path);
	if ((uint64_t)mine.st_size != size)
		return err_set(e, EIO, "'%s' has %lld bytes, %llu were written", path,
		    (long long)mine.st_size, (unsigned long long)size);
	if (fsync(fd) < 0)
		return err_set(e, errno, "cannot sync '%s': %m", path);
	return 0;
}

int
spool_seal(const char *root, const char *id, int fd, const struct spool_record *record, struct err *e)
{
	char want[SPOOL_ID_MAX];
	char *data = path_of(root, SPOOL_INCOMING, id, "data", e);
	char *path = spool_path(root, SPOOL_INCOMING, id, "record.json");
	json_t *json = spool_record_json(record);
	struct spool_record again = { 0 }; /* what is sealed can be read */
	int rc = -1;

	if (data == NULL || spool_record_parse(&again, json, e) < 0)
		goto out;
	spool_make_id(again.session, again.name, want);
	if (strcmp(want, id) != 0)
		err_set(e, EINVAL, "the record is not of artifact '%s'", id);
	else if (check_data(data, fd, record->size, e) == 0 && json_write(path, json, 0600, e) == 0)
		rc = spool_move(root, id, SPOOL_INCOMING, SPOOL_READY, e);
out:
	spool_record_done(&again);
	json_decref(json);
	free(data);
	free(path);
	return rc;
}

int
spool_discard(const char *root, const char *id, struct err *e)
{
	char *dir = path_of(root, SPOOL_INCOMING, id, NULL, e);
	int rc = dir == NULL ? -1 : fs_remove_tree(dir, e);

	free(dir);
	return rc;
}

/* In the order of an artifact's life: one that moves on while we look is met in a later state. */
enum spool_state
spool_find(const char *root, const char *id)
{
	enum spool_state found = SPOOL_NONE;

	if (!spool_is_id(id))
		return SPOOL_NONE;
	for (enum spool_state s = SPOOL_INCOMING; found == SPOOL_NONE && s <= SPOOL_FAILED; s++) {
		char *dir = spool_path(root, s, id, NULL);

		if (access(dir, F_OK) == 0)
			found = s;
		free(dir);
	}
	return found;
}

static int
sync_states(const char *root, enum spool_state from, enum spool_state to, struct err *e)
{
	char *a = state_dir(root, to), *b = state_dir(root, from);
	int rc = fs_sync_dir(a, e) == 0 && fs_sync_dir(b, e) == 0 ? 0 : -1;

	free(a);
	free(b);
	return rc;
}

/*
 * A move that may not be on the disk is taken back: who asked for it is told that it failed. When somebody
 * has moved the artifact on meanwhile, the directories were synced by that.
 */
static int
take_back(const char *there, const char *back, const struct err *why, struct err *e)
{
	if (rename(there, back) < 0 && errno == ENOENT)
		return 0;
	*e = *why;
	return -1;
}

int
spool_move(const char *root, const char *id, enum spool_state from, enum spool_state to, struct err *e)
{
	struct err why = { 0 };

	char *a = path_of(root, from, id, NULL, e), *b = path_of(root, to, id, NULL, e);
	int rc = -1;

	if (a == NULL || b == NULL)
		goto out;
	if (rename(a, b) < 0) /* onto a directory with files it fails */
		err_set(e, errno == ENOTEMPTY ? EEXIST : errno, "cannot move '%s' to %s: %m", a,
		    spool_state_name(to));
	else if ((rc = sync_states(root, from, to, &why)) < 0)
		rc = take_back(b, a, &why, e);
out:
	free(a);
	free(b);
	return rc;
}

int
spool_list(const char *root, enum spool_state state, int (*visit)(void *arg, const char *id), void *arg,
    struct err *e)
{
	char *path = state_dir(root, state);
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = 0;

	if (dir == NULL)
		rc = err_set(e, errno, "cannot open '%s': %m", path);
	while (dir != NULL && rc == 0 && (d = readdir(dir)) != NULL)
		if (spool_is_id(d->d_name))
			rc = visit(arg, d->d_name);
	if (dir != NULL)
		closedir(dir);
	free(path);
	return rc;
}

int
spool_remove(const char *root, const char *id, struct err *e)
{
	int rc = 0;

	if (!spool_is_id(id))
		return err_set(e, EINVAL, "not the id of an artifact in the spool");
	for (enum spool_state s = SPOOL_INCOMING; rc == 0 && s <= SPOOL_FAILED; s++) {
		char *dir = spool_path(root, s, id, NULL);

		rc = fs_remove_tree(dir, e);
		free(dir);
	}
	return rc;
}

int
spool_write_result(
    const char *root, enum spool_state state, const char *id, const json_t *result, struct err *e)
{
	char *path = path_of(root, state, id, "result.json", e);
	int rc = path == NULL ? -1 : json_write(path, result, 0600, e);

	free(path);
	return rc;
}

json_t *
spool_read_result(const char *root, enum spool_state state, const char *id, struct err *e)
{
	char *path = path_of(root, state, id, "result.json", e);
	json_t *v = path == NULL ? NULL : json_read(path, RESULT_MAX, e);

	free(path);
	return v;
}

int
spool_write_progress(
    const char *root, enum spool_state state, const char *id, uint64_t done, uint64_t total, struct err *e)
{
	char *path = path_of(root, state, id, "progress.json", e);
	char *text = mem_printf(
	    "{\"done\":%llu,\"total\":%llu}\n", (unsigned long long)done, (unsigned long long)total);
	int rc = path == NULL ? -1 : fs_show(path, text, e);

	free(text);
	free(path);
	return rc;
}

void
spool_read_progress(const char *root, enum spool_state state, const char *id, uint64_t *done, uint64_t *total)
{
	char *path = spool_path(root, state, id, "progress.json");
	struct err e;
	json_t *v = path == NULL ? NULL : json_read(path, PROGRESS_MAX, &e);

	*done = (uint64_t)json_num(v, "done", 0);
	*total = (uint64_t)json_num(v, "total", 0);
	json_decref(v);
	free(path);
}
