/*
 * Each row is a process of its own: it confines itself to a profile, tries one thing, and tells how it went.
 * Directories: own (may be changed), seen (may be read), log (may be appended to), other (nothing was said).
 */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "tap.h"

#ifdef WITH_ASAN
int
main(void)
{
	printf("1..0 # SKIP sanitizer builds keep their rights\n");
	return 0;
}
#else

enum { FINE = 0, KILLED = -1 }; /* else an errno */

static char dir[] = "/tmp/confine-test-XXXXXX";

static int
result(long rc)
{
	return rc < 0 ? errno : FINE;
}

static int
opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return result(fd);
}

static int
try_exec(void)
{
	const char *const argv[] = { "/bin/true", NULL };

	execve(argv[0], (char *const *)(uintptr_t)argv, NULL);
	return errno;
}

static int
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : result(waitpid(pid, NULL, 0));
}

static void *
on_thread(void *arg)
{
	return arg;
}

static int
try_thread(void)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, on_thread, NULL);

	return rc != 0 ? rc : pthread_join(t, NULL);
}

static int
connects(const void *to, socklen_t len)
{
	int fd = socket(((const struct sockaddr *)to)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : result(connect(fd, to, len));
}

static int
try_unix(void)
{
	const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "/nobody/listens" };

	return connects(&to, sizeof to);
}

static int
try_inet(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};

	return connects(&to, sizeof to);
}

static int
try_listen(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "own/socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1) < 0)
		return errno;
	return result(unlink("own/socket"));
}

static int
try_ptrace(void)
{
	return result(syscall(SYS_ptrace, 0, 0, 0, 0));
}

static int
try_mount(void)
{
	return result(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL));
}

static int
try_signal(void)
{
	return result(kill(getppid(), 0));
}

static int
try_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	           ? errno
	           : FINE;
}

static int
try_memory(void)
{
	void *p = malloc(64 << 20);

	memset(p, 1, 64 << 20);
	free(p);
	return FINE;
}

static int
try_abort(void)
{
	abort();
}

static int
try_read_own(void)
{
	return opens("own/file", O_RDONLY);
}

static int
try_make_own(void)
{
	int rc = opens("own/new", O_WRONLY | O_CREAT | O_EXCL);

	return rc != FINE ? rc : result(unlink("own/new"));
}

static int
try_move_own(void)
{
	return rename("own/a/x", "own/b/x") < 0 ? errno : result(rename("own/b/x", "own/a/x"));
}

static int
try_read_seen(void)
{
	return opens("seen/file", O_RDONLY);
}

static int
try_write_seen(void)
{
	return opens("seen/file", O_WRONLY);
}

static int
try_make_seen(void)
{
	return opens("seen/new", O_WRONLY | O_CREAT);
}

static int
try_remove_seen(void)
{
	return result(unlink("seen/file"));
}

static int
try_append_log(void)
{
	return opens("log/file", O_WRONLY | O_APPEND | O_CREAT);
}

static int
try_cut_log(void)
{
	return opens("log/file", O_WRONLY | O_TRUNC);
}

static int
try_remove_log(void)
{
	return result(unlink("log/file"));
}

static int
try_read_other(void)
{
	return opens("other/file", O_RDONLY);
}

static int
try_passwd(void)
{
	return opens("/etc/passwd", O_RDONLY);
}

static int
try_link_out(void)
{
	return result(link("own/file", "other/file2"));
}

#define FRONT CONFINE_FRONT
#define GATE CONFINE_GATE
#define SPAWNER CONFINE_SPAWNER
#define EXPORT CONFINE_EXPORT
#define LOAD CONFINE_LOAD
#define UPLOADER CONFINE_UPLOADER
#define NET CONFINE_UPLOADER_NET

