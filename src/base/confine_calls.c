/* seccomp: which system calls a process may still make. See seccomp(2), seccomp_rule_add(3). */

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "confine_private.h"

#define BIT(profile) (1U << CONFINE_##profile)
#define FRONT BIT(FRONT)
#define GATE BIT(GATE)
#define KEEPER BIT(KEEPER)
/* A filter is inherited: the spawner may all that its program may. */
#define EXPORT (BIT(EXPORT) | BIT(SPAWNER))
#define LOAD (BIT(LOAD) | BIT(SPAWNER))
#define NET BIT(UPLOADER_NET)
#define UPLOADER (BIT(UPLOADER) | NET)
#define SPAWNER BIT(SPAWNER)
#define ALL (BIT(PROFILES) - 1)
#define OWN_PID UINT64_MAX /* as value of a condition */
#define ALL_BITS UINT64_MAX
#define ALL_OF_INT 0xffffffffULL

#define MAY(who, calls)                                                                                      \
	{                                                                                                    \
		who, calls, 0, 0, 0                                                                          \
	}
#define MAY_IF(who, call, arg, mask, value)                                                                  \
	{                                                                                                    \
		who, call, arg, mask, value                                                                  \
	}

/* Calls that a profile may make; with a mask, only when the argument is `value` under it. */
static const struct row {
	unsigned who;
	const char *calls;
	unsigned arg;
	uint64_t mask, value;
} rows[] = {
	/* memory, time, itself */
	MAY(ALL, "read readv write writev close lseek fstat newfstatat fcntl poll ppoll"),
	MAY(ALL, "brk munmap mremap madvise futex sched_yield getrandom sysinfo"),
	MAY_IF(ALL & ~SPAWNER, "mmap", 2, PROT_EXEC, 0),
	MAY_IF(ALL & ~SPAWNER, "mprotect", 2, PROT_EXEC, 0),
	MAY(ALL, "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time"),
	MAY(ALL, "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall exit exit_group"),
	MAY(ALL, "getpid gettid getppid getuid geteuid getgid getegid"),
	MAY_IF(ALL & ~SPAWNER, "prlimit64", 2, ALL_BITS, 0),      /* to ask */
	MAY_IF(ALL & ~SPAWNER, "tgkill", 0, ALL_OF_INT, OWN_PID), /* abort(3) */

	/* files: which ones is said by Landlock and permissions */
	MAY(FRONT | KEEPER | EXPORT | LOAD | UPLOADER, "open openat stat lstat statx pread64"),
	MAY(FRONT | EXPORT | LOAD | UPLOADER, "access faccessat faccessat2"),
	MAY(FRONT | KEEPER | EXPORT | UPLOADER,
	    "getdents64 flock fsync fdatasync pwrite64 ftruncate fadvise64"),
	MAY(FRONT | KEEPER | EXPORT | UPLOADER,
	    "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2"),
	MAY(FRONT | EXPORT | UPLOADER, "chmod fchmod fchmodat umask statfs fstatfs"),
	MAY(UPLOADER, "link linkat"),

	/* the event loop */
	MAY(FRONT | UPLOADER, "epoll_ctl epoll_wait epoll_pwait epoll_pwait2"),

	/* sockets: the front listens, the gate connects, nobody does both */
	MAY(FRONT | GATE | KEEPER | EXPORT | LOAD | NET, "recvfrom recvmsg sendto sendmsg"),
	MAY(FRONT | GATE | EXPORT | LOAD | NET, "shutdown getsockopt setsockopt"),
	MAY_IF(FRONT | GATE, "socket", 0, ALL_OF_INT, AF_UNIX),
	MAY_IF(FRONT, "socketpair", 0, ALL_OF_INT, AF_UNIX),
	MAY(FRONT, "accept4 bind listen"),
	MAY_IF(FRONT, "ioctl", 1, ALL_OF_INT, FIONREAD),
	MAY(GATE, "connect"),

	/* the settings file, read anew: one directory, to which Landlock holds it */
	MAY_IF(GATE, "openat", 0, ALL_OF_INT, CONFINE_CONFIG_FD),

	/* the network: libcurl, with a thread that looks names up (netlink: which addresses are of use here)
	 */
	MAY_IF(NET, "socket", 0, ALL_OF_INT, AF_INET),
	MAY_IF(NET, "socket", 0, ALL_OF_INT, AF_INET6),
	MAY_IF(NET, "socket", 0, ALL_OF_INT, AF_NETLINK),
	MAY_IF(NET, "socketpair", 0, ALL_OF_INT, AF_UNIX),
	MAY_IF(NET, "ioctl", 1, ALL_OF_INT, FIONREAD),
	MAY_IF(NET, "ioctl", 1, ALL_OF_INT, FIONBIO),
	MAY(NET, "connect bind getsockname getpeername sendmmsg recvmmsg eventfd2 pipe2 uname"),

	/* processes: threads of the compressor and of name look-ups, the spawner's program, the ends of gate
	   and spawner */
	MAY_IF(BIT(EXPORT) | NET, "clone", 0, CLONE_THREAD, CLONE_THREAD),
	MAY(EXPORT | NET, "set_robust_list rseq sched_getaffinity"),
	MAY(FRONT | SPAWNER, "wait4"),
	MAY(SPAWNER, "clone vfork execve kill dup2 dup3 close_range set_tid_address"),
	MAY(SPAWNER, "mmap mprotect tgkill arch_prctl prctl prlimit64 capset seccomp"),
	MAY(SPAWNER, "landlock_create_ruleset landlock_add_rule landlock_restrict_self"),
};

