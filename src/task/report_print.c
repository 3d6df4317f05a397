/* The parts of a report, one after the other. */

#include <string.h>

#include "base/json.h"
#include "base/stamp.h"
#include "report_private.h"

enum { ROWS_MAX = 200 }; /* of images and of artifacts */

static const char *
text_of(const json_t *object, const char *key)
{
	return json_str(object, key, "");
}

static uint64_t
count_of(const json_t *object, const char *key)
{
	json_int_t n = json_num(object, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

/* ---- head ---- */

static void
put_head(const struct report *r, const json_t *task, struct buf *out)
{
	const char *id = r->task_id != NULL ? r->task_id : text_of(task, "taskId");
	long long run = r->task_id != NULL ? r->run : json_num(task, "runId", 0);

	buf_adds(out, "<div class=over>dind-proxy &middot; Docker report of a task</div>\n<h1>");
	html_text(out, id);
	buf_printf(out, " <span class=pill>run %lld</span>", run);
	if (task != NULL) {
		buf_adds(out, "<span class=pill>");
		html_text(out, text_of(task, "state"));
		buf_adds(out, "</span>");
	}
	buf_adds(out, "</h1>\n<p class=soft>");
	if (r->first > 0) {
		html_time(out, r->first);
		buf_adds(out, " to ");
		html_time(out, r->last);
		buf_adds(out, " UTC &middot; ");
		html_took(out, r->last - r->first);
	}
	buf_adds(out, " &middot; <code>");
	html_text(out, r->id != NULL ? r->id : text_of(task, "id"));
	buf_adds(out, "</code></p>\n");
}

static void
put_tile(struct buf *out, uint64_t n, const char *what, const char *more, int alarm)
{
	buf_printf(out, "<div class=\"tile%s\"><b>%llu</b>%s<small> %s</small></div>\n",
	    alarm ? " alarm" : "", (unsigned long long)n, what, more);
}

static void
put_tiles(const struct report *r, const json_t *task, struct buf *out)
{
	char failed[64];

	(void)snprintf(failed, sizeof failed, "%llu failed", (unsigned long long)r->bad_builds);
	buf_adds(out, "<div class=tiles>\n");
	put_tile(out, r->builds, "builds", r->bad_builds > 0 ? failed : "", 0);
	put_tile(out, r->refused, "calls refused", "", r->refused > 0);
	put_tile(out, r->requests, "requests", "", 0);
	if (task != NULL)
		put_tile(
		    out, json_array_size(json_object_get(task, "artifacts")), "artifacts", "declared", 0);
	buf_adds(out, "<div class=tile><b>");
	html_size(out, r->in);
	buf_adds(out, "</b>sent by the task</div>\n<div class=tile><b>");
	html_size(out, r->out);
	buf_adds(out, "</b>sent to the task</div>\n</div>\n");
}

/* ---- tables ---- */

static void
begin_table(struct buf *out, const char *title, const char *const *heads)
{
	buf_printf(out, "<h2>%s</h2>\n<div class=card><table class=wide><thead><tr>", title);
	for (; *heads != NULL; heads++)
		buf_printf(out, "<th%s>%s", **heads == '>' ? " class=n" : "", *heads + (**heads == '>'));
	buf_adds(out, "</tr></thead><tbody>\n");
}

static void
end_table(struct buf *out, uint64_t left, const char *what)
{
	buf_adds(out, "</tbody></table>");
	if (left > 0)
		buf_printf(out, "<div class=none>%llu more %s are left out: the audit log has them.</div>",
		    (unsigned long long)left, what);
	buf_adds(out, "</div>\n");
}

static void
cell(struct buf *out, const char *label, const char *css, const char *text)
{
	buf_printf(out, "<td data-l=\"%s\"%s%s>", label, css[0] != '\0' ? " class=" : "", css);
	html_text(out, text);
}

static void
count_cell(struct buf *out, const char *label, uint64_t n)
{
	buf_printf(out, "<td class=n data-l=\"%s\">%llu", label, (unsigned long long)n);
}

static void
size_cell(struct buf *out, const char *label, uint64_t n)
{
	buf_printf(out, "<td class=n data-l=\"%s\">", label);
	html_size(out, n);
}

static void
put_refusals(const struct report *r, struct buf *out)
{
	static const char *const heads[] = { "First", ">Times", "Call", "Rule and reason", NULL };

	if (r->refusal_count == 0 && r->refusals_left == 0) {
		buf_adds(out, "<h2>Refused calls</h2>\n<div class=card><div class=none>None.</div></div>\n");
		return;
	}
	begin_table(out, "Refused calls", heads);
	for (size_t i = 0; i < r->refusal_count; i++) {
		const struct refusal *f = &r->refusals[i];

		buf_adds(out, "<tr><td data-l=\"first\">");
		html_time(out, f->first);
		count_cell(out, "times", f->count);
		buf_adds(out, "<td class=call data-l=\"call\"><code>");
		html_text(out, f->request);
		buf_adds(out, "</code><td><span class=deny>");
		html_text(out, f->rule);
		buf_printf(out, "</span> <span class=soft>%u</span><small>", f->status);
		html_text(out, f->reason);
		buf_adds(out, "</small></tr>\n");
	}
	end_table(out, r->refusals_left, "refusals");
}

static void
put_uses(const struct report *r, struct buf *out)
{
	static const char *const heads[] = { "Rule", ">Requests", ">Refused", ">In", ">Out", ">Longest",
		NULL };

	if (r->use_count == 0)
		return;
	begin_table(out, "Requests by rule", heads);
	for (size_t i = 0; i < r->use_count; i++) {
		const struct use *u = &r->uses[i];

		buf_adds(out, "<tr>");
		cell(out, "", "rule", u->rule);
		count_cell(out, "requests", u->asked > u->refused ? u->asked : u->refused);
		count_cell(out, "refused", u->refused);
		size_cell(out, "in", u->in);
		size_cell(out, "out", u->out);
		buf_adds(out, "<td class=n data-l=\"longest\">");
		html_took(out, (int64_t)u->longest);
		buf_adds(out, "</tr>\n");
	}
	end_table(out, r->uses_left, "requests");
}

/* ---- what the control API says ---- */

static const struct {
	const char *label, *limit; /* limit: key of "limits" */
	const char *used;          /* key of "now", or of the task itself */
	enum { COUNT, BYTES, SECONDS, RATE } form;
} limits[] = {
	{ "Images", "images", "images", COUNT },
	{ "Names", "names", "names", COUNT },
	{ "Disk of its images", "diskBytes", "disk", BYTES },
	{ "Saved through the socket", "savedBytes", "saved", BYTES },
	{ "Builds at a time", "builds", "builds", COUNT },
	{ "Connections at a time", "connections", "connections", COUNT },
	{ "Build context", "contextBytes", NULL, BYTES },
	{ "Time of one build", "buildTime", NULL, SECONDS },
	{ "Requests a second", "requestRate", NULL, RATE },
};

static void
put_amount(struct buf *out, uint64_t n, int form)
{
	if (form == BYTES)
		html_size(out, n);
	else if (form == SECONDS)
		html_took(out, (int64_t)n * 1000);
	else
		buf_printf(out, "%llu", (unsigned long long)n);
}

static void
put_meter(struct buf *out, uint64_t used, uint64_t limit)
{
	double part = limit > 0 ? (double)used * 100 / (double)limit : 0;

	part = part > 100 ? 100 : part;
	buf_printf(out,
	    "<svg class=meter viewBox=\"0 0 100 8\" preserveAspectRatio=none role=img aria-label=\"%.0f%%\">"
	    "<rect%s width=%.1f height=8 /></svg>",
	    part, part >= 90 ? " class=bad" : "", part > 0 && part < 1 ? 1 : part);
}

static void
put_limits(const json_t *task, struct buf *out)
{
	static const char *const heads[] = { "Limit", ">Used", ">At most", "", NULL };
	const json_t *most = json_object_get(task, "limits"), *now = json_object_get(task, "now");

	if (!json_is_object(most))
		return;
	begin_table(out, "Limits", heads);
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		const json_t *used = limits[i].used == NULL ? NULL : json_object_get(now, limits[i].used);
		uint64_t limit = count_of(most, limits[i].limit), n;

		if (limits[i].used != NULL && used == NULL)
			used = json_object_get(task, limits[i].used);
		n = json_is_integer(used) && json_integer_value(used) > 0 ? (uint64_t)json_integer_value(used)
		                                                          : 0;
		buf_printf(out, "<tr><td>%s<td class=n data-l=\"used\">", limits[i].label);
		if (limits[i].used != NULL)
			put_amount(out, n, limits[i].form);
		buf_adds(out, "<td class=n data-l=\"at most\">");
		put_amount(out, limit, limits[i].form);
		buf_adds(out, "<td>");
		if (limits[i].used != NULL)
			put_meter(out, n, limit);
		buf_adds(out, "</tr>\n");
	}
	end_table(out, 0, "");
}

static void
put_images(const json_t *task, struct buf *out)
{
	static const char *const heads[] = { "Names", "Image id", NULL };
	const json_t *list = json_object_get(task, "owned"), *image, *name;
	size_t i, k, count = json_array_size(list);

	if (count == 0)
		return;
	begin_table(out, "Images", heads);
	json_array_foreach(list, i, image)
	{
		if (i == ROWS_MAX)
			break;
		buf_adds(out, "<tr><td>");
		json_array_foreach(json_object_get(image, "names"), k, name)
		{
			if (k > 0)
				buf_adds(out, ", ");
			if (k == ROWS_MAX)
				break;
			html_text(out, json_is_string(name) ? json_string_value(name) : "");
		}
		if (k == 0)
			buf_adds(out, "<span class=soft>(none)</span>");
		buf_adds(out, "<td><code>");
		html_text(out, text_of(image, "id"));
		buf_adds(out, "</code></tr>\n");
	}
	end_table(out, count > ROWS_MAX ? count - ROWS_MAX : 0, "images");
}

static void
put_hash(struct buf *out, const char *label, const char *value)
{
	if (value[0] == '\0')
		return;
	buf_printf(out, "<small>%s <code>", label);
	html_text(out, value);
	buf_adds(out, "</code></small>");
}

static void
put_artifact(const json_t *a, struct buf *out)
{
	const char *state = text_of(a, "state"), *where = json_str(a, "url", text_of(a, "path"));

	buf_adds(out, "<tr><td><b>");
	html_text(out, text_of(a, "name"));
	buf_adds(out, "</b>");
	put_hash(out, "image", text_of(a, "imageId"));
	put_hash(out, "sha256", text_of(a, "sha256"));
	put_hash(out, "sha512", text_of(a, "sha512"));
	put_hash(out, "at", where);
	cell(out, "image", "rule", text_of(a, "image"));
	size_cell(out, "size", count_of(a, "size"));
	buf_printf(out, "<td data-l=\"state\"><span class=%s>",
	    strcmp(state, "failed") == 0 ? "deny"
	    : strcmp(state, "done") == 0 ? "ok"
	                                 : "soft");
	html_text(out, state);
	buf_adds(out, "</span><small>");
	html_text(out, text_of(a, "error"));
	buf_adds(out, "</small></tr>\n");
}

static void
put_artifacts(const json_t *task, struct buf *out)
{
	static const char *const heads[] = { "Artifact", "Image", ">Size", "State", NULL };
	const json_t *list = json_object_get(task, "artifacts"), *a;
	size_t i, count = json_array_size(list);

	if (count == 0)
		return;
	begin_table(out, "Artifacts", heads);
	json_array_foreach(list, i, a)
	{
		if (i == ROWS_MAX)
			break;
		put_artifact(a, out);
	}
	end_table(out, count > ROWS_MAX ? count - ROWS_MAX : 0, "artifacts");
}

/* When each artifact was uploaded, as far as that is known by now. */
static void
add_uploads(struct report *r, const json_t *task)
{
	const json_t *a;
	size_t i;

	json_array_foreach(json_object_get(task, "artifacts"), i, a)
	{
		int64_t start, end;
		struct span *s;

		if (stamp_parse(text_of(a, "started"), &start) < 0 ||
		    stamp_parse(text_of(a, "ended"), &end) < 0 ||
		    (s = report_span(r, SPAN_UPLOAD, text_of(a, "name"))) == NULL)
			continue;
		s->start = start;
		s->end = end < start ? start : end;
		s->out = count_of(a, "size");
		s->bad = strcmp(text_of(a, "state"), "failed") == 0;
	}
}

static void
put_foot(const struct report *r, const json_t *task, int64_t now, const char *version, struct buf *out)
{
	buf_printf(out, "<footer>Made by dind-proxy %s at ", version);
	html_time(out, now);
	buf_printf(out, " UTC from %llu audit records", (unsigned long long)r->records);
	if (r->records > 0)
		buf_printf(out, ", seq %llu to %llu of the host", (unsigned long long)r->first_seq,
		    (unsigned long long)r->last_seq);
	buf_adds(out, task != NULL
	                  ? "."
	                  : "; the task is not known to the service any more, so images, limits and uploads "
	                    "are not shown.");
	buf_adds(out, " Whether the records are as they were written: <code>dindctl audit verify</code>. "
	              "Sizes are those of "
	              "bodies on the task's socket. Characters that are not printable ASCII are shown as <i "
	              "class=x>\\u{..}</i>.</footer>\n");
}

void
report_print(struct report *r, const json_t *task, int64_t now, const char *version, struct buf *out)
{
	add_uploads(r, task);
	html_begin(out, r->task_id != NULL ? r->task_id : "dind-proxy");
	buf_adds(out, "<main>\n");
	put_head(r, task, out);
	put_tiles(r, task, out);
	report_timeline(r, out);
	put_refusals(r, out);
	put_artifacts(task, out);
	put_images(task, out);
	put_limits(task, out);
	put_uses(r, out);
	put_foot(r, task, now, version, out);
	buf_adds(out, "</main>\n");
	html_end(out);
}
