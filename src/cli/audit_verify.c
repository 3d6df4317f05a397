/* dindctl audit verify */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_files.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/sign.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "docker/reference.h"
#include "task/audit.h"
#include "task/chain.h"

enum { SHOWN_MAX = 50 }; /* findings that are told one by one */

struct verify {
	const struct cli *c;
	struct audit_files files;
	const char *file; /* that is read */
	struct sign_key *key;
	struct chain_head head;
	char *head_path; /* NULL: no head is known */
	struct chain_check *check;
	struct chain_sum sum;
	size_t found_count;
	json_t *found; /* the first of them */
	FILE *copy;    /* the log of --task, NULL = none */
	char *copy_path;
	unsigned long copy_line;
	char *kept; /* its next line, when that is not compared yet */
	size_t room;
	ssize_t kept_len;
	uint64_t compared; /* lines that are the same */
};

static void
on_found(void *arg, const char *file, unsigned long line, const char *text)
{
	struct verify *v = arg;
	char *where = line == 0 ? mem_str("the log") : mem_printf("%s line %lu", file, line);

	if (v->found_count++ < SHOWN_MAX)
		json_array_append_new(v->found,
		    json_pack("{s:s?,s:I,s:s}", "file", file, "line", (json_int_t)line, "text", text));
	if (v->c->opt[OPT_JSON] == NULL && v->found_count <= SHOWN_MAX) {
		text_put(v->c->out, where);
		fputs(": ", v->c->out);
		text_put(v->c->out, text);
		fputc('\n', v->c->out);
	}
	free(where);
}

/* ---- a task's copy ---- */

static void
differs(struct verify *v, const char *text)
{
	on_found(v, v->copy_path, v->copy_line, text);
}

/* The next line of the copy, without its newline; 0 at its end. */
static int
next_copy(struct verify *v)
{
	if (v->kept_len > 0)
		return 1;
	v->kept_len = getline(&v->kept, &v->room, v->copy);
	v->copy_line += v->kept_len > 0;
	if (v->kept_len > 0 && v->kept[v->kept_len - 1] == '\n')
		v->kept_len--;
	return v->kept_len > 0;
}

static uint64_t
seq_of(const char *line, size_t len)
{
	struct chain_head h;

	return chain_read(line, len, &h) == 0 ? h.seq : 0;
}

/* Lines of the copy that are older than this one are not in the files that are read: put aside and gone. */
static void
compare_copy(struct verify *v, const char *line, size_t len)
{
	uint64_t seq = seq_of(line, len);

	while (next_copy(v)) {
		uint64_t own = seq_of(v->kept, (size_t)v->kept_len);
		int same = (size_t)v->kept_len == len && memcmp(v->kept, line, len) == 0;

		if (own > seq) {
			differs(v, "a record of the task that the host's log has before this one is missing");
			return;
		}
		v->kept_len = 0;
		if (same) {
			v->compared++;
			return;
		}
		if (own == seq || v->compared > 0)
			differs(
			    v, own == 0 ? "is not a record" : "is not the record that the host's log has");
		if (own == seq)
			return;
	}
	v->copy_line++;
	differs(v, "a record of the task that the host's log has is missing at the end");
}

static int
is_of_task(const char *line, size_t len, const char *id)
{
	struct err ignored;
	json_t *record = json_parse(line, len, &ignored);
	int is = strcmp(json_str(record, "id", ""), id) == 0;

	json_decref(record);
	return is;
}

/* ---- the chain ---- */

static int
on_line(void *arg, unsigned long number, const char *line, size_t len, int whole)
{
	struct verify *v = arg;

	chain_check_line(v->check, v->file, number, line, len, whole);
	/* a checkpoint and what the service says of itself belong to no task */
	if (v->copy != NULL && memmem(line, len, v->c->opt[OPT_TASK], strlen(v->c->opt[OPT_TASK])) != NULL &&
	    is_of_task(line, len, v->c->opt[OPT_TASK]))
		compare_copy(v, line, len);
	return 0;
}

static int
follow(struct verify *v, struct err *e)
{
	int rc = 0;

	v->check = chain_check_new(v->key, v->head_path != NULL ? &v->head : NULL, on_found, v);
	for (size_t i = 0; rc == 0 && i < v->files.count; i++) {
		v->file = v->files.path[i];
		rc = audit_lines(v->file, on_line, v, e);
	}
	if (rc == 0 && v->copy != NULL && next_copy(v))
		differs(v, "is not in the host's log");
	chain_check_end(v->check, &v->sum);
	return rc;
}

/* ---- what is asked ---- */

static int
read_head(struct verify *v, const char *path, int must, struct err *e)
{
	struct buf b = { 0 };
	int rc = fs_read(path, 4096, &b, e);

	if (rc == 0 && chain_parse_head(&v->head, buf_text(&b), buf_len(&b)) < 0)
		rc = err_set(e, EINVAL, "'%s' is not the head of an audit log", path);
	if (rc == 0)
		v->head_path = mem_str(path);
	buf_done(&b);
	return rc < 0 && !must && (e->code == ENOENT || e->code == EACCES) ? 0 : rc;
}