/*
 * What none of us ever calls unless a row above says so: whoever does has been taken over, and is ended at
 * once. Any other call answers ENOSYS, for which libraries have another way.
 */
static const char never[] =
    "execve execveat fork vfork clone connect ptrace process_vm_readv process_vm_writev kcmp "
    "mount umount2 move_mount open_tree fsopen fsmount pivot_root chroot setns unshare "
    "bpf perf_event_open userfaultfd io_uring_setup keyctl add_key request_key "
    "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff "
    "iopl ioperm modify_ldt open_by_handle_at setuid setgid setreuid setregid setresuid "
    "setresgid setgroups capset";

/* Calls visit(name) for each word; stops with its value when that is not 0. */
static int
each_word(const char *words, int (*visit)(void *arg, const char *name), void *arg)
{
	char *copy = mem_str(words), *at = NULL;
	int rc = 0;

	for (char *w = strtok_r(copy, " ", &at); rc == 0 && w != NULL; w = strtok_r(NULL, " ", &at))
		rc = visit(arg, w);
	free(copy);
	return rc;
}

struct making {
	scmp_filter_ctx filter;
	unsigned profile;
	const struct row *row; /* NULL: of never */
};

static int
is_word(void *name, const char *word)
{
	return strcmp(name, word) == 0;
}

static int
may(unsigned profile, const char *name)
{
	char *copy = mem_str(name);
	int found = 0;

	for (size_t i = 0; !found && i < sizeof rows / sizeof rows[0]; i++)
		found = (rows[i].who & profile) && each_word(rows[i].calls, is_word, copy);
	free(copy);
	return found;
}

static int
add(void *arg, const char *name)
{
	const struct making *m = arg;
	int number = seccomp_syscall_resolve_name(name);
	uint64_t value;

	if (number == __NR_SCMP_ERROR)
		return -ENOENT; /* of the table, not of this machine */
	if (number < 0)
		return 0; /* other machines have it */
	if (m->row == NULL)
		return may(m->profile, name) ? 0
		                             : seccomp_rule_add(m->filter, SCMP_ACT_KILL_PROCESS, number, 0);
	if (m->row->mask == 0)
		return seccomp_rule_add(m->filter, SCMP_ACT_ALLOW, number, 0);
	value = m->row->value == OWN_PID ? (uint64_t)getpid() : m->row->value;
	return seccomp_rule_add(m->filter, SCMP_ACT_ALLOW, number, 1,
	    SCMP_CMP(m->row->arg, SCMP_CMP_MASKED_EQ, m->row->mask, value));
}

static int
fill(struct making *m)
{
	int rc = seccomp_attr_set(m->filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	(void)seccomp_attr_set(m->filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */
	for (size_t i = 0; rc == 0 && i < sizeof rows / sizeof rows[0]; i++) {
		m->row = &rows[i];
		if (m->row->who & m->profile)
			rc = each_word(m->row->calls, add, m);
	}
	m->row = NULL;
	return rc == 0 ? each_word(never, add, m) : rc;
}

int
confine_calls(enum confine_profile profile, struct err *e)
{
	struct making m = { seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), 1U << profile, NULL };
	int rc = m.filter == NULL ? -ENOMEM : fill(&m);

	if (rc < 0) {
		err_set(e, -rc, "the filter of system calls cannot be made: %m");
	} else if ((rc = seccomp_load(m.filter)) < 0) {
		err_set(e, -rc, "%m");
		rc = 1; /* this kernel, or whatever started us, has none */
	}
	seccomp_release(m.filter);
	return rc;
}
