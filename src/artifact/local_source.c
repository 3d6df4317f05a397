/* The local store's way out: the artifact's own file, found at the next turn of the loop. */

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "artifact/source.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "local_private.h"

struct source_find {
	struct local *home;
	char *task_id, *index, *name;
	int64_t run_id;
	source_found_cb *cb;
	void *arg;
	struct event *turn;
};

static void
find_cancel(struct source_find *f)
{
	event_free(f->turn);
	free(f->task_id);
	free(f->index);
	free(f->name);
	free(f);
}

static void
free_source(struct source *s)
{
	source_done(s);
	free(s);
}

/* <dir>/.index/<namespace>.json: no taskId has a dot. */
static int
look_up(struct source_find *f, struct err *e)
{
	struct source_place place;
	struct buf text = { 0 };
	char *path;
	int rc = source_check_index(f->index, e);

	if (rc < 0)
		return -1;
	path = mem_printf("%s/.index/%s.json", f->home->dir, f->index);
	rc = fs_read(path, LOCAL_RECORD_MAX, &text, e);
	if (rc < 0 && e->code == ENOENT)
		err_refuse(e, 404, "task", "the store's index has no task under '%s'", f->index);
	else if (rc == 0 && (rc = source_read_index(&place, buf_ptr(&text), buf_len(&text), e)) == 0) {
		f->task_id = place.task_id;
		f->run_id = place.run_id;
	}
	buf_done(&text);
	free(path);
	return rc;
}

static struct source *
make(const struct source_find *f, const json_t *record, char *file)
{
	struct source *s = mem_new(sizeof *s);

	*s = (struct source){ .home = &f->home->store,
		.task_id = mem_str(json_str(record, "taskId", "")),
		.run_id = (unsigned)json_num(record, "runId", 0),
		.content = mem_printf("sha256:%s", json_str(record, "sha256", "")),
		.sha256 = mem_str(json_str(record, "sha256", NULL)),
		.sha512 = mem_str(json_str(record, "sha512", NULL)),
		.image_id = mem_str(json_str(record, "imageId", NULL)),
		.path = file,
		.size = json_num(record, "size", -1) };
	return s;
}

static enum source_end
judge(struct err *e)
{
	if (e->status != 0) {
		e->rule = e->status < 500 ? "task" : "service";
		return SOURCE_FAILED;
	}
	if (store_judge(e->code) == STORE_AGAIN)
		return SOURCE_AGAIN;
	e->status = 502;
	e->rule = "service";
	return SOURCE_FAILED;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct source_find *f = arg;
	source_found_cb *cb = f->cb;
	void *user = f->arg;
	struct err e = { 0 };
	struct source *s = NULL;
	json_t *record = NULL;
	char *file = NULL;

	(void)fd;
	(void)what;
	if ((f->task_id != NULL || look_up(f, &e) == 0) &&
	    local_store_find(f->home->dir, f->task_id, f->run_id, f->name, &record, &file, &e) == 0)
		s = make(f, record, file);
	json_decref(record);
	find_cancel(f);
	cb(user, s, s != NULL ? SOURCE_DONE : judge(&e), 0, &e);
}

static struct source_find *
find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg)
{
	struct source_find *f = mem_new(sizeof *f);
	struct timeval at_once = { 0, 0 };

	*f = (struct source_find){ .home = (struct local *)s,
		.task_id = mem_str(w->task_id),
		.index = mem_str(w->index),
		.name = mem_str(w->name),
		.run_id = w->run_id,
		.cb = cb,
		.arg = arg };
	f->turn = evtimer_new(f->home->base, on_turn, f);
	if (f->turn == NULL || evtimer_add(f->turn, &at_once) < 0)
		abort();
	return f;
}

const struct source_ops local_source_ops = {
	.find = find,
	.find_cancel = find_cancel,
	.free = free_source,
};