static int
open_copy(struct verify *v, const char *dir, struct err *e)
{
	const char *id = v->c->opt[OPT_TASK];

	if (id == NULL)
		return 0;
	if (!reference_is_ns(id))
		return err_set(e, EINVAL, "--task takes the id that 'task start' printed");
	v->copy_path = mem_printf("%s/tasks/%s.jsonl", dir, id);
	v->copy = fopen(v->copy_path, "re");
	return v->copy == NULL ? err_set(e, errno, "cannot open '%s': %m", v->copy_path) : 0;
}

/* The head is read first: what is written meanwhile is behind it. */
static int
prepare(struct verify *v, struct err *e)
{
	const struct cli *c = v->c;
	const char *head = c->opt[OPT_HEAD];
	struct settings s;
	int rc = audit_settings(c, &s, e);
	char *usual = mem_printf("%s/audit/head", rc == 0 ? s.state_dir : "");

	if (rc == 0 && (head != NULL || c->count == 0))
		rc = read_head(v, head != NULL ? head : usual, head != NULL, e);
	if (rc == 0 && c->opt[OPT_KEY] != NULL &&
	    (v->key = sign_key_read(c->opt[OPT_KEY], SIGN_PUBLIC, e)) == NULL)
		rc = -1;
	if (rc == 0)
		rc = open_copy(v, s.audit_dir, e);
	for (size_t i = 0; i < c->count; i++)
		audit_files_add(&v->files, c->words[i]);
	if (rc == 0 && c->count == 0)
		rc = audit_files_find(&v->files, s.audit_dir, e);
	audit_files_sort(&v->files);
	free(usual);
	settings_done(&s);
	return rc;
}

static void
done(struct verify *v)
{
	audit_files_done(&v->files);
	sign_key_free(v->key);
	json_decref(v->found);
	if (v->copy != NULL)
		fclose(v->copy);
	free(v->copy_path);
	free(v->kept);
	free(v->head_path);
}

/* ---- what is said ---- */

static json_t *
as_json(const struct verify *v)
{
	const struct chain_sum *s = &v->sum;
	json_t *o = json_pack("{s:b,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:O}", "good",
	    v->found_count == 0, "files", (int)v->files.count, "records", (json_int_t)s->records, "first",
	    (json_int_t)s->first, "last", (json_int_t)s->last, "checkpoints", (json_int_t)s->checkpoints,
	    "goodSignatures", (json_int_t)s->good, "lastGood", (json_int_t)s->last_good, "resumed",
	    (json_int_t)s->resumed, "keyGiven", v->key != NULL, "headKnown", v->head_path != NULL, "found",
	    v->found);

	if (v->copy != NULL)
		json_object_set_new(o, "compared", json_integer((json_int_t)v->compared));
	return o;
}

static void
say_signed(const struct verify *v)
{
	const struct chain_sum *s = &v->sum;
	unsigned long long rest = s->last > s->last_good ? s->last - s->last_good : 0, good = s->good,
	                   all = s->checkpoints;
	FILE *f = v->c->out;

	if (v->key == NULL)
		fprintf(f,
		    "%llu checkpoints, not checked: without --key, whoever could write the files could have "
		    "written "
		    "them anew\n",
		    all);
	else if (good == 0)
		fprintf(f, "no checkpoint is signed with this key: nothing is vouched for\n");
	else
		fprintf(f,
		    "%llu of %llu checkpoints are signed with this key, the last is record %llu; %llu "
		    "records "
		    "after it are chained, not signed yet\n",
		    good, all, (unsigned long long)s->last_good, rest);
}

static void
say(const struct verify *v)
{
	const struct chain_sum *s = &v->sum;
	FILE *f = v->c->out;
	size_t found = v->found_count;

	if (found > SHOWN_MAX)
		fprintf(f, "... and %zu more\n", found - SHOWN_MAX);
	fprintf(f, "%zu file%s, records %llu to %llu%s\n", v->files.count, v->files.count == 1 ? "" : "s",
	    (unsigned long long)s->first, (unsigned long long)s->last,
	    s->first > 1 ? " (older ones are not here)" : "");
	say_signed(v);
	if (v->head_path == NULL)
		fputs("the end is not checked: no --head\n", f);
	if (v->copy != NULL)
		fprintf(f, "%llu records of the task are the same in its own log\n",
		    (unsigned long long)v->compared);
	if (s->resumed > 0)
		fprintf(f,
		    "%llu records tell of a crash or of a write that failed: dindctl audit show --json\n",
		    (unsigned long long)s->resumed);
	fputs(found == 0 ? "good\n" : "NOT GOOD\n", f);
}

int
verb_audit_verify(struct cli *c, struct err *e)
{
	struct verify v = { .c = c, .found = json_array() };
	int rc = prepare(&v, e), wrong = 0;
	json_t *o;

	if (rc == 0)
		rc = follow(&v, e);
	if (rc == 0) {
		wrong = v.found_count > 0;
		o = as_json(&v);
		if (c->opt[OPT_JSON] != NULL)
			text_json(c->out, o);
		else
			say(&v);
		json_decref(o);
		if (wrong)
			err_set(e, EBADMSG, "the audit log is not as it was written");
	}
	done(&v);
	return rc < 0 || wrong ? CLI_FAILED : CLI_OK;
}
