#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit_files.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "docker/reference.h"
#include "task/audit.h"

enum { LAST_USUAL = 200, LAST_MAX = 1000000 };

/* A request in the table: its decision, and its end when that was read. */
struct entry {
	json_t *record, *end;
};

/* The last `room` records that fit; older ones are let go. */
struct view {
	const struct cli *c;
	char since[STAMP_MAX];  /* "" = from the beginning */
	char until[STAMP_MAX];  /* "" = to the end */
	size_t room, count, at; /* at: where the next one goes */
	size_t left_out;
	struct entry *ring;
};

/* ---- which records ---- */

static int
is_task(const json_t *record, const char *task)
{
	const char *task_id = json_str(record, "task", "");
	size_t n = strlen(task_id);
	char run[16];

	if (strcmp(json_str(record, "id", ""), task) == 0 || (n > 0 && strcmp(task_id, task) == 0))
		return 1;
	(void)snprintf(run, sizeof run, "/%d", (int)json_num(record, "run", 0));
	return n > 0 && strncmp(task, task_id, n) == 0 && strcmp(task + n, run) == 0;
}

static int
is_word(const json_t *record, const char *key, const char *want)
{
	return want == NULL || strcmp(json_str(record, key, ""), want) == 0;
}

static int
fits(const struct view *v, const json_t *record)
{
	const struct cli *c = v->c;
	const char *time = json_str(record, "time", "");

	/* times have one form and one zone, so their text compares */
	return (v->since[0] == '\0' || strcmp(time, v->since) >= 0) &&
	       (v->until[0] == '\0' || strcmp(time, v->until) < 0) &&
	       (c->opt[OPT_TASK] == NULL || is_task(record, c->opt[OPT_TASK])) &&
	       is_word(record, "decision", c->opt[OPT_DECISION]) && is_word(record, "rule", c->opt[OPT_RULE]);
}

