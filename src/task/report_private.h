#ifndef TASK_REPORT_PRIVATE_H
#define TASK_REPORT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "task/report.h"

/* Inside of task/report*.c. */
enum { SPANS_MAX = 300, REFUSALS_MAX = 100, USES_MAX = 64, OPEN_MAX = 256, SHOWN_MAX = 300 };

enum span_kind { SPAN_BUILD, SPAN_SAVE, SPAN_EXPORT, SPAN_UPLOAD, SPAN_KINDS };

/* Something that took time. Strings are its own, at most SHOWN_MAX bytes. */
struct span {
	enum span_kind kind;
	int64_t start, end; /* ms */
	char *title, *note; /* note: an image id, or why it failed; NULL: none */
	uint64_t in, out;
	int bad;
};

/* Refusals of one kind. */
struct refusal {
	char *request, *rule, *reason;
	unsigned status;
	uint64_t count;
	int64_t first;
};

/* What was asked by one rule. */
struct use {
	char *rule;
	uint64_t asked, refused, in, out, longest;
};

/* A decision whose end has not come yet. */
struct open_call {
	int64_t conn, req;
	char *names; /* NULL: the slot is free */
	int refused;
	char *why;
};

struct report {
	uint64_t records, first_seq, last_seq;
	int64_t first, last; /* ms; 0: no record has a time */
	char *task_id, *id;
	int64_t run;
	struct span spans[SPANS_MAX];
	size_t span_count;
	uint64_t spans_left;
	struct refusal refusals[REFUSALS_MAX];
	size_t refusal_count;
	uint64_t refusals_left;
	struct use uses[USES_MAX];
	size_t use_count;
	uint64_t uses_left;
	struct open_call open[OPEN_MAX];
	size_t open_at; /* the oldest: the next one takes its place */
	uint64_t requests, refused, builds, bad_builds, in, out;
};

/* A new span at the end of the list, or NULL when it is full. */
struct span *report_span(struct report *r, enum span_kind kind, const char *title);

/* report_html.c: forms of text */
void html_text(struct buf *out, const char *s); /* escaped, cut */
void html_size(struct buf *out, uint64_t bytes);
void html_took(struct buf *out, int64_t ms);
void html_time(struct buf *out, int64_t ms); /* date and time, UTC */
void html_begin(struct buf *out, const char *title);
void html_end(struct buf *out);

/* report_timeline.c */
void report_timeline(const struct report *r, struct buf *out);

#endif