static const struct row {
	enum confine_profile profile;
	int (*attempt)(void);
	int want;
	int landlock; /* without it the answer would be another */
	const char *name;
} rows[] = {
	{ FRONT, try_exec, KILLED, 0, "the front executes nothing" },
	{ GATE, try_exec, KILLED, 0, "the gate executes nothing" },
	{ EXPORT, try_exec, KILLED, 0, "an export executes nothing" },
	{ LOAD, try_exec, KILLED, 0, "a load executes nothing" },
	{ UPLOADER, try_exec, KILLED, 0, "the uploader executes nothing" },
	{ NET, try_exec, KILLED, 0, "the uploader on the network executes nothing" },
	{ SPAWNER, try_exec, EACCES, 1, "the spawner executes nothing that it was not given" },

	{ FRONT, try_fork, KILLED, 0, "the front has no children" },
	{ GATE, try_fork, KILLED, 0, "the gate has no children" },
	{ LOAD, try_fork, KILLED, 0, "a load has no children" },
	{ UPLOADER, try_fork, KILLED, 0, "the uploader has no children" },
	{ EXPORT, try_fork, ENOSYS, 0, "an export has no children" },
	{ NET, try_fork, ENOSYS, 0, "the uploader on the network has no children" },
	{ SPAWNER, try_fork, FINE, 0, "the spawner has children" },
	{ EXPORT, try_thread, FINE, 0, "an export has threads" },
	{ NET, try_thread, FINE, 0, "the uploader on the network has threads" },
	{ FRONT, try_thread, KILLED, 0, "the front has no threads" },

	{ FRONT, try_unix, KILLED, 0, "the front connects to nothing" },
	{ EXPORT, try_unix, ENOSYS, 0, "an export has no sockets of its own" },
	{ LOAD, try_unix, ENOSYS, 0, "a load has no sockets of its own" },
	{ UPLOADER, try_unix, ENOSYS, 0, "the uploader has no sockets" },
	{ SPAWNER, try_unix, ENOSYS, 0, "the spawner has no sockets of its own" },
	{ NET, try_unix, ENOSYS, 0, "the uploader on the network has no unix sockets" },
	{ GATE, try_unix, ENOENT, 0, "the gate connects" },
	{ GATE, try_inet, ENOSYS, 0, "the gate knows no network" },
	{ FRONT, try_inet, ENOSYS, 0, "the front knows no network" },
	{ NET, try_inet, ECONNREFUSED, 0, "the uploader on the network connects" },
	{ FRONT, try_listen, FINE, 0, "the front listens" },
	{ GATE, try_listen, ENOSYS, 0, "the gate does not listen" },

	{ FRONT, try_ptrace, KILLED, 0, "the front traces nobody" },
	{ GATE, try_mount, KILLED, 0, "the gate mounts nothing" },
	{ SPAWNER, try_mount, KILLED, 0, "the spawner mounts nothing" },
	{ FRONT, try_signal, ENOSYS, 0, "the front sends no signals" },
	{ SPAWNER, try_signal, EPERM, 1, "the spawner sends signals to its children only" },
	{ FRONT, try_code, ENOSYS, 0, "the front makes no code" },
	{ GATE, try_code, ENOSYS, 0, "the gate makes no code" },
	{ EXPORT, try_code, ENOSYS, 0, "an export makes no code" },
	{ FRONT, try_memory, FINE, 0, "the front has memory" },
	{ GATE, try_memory, FINE, 0, "the gate has memory" },
	{ GATE, try_abort, 1000 + SIGABRT, 0, "abort() still works" },

	{ GATE, try_read_own, ENOSYS, 0, "the gate opens no file" },
	{ FRONT, try_read_own, FINE, 0, "the front reads its files" },
	{ FRONT, try_make_own, FINE, 0, "the front makes files" },
	{ FRONT, try_read_seen, FINE, 0, "what may be read is read" },
	{ FRONT, try_write_seen, EACCES, 1, "what may be read is not written" },
	{ FRONT, try_make_seen, EACCES, 1, "nothing is made where it may only be read" },
	{ FRONT, try_remove_seen, EACCES, 1, "nothing is removed where it may only be read" },
	{ FRONT, try_append_log, FINE, 0, "the log is written" },
	{ FRONT, try_cut_log, EACCES, 1, "the log is not cut" },
	{ FRONT, try_remove_log, EACCES, 1, "the log is not removed" },
	{ FRONT, try_read_other, EACCES, 1, "other files are not read" },
	{ FRONT, try_passwd, EACCES, 1, "the host's files are not read" },
	{ EXPORT, try_passwd, EACCES, 1, "nor by an export" },
	{ LOAD, try_passwd, EACCES, 1, "nor by a load" },
	{ UPLOADER, try_passwd, EACCES, 1, "nor by the uploader" },
	{ EXPORT, try_move_own, FINE, 0, "an export moves between its directories" },
	{ UPLOADER, try_move_own, FINE, 0, "the uploader moves between its directories" },
	{ LOAD, try_move_own, ENOSYS, 0, "a load changes no directory" },
	{ UPLOADER, try_link_out, EACCES, 1, "nothing is linked out of the uploader's directories" },
	{ FRONT, try_link_out, ENOSYS, 0, "the front makes no links" },
};

static int
has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 6;
}

static void
enter(enum confine_profile profile)
{
	const struct confine_path paths[] = {
		{ "own", CONFINE_CHANGE | CONFINE_SOCKETS },
		{ "seen", CONFINE_READ },
		{ "log", CONFINE_APPEND },
		{ "/there/is/nothing/here", CONFINE_CHANGE },
		{ 0 },
	};
	struct err e = { 0 };

	confine_start();
	if (chdir(dir) < 0 || confine(profile, paths, &e) < 0) {
		log_error("test", "%s", e.text);
		_exit(255);
	}
}

