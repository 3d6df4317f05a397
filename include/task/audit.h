#ifndef TASK_AUDIT_H
#define TASK_AUDIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct err;
struct target;

/*
 * The audit log: one JSON object a line, ASCII, at most 4 KiB (longer texts are cut and marked), one per
 * decision and one per end of request; in <auditDir>/audit.jsonl for the host and <auditDir>/tasks/<id>.jsonl
 * for the task. A decision whose record cannot be written must not be carried out. Never in it: credentials,
 * X-Registry-*, build-arg values that the policy does not list as public.
 *
 * The writer adds "time" (RFC 3339, milliseconds, UTC) and "seq" (per host, continues after a restart).
 */
struct audit;

struct audit *audit_open(const char *dir, struct err *e);
void audit_close(struct audit *a);

/* After the host's log was renamed by whoever rotates it: goes on in a new file. -1: goes on in the old one.
 */
int audit_reopen(struct audit *a, struct err *e);

/* Appends the record (borrowed) to the host's log and, with id, to the task's. -1 when either could not be
 * written whole. */
int audit_write(struct audit *a, const char *id, json_t *record, struct err *e);

/*
 * The query for the record: object key -> value, or list; values of buildargs and labels redacted to their
 * names but for public ones, X-Registry and a URL's user never, others cut at 256 bytes. New reference.
 */
json_t *audit_query(const struct target *t, size_t public_count, char *const *public_args);

/* The same of what a call forwards: parameter -> value; without the names of `t` and the ids of `cachefrom`.
 */
json_t *audit_call(const struct call *c, size_t public_count, char *const *public_args);

/*
 * Reads a log for people and tools: each record to visit(); a visit that does not return 0 ends the reading
 * with that value. Damaged lines are passed over; at the end they are -1 with EBADMSG and the first's number.
 */
int audit_read(const char *path, int (*visit)(void *arg, const json_t *record), void *arg, struct err *e);

#endif
