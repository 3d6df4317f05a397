#include "task/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_journal.h"
#include "audit_private.h"
#include "audit_text.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "task/keeper.h"

enum {
	FILE_MODE = 0600,
	TORN_SHOWN = 200, /* bytes of a torn line that the next record quotes */
};

int
audit_open_file(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

	if (fd < 0)
		err_set(e, errno, "cannot open the audit log '%s': %m", path);
	return fd;
}

static int
open_files(struct audit *a, const char *dir, struct err *e)
{
	char *tasks = mem_printf("%s/tasks", dir), *host = mem_printf("%s/audit.jsonl", dir);
	int rc = fs_mkdirs(tasks, 0700, e);

	if (rc == 0 && (a->tasks = open(tasks, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = err_set(e, errno, "cannot open '%s': %m", tasks);
	if (rc == 0 && (a->host = audit_open_file(AT_FDCWD, host, e)) < 0)
		rc = -1;
	free(tasks);
	free(host);
	return rc;
}

/* What the keeper knows of the time before this process. */
static int
ask_keeper(struct audit *a, struct chain_head *kept, struct err *e)
{
	const struct keeper_ask ask = { .kind = KEEPER_OPEN };
	struct keeper_answer answer;

	chain_begin(kept);
	if (a->keeper < 0)
		return 0;
	if (keeper_ask(a->keeper, &ask, &answer, e) < 0)
		return -1;
	*kept = answer.head;
	memcpy(a->key, answer.key, sizeof a->key);
	return 0;
}

struct audit *
audit_open(const struct settings *s, int keeper, struct err *e)
{
	struct audit *a = mem_new(sizeof *a);
	struct chain_head kept;

	a->host = a->tasks = -1;
	a->keeper = keeper;
	a->hash = hash_new(HASH_SHA256);
	a->file_size = a->rotate_at = s->audit_file_size;
	a->checkpoint_records = s->audit_checkpoint_records;
	a->checkpoint_ms = s->audit_checkpoint_time * 1000;
	if (ask_keeper(a, &kept, e) < 0 || open_files(a, s->audit_dir, e) < 0 ||
	    audit_find_end(a, &kept, e) < 0) {
		audit_close(a);
		return NULL;
	}
	a->copies = copies_new(a->tasks);
	if (s->audit_journal)
		a->journal = journal_new();
	return a;
}

void
audit_close(struct audit *a)
{
	struct err ignored;

	if (a == NULL)
		return;
	if (a->copies != NULL && a->keeper >= 0) { /* it was open */
		audit_checkpoint(a, "stop");
		(void)keeper_tell(a->keeper, &a->head, &ignored);
	}
	copies_free(a->copies);
	journal_free(a->journal);
	if (a->host >= 0)
		close(a->host);
	if (a->tasks >= 0)
		close(a->tasks);
	hash_free(a->hash);
	free(a);
}

const char *
audit_key(const struct audit *a)
{
	return a->key;
}

int
audit_write_line(int fd, const char *line, size_t len, size_t *taken, struct err *e)
{
	ssize_t n;

	do /* one write: nobody's line ever stands inside another */
		n = write(fd, line, len);
	while (n < 0 && errno == EINTR);
	*taken = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return err_set(e, errno, "cannot write the audit log: %m");
	if ((size_t)n < len)
		return err_set(
		    e, ENOSPC, "cannot write the audit log: only %zd bytes of %zu were taken", n, len);
	return 0;
}

/* What the line is for whoever reads on: the next link, the journal, the time of the next checkpoint. */
static void
was_written(struct audit *a, const char *line, size_t len)
{
	char hex[HASH_HEX_MAX];

	a->head.seq++;
	hash_piece(a->hash, line, len, hex);
	memcpy(a->head.hash, hex, sizeof a->head.hash);
	a->size += len + 1;
	if (a->unsigned_records++ == 0)
		a->checkpoint_at = stamp_now() + a->checkpoint_ms;
	if (a->journal != NULL)
		journal_send(a->journal, line, len);
}

/* `before`: what ends the torn bytes that the record stands behind, or "". */
static int
put(struct audit *a, const char *before, const char *id, const char *time, const char *members, size_t len,
    struct err *e)
{
	char line[sizeof CHAIN_TORN_END + CHAIN_LINE_MAX];
	size_t start = strlen(before), taken;
	int n = snprintf(line, sizeof line, "%s{\"time\":\"%s\",\"seq\":%llu,\"prev\":\"%s\",%.*s}\n", before,
	    time, (unsigned long long)a->head.seq + 1, a->head.hash, (int)len, members);

	if (len > AUDIT_MEMBERS_MAX || n < 0 || (size_t)n >= sizeof line)
		return err_set(e, EINVAL, "a record cannot be written as one line of the audit log");
	if (audit_write_line(a->host, line, (size_t)n, &taken, e) < 0) {
		a->torn |= taken > 0;
		return -1;
	}
	was_written(a, line + start, (size_t)n - start - 1);
	return id == NULL ? 0 : copies_write(a->copies, id, line + start, (size_t)n - start, e);
}

int
audit_put(struct audit *a, const char *id, const char *time, const char *members, size_t len, struct err *e)
{
	return put(a, "", id, time, members, len, e);
}

/* The hash of what stands behind the last whole record, and of what will end it; its first bytes as text. */
static void
read_torn(struct audit *a, uint64_t *bytes, char hex[HASH_HEX_MAX], char shown[TORN_SHOWN])
{
	const size_t mark = strlen(CHAIN_TORN_END) - 1; /* the newline ends it: it is no part */
	struct hash *h = hash_new(HASH_SHA256);
	char piece[4096];
	ssize_t n;

	*bytes = 0;
	while ((n = pread(a->host, piece, sizeof piece, (off_t)(a->size + *bytes))) > 0) {
		if (*bytes == 0)
			(void)log_quote(piece, (size_t)n, shown, TORN_SHOWN);
		hash_add(h, piece, (size_t)n);
		*bytes += (uint64_t)n;
	}
	hash_add(h, CHAIN_TORN_END, mark);
	hash_hex(h, hex);
	*bytes += mark;
}

/* The members of the record that tells what is wrong with the log's end. */
static json_t *
resumed(struct audit *a, uint64_t *torn)
{
	char hex[HASH_HEX_MAX], shown[TORN_SHOWN] = "";
	json_t *r = json_pack("{s:s,s:s}", "event", "log", "what", "resumed");

	*torn = 0;
	if (a->lost > 0)
		json_object_set_new(r, "refused", json_integer((json_int_t)a->lost));
	if (a->missing > 0)
		json_object_set_new(r, "missing", json_integer((json_int_t)a->missing));
	if (a->changed)
		json_object_set_new(r, "changed", json_true());
	if (a->torn) {
		read_torn(a, torn, hex, shown);
		json_object_set_new(r, "torn",
		    json_pack("{s:I,s:s,s:s}", "bytes", (json_int_t)*torn, "sha256", hex, "text", shown));
	}
	return r;
}

/* A record's members as text. Caller frees; NULL when they cannot be made short enough. */
static char *
members_of(json_t *record, size_t *len)
{
	char *line = audit_line(record);

	if (line == NULL)
		return NULL;
	*len = strlen(line) - strlen("{}\n");
	memmove(line, line + 1, *len);
	line[*len] = '\0';
	return line;
}

static int
resume(struct audit *a, struct err *e)
{
	char now[STAMP_MAX], *members;
	uint64_t torn;
	json_t *r;
	size_t len = 0;
	int rc;

	if (!a->torn && a->lost == 0 && a->missing == 0 && !a->changed)
		return 0;
	r = resumed(a, &torn);
	members = members_of(r, &len);
	stamp_print(stamp_now(), now);
	rc = members == NULL ? err_set(e, EINVAL, "the end of the audit log cannot be told of")
	                     : put(a, a->torn ? CHAIN_TORN_END : "", NULL, now, members, len, e);
	if (rc == 0) {
		a->size += torn > 0 ? torn + 1 : 0;
		a->torn = a->changed = 0;
		a->lost = a->missing = 0;
	}
	json_decref(r);
	free(members);
	return rc;
}

int
audit_append(struct audit *a, const char *id, const char *members, size_t len, struct err *e)
{
	uint64_t seq;
	char now[STAMP_MAX];

	if (resume(a, e) < 0) {
		a->lost++;
		return -1;
	}
	if (a->keeper >= 0 && a->file_size > 0 && a->size >= (uint64_t)a->rotate_at)
		audit_rotate(a);
	stamp_print(stamp_now(), now);
	seq = a->head.seq;
	if (audit_put(a, id, now, members, len, e) < 0) {
		a->lost += a->head.seq == seq; /* else the task's copy alone is not there */
		return -1;
	}
	if (a->unsigned_records >= (uint64_t)a->checkpoint_records)
		audit_checkpoint(a, "records");
	return 0;
}

int
audit_write(struct audit *a, const char *id, json_t *record, struct err *e)
{
	size_t len;
	char *members = members_of(record, &len);
	int rc;

	if (members == NULL)
		return err_set(e, EINVAL, "a record cannot be written as one line of the audit log");
	rc = audit_append(a, id, members, len, e);
	free(members);
	return rc;
}

/* In the old file, whatever is wrong with its end is said; else nobody could tell where it belongs. */
int
audit_reopen(struct audit *a, struct err *e)
{
	struct err ignored;
	struct stat st;
	int fd;

	if (resume(a, e) < 0 || (fd = audit_open_file(a->tasks, "../audit.jsonl", e)) < 0)
		return -1;
	close(a->host);
	a->host = fd;
	a->size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	a->rotate_at = a->file_size;
	copies_let_go(a->copies);
	if (a->keeper >= 0) /* now no file's end says it; one that has gone is missed at the next tick */
		(void)keeper_tell(a->keeper, &a->head, &ignored);
	return 0;
}

int
audit_tick(struct audit *a, struct err *e)
{
	if (a->unsigned_records > 0 && stamp_now() >= a->checkpoint_at)
		audit_checkpoint(a, "time");
	return a->keeper < 0 ? 0 : keeper_tell(a->keeper, &a->head, e);
}
