/* What a report keeps of a task's records. */

#include "task/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "report_private.h"

struct report *
report_new(void)
{
	return mem_new(sizeof(struct report));
}

void
report_free(struct report *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->span_count; i++) {
		free(r->spans[i].title);
		free(r->spans[i].note);
	}
	for (size_t i = 0; i < r->refusal_count; i++) {
		free(r->refusals[i].request);
		free(r->refusals[i].rule);
		free(r->refusals[i].reason);
	}
	for (size_t i = 0; i < r->use_count; i++)
		free(r->uses[i].rule);
	for (size_t i = 0; i < OPEN_MAX; i++) {
		free(r->open[i].names);
		free(r->open[i].why);
	}
	free(r->task_id);
	free(r->id);
	free(r);
}

uint64_t
report_count(const struct report *r)
{
	return r->records;
}

static char *
keep(const char *s)
{
	return mem_strn(s, strnlen(s, SHOWN_MAX + 1)); /* one more shows that there was more */
}

static uint64_t
number(const json_t *record, const char *key)
{
	json_int_t n = json_num(record, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

/* How long it took: nothing takes three years, whatever the record says. */
static int64_t
took(const json_t *record)
{
	const uint64_t most = UINT64_C(100000000000);
	uint64_t ms = number(record, "ms");

	return (int64_t)(ms < most ? ms : most);
}

struct span *
report_span(struct report *r, enum span_kind kind, const char *title)
{
	struct span *s;

	if (r->span_count == SPANS_MAX) {
		r->spans_left++;
		return NULL;
	}
	s = &r->spans[r->span_count++];
	*s = (struct span){ .kind = kind, .title = keep(title) };
	return s;
}

/* ---- decisions ---- */

static int
has_name(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
			return 1;
	return 0;
}

/* "app:1, app:2" */
static char *
names_text(const json_t *record)
{
	const json_t *before = json_object_get(json_object_get(record, "names"), "before"), *name;
	struct buf b = { 0 };
	char *text;
	size_t i;

	json_array_foreach(before, i, name)
	{
		const char *s = json_string_value(name);

		if (s != NULL && buf_len(&b) < SHOWN_MAX && !has_name(buf_text(&b), s))
			buf_printf(&b, "%s%s", buf_len(&b) > 0 ? ", " : "", s);
	}
	text = keep(buf_text(&b));
	buf_done(&b);
	return text;
}

static struct open_call *
find_open(struct report *r, const json_t *record)
{
	int64_t conn = json_num(record, "conn", -1), req = json_num(record, "req", -1);

	for (size_t i = 0; i < OPEN_MAX; i++)
		if (r->open[i].names != NULL && r->open[i].conn == conn && r->open[i].req == req)
			return &r->open[i];
	return NULL;
}

static void
close_call(struct open_call *c)
{
	free(c->names);
	free(c->why);
	*c = (struct open_call){ 0 };
}

static void
open_call(struct report *r, const json_t *record)
{
	struct open_call *c = &r->open[r->open_at++ % OPEN_MAX];

	close_call(c);
	c->conn = json_num(record, "conn", -1);
	c->req = json_num(record, "req", -1);
	c->names = names_text(record);
}

static struct use *
find_use(struct report *r, const char *rule)
{
	for (size_t i = 0; i < r->use_count; i++)
		if (strncmp(r->uses[i].rule, rule, SHOWN_MAX) == 0)
			return &r->uses[i];
	if (r->use_count == USES_MAX)
		return NULL;
	r->uses[r->use_count].rule = keep(rule);
	return &r->uses[r->use_count++];
}

static char *
request_text(const json_t *record)
{
	char *whole = mem_printf("%s %s", json_str(record, "method", "?"),
	    json_str(record, "judged", json_str(record, "path", "")));
	char *text = keep(whole);

	free(whole);
	return text;
}

static struct refusal *
find_refusal(struct report *r, const json_t *record)
{
	const char *rule = json_str(record, "rule", ""), *reason = json_str(record, "reason", "");
	char *request = request_text(record);
	struct refusal *f = NULL;

	for (size_t i = 0; f == NULL && i < r->refusal_count; i++)
		if (strcmp(r->refusals[i].request, request) == 0 &&
		    strncmp(r->refusals[i].rule, rule, SHOWN_MAX) == 0 &&
		    strncmp(r->refusals[i].reason, reason, SHOWN_MAX) == 0)
			f = &r->refusals[i];
	if (f == NULL && r->refusal_count < REFUSALS_MAX) {
		f = &r->refusals[r->refusal_count++];
		*f = (struct refusal){ request, keep(rule), keep(reason), (unsigned)number(record, "status"),
			0, r->last };
		request = NULL;
	}
	free(request);
	return f;
}

static void
take_refusal(struct report *r, const json_t *record)
{
	uint64_t many = number(record, "requests");
	struct open_call *c = find_open(r, record);
	struct refusal *f = find_refusal(r, record);
	struct use *u = find_use(r, json_str(record, "rule", "?"));

	many = many > 0 ? many : 1;
	r->refused += many;
	if (f != NULL)
		f->count += many;
	else
		r->refusals_left += many;
	if (u != NULL)
		u->refused += many;
	else
		r->uses_left += many;
	if (c == NULL)
		return;
	c->refused = 1;
	free(c->why);
	c->why = keep(json_str(record, "reason", ""));
}

static void
take_decision(struct report *r, const json_t *record)
{
	int refused = strcmp(json_str(record, "decision", ""), "deny") == 0;

	if (find_open(r, record) == NULL) {
		open_call(r, record);
		r->requests++;
	}
	if (refused)
		take_refusal(r, record);
}

/* ---- ends ---- */

static const struct {
	const char *rule;
	enum span_kind kind;
} spans[] = {
	{ "build", SPAN_BUILD },
	{ "image-save", SPAN_SAVE },
};

/* "sha256:0123456789ab": the whole ids stand with the images. */
static char *
short_id(const char *id)
{
	enum { SHORT = 12 };

	return strncmp(id, "sha256:", 7) == 0 ? mem_strn(id, strnlen(id, 7 + SHORT)) : keep(id);
}

static void
note_end(struct span *s, const json_t *record, const struct open_call *c)
{
	const char *image = json_str(record, "image", NULL), *close = json_str(record, "close", NULL);
	unsigned long long status = number(record, "status");
	int failed = json_is_true(json_object_get(record, "failed"));

	s->end = s->start + took(record);
	s->in = number(record, "in");
	s->out = number(record, "out");
	s->bad = status != 200 || failed || close != NULL;
	if (c->refused && c->why != NULL)
		s->note = mem_str(c->why);
	else if (close != NULL && !failed) /* else it was the client, which had read that */
		s->note = keep(close);
	else if (s->bad)
		s->note = status != 200 ? mem_printf("answered with status %llu", status)
		                        : mem_str("the build failed");
	else if (image != NULL)
		s->note = short_id(image);
}

static void
take_span(struct report *r, const json_t *record, const struct open_call *c, enum span_kind kind)
{
	struct span *s = report_span(r, kind, c->names);
	int64_t ms = took(record);
	struct span one = { .start = r->last > ms ? r->last - ms : 0 };

	note_end(&one, record, c);
	if (kind == SPAN_BUILD && !c->refused) {
		r->builds++;
		r->bad_builds += (uint64_t)one.bad;
	}
	if (s == NULL) {
		free(one.note);
		return;
	}
	one.title = s->title;
	one.kind = kind;
	*s = one;
}

static void
take_end(struct report *r, const json_t *record)
{
	const char *rule = json_str(record, "rule", "?");
	struct open_call *c = find_open(r, record);
	/* one that was refused before a rule had its turn: its decision says by which */
	struct use *u = strcmp(rule, "error") == 0 ? NULL : find_use(r, rule);

	r->in += number(record, "in");
	r->out += number(record, "out");
	if (u != NULL) {
		u->asked++;
		u->in += number(record, "in");
		u->out += number(record, "out");
		u->longest = (uint64_t)took(record) > u->longest ? (uint64_t)took(record) : u->longest;
	}
	for (size_t i = 0; c != NULL && i < sizeof spans / sizeof spans[0]; i++)
		if (strcmp(rule, spans[i].rule) == 0)
			take_span(r, record, c, spans[i].kind);
	if (c != NULL)
		close_call(c);
}

/* ---- what the service did by itself ---- */

static void
take_image(struct report *r, const json_t *record)
{
	const char *what = json_str(record, "what", ""), *artifact = json_str(record, "artifact", NULL);
	int bad = strcmp(what, "export-failed") == 0;
	int64_t ms = took(record);
	struct span *s;

	if ((!bad && strcmp(what, "export") != 0) || artifact == NULL)
		return;
	s = report_span(r, SPAN_EXPORT, artifact);
	if (s == NULL)
		return;
	s->end = r->last;
	s->start = r->last > ms ? r->last - ms : 0;
	s->out = number(record, "out");
	s->bad = bad;
	s->note = keep(bad ? json_str(record, "reason", "") : json_str(record, "image", ""));
}

static void
take_who(struct report *r, const json_t *record)
{
	if (r->task_id != NULL || json_str(record, "task", NULL) == NULL)
		return;
	r->task_id = keep(json_str(record, "task", ""));
	r->id = keep(json_str(record, "id", ""));
	r->run = json_num(record, "run", 0);
}

void
report_record(struct report *r, const json_t *record)
{
	const char *event = json_str(record, "event", "");
	int64_t at;

	r->records++;
	r->last_seq = number(record, "seq");
	if (r->first_seq == 0)
		r->first_seq = r->last_seq;
	if (stamp_parse(json_str(record, "time", ""), &at) == 0 && at > 0) {
		r->last = at;
		r->first = r->first == 0 ? at : r->first;
	}
	take_who(r, record);
	if (strcmp(event, "decision") == 0)
		take_decision(r, record);
	else if (strcmp(event, "end") == 0)
		take_end(r, record);
	else if (strcmp(event, "image") == 0)
		take_image(r, record);
}
