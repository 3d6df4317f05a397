#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "local_private.h"

/*
 * Housekeeping, one task's directory a portion: artifacts that have expired, files that a crash left and that
 * no put took up again within a day, directories that are empty. Bytes go before their record, so that a
 * record without bytes is only ever met here, and removed.
 */
static int
ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a > b && strcmp(s + a - b, end) == 0;
}

static void
remove_expired(const char *path, const char *data)
{
	struct err e;
	json_t *record = json_read(path, LOCAL_RECORD_MAX, &e);

	if (record != NULL && local_expired(record) && (unlink(data) == 0 || errno == ENOENT) &&
	    unlink(path) == 0)
		log_info("store", "artifact %s of task %s has expired", json_str(record, "name", "?"),
		    json_str(record, "taskId", "?"));
	json_decref(record);
}

static int
is_stale(const struct stat *st)
{
	return st->st_ctime < time(NULL) - LOCAL_STALE;
}

static void
visit_file(const char *path, const char *base, const struct stat *st)
{
	char *record, *data;

	if (base[0] == '.' || ends_with(base, ".new")) { /* of a put, or of fs_replace() */
		if (is_stale(st))
			(void)unlink(path);
		return;
	}
	if (ends_with(base, ".json")) {
		data = mem_strn(path, strlen(path) - 5);
		remove_expired(path, data);
		free(data);
		return;
	}
	record = mem_printf("%s.json", path);
	if (is_stale(st) && access(record, F_OK) < 0 && errno == ENOENT)
		(void)unlink(path); /* bytes that never got their record */
	free(record);
}

static int
visit(const char *path, const struct stat *st, int type, struct FTW *where)
{
	if (type == FTW_F)
		visit_file(path, path + where->base, st);
	else if (type == FTW_DP)
		(void)rmdir(path); /* only when it is empty */
	return 0;
}

int
local_sweep(struct store *s, struct err *e)
{
	struct local *l = (struct local *)s;
	struct dirent *entry;
	char *path;
	int rc;

	if (l->sweep == NULL && (l->sweep = opendir(l->dir)) == NULL)
		return err_set(e, errno, "cannot read '%s': %m", l->dir);
	do
		entry = readdir(l->sweep);
	while (entry != NULL && entry->d_name[0] == '.');
	if (entry == NULL) {
		closedir(l->sweep);
		l->sweep = NULL;
		return 0;
	}
	path = mem_printf("%s/%s", l->dir, entry->d_name);
	rc = fs_walk(path, visit);
	if (rc < 0)
		err_set(e, errno, "cannot walk '%s': %m", path);
	free(path);
	return rc < 0 ? -1 : 1;
}