static int
same(const json_t *a, const json_t *b, const char *key)
{
	return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* The decision that this end belongs to is among the last ones: ends come soon. */
static int
put_end(struct view *v, const json_t *end)
{
	for (size_t i = 1; i <= v->count; i++) {
		struct entry *n = &v->ring[(v->at + v->room - i) % v->room];

		if (n->end == NULL && same(n->record, end, "req") && same(n->record, end, "conn") &&
		    same(n->record, end, "id")) {
			n->end = json_incref((json_t *)(uintptr_t)end);
			return 1;
		}
	}
	return 0;
}

static void
put_record(struct view *v, const json_t *record)
{
	struct entry *n = &v->ring[v->at];

	if (v->count == v->room) {
		json_decref(n->record);
		json_decref(n->end);
		v->left_out++;
	} else
		v->count++;
	*n = (struct entry){ .record = json_incref((json_t *)(uintptr_t)record) };
	v->at = (v->at + 1) % v->room;
}

static void
print_json(const struct view *v, const json_t *record)
{
	char *line = json_text(record, 1);

	if (line != NULL)
		fprintf(v->c->out, "%s\n", line);
	free(line);
}

static int
on_record(void *arg, const json_t *record)
{
	struct view *v = arg;
	int json = v->c->opt[OPT_JSON] != NULL;

	if (!json && strcmp(json_str(record, "event", ""), "end") == 0)
		put_end(v, record);
	else if (!json && strcmp(json_str(record, "event", ""), "checkpoint") == 0)
		return 0; /* for `audit verify` */
	else if (fits(v, record)) {
		if (v->room > 0)
			put_record(v, record);
		else
			print_json(v, record);
	}
	return 0;
}

/* ---- the table ---- */

/* What is known at the end of a request stands in its end record, else in the decision's own. */
static const json_t *
member(const struct entry *n, const char *key)
{
	const json_t *value = json_object_get(n->end, key);

	return value != NULL ? value : json_object_get(n->record, key);
}

static char *
size_cell(const struct entry *n, const char *key)
{
	const json_t *value = member(n, key);
	char text[TEXT_MAX];

	return mem_str(json_is_integer(value) ? text_size(json_integer_value(value), text) : "");
}

static char *
took_cell(const struct entry *n)
{
	const json_t *value = member(n, "ms");
	double ms = (double)json_integer_value(value);

	if (!json_is_integer(value))
		return mem_str("");
	return ms < 1000 ? mem_printf("%.0f ms", ms) : mem_printf("%.1f s", ms / 1000);
}

static char *
task_cell(const json_t *record)
{
	const char *task = json_str(record, "task", NULL);

	if (task == NULL)
		return mem_str(json_str(record, "id", "-"));
	return mem_printf("%s/%d", task, (int)json_num(record, "run", 0));
}

/* "POST /build" as it was judged, or as received; for what is no request: "image export public/x.tar app:1".
 */
static char *
what_cell(const json_t *record)
{
	static const char *const words[] = { "event", "what", "artifact", "image" };
	const char *method = json_str(record, "method", NULL), *path = json_str(record, "path", "");
	struct buf b = { 0 };
	char *text;

	if (method != NULL)
		return mem_printf("%s %s", method, json_str(record, "judged", path));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (json_str(record, words[i], NULL) != NULL)
			buf_printf(&b, "%s%s", buf_len(&b) > 0 ? " " : "", json_str(record, words[i], ""));
	text = mem_str(buf_text(&b));
	buf_done(&b);
	return text;
}

/* Names as the task typed them and as the engine knows them: in pairs where there are as many. */
static void
note_names(struct table *t, const json_t *record)
{
	const json_t *names = json_object_get(record, "names");
	const json_t *before = json_object_get(names, "before"), *after = json_object_get(names, "after");
	int pairs = json_array_size(before) == json_array_size(after);
	size_t lines = pairs ? json_array_size(before) : 1;

	for (size_t i = 0; i < lines; i++) {
		char *from = pairs ? text_cell(json_array_get(before, i)) : text_cell(before);
		char *to = pairs ? text_cell(json_array_get(after, i)) : text_cell(after);
		char *text = mem_printf("%s -> %s", *from ? from : "-", *to ? to : "-");

		if (strcmp(from, to) != 0)
			table_note(t, "names", text);
		free(text);
		free(to);
		free(from);
	}
}

static void
table_entry(struct table *t, const struct entry *n)
{
	const json_t *r = n->record;
	const char *reason = json_str(r, "reason", "");
	char *cells[] = { mem_str(json_str(r, "time", "-")), task_cell(r),
		mem_str(json_str(r, "decision", "-")), mem_str(json_str(r, "rule", "-")),
		text_cell(member(n, "status")), size_cell(n, "in"), size_cell(n, "out"), took_cell(n),
		what_cell(r) };
	enum { COLUMNS = sizeof cells / sizeof cells[0] };

	table_row(t, (const char *const *)cells);
	if (reason[0] != '\0')
		table_note(t, "why", reason);
	note_names(t, r);
	for (size_t i = 0; i < COLUMNS; i++)
		free(cells[i]);
}

static void
print_table(const struct view *v)
{
	static const char *const heads[] = { "TIME", "TASK", "DECISION", "RULE", ">STATUS", ">IN", ">OUT",
		">TOOK", "WHAT" };
	struct table *t = table_new(heads, sizeof heads / sizeof heads[0]);

	for (size_t i = 0; i < v->count; i++)
		table_entry(t, &v->ring[(v->at + v->room - v->count + i) % v->room]);
	table_print(t, v->c->out);
	if (v->count == 0)
		fputs("no records\n", v->c->out);
	table_free(t);
}

static void
print_view(const struct view *v)
{
	if (v->c->opt[OPT_JSON] == NULL)
		print_table(v);
	else
		for (size_t i = 0; i < v->count; i++)
			print_json(v, v->ring[(v->at + v->room - v->count + i) % v->room].record);
	if (v->left_out > 0 && v->c->opt[OPT_LAST] == NULL)
		fprintf(
		    v->c->err, "dindctl: %zu older records are left out; --last N shows more\n", v->left_out);
}

static void
view_done(struct view *v)
{
	for (size_t i = 0; i < v->count; i++) {
		json_decref(v->ring[i].record);
		json_decref(v->ring[i].end);
	}
	free(v->ring);
}

/* ---- options ---- */

/* A moment that --since or --until names. */
static int
read_moment(const char *name, const char *text, char out[STAMP_MAX], struct err *e)
{
	static const char *const rest[] = { "", "Z", ":00Z", "T00:00:00Z" };
	long ago = cli_seconds(text);
	int64_t ms = 0;
	int rc = -1;

	if (ago >= 0) {
		stamp_print(stamp_now() - (int64_t)ago * 1000, out);
		return 0;
	}
	for (size_t i = 0; i < sizeof rest / sizeof rest[0] && rc < 0; i++) {
		char *whole = mem_printf("%s%s", text, rest[i]), *space = strchr(whole, ' ');

		if (space != NULL)
			*space = 'T';
		rc = stamp_parse(whole, &ms);
		free(whole);
	}
	if (rc < 0)
		return err_set(e, EINVAL,
		    "%s takes a time ago (10m, 2h, 3d) or a UTC time (2026-09-11, "
		    "2026-09-11T12:00:00Z)",
		    name);
	stamp_print(ms, out);
	return 0;
}

static int
view_init(struct view *v, const struct cli *c, struct err *e)
{
	long last;

	*v = (struct view){ .c = c };
	if (cli_number(
	        c, OPT_LAST, "--last", 1, LAST_MAX, c->opt[OPT_JSON] != NULL ? 0 : LAST_USUAL, &last, e) < 0)
		return -1;
	if ((c->opt[OPT_SINCE] != NULL && read_moment("--since", c->opt[OPT_SINCE], v->since, e) < 0) ||
	    (c->opt[OPT_UNTIL] != NULL && read_moment("--until", c->opt[OPT_UNTIL], v->until, e) < 0))
		return -1;
	v->room = (size_t)last;
	v->ring = mem_array(v->room, sizeof *v->ring);
	return 0;
}

/* The task's own log when there is one, which is shorter; else all of the host's. */
static int
find_logs(const struct cli *c, struct audit_files *f, struct err *e)
{
	const char *id = c->opt[OPT_TASK];
	char *path = NULL;
	struct settings s;
	int rc;

	if (c->opt[OPT_FILE] != NULL) {
		audit_files_add(f, c->opt[OPT_FILE]);
		return 0;
	}
	rc = audit_settings(c, &s, e);
	if (rc == 0 && id != NULL && reference_is_ns(id))
		path = mem_printf("%s/tasks/%s.jsonl", s.audit_dir, id);
	if (path != NULL && access(path, R_OK) == 0)
		audit_files_add(f, path);
	else if (rc == 0)
		rc = audit_files_find(f, s.audit_dir, e);
	free(path);
	settings_done(&s);
	return rc;
}

/* Was the file put aside before the time that is asked for? Whoever copied it may have changed its time, but
 * only to a later one. */
static int
is_too_old(const struct view *v, const char *path)
{
	char changed[STAMP_MAX];
	struct stat st;

	if (v->since[0] == '\0' || stat(path, &st) < 0)
		return 0;
	stamp_print((int64_t)st.st_mtime * 1000 + 999, changed);
	return strcmp(changed, v->since) < 0;
}

int
verb_audit_show(struct cli *c, struct err *e)
{
	struct audit_files f = { 0 };
	struct view v;
	int rc;

	if (view_init(&v, c, e) < 0)
		return CLI_USAGE;
	rc = find_logs(c, &f, e);
	for (size_t i = 0; i < f.count; i++)
		if (!is_too_old(&v, f.path[i]) && audit_read(f.path[i], on_record, &v, e) < 0)
			rc = -1;
	if (rc == 0 || v.count > 0)
		print_view(&v);
	view_done(&v);
	audit_files_done(&f);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}
