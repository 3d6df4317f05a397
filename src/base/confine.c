#include "base/confine.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "confine_private.h"

#define GIB ((rlim_t)1 << 30)
#define MOST RLIM_INFINITY /* as much as whoever started us allows */

static const struct {
	rlim_t files, processes, data;
	enum log_level tells; /* that the kernel lacks something: once for a service, not for each image */
} profiles[CONFINE_PROFILES] = {
	[CONFINE_FRONT] = { MOST, 0, MOST, LOG_LEVEL_INFO },
	/* policies of 10000 tasks; the kernel passes no descriptor on (ETOOMANYREFS) while the user, whatever
	 * its programs, has more of them under way than this */
	[CONFINE_GATE] = { 1024, 0, 1 * GIB, LOG_LEVEL_DEBUG },
	[CONFINE_KEEPER] = { 32, 0, 1 * GIB, LOG_LEVEL_DEBUG },
	[CONFINE_SPAWNER] = { 1024, MOST, MOST, LOG_LEVEL_DEBUG },
	[CONFINE_EXPORT] = { 32, MOST, 2 * GIB, LOG_LEVEL_DEBUG }, /* the compressor has a thread */
	[CONFINE_LOAD] = { 32, MOST, 2 * GIB, LOG_LEVEL_DEBUG },
	[CONFINE_UPLOADER] = { 1024, 0, 2 * GIB, LOG_LEVEL_INFO },
	[CONFINE_UPLOADER_NET] = { 1024, MOST, 2 * GIB,
	    LOG_LEVEL_INFO }, /* names are looked up in a thread */
	[CONFINE_SIGNER] = { 16, 0, 1 * GIB, LOG_LEVEL_DEBUG },
};

/* Tokens, registry passwords and what a task built with them pass through JSON. */
static void
free_wiped(void *p)
{
	if (p != NULL)
		mem_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *
crypto_alloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size > 0 ? mem_must(size) : NULL;
}

static void *
crypto_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	if (size > 0)
		return mem_must_again(p, size);
	free(p);
	return NULL;
}

static void
crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

void
confine_start(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef WITH_ASAN
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a core pattern that is a pipe ignores the limit */
#endif
	/* jansson leaves out of an object what it has no memory for: a record without its decision */
	json_set_alloc_funcs(mem_must, free_wiped);
	(void)CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free);
}

pid_t
confine_fork(int *fd, struct err *e)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "socketpair: %m");
	pid = fork();
	if (pid < 0)
		err_set(e, errno, "fork: %m");
	*fd = pair[pid == 0];
	close(pair[pid != 0]);
	if (pid < 0)
		close(*fd);
	return pid;
}

void
confine_child(const char *name, int *fd)
{
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	if (*fd != 3 && dup2(*fd, 3) == 3)
		*fd = 3;
	closefrom(*fd + 1);
}

/* Never above what there is. */
static void
limit(int what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r) < 0)
		return;
	if (most < r.rlim_max)
		r.rlim_max = most;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit((__rlimit_resource_t)what, &r);
}

/* What libraries read at their first use, they read now: configuration of OpenSSL, the seed of JSON's hash.
 */
static void
warm_up(void)
{
	char hex[HASH_HEX_MAX];

	hash_once(HASH_SHA256, "", 0, hex);
	json_decref(json_object());
	tzset();
}

#ifndef WITH_ASAN
static int
tell(enum confine_profile profile, int rc, const char *lost, const struct err *e)
{
	if (rc == 1)
		log_write(profiles[profile].tells, "confine", "going on without %s: %s", lost, e->text);
	return rc < 0 ? -1 : 0;
}
#endif

int
confine(enum confine_profile profile, const struct confine_path *paths, struct err *e)
{
	warm_up();
	limit(RLIMIT_NOFILE, profiles[profile].files);
#ifdef WITH_ASAN
	(void)paths, (void)e; /* base/confine.h says why */
	return 0;
#else
	if (profiles[profile].processes != MOST)
		limit(RLIMIT_NPROC, profiles[profile].processes);
	if (profiles[profile].data != MOST)
		limit(RLIMIT_DATA, profiles[profile].data);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* without it the kernel takes neither of the two */
	if (confine_capabilities(e) < 0 || tell(profile, confine_files(profile, paths, e), "Landlock", e) < 0)
		return -1;
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of user has set it anew */
	return tell(profile, confine_calls(profile, e), "a filter of system calls", e);
#endif
}
