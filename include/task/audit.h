#ifndef TASK_AUDIT_H
#define TASK_AUDIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct err;
struct settings;
struct target;

/*
 * The audit log: one JSON object a line, ASCII, at most 4 KiB (longer texts are cut and marked), one per
 * decision and one per end of request; in <auditDir>/audit.jsonl for the host and, as a copy of the same
 * lines, in <auditDir>/tasks/<id>.jsonl for the task. A decision whose record cannot be written must not be
 * carried out. Never in it: credentials, X-Registry-*, build-arg values that the policy does not list as
 * public.
 *
 * The writer adds "time" (RFC 3339, milliseconds, UTC), "seq" and "prev": the records of a host are one chain
 * (task/chain.h), over restarts and over files. When the last bytes of the log are no whole record, records
 * are missing at its end, or some could not be written, the next one says so ("event": "log", "what":
 * "resumed").
 *
 * With a keeper (task/keeper.h) the head of the chain is kept outside of the log, checkpoints are signed, and
 * a file that has reached audit.fileSize is put aside: without one none of that happens.
 */
struct audit;

/* keeper: the front's end of its socketpair, or -1; the caller's. */
struct audit *audit_open(const struct settings *s, int keeper, struct err *e);

/* Signs a last checkpoint, leaves the head with the keeper. */
void audit_close(struct audit *a);

/* The id of the key that signs checkpoints, "" without. */
const char *audit_key(const struct audit *a);

/* After the host's log was renamed by whoever rotates it: goes on in a new file. -1: goes on in the old one.
 */
int audit_reopen(struct audit *a, struct err *e);

/* Appends the record (borrowed) to the host's log and, with id, to the task's. -1 when either could not be
 * written whole. */
int audit_write(struct audit *a, const char *id, json_t *record, struct err *e);

/*
 * The same for a record whose members are text already: "\"event\":\"end\",...", JSON, ASCII, without line
 * breaks, at most AUDIT_MEMBERS_MAX bytes. The fast way: two system calls, one hash, no allocation.
 */
enum { AUDIT_MEMBERS_MAX = 3900 };
int audit_append(struct audit *a, const char *id, const char *members, size_t len, struct err *e);

/* About once a second: what is due by time. -1 when the keeper has gone. */
int audit_tick(struct audit *a, struct err *e);

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

/* Each line without its newline, only the first 4097 bytes of a longer one; whole = 0: the file ends in it.
 */
typedef int audit_line_cb(void *arg, unsigned long number, const char *line, size_t len, int whole);
int audit_lines(const char *path, audit_line_cb *visit, void *arg, struct err *e);

#endif
