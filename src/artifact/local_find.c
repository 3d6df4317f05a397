#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "local_private.h"
#include "task/task.h"

enum { TASK_ID_MAX = 100, RUN_MAX = 1000000 };

static int
is_task_id(const char *s)
{
	static const char any[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t n = strspn(s, any);

	return n >= 1 && n <= TASK_ID_MAX && s[n] == '\0';
}

/* Task ids and names become paths: whoever they come from, nothing else passes. */
static int
check_words(const char *task_id, const char *name, struct err *e)
{
	char quoted[80];

	if (!is_task_id(task_id))
		return err_refuse(e, 400, "artifact-task",
		    "'%s' is not a taskId: 1 to 100 letters, digits, '_' and '-'",
		    log_quote(task_id, strlen(task_id), quoted, sizeof quoted));
	return task_check_stored(name, e);
}

int
local_names_init(struct local_names *n, const char *root, const char *task_id, unsigned run_id,
    const char *name, struct err *e)
{
	const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
	int above = (int)(base - name);

	*n = (struct local_names){ 0 };
	if (check_words(task_id, name, e) < 0)
		return -1;
	n->data = mem_printf("%s/%s/%u/%s", root, task_id, run_id, name);
	n->fresh = mem_printf("%s/%s/%u/%.*s.%s.new", root, task_id, run_id, above, name, base);
	n->record = mem_printf("%s.json", n->data);
	n->dir = mem_strn(n->data, (size_t)(strrchr(n->data, '/') - n->data));
	return 0;
}

void
local_names_done(struct local_names *n)
{
	free(n->dir);
	free(n->data);
	free(n->fresh);
	free(n->record);
	*n = (struct local_names){ 0 };
}

int
local_expired(const json_t *record)
{
	const char *text = json_str(record, "expires", NULL);
	int64_t ms;

	return text != NULL && stamp_parse(text, &ms) == 0 && ms <= stamp_now();
}

json_t *
local_read(const struct local_names *n, struct err *e)
{
	json_t *record = json_read(n->record, LOCAL_RECORD_MAX, e);
	struct spool_record r = { 0 };
	struct stat st;

	if (record == NULL)
		return NULL;
	if (spool_record_parse(&r, record, e) < 0)
		err_set(e, EBADMSG, "'%s' is damaged: %s", n->record, e->text);
	else if (local_expired(record))
		err_refuse(e, 410, "artifact-expired", "artifact '%s' of task %s has expired (%s)", r.name,
		    r.task_id, r.expires);
	else if (stat(n->data, &st) < 0)
		err_set(e, errno, "cannot look at '%s': %m", n->data);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != r.size)
		err_set(e, EBADMSG, "'%s' is damaged: it has not the size that its record says", n->data);
	else {
		spool_record_done(&r);
		return record;
	}
	spool_record_done(&r);
	json_decref(record);
	return NULL;
}

static int
find_run(const char *dir, const char *task_id, unsigned run_id, const char *path, json_t **record,
    char **file, struct err *e)
{
	struct local_names n;

	if (local_names_init(&n, dir, task_id, run_id, path, e) < 0)
		return -1;
	*record = local_read(&n, e);
	if (*record != NULL)
		*file = mem_str(n.data);
	local_names_done(&n);
	return *record != NULL ? 0 : -1;
}

/* "12" -> 12; -1 for what is not the directory of a run. */
static int64_t
run_of(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n >= 1 && n <= 7 && name[n] == '\0' ? atoll(name) : -1;
}

/* The highest run below `below` that has anything, -1 when there is none. */
static int64_t
run_before(const char *dir, const char *task_id, int64_t below)
{
	char *path = mem_printf("%s/%s", dir, task_id);
	DIR *d = opendir(path);
	struct dirent *entry;
	int64_t best = -1;

	free(path);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		int64_t run = run_of(entry->d_name);

		if (run > best && run < below)
			best = run;
	}
	if (d != NULL)
		closedir(d);
	return best;
}

static int
is_missing(const struct err *e)
{
	return e->status == 0 && (e->code == ENOENT || e->code == ENOTDIR);
}

/* From the latest run down, the first that has it; an expired one hides those before it. */
static int
find_latest(
    const char *dir, const char *task_id, const char *path, json_t **record, char **file, struct err *e)
{
	int64_t run = RUN_MAX + 1;
	int rc;

	do {
		run = run_before(dir, task_id, run);
		if (run < 0)
			return err_set(e, ENOENT, "no run has it");
		rc = find_run(dir, task_id, (unsigned)run, path, record, file, e);
	} while (rc < 0 && is_missing(e));
	return rc;
}

int
local_store_find(const char *dir, const char *task_id, int64_t run_id, const char *path, json_t **record,
    char **file, struct err *e)
{
	char quoted[120];
	int rc;

	*record = NULL;
	*file = NULL;
	if (run_id < -1 || run_id > RUN_MAX)
		return err_refuse(e, 400, "artifact-task", "runId must be an integer from 0 to %d", RUN_MAX);
	if (check_words(task_id, path, e) < 0)
		return -1;
	if (run_id >= 0)
		rc = find_run(dir, task_id, (unsigned)run_id, path, record, file, e);
	else
		rc = find_latest(dir, task_id, path, record, file, e);
	if (rc < 0 && is_missing(e))
		return err_refuse(e, 404, "artifact-missing", "the store has no artifact '%s' of task %s",
		    log_quote(path, strlen(path), quoted, sizeof quoted), task_id);
	return rc;
}
