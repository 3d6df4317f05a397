#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/reference.h"
#include "task_private.h"

/*
 * owned.jsonl, one change a line: {"learn": id[, "build": facts]}, {"name": name, "id": id}, {"unname":
 * name},
 * {"forget": id}, {"step": 12 hex digits}.
 * A line is on the disk before its effect can be seen; a line that is not whole never happened.
 */
enum {
	JOURNAL_MAX = 1024 * 1024 * 1024, /* far above what a rewritten journal can be */
	JOURNAL_SLACK = 1024 * 1024,      /* lines of history that are kept before it is rewritten */
};

static int
apply(struct task *task, const json_t *line)
{
	struct owned *o = &task->owned;
	const char *learn = json_str(line, "learn", NULL), *forget = json_str(line, "forget", NULL);
	const char *name = json_str(line, "name", NULL), *id = json_str(line, "id", NULL);
	const char *unname = json_str(line, "unname", NULL), *step = json_str(line, "step", NULL);

	if (learn != NULL && reference_is_id(learn)) {
		(void)owned_learn(o, learn);
		builds_keep(&task->builds, learn, json_object_get(line, "build"));
	} else if (name != NULL && id != NULL && reference_is_id(id))
		owned_name(o, name, id);
	else if (unname != NULL)
		(void)owned_unname(o, unname);
	else if (forget != NULL && reference_is_id(forget)) {
		owned_forget(o, forget);
		builds_forget(&task->builds, forget);
	} else if (step != NULL)
		(void)owned_step(o, step);
	else
		return -1;
	return 0;
}

static void
add_line(struct buf *out, const json_t *line)
{
	char *text = json_text(line, 1);

	buf_adds(out, text);
	buf_adds(out, "\n");
	free(text);
}

/* Everything that is owned, as the shortest journal that says so. */
static void
print_all(const struct task *task, struct buf *out)
{
	const struct owned *o = &task->owned;

	for (size_t i = 0; i < o->count; i++) {
		const struct owned_image *image = &o->images[i];
		const char *facts = builds_find(&task->builds, image->id);
		json_t *line;

		if (facts != NULL) /* it is JSON text already */
			buf_printf(out, "{\"learn\":\"%s\",\"build\":%s}\n", image->id, facts);
		else
			buf_printf(out, "{\"learn\":\"%s\"}\n", image->id);
		for (size_t n = 0; n < image->name_count; n++) {
			line = json_pack("{s:s, s:s}", "name", image->names[n], "id", image->id);
			add_line(out, line);
			json_decref(line);
		}
	}
}

static void
print_steps(const struct owned *o, struct buf *out)
{
	for (size_t i = 0; i < o->step_count; i++)
		buf_printf(out, "{\"step\":\"%s\"}\n", o->steps[i]);
}

static int
open_journal(struct task *task, const char *path, int64_t size, struct err *e)
{
	if (task->journal >= 0)
		close(task->journal);
	task->journal = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	task->journal_limit = 2 * size + JOURNAL_SLACK;
	return task->journal < 0 ? err_set(e, errno, "cannot open '%s': %m", path) : 0;
}

/* But for a journal of `size` bytes, when it is as short as can be. */
static int
rewrite_unless(struct task *task, size_t size, struct err *e)
{
	char *path = task_path(task, "owned.jsonl");
	struct buf all = { 0 };
	int rc = 0;

	print_all(task, &all);
	print_steps(&task->owned, &all);
	if (buf_len(&all) != size)
		rc = fs_replace(path, buf_ptr(&all), buf_len(&all), 0600, e);
	if (rc == 0)
		rc = open_journal(task, path, (int64_t)buf_len(&all), e);
	buf_done(&all);
	free(path);
	return rc;
}

static int
rewrite(struct task *task, struct err *e)
{
	return rewrite_unless(task, SIZE_MAX, e);
}

static int
replay(struct task *task, const char *text, size_t len, struct err *e)
{
	unsigned long number = 1;
	const char *end;

	for (; (end = memchr(text, '\n', len)) != NULL; number++) {
		size_t n = (size_t)(end - text);
		struct err why;
		json_t *line = json_parse(text, n, &why);
		int rc = apply(task, line);

		json_decref(line);
		if (rc < 0)
			return err_set(e, EBADMSG, "owned.jsonl line %lu is damaged", number);
		text += n + 1;
		len -= n + 1;
	}
	return 0; /* what is left has no newline: the service died while it wrote it */
}

