/* Users, groups, capabilities, and who owns the directories. */

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "confine_private.h"

static int
find_user(const char *name, uid_t *uid, gid_t *gid, struct err *e)
{
	const struct passwd *p;

	errno = 0;
	p = getpwnam(name);
	if (p == NULL)
		return err_set(e, errno ? errno : ENOENT, "'user': there is no user '%s' on this host", name);
	if (p->pw_uid == 0)
		return err_set(e, EINVAL, "'user': '%s' is root by another name", name);
	*uid = p->pw_uid;
	*gid = p->pw_gid;
	return 0;
}

static uid_t give_uid; /* fs_walk() passes nothing along */
static gid_t give_gid;

static int
give_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return lchown(path, give_uid, give_gid);
}

/* The directory itself comes last: a start that was cut short begins anew. */
static int
give_tree(const char *dir, uid_t uid, gid_t gid, struct err *e)
{
	char *path = mem_printf("%s/.", dir); /* of a link of root's: where it leads */
	int rc;

	give_uid = uid;
	give_gid = gid;
	rc = fs_walk(path, give_one);
	if (rc != 0)
		err_set(e, errno, "cannot give '%s' to user %u: %m", dir, uid);
	free(path);
	return rc == 0 ? 0 : -1;
}

/* 1: it is the user's; 0: it is root's, made now when it was missing; -1: whoever it belongs to could turn it
 * into a link to anything.
 */
static int
take_step(const char *dir, mode_t mode, uid_t uid, struct err *e)
{
	struct stat st;

	if (mkdir(dir, mode) < 0 && errno != EEXIST)
		return err_set(e, errno, "cannot make directory '%s': %m", dir);
	if (lstat(dir, &st) < 0 || (S_ISLNK(st.st_mode) && st.st_uid == 0 && stat(dir, &st) < 0))
		return err_set(e, errno, "cannot look at '%s': %m", dir);
	if (st.st_uid == uid)
		return 1;
	if (st.st_uid != 0 || !S_ISDIR(st.st_mode))
		return err_set(e, EPERM, "'%s' is a directory neither of root nor of 'user'", dir);
	return 0;
}

/* The same of the whole way to dir; 1 when there is nothing left to do for root. */
static int
walk_to(char *dir, mode_t mode, uid_t uid, struct err *e)
{
	char *end = dir + strlen(dir);
	int rc = 0;

	for (char *p = dir + 1; rc == 0 && p <= end; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		rc = take_step(dir, p == end ? mode : 0755, uid, e);
		*p = c;
	}
	return rc;
}

int
confine_claim(const char *user, const char *dir, mode_t mode, struct err *e)
{
	char *path;
	uid_t uid;
	gid_t gid;
	int rc;

	if (user[0] == '\0' || geteuid() != 0)
		return 0;
	if (find_user(user, &uid, &gid, e) < 0)
		return -1;
	path = mem_str(dir);
	rc = walk_to(path, mode, uid, e);
	if (rc == 0)
		rc = give_tree(dir, uid, gid, e);
	free(path);
	return rc < 0 ? -1 : 0;
}

/* What no execve(2) may ever bring back; takes CAP_SETPCAP, which goes with root. */
static void
drop_bounds(void)
{
	for (unsigned long c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		; /* ends with the last that the kernel knows, or at once for who may not */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int
confine_become(const char *user, struct err *e)
{
	int root = geteuid() == 0;
	uid_t uid;
	gid_t gid;

	if (setgroups(0, NULL) < 0 && errno != EPERM) /* also with CAP_SETGID alone */
		return err_set(e, errno, "cannot leave supplementary groups: %m");
	if (user[0] != '\0') {
		if (find_user(user, &uid, &gid, e) < 0)
			return -1;
		if (!root && uid != getuid())
			return err_set(e, EPERM, "only root can become '%s', see 'user'", user);
#ifndef WITH_ASAN
		drop_bounds();
#endif
		if (root && (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
			return err_set(e, errno, "cannot become '%s': %m", user);
	}
#ifdef WITH_ASAN
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the leak checker traces its own process */
	return 0;
#else
	return confine_capabilities(e);
#endif
}

int
confine_capabilities(struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	drop_bounds();
	if (syscall(SYS_capset, &head, none) < 0)
		return err_set(e, errno, "cannot give up capabilities: %m");
	return 0;
}
