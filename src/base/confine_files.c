/* Landlock: which files a process may still open. See landlock(7). */

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "confine_private.h"

/* Debian 12's kernel headers end at version 2 of the interface; the kernel that runs may know more. */
#define FS_TRUNCATE (1ULL << 14)  /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define FS_FIRST 13               /* rights of version 1 */
#define NET_BIND 1ULL             /* 4 */
#define NET_CONNECT 2ULL          /* 4; no rule is ever given for these two: never, or wherever it likes */
#define SCOPES 3ULL               /* 6: abstract sockets and signals of others */

struct attributes {
	uint64_t fs, net, scoped;
};

static const struct {
	unsigned right;
	uint64_t fs;
} rights[] = {
	{ CONFINE_READ, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
	{ CONFINE_APPEND,
	    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG },
	{ CONFINE_REMOVE, LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR },
	{ CONFINE_CHANGE, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
	                      LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
	                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	                      LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE },
	{ CONFINE_SOCKETS, LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_DIR |
	                       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR },
	{ CONFINE_RUN,
	    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR },
};

#define OF_A_FILE                                                                                            \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |         \
	    FS_TRUNCATE)

/* Version 1 forbids every move between directories, which the spool lives of. */
static int
handled(int version, int network, struct attributes *a, size_t *size)
{
	if (version < 2)
		return -1;
	a->fs = (1ULL << FS_FIRST) - 1;
	a->fs |=
	    LANDLOCK_ACCESS_FS_REFER | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
	a->net = network ? NET_BIND : NET_BIND | NET_CONNECT;
	a->scoped = SCOPES;
	*size = (version >= 6 ? 3 : version >= 4 ? 2 : 1) * sizeof a->fs;
	return 0;
}

static uint64_t
of_path(unsigned wanted, uint64_t handled, mode_t mode)
{
	uint64_t fs = 0;

	for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++)
		if (wanted & rights[i].right)
			fs |= rights[i].fs;
	return fs & handled & (S_ISDIR(mode) ? ~0ULL : OF_A_FILE);
}

static int
allow(int set, uint64_t handled, const struct confine_path *p, struct err *e)
{
	struct landlock_path_beneath_attr below = { 0 };
	struct stat st;
	int fd = open(p->path, O_PATH | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "cannot open '%s': %m", p->path);
	below.parent_fd = fd;
	if (fstat(fd, &st) == 0)
		below.allowed_access = of_path(p->rights, handled, st.st_mode);
	if (below.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0)
		rc = err_set(e, errno, "Landlock does not take '%s': %m", p->path);
	close(fd);
	return rc;
}

int
confine_files(enum confine_profile profile, const struct confine_path *paths, struct err *e)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct attributes a;
	size_t size;
	int set, rc = 0;

	if (version < 0)
		return err_set(e, errno, "%m") + 2;
	if (handled((int)version, profile == CONFINE_UPLOADER_NET, &a, &size) < 0)
		return err_set(e, ENOSYS, "version %ld of it is too old", version) + 2;
	set = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (set < 0)
		return err_set(e, errno, "landlock_create_ruleset: %m");
	for (; rc == 0 && paths != NULL && paths->path != NULL; paths++)
		rc = allow(set, a.fs, paths, e);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, set, 0) < 0)
		rc = err_set(e, errno, "landlock_restrict_self: %m");
	close(set);
	return rc;
}