/* The attempt's errno, KILLED for a forbidden call, 1000 + n for another signal. */
static int
outcome(const struct row *r)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		enter(r->profile);
		_exit(r->attempt());
	}
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : 1000 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void
attempts(void)
{
	int landlock = has_landlock();

	for (const struct row *r = rows; r < rows + sizeof rows / sizeof rows[0]; r++)
		if (landlock || !r->landlock)
			is_int(outcome(r), r->want, r->name);
}

/* What the kernel says of a confined process; 0 when all of it is right. */
static int
state(enum confine_profile profile)
{
	struct rlimit core, files;
	int bad = 0;

	enter(profile);
	bad |= (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0) << 0;
	bad |= (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur != files.rlim_max) << 1;
	return bad;
}

static void
states(void)
{
	for (int p = 0; p < CONFINE_PROFILES; p++) {
		pid_t pid = fork();
		int status = 0;

		if (pid == 0)
			_exit(state((enum confine_profile)p));
		(void)waitpid(pid, &status, 0);
		ok(WIFEXITED(status), "the profile can be entered");
		is_int(WEXITSTATUS(status), 0, "no core, and its limits");
	}
}

static void
make_file(const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);
	struct err e;

	if (fs_replace(path, "x", 1, 0600, &e) < 0)
		abort();
	free(path);
}

static void
make_dirs(void)
{
	static const char *const names[] = { "own/a", "own/b", "seen", "log", "other" };
	struct err e;

	if (mkdtemp(dir) == NULL)
		abort();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *path = mem_printf("%s/%s", dir, names[i]);

		if (fs_mkdirs(path, 0700, &e) < 0)
			abort();
		free(path);
	}
	make_file("own/file");
	make_file("own/a/x");
	make_file("seen/file");
	make_file("log/file");
	make_file("other/file");
}

/* ---- users and directories: for root only ---- */

static uid_t
owner(const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);
	struct stat st = { .st_uid = 12345 };

	(void)lstat(path, &st);
	free(path);
	return st.st_uid;
}

static int
claim(const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);
	struct err e = { 0 };
	int rc = confine_claim("nobody", path, 0700, &e);

	free(path);
	return rc;
}

static void
claims(uid_t nobody)
{
	char cwd[256];

	if (getcwd(cwd, sizeof cwd) == NULL || chmod(dir, 0755) < 0 || chdir(dir) < 0)
		abort();
	is_int(claim("new/deep/place"), 0, "a directory is made");
	ok(owner("new") == 0 && owner("new/deep/place") == nobody,
	    "it is the user's, its parents are root's");
	is_int(claim("own"), 0, "root's directory is given");
	ok(owner("own") == nobody && owner("own/a/x") == nobody, "with all that is in it");
	if (symlink("../seen", "own/link") < 0 || lchown("own/link", nobody, (gid_t)-1) < 0 ||
	    symlink("other", "alias") < 0 || mkdir("theirs", 0700) < 0 || chown("theirs", nobody + 1, 0) < 0)
		abort();
	is_int(claim("own/link"), 0, "below the user's directory nothing is done");
	is_int(claim("own/more/places"), 0, "nor made");
	ok(owner("seen") == 0 && owner("seen/file") == 0, "a link of the user leads root nowhere");
	is_int(owner("own/more"), 12345, "what is missing there the user makes");
	is_int(claim("alias"), 0, "a link of root is followed");
	ok(owner("other/file") == nobody && owner("alias") == 0, "to what it leads to");
	is_int(claim("theirs/x"), -1, "a directory of somebody else is refused");
	is_int(confine_claim("", "/nobody/claims/this", 0700, &(struct err){ 0 }), 0, "no user, no claim");
	if (chdir(cwd) < 0)
		abort();
}

static int
becomes(const char *user)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct err e = { 0 };
		const gid_t more[] = { 4, 5 };

		if (setgroups(2, more) < 0 || confine_become(user, &e) < 0)
			_exit(1);
		if (getgroups(0, NULL) != 0 || (user[0] != '\0' && (getuid() == 0 || setuid(0) == 0)))
			_exit(2);
		_exit(chown(dir, 0, 12345) == 0 ? 3 : 0); /* takes a capability, even of uid 0 */
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
main(void)
{
	const struct passwd *nobody = getpwnam("nobody");
	struct err e = { 0 };

	log_setup("confine-test", LOG_LEVEL_ERROR, 0);
	make_dirs();
	attempts();
	states();
	if (geteuid() == 0 && nobody != NULL) {
		claims(nobody->pw_uid);
		is_int(becomes("nobody"), 0, "root becomes the user, without groups and capabilities");
		is_int(becomes(""), 0, "without a user it stays root, without groups and capabilities");
		is_int(becomes("no such user"), 1, "an unknown user is an error");
		is_int(becomes("root"), 1, "root is not a user to become");
	}
	(void)fs_remove_tree(dir, &e);
	return tap_end();
}
#endif
