#ifndef IO_SPAWNER_H
#define IO_SPAWNER_H

#include <stdint.h>
#include <sys/types.h>

struct err;
struct settings;

/*
 * The spawner: a child process that alone may start a program, and only dind-image, with one of its three
 * verbs and three descriptors that the front passes. So the front needs neither fork nor execve, and what it
 * starts was never its own memory. When the front has gone, its programs are killed, and it ends.
 *
 * Messages on the socketpair (SOCK_SEQPACKET), native byte order: same machine, same build.
 */
enum spawn_kind {
	SPAWN_START = 1, /* with descriptors in SCM_RIGHTS: standard input, standard output, engine */
	SPAWN_KILL       /* what is left of it; fine when it has ended */
};

enum { SPAWN_DESCRIPTORS = 3, SPAWN_ENGINE_FD = 3 };

struct spawn_ask {
	uint32_t kind;
	uint32_t ticket;
	char verb[8];
};

struct spawn_end { /* once for each SPAWN_START; why nothing was started stands on its standard output */
	uint32_t ticket;
	int32_t status; /* of waitpid(2) */
};

/* Forks it; pid and one end of the socketpair come back. The child never returns. */
int spawner_fork(const struct settings *s, pid_t *pid, int *fd, struct err *e);

#endif
