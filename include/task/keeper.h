#ifndef TASK_KEEPER_H
#define TASK_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/sign.h"
#include "base/stamp.h"
#include "task/chain.h"

struct err;
struct settings;

/*
 * The keeper: a child of dind-proxyd that has what must outlive trust in the front, which reads the bytes of
 * tasks: the key that signs checkpoints of the audit log, the file with the head of the chain, and the right
 * to put log files aside and remove old ones. The front may only append. Whatever the front is made to
 * say, the keeper signs no place of the chain twice, and no time but now: a front that was taken over
 * cannot write the past anew.
 *
 * Messages on the socketpair (SOCK_SEQPACKET), native byte order: same machine, same build. Every ask but
 * KEEPER_HEAD is answered. When the front has gone, it ends.
 */
enum keeper_kind {
	KEEPER_OPEN = 1, /* what is kept: head, and the key's id */
	KEEPER_HEAD,     /* head is now the last record */
	KEEPER_SIGN,     /* the checkpoint that follows head, at this time */
	KEEPER_ROTATE    /* head is the last record of audit.jsonl, which is full */
};

struct keeper_ask {
	uint32_t kind;
	struct chain_head head;
	char time[STAMP_MAX];
};

struct keeper_answer {
	int32_t refused; /* then why says it */
	char why[200];
	struct chain_head head;
	char key[SIGN_ID_MAX];
	uint8_t signature[SIGN_LEN];
};

/*
 * Forks it; pid and one end of the socketpair come back. The child never returns. Called as root, with a user
 * to become: the key is read first. A key that is there and cannot be used is an error that the first answer
 * tells.
 */
int keeper_fork(const struct settings *s, pid_t *pid, int *fd, struct err *e);

/* Asks and waits for the answer, at most ten seconds. -1 also when it was refused. */
int keeper_ask(int fd, const struct keeper_ask *ask, struct keeper_answer *answer, struct err *e);

/* KEEPER_HEAD: does not wait. -1 with EPIPE when the keeper has gone; too slow a keeper gets the next one. */
int keeper_tell(int fd, const struct chain_head *head, struct err *e);

#endif
