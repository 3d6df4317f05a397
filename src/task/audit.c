#include "task/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_text.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "docker/reference.h"

struct audit {
	int host;  /* audit.jsonl */
	int tasks; /* the directory of the tasks' logs */
	json_int_t seq;
};

enum {
	FILE_MODE = 0600,
	TAIL_MAX = 16 * AUDIT_LINE_MAX, /* where the last good record is looked for */
};

static int
open_log(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		err_set(e, errno, "cannot open the audit log '%s': %m", path);
	return fd;
}

/* The seq of a whole record, or -1. */
static json_int_t
seq_of(const char *line, size_t len)
{
	struct err ignored;
	json_t *record = json_parse(line, len, &ignored);
	json_int_t seq = json_num(record, "seq", -1);

	json_decref(record);
	return seq;
}

/* The seq of the last whole record, 0 when there is none. A crash may have cut the last line. */
static json_int_t
last_seq(const char *text, size_t len)
{
	json_int_t seq = -1;

	while (len > 0 && seq < 0) {
		const char *newline = memrchr(text, '\n', len - 1), *line = newline ? newline + 1 : text;

		seq = seq_of(line, len - (size_t)(line - text));
		len = (size_t)(line - text);
	}
	return seq < 0 ? 0 : seq;
}

static int
read_seq(int fd, json_int_t *seq, struct err *e)
{
	char *tail = mem_new(TAIL_MAX);
	struct stat st;
	off_t from;
	ssize_t n = -1;

	if (fstat(fd, &st) == 0) {
		from = st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
		n = pread(fd, tail, TAIL_MAX, from);
	}
	if (n < 0)
		err_set(e, errno, "cannot read the audit log: %m");
	else
		*seq = last_seq(tail, (size_t)n);
	free(tail);
	return n < 0 ? -1 : 0;
}

struct audit *
audit_open(const char *dir, struct err *e)
{
	struct audit *a = mem_new(sizeof *a);
	char *tasks = mem_printf("%s/tasks", dir), *host = mem_printf("%s/audit.jsonl", dir);
	int rc;

	a->host = a->tasks = -1;
	rc = fs_mkdirs(tasks, 0700, e);
	if (rc == 0 && (a->tasks = open(tasks, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = err_set(e, errno, "cannot open '%s': %m", tasks);
	if (rc == 0 && (a->host = open_log(AT_FDCWD, host, e)) < 0)
		rc = -1;
	if (rc == 0)
		rc = read_seq(a->host, &a->seq, e);
	free(tasks);
	free(host);
	if (rc < 0) {
		audit_close(a);
		return NULL;
	}
	return a;
}

void
audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	if (a->host >= 0)
		close(a->host);
	if (a->tasks >= 0)
		close(a->tasks);
	free(a);
}

int
audit_reopen(struct audit *a, struct err *e)
{
	int fd = open_log(a->tasks, "../audit.jsonl", e);

	if (fd < 0)
		return -1;
	close(a->host);
	a->host = fd;
	return 0;
}

/* Did a crash or a full disk leave half a line at the end? */
static int
ends_inside_line(int fd)
{
	struct stat st;
	char last = '\n';

	return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	       last != '\n';
}

static int
append(int fd, const char *line, struct err *e)
{
	struct buf b = { 0 };
	ssize_t n;
	int rc = 0;

	if (ends_inside_line(fd))
		buf_adds(&b, "\n"); /* the broken line stays broken, this one is whole */
	buf_adds(&b, line);
	do /* one write: nobody's line ever stands inside another */
		n = write(fd, buf_ptr(&b), buf_len(&b));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		rc = err_set(e, errno, "cannot write the audit log: %m");
	else if ((size_t)n < buf_len(&b))
		rc = err_set(e, ENOSPC, "cannot write the audit log: only %zd bytes of %zu were taken", n,
		    buf_len(&b));
	buf_done(&b);
	return rc;
}

static int
append_task(const struct audit *a, const char *id, const char *line, struct err *e)
{
	char name[REFERENCE_NS_LEN + sizeof ".jsonl"];
	int fd, rc;

	if (!reference_is_ns(id))
		return err_set(e, EINVAL, "the audit log knows no such task");
	(void)snprintf(name, sizeof name, "%s.jsonl", id);
	fd = open_log(a->tasks, name, e);
	if (fd < 0)
		return -1;
	rc = append(fd, line, e);
	close(fd);
	return rc;
}

int
audit_write(struct audit *a, const char *id, json_t *record, struct err *e)
{
	json_t *whole = json_object();
	char now[STAMP_MAX], *line;
	int rc;

	stamp_print(stamp_now(), now);
	json_object_set_new(whole, "time", json_string(now));
	json_object_set_new(
	    whole, "seq", json_integer(++a->seq)); /* spent even when this fails: the gap shows it */
	json_object_update_missing(whole, record);
	line = audit_line(whole);
	json_decref(whole);
	if (line == NULL)
		return err_set(e, EINVAL, "a record cannot be written as one line of the audit log");
	rc = append(a->host, line, e);
	if (rc == 0 && id != NULL)
		rc = append_task(a, id, line, e);
	free(line);
	return rc;
}

/* One line of the file; 1 = a line, 0 = end. Only the first `size` bytes of a longer line are kept. */
static int
read_line(FILE *f, char *line, size_t size, size_t *len)
{
	int c;

	for (*len = 0; (c = getc_unlocked(f)) != EOF && c != '\n';)
		if (*len < size)
			line[(*len)++] = (char)c;
	return c != EOF || *len > 0;
}

int
audit_read(const char *path, int (*visit)(void *arg, const json_t *record), void *arg, struct err *e)
{
	FILE *f = fopen(path, "re");
	char line[AUDIT_LINE_MAX];
	unsigned long number = 0, first = 0, damaged = 0;
	size_t len;
	int rc = 0;

	if (f == NULL)
		return err_set(e, errno, "cannot open '%s': %m", path);
	while (rc == 0 && read_line(f, line, sizeof line, &len)) {
		struct err ignored;
		json_t *record = json_parse(line, len, &ignored);

		number++;
		if (json_is_object(record))
			rc = visit(arg, record);
		else if (damaged++ == 0)
			first = number;
		json_decref(record);
	}
	if (rc == 0 && ferror(f))
		rc = err_set(e, EIO, "cannot read '%s'", path);
	fclose(f);
	if (rc == 0 && damaged > 0)
		return err_set(e, EBADMSG, "'%s' has %lu damaged line%s, the first is line %lu", path,
		    damaged, damaged == 1 ? "" : "s", first);
	return rc;
}
