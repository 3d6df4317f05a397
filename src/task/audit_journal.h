#ifndef TASK_AUDIT_JOURNAL_H
#define TASK_AUDIT_JOURNAL_H

#include <stddef.h>

/*
 * Audit records for journald, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): MESSAGE is the
 * record's line, DIND_SEQ, DIND_EVENT, DIND_WHAT, DIND_TASK, DIND_RUN, DIND_ID, DIND_DECISION and DIND_RULE
 * are members of it, PRIORITY is 5 (notice) for what was denied and 6 (info) for all else.
 *
 * It never waits, which is why sd_journal_send(3) is not used: that blocks when journald does not read. A
 * record that journald does not take at once is left out there (the file has it); the next one that it takes
 * is followed by a message with DIND_LEFT_OUT, how many there were.
 */
struct journal;

struct journal *
journal_new(void); /* before the process is confined; NULL when there is no socket to be had */
void journal_free(struct journal *j);

/* line: a whole record as the log has it, without its newline. */
void journal_send(struct journal *j, const char *line, size_t len);

/* The text of a top-level member of a record of ours, as it stands there; *len 0 when there is none. */
const char *journal_member(const char *line, size_t len, const char *key, size_t *value_len);

#endif
