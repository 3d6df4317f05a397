#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <sys/types.h>

struct err;

/*
 * What a process gives up before it reads its first hostile byte: its user and groups, capabilities, files
 * (Landlock), system calls (seccomp), descriptors and memory (limits). Whatever it is made to do after that,
 * it does with what its profile leaves. docs/hardening.md says who may do what and why.
 *
 * Kernels without Landlock or seccomp do without, with one line in the log. Sanitizer builds keep files,
 * capabilities and system calls: reports must be written, and the leak checker traces its own process.
 */
enum confine_profile {
	CONFINE_FRONT,        /* talks to tasks: no connect, no programs, only its own directories */
	CONFINE_GATE,         /* opens the engine's socket and nothing else: no files at all */
	CONFINE_KEEPER,       /* the audit log's key, head and old files: no sockets, no programs */
	CONFINE_SPAWNER,      /* starts one program */
	CONFINE_EXPORT,       /* engine to spool: no sockets of its own */
	CONFINE_LOAD,         /* one file to the engine: reads that file */
	CONFINE_UPLOADER,     /* spool to a store on the disk: no sockets, no programs */
	CONFINE_UPLOADER_NET, /* spool to a store on the network */
	CONFINE_SIGNER,       /* bytes in, signatures out: no files, no sockets of its own */
	CONFINE_PROFILES
};

/* The gate's directory of settings: the only one that its openat(2) may name. */
enum { CONFINE_CONFIG_FD = 4 };

/* Rights below a directory, or on a file. */
enum {
	CONFINE_READ = 1,
	CONFINE_APPEND = 2,   /* makes and writes files; takes none away */
	CONFINE_REMOVE = 4,   /* takes files and directories away */
	CONFINE_CHANGE = 8,   /* all of the above, makes and moves directories */
	CONFINE_SOCKETS = 16, /* makes sockets and directories, takes them away */
	CONFINE_RUN = 32      /* reads and executes */
};

struct confine_path {
	const char *path; /* NULL ends the list; one that is not there gives nothing */
	unsigned rights;
};

/* First of all in main: no core dumps, no new rights, freed JSON is wiped. */
void confine_start(void);

/*
 * Makes a directory that `user` is to own, as root: a directory that was root's is given to the user with all
 * that is in it. Below one that is the user's already nothing is done, and no link in it is followed: what is
 * missing there is made after confine_become(). Without root, or with user "": nothing.
 */
int confine_claim(const char *user, const char *dir, mode_t mode, struct err *e);

/* Becomes the user ("" = stays) without supplementary groups, and gives up all capabilities. */
int confine_become(const char *user, struct err *e);

/*
 * Forks a helper with a socketpair (SOCK_SEQPACKET) between both: its pid in the parent, 0 in the child, -1;
 * *fd is each one's own end.
 */
pid_t confine_fork(int *fd, struct err *e);

/*
 * In a forked helper: its name, its parent's descriptors closed but for stdio and *fd (now 3), deaf to
 * SIGTERM, SIGINT and SIGHUP, which systemd and terminals send to all at once: it ends when its parent closes
 * the other end.
 */
void confine_child(const char *name, int *fd);

/* The rest, for good. One thread only; whatever was opened stays open. -1 when a right cannot be given up. */
int confine(enum confine_profile profile, const struct confine_path *paths, struct err *e);

#endif