int
journal_read(struct task *task, struct err *e)
{
	char *path = task_path(task, "owned.jsonl");
	struct buf text = { 0 };
	int rc = fs_read(path, JOURNAL_MAX, &text, e);

	if (rc == 0)
		rc = replay(task, buf_text(&text), buf_len(&text), e);
	if (rc == 0) /* a rewritten one is synced twice: with a thousand tasks only those are that need it */
		rc = rewrite_unless(task, buf_len(&text), e);
	buf_done(&text);
	free(path);
	return rc;
}

/* Empty; its directory is synced when task.json is written. */
int
journal_make(struct task *task, struct err *e)
{
	char *path = task_path(task, "owned.jsonl");
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? err_set(e, errno, "cannot create '%s': %m", path) : open_journal(task, path, 0, e);

	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* Takes back what a failed write left; when even that fails, nothing more is written behind it. */
static void
take_back(struct task *task, off_t size)
{
	if (ftruncate(task->journal, size) == 0)
		return;
	close(task->journal);
	task->journal = -1;
}

static int
append(struct task *task, const char *text, size_t len, struct err *e)
{
	struct stat st;
	int rc;

	if (task->journal < 0)
		return err_set(e, EIO, "owned.jsonl of task %s failed before", task->id);
	if (fstat(task->journal, &st) < 0)
		return err_set(e, errno, "owned.jsonl: %m");
	rc = fs_write_all(task->journal, text, len, e);
	if (rc == 0 && fdatasync(task->journal) < 0)
		rc = err_set(e, errno, "fdatasync: %m");
	if (rc < 0)
		take_back(task, st.st_size);
	else if (st.st_size > task->journal_limit)
		return 1;
	return rc < 0 ? err_wrap(e, "cannot keep what task %s owns", task->id) : 0;
}

/* The one way to change what is owned: disk, then memory. Takes the reference. */
static int
change(struct task *task, json_t *line, struct err *e)
{
	struct buf text = { 0 };
	struct err later;
	int rc;

	if (line == NULL)
		return err_set(e, EINVAL, "a name must be UTF-8");
	add_line(&text, line);
	rc = append(task, buf_text(&text), buf_len(&text), e);
	if (rc >= 0)
		(void)apply(task, line);
	if (rc == 1 && rewrite(task, &later) < 0)
		task->journal_limit *= 2; /* the change itself is kept: try again when it has grown */
	buf_done(&text);
	json_decref(line);
	return rc < 0 ? -1 : 0;
}

static int
check_id(const char *id, struct err *e)
{
	return reference_is_id(id) ? 0 : err_set(e, EINVAL, "an image id must be sha256: and 64 hex digits");
}

int
task_learn(struct task *task, const char *id, struct err *e)
{
	if (check_id(id, e) < 0)
		return -1;
	return owned_image(&task->owned, id) != NULL ? 0 : change(task, json_pack("{s:s}", "learn", id), e);
}

int
task_built(struct task *task, const char *id, const json_t *facts, struct err *e)
{
	if (check_id(id, e) < 0)
		return -1;
	if (owned_image(&task->owned, id) != NULL && builds_find(&task->builds, id) != NULL)
		return 0;
	return change(task, json_pack("{s:s, s:O}", "learn", id, "build", facts), e);
}

int
task_name(struct task *task, const char *name, const char *id, struct err *e)
{
	const char *now = owned_by_name(&task->owned, name);

	if (check_id(id, e) < 0)
		return -1;
	if (now != NULL && strcmp(now, id) == 0)
		return 0;
	return change(task, json_pack("{s:s, s:s}", "name", name, "id", id), e);
}

int
task_unname(struct task *task, const char *name, struct err *e)
{
	if (owned_by_name(&task->owned, name) == NULL)
		return 0;
	return change(task, json_pack("{s:s}", "unname", name), e);
}

int
task_forget(struct task *task, const char *id, struct err *e)
{
	if (check_id(id, e) < 0)
		return -1;
	return owned_image(&task->owned, id) == NULL ? 0 : change(task, json_pack("{s:s}", "forget", id), e);
}

/* Only a hint for cleaning up: it survives a crash of ours, and need not survive one of the machine. */
int
task_step(struct task *task, const char *step, struct err *e)
{
	char line[64];

	if (!owned_step(&task->owned, step))
		return 0;
	(void)snprintf(line, sizeof line, "{\"step\":\"%s\"}\n", step);
	if (task->journal < 0)
		return err_set(e, EIO, "owned.jsonl of task %s failed before", task->id);
	return fs_write_all(task->journal, line, strlen(line), e);
}

void
task_claim(struct task *task, long images, long names)
{
	task->owned.claimed_images += (size_t)images;
	task->owned.claimed_names += (size_t)names;
}
