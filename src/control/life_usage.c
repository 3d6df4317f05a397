/*
 * What the tasks' images take on the disk. The engine's list of all images gives each its size and its
 * parent: what an image adds is the difference. Looked at while builds run, once after the last of them, and
 * while a task has more than it may.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "io/fetch.h"
#include "policy/param.h"
#include "policy/rule.h"
#include "task/task.h"

enum { LIST_MAX = 64 * 1024 * 1024, LIST_SECONDS = 60, EVERY = 5 };

static int64_t
free_space(const char *dir)
{
	struct statvfs v;

	return statvfs(dir, &v) < 0 ? -1 : (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(json_str(*(json_t *const *)a, "Id", ""), json_str(*(json_t *const *)b, "Id", ""));
}

/* Borrowed elements of the list, sorted by id: parents are found quickly on a host with thousands of images.
 */
static json_t **
sorted(const json_t *list, size_t *count)
{
	json_t **rows = mem_array(json_array_size(list), sizeof *rows), *image;
	size_t i;

	*count = 0;
	json_array_foreach(list, i, image) if (json_is_object(image)) rows[(*count)++] = image;
	qsort(rows, *count, sizeof *rows, by_id);
	return rows;
}

static int64_t
size_of(json_t **rows, size_t count, const char *id)
{
	json_t *key = json_pack("{s:s}", "Id", id), **hit = bsearch(&key, rows, count, sizeof *rows, by_id);
	int64_t size = hit == NULL ? 0 : json_num(*hit, "Size", 0);

	json_decref(key);
	return size;
}

static void
count_task(struct task *t, json_t **rows, size_t count)
{
	int64_t disk = 0;

	for (size_t i = 0; i < count; i++) {
		const char *id = json_str(rows[i], "Id", ""), *parent = json_str(rows[i], "ParentId", "");
		int64_t adds = json_num(rows[i], "Size", 0) - (parent[0] ? size_of(rows, count, parent) : 0);

		if (adds > 0 && json_num(rows[i], "Created", 0) >= t->created - 60 &&
		    (owned_image(&t->owned, id) != NULL || owned_has_step(&t->owned, id)))
			disk += adds;
	}
	t->now.disk = disk;
}

static void
enforce(struct life *l)
{
	struct err e = { 0 };

	for (struct task *t = tasks_first(l->tasks); t != NULL; t = t->next)
		if (t->now.builds > 0 && limits_disk(t, l->settings, &l->proxy.use, &e) < 0 &&
		    !rule_observed(t->policy, &e))
			proxy_stop_builds(&l->proxy, t, &e);
}

static void
on_list(void *arg, unsigned status, json_t *answer, const struct err *e)
{
	struct life *l = arg;
	json_t **rows;
	size_t count;

	l->usage = NULL;
	if (status != 200 || !json_is_array(answer)) {
		log_warn("life", "cannot count what images take: %s", status ? "no list of images" : e->text);
		return;
	}
	rows = sorted(answer, &count);
	for (struct task *t = tasks_first(l->tasks); t != NULL; t = t->next)
		count_task(t, rows, count);
	free(rows);
	enforce(l);
}

/* Builds have added images; and who has been told to remove some waits for the count to go down. */
static int
is_due(const struct life *l)
{
	if (l->proxy.use.builds > 0 || l->proxy.builds != l->usage_builds)
		return 1;
	for (const struct task *t = tasks_first(l->tasks); t != NULL; t = t->next)
		if (t->now.disk > t->max_disk)
			return 1;
	return 0;
}

/* Called every second. */
void
usage_tick(struct life *l)
{
	static struct call c; /* 100 KiB */
	int building = l->proxy.use.builds > 0;
	struct err e = { 0 };

	l->proxy.use.disk_free = free_space(l->settings->engine_root);
	if (building && l->proxy.use.disk_free >= 0 && l->proxy.use.disk_free < l->settings->disk_free)
		enforce(l);
	l->usage_age++;
	if (l->usage != NULL || !is_due(l) || l->usage_age < EVERY)
		return;
	l->usage_age = 0;
	l->usage_builds =
	    l->proxy.builds - l->proxy.use.builds; /* those under way: once more when they end */
	call_start(&c, ROUTE_SWEEP_LIST, "", life_api(l));
	(void)call_add(&c, PARAM_ALL, "1", &e);
	l->usage = fetch_start(l->loop, l->gate, &c, LIST_MAX, LIST_SECONDS, on_list, l);
}
