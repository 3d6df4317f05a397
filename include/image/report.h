#ifndef IMAGE_REPORT_H
#define IMAGE_REPORT_H

#include <jansson.h>

struct err;

/*
 * `dind-image report`: a task's report as an artifact. Process, events and errors as in image/export.h, with
 * nobody behind fd 3; it is here because the front may neither write into the spool nor wait for a file. The
 * job:
 *   {"spool": dir, "session": ns, "taskId", "runId", "name": "public/report.html", "contentType",
 *    "expires": RFC 3339 or null, "version": ours, "log": the file of the task's audit records,
 *    "task": what the control API says of it, or null}
 * "done" holds the fields of record.json and "id".
 */
int image_report(const json_t *job, int nobody, struct err *e);

#endif
