/* The timeline: a row for each build, save, export and upload, with a bar where it lies in the task's time.
 */

#include <stdlib.h>

#include "base/mem.h"
#include "report_private.h"

enum { WIDTH = 1000, LEAST = 6, TICKS = 4 }; /* units of the bars' own scale */

static const struct {
	const char *css, *word, *says;
} kinds[SPAN_KINDS] = {
	[SPAN_BUILD] = { "build", "Build", "docker build" },
	[SPAN_SAVE] = { "save", "Save", "docker save through the socket" },
	[SPAN_EXPORT] = { "export", "Export", "image to artifact" },
	[SPAN_UPLOAD] = { "upload", "Upload", "artifact to store" },
};

static int
by_start(const void *a, const void *b)
{
	const struct span *const *x = a, *const *y = b;

	return ((*x)->start > (*y)->start) - ((*x)->start < (*y)->start);
}

static void
put_legend(const struct report *r, struct buf *out)
{
	unsigned seen = 0, bad = 0;

	for (size_t i = 0; i < r->span_count; i++) {
		seen |= 1U << r->spans[i].kind;
		bad |= (unsigned)r->spans[i].bad;
	}
	buf_adds(out, "<div class=key>");
	for (size_t k = 0; k < SPAN_KINDS; k++)
		if (seen & 1U << k)
			buf_printf(out,
			    "<span><svg viewBox=\"0 0 12 12\" aria-hidden=true><rect class=\"%s\" width=12 "
			    "height=12 "
			    "rx=3 /></svg>%s: %s</span>",
			    kinds[k].css, kinds[k].word, kinds[k].says);
	if (bad)
		buf_adds(out, "<span><svg viewBox=\"0 0 12 12\" aria-hidden=true><rect class=bad width=12 "
		              "height=12 rx=3 "
		              "/></svg>failed</span>");
	buf_adds(out, "</div>");
}

static void
put_axis(int64_t whole, struct buf *out)
{
	buf_adds(out, "<div class=\"row head\"><span></span><span class=axis>");
	for (int i = 0; i <= TICKS; i++) {
		buf_adds(out, "<span>+");
		html_took(out, whole * i / TICKS);
		buf_adds(out, "</span>");
	}
	buf_adds(out, "</span><span></span></div>\n");
}

static void
put_bar(const struct span *s, int64_t from, int64_t whole, struct buf *out)
{
	double at = (double)(s->start - from) * WIDTH / (double)whole;
	double wide = (double)(s->end - s->start) * WIDTH / (double)whole;

	wide = wide < LEAST ? LEAST : wide > WIDTH ? WIDTH : wide;
	at = at < 0 ? 0 : at > WIDTH - wide ? WIDTH - wide : at;
	buf_printf(out,
	    "<svg class=track viewBox=\"0 0 %d 18\" preserveAspectRatio=none role=img aria-label=\"%s\">",
	    WIDTH, s->bad ? "failed" : "done");
	for (int i = 1; i < TICKS; i++)
		buf_printf(
		    out, "<line class=tick x1=%d x2=%d y1=0 y2=18 />", WIDTH * i / TICKS, WIDTH * i / TICKS);
	buf_printf(out, "<rect class=\"bar %s%s\" x=%.1f y=2 width=%.1f height=14 /></svg>",
	    kinds[s->kind].css, s->bad ? " bad" : "", at, wide);
}

static void
put_sizes(const struct span *s, struct buf *out)
{
	buf_adds(out, "<small>");
	html_time(out, s->start);
	if (s->in > 0) {
		buf_adds(out, " &middot; ");
		html_size(out, s->in);
		buf_adds(out, s->kind == SPAN_BUILD ? " context" : " in");
	}
	if (s->out > 0 && s->kind != SPAN_BUILD) {
		buf_adds(out, " &middot; ");
		html_size(out, s->out);
	}
	buf_adds(out, "</small>");
}

static void
put_row(const struct span *s, int64_t from, int64_t whole, struct buf *out)
{
	buf_printf(out, "<div class=row><div class=name><span class=\"kind %s\">%s</span> <b>",
	    kinds[s->kind].css, kinds[s->kind].word);
	html_text(out, s->title[0] != '\0' ? s->title : "(no name)");
	buf_adds(out, "</b>");
	put_sizes(s, out);
	if (s->note != NULL && s->note[0] != '\0') {
		buf_printf(out, "<small%s>%s", s->bad ? " class=why" : "", s->bad ? "" : "<code>");
		html_text(out, s->note);
		buf_adds(out, s->bad ? "</small>" : "</code></small>");
	}
	buf_adds(out, "</div>");
	put_bar(s, from, whole, out);
	buf_adds(out, "<div class=took>");
	html_took(out, s->end - s->start);
	buf_adds(out, "</div></div>\n");
}

/* Times of a file that somebody has edited may be anything; a bar has a place all the same. */
static void
bounds(const struct report *r, int64_t *from, int64_t *whole)
{
	int64_t to = r->last;

	*from = r->first;
	for (size_t i = 0; i < r->span_count; i++) {
		*from = r->spans[i].start < *from ? r->spans[i].start : *from;
		to = r->spans[i].end > to ? r->spans[i].end : to;
	}
	*whole = to > *from ? to - *from : 1;
}

void
report_timeline(const struct report *r, struct buf *out)
{
	const struct span *order[SPANS_MAX];
	int64_t from, whole;

	buf_adds(out, "<h2>Timeline</h2>\n<div class=card>");
	if (r->span_count == 0) {
		buf_adds(out, "<div class=none>Nothing was built, saved or handed over.</div></div>\n");
		return;
	}
	for (size_t i = 0; i < r->span_count; i++)
		order[i] = &r->spans[i];
	qsort(order, r->span_count, sizeof order[0], by_start);
	bounds(r, &from, &whole);
	put_legend(r, out);
	put_axis(whole, out);
	for (size_t i = 0; i < r->span_count; i++)
		put_row(order[i], from, whole, out);
	if (r->spans_left > 0)
		buf_printf(out, "<div class=none>%llu more are left out: the audit log has them.</div>",
		    (unsigned long long)r->spans_left);
	buf_adds(out, "</div>\n");
}
