#ifndef TASK_REPORT_H
#define TASK_REPORT_H

#include <jansson.h>
#include <stdint.h>

struct buf;

/*
 * What a task did, as one page: HTML that needs nothing but itself, neither script nor network, and says so
 * to the browser (Content-Security-Policy). Made from the task's audit records and, when it is still known,
 * from what the control API says of it. Every text that came from a task stands there as printable ASCII,
 * escaped.
 *
 * Memory and size are bounded whatever a task has done: at most 300 rows of the timeline, 100 kinds of
 * refusals, 64 rules, 300 characters of a text; the page says what was left out. Below 1 MiB in all.
 */
struct report;

struct report *report_new(void);
void report_free(struct report *r);

/* The next record; borrowed. Whatever it is: records may come from a file that somebody has edited. */
void report_record(struct report *r, const json_t *record);

/*
 * The page. task: GET /v1/tasks/ID's answer, or NULL; now: ms, of the wall clock; version: of the program.
 */
void report_print(struct report *r, const json_t *task, int64_t now, const char *version, struct buf *out);

/* How many records there were. */
uint64_t report_count(const struct report *r);

#endif
