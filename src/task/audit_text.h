#ifndef TASK_AUDIT_TEXT_H
#define TASK_AUDIT_TEXT_H

#include <jansson.h>

#include "task/audit.h"

/* A record as one line of text, without what the writer adds. Internal to audit. */
enum { AUDIT_LINE_MAX = AUDIT_MEMBERS_MAX };

/* Heap, with its newline, at most AUDIT_LINE_MAX bytes; NULL when it cannot be made that short. */
char *audit_line(json_t *record);

/* Cuts to max bytes at a character's end and adds "..."; new reference. */
json_t *audit_cut(const char *text, size_t len, size_t max);

#endif
