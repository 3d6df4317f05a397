#ifndef TASK_AUDIT_PRIVATE_H
#define TASK_AUDIT_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/sign.h"
#include "task/chain.h"

/* Inside of task/audit*.c. */

struct err;
struct hash;
struct copies;
struct journal;

struct audit {
	int host;  /* audit.jsonl */
	int tasks; /* the directory of the tasks' logs */
	int keeper;
	struct chain_head head; /* of what was written */
	struct hash *hash;
	uint64_t size;    /* of audit.jsonl: whole records */
	int torn;         /* and behind them bytes that are none */
	uint64_t lost;    /* records that could not be written since the last one that was */
	uint64_t missing; /* records that the log has lost, by the head that was kept outside of it */
	int changed;      /* the last record is not the one that was written, by that head */
	int64_t file_size, rotate_at;
	int64_t checkpoint_records, checkpoint_ms;
	uint64_t unsigned_records; /* since the last checkpoint */
	int64_t checkpoint_at;     /* ms, when the first of them was written */
	char key[SIGN_ID_MAX];
	struct copies *copies;
	struct journal *journal; /* NULL: not asked for */
};

int audit_open_file(int dir, const char *path, struct err *e);

/* Where the log ends, and whether it is as it was left. */
int audit_find_end(struct audit *a, const struct chain_head *kept, struct err *e);

/* Writes the line whole. -1: how much of it was taken stands in *taken. */
int audit_write_line(int fd, const char *line, size_t len, size_t *taken, struct err *e);

/* audit_copies.c: the logs of the tasks, a few of them held open. */
struct copies *copies_new(int dir);
void copies_free(struct copies *c);
void copies_let_go(struct copies *c); /* closes all: somebody may have renamed them */
int copies_write(struct copies *c, const char *id, const char *line, size_t len, struct err *e);

/* audit_seal.c: what the keeper does for the log. */
void audit_checkpoint(struct audit *a, const char *why);
void audit_rotate(struct audit *a);

/* One record: the time is given, the rest added. */
int
audit_put(struct audit *a, const char *id, const char *time, const char *members, size_t len, struct err *e);

#endif
