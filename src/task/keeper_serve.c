/* The keeper itself: blocking, one ask after the other. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "keeper_private.h"
#include "task/keeper.h"

enum {
	CLOCK_SLACK_MS = 60 * 1000, /* between the front's word for now and ours */
	NO_KEY_MAX = 16,            /* bytes of a credential that says only that there is none */
	FILE_DIGITS = 20,           /* of a seq in a file's name: as text they sort as numbers */
};

struct keeping {
	int fd, dir, head_fd; /* dir: of the audit log */
	int64_t file_size, files;
	struct sign_key *key; /* NULL: nothing is signed */
	struct chain_head head;
};

/* ---- the head ---- */

static int
write_head(const struct keeping *k, struct err *e)
{
	char text[CHAIN_HEAD_LINE + 1];

	chain_print_head(&k->head, text);
	if (pwrite(k->head_fd, text, CHAIN_HEAD_LINE, 0) != CHAIN_HEAD_LINE)
		return err_set(e, errno, "the head of the audit log cannot be kept: %m");
	return 0;
}

static int
open_head(struct keeping *k, const char *state_dir, struct err *e)
{
	char *dir = mem_printf("%s/audit", state_dir), *path = mem_printf("%s/head", dir);
	char text[CHAIN_HEAD_LINE];
	ssize_t n = -1;
	int rc = fs_mkdirs(dir, 0700, e);

	chain_begin(&k->head);
	if (rc == 0 && (k->head_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		rc = err_set(e, errno, "cannot open '%s': %m", path);
	if (rc == 0)
		n = pread(k->head_fd, text, sizeof text, 0);
	if (rc == 0 && n == 0)
		rc = write_head(k, e);
	else if (rc == 0 && (n < 0 || chain_parse_head(&k->head, text, (size_t)n) < 0))
		rc = err_set(e, EINVAL,
		    "'%s' is damaged; when it is removed, the log's end is taken as it is found", path);
	free(path);
	free(dir);
	return rc;
}

/* The chain only grows. */
static int
advance(struct keeping *k, const struct chain_head *to, struct err *e)
{
	int same = to->seq == k->head.seq && memcmp(to->hash, k->head.hash, sizeof to->hash) == 0;

	if (to->hash[CHAIN_HASH_MAX - 1] != '\0' || !chain_is_hash(to->hash) ||
	    (to->seq <= k->head.seq && !same))
		return err_set(e, EPERM, "the chain of the audit log does not go back");
	if (same)
		return 0;
	k->head = *to;
	return write_head(k, e);
}

/* ---- checkpoints ---- */

static int
sign(struct keeping *k, const struct keeper_ask *ask, struct keeper_answer *answer, struct err *e)
{
	char text[CHAIN_TEXT_MAX];
	int64_t at, now = stamp_now();

	if (k->key == NULL)
		return err_set(e, ENOENT, "there is no key");
	if (memchr(ask->time, '\0', sizeof ask->time) == NULL || stamp_parse(ask->time, &at) < 0 ||
	    at < now - CLOCK_SLACK_MS || at > now + CLOCK_SLACK_MS)
		return err_set(e, EPERM, "a checkpoint is signed with the time that it is");
	if (advance(k, &ask->head, e) < 0)
		return -1;
	sign_bytes(k->key, text, chain_signed_text(ask->head.seq + 1, ask->head.hash, ask->time, text),
	    answer->signature);
	return 0;
}

/* ---- files ---- */

static int
is_old_file(const struct dirent *d)
{
	static const char before[] = "audit-", behind[] = ".jsonl";
	const char *digits = d->d_name + strlen(before);

	return strncmp(d->d_name, before, strlen(before)) == 0 &&
	       strspn(digits, "0123456789") == FILE_DIGITS && strcmp(digits + FILE_DIGITS, behind) == 0;
}

static void
remove_oldest(struct keeping *k)
{
	struct dirent **names;
	int count = scandirat(k->dir, ".", &names, is_old_file, alphasort);

	for (int i = 0; i < count; i++) {
		if (k->files > 0 && i < count - k->files && unlinkat(k->dir, names[i]->d_name, 0) < 0)
			log_warn("keeper", "cannot remove '%s': %s", names[i]->d_name, strerror(errno));
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

/* Only what is full: nobody pushes records out by asking often. */
static int
rotate(struct keeping *k, const struct keeper_ask *ask, struct err *e)
{
	char name[64];
	struct stat st;

	if (advance(k, &ask->head, e) < 0)
		return -1;
	if (fstatat(k->dir, "audit.jsonl", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "audit.jsonl: %m");
	if (k->file_size == 0 || st.st_size < k->file_size)
		return err_set(e, EPERM, "audit.jsonl is not full");
	(void)snprintf(
	    name, sizeof name, "audit-%0*llu.jsonl", FILE_DIGITS, (unsigned long long)ask->head.seq);
	if (renameat2(k->dir, "audit.jsonl", k->dir, name, RENAME_NOREPLACE) < 0)
		return err_set(e, errno, "audit.jsonl cannot become '%s': %m", name);
	(void)fsync(k->dir);
	remove_oldest(k);
	return 0;
}

/* ---- life ---- */

static void
answer_one(struct keeping *k, const struct keeper_ask *ask)
{
	struct keeper_answer answer = { .head = k->head };
	struct err e = { 0 };
	int rc = 0;

	switch (ask->kind) {
	case KEEPER_HEAD:
		if (advance(k, &ask->head, &e) < 0)
			log_error("keeper", "%s", e.text);
		return;
	case KEEPER_OPEN:
		if (k->key != NULL)
			sign_key_id(k->key, answer.key);
		break;
	case KEEPER_SIGN:
		rc = sign(k, ask, &answer, &e);
		break;
	case KEEPER_ROTATE:
		rc = rotate(k, ask, &e);
		break;
	default:
		rc = err_set(&e, EINVAL, "an unknown ask");
	}
	answer.refused = rc < 0;
	(void)snprintf(answer.why, sizeof answer.why, "%.*s", (int)sizeof answer.why - 1, e.text);
	(void)send(k->fd, &answer, sizeof answer, MSG_NOSIGNAL);
}

/* A keeper that cannot begin says why to the first ask: unread, that would take the answer with it. */
static _Noreturn void
give_up(int fd, const struct err *e)
{
	struct keeper_answer answer = { .refused = 1 };
	struct keeper_ask ask;

	(void)recv(fd, &ask, sizeof ask, 0);
	(void)snprintf(answer.why, sizeof answer.why, "%.*s", (int)sizeof answer.why - 1, e->text);
	(void)send(fd, &answer, sizeof answer, MSG_NOSIGNAL);
	_exit(1);
}

/* systemd's copy of the key, when there is one; else the setting's file. Neither is needed. */
static int
read_key(struct keeping *k, const struct settings *s, struct err *e)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *given = dir == NULL ? NULL : mem_printf("%s/audit.key", dir);
	struct stat st;
	int has = given != NULL && stat(given, &st) == 0 && st.st_size > NO_KEY_MAX;

	k->key = sign_key_read(has ? given : s->audit_key, SIGN_PRIVATE, e);
	free(given);
	if (k->key == NULL && (e->code != ENOENT || has))
		return err_wrap(e, "audit.key");
	return 0;
}

static int
open_all(struct keeping *k, const struct settings *s, struct err *e)
{
	/* as whoever started us: the key may be root's */
	if (read_key(k, s, e) < 0 || confine_become(s->user, e) < 0 || fs_mkdirs(s->audit_dir, 0750, e) < 0 ||
	    fs_mkdirs(s->state_dir, 0700, e) < 0 || open_head(k, s->state_dir, e) < 0)
		return -1;
	k->dir = open(s->audit_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->dir < 0)
		return err_set(e, errno, "cannot open '%s': %m", s->audit_dir);
	k->file_size = s->audit_file_size;
	k->files = s->audit_files;
	return 0;
}

_Noreturn void
keeper_serve(const struct settings *s, int fd)
{
	const struct confine_path paths[] = { { s->audit_dir, CONFINE_CHANGE }, { 0 } };
	struct keeping k = { .dir = -1, .head_fd = -1 };
	struct keeper_ask ask;
	struct err e = { 0 };
	ssize_t n;

	confine_child("dind-keeper", &fd);
	k.fd = fd;
	if (open_all(&k, s, &e) < 0 || confine(CONFINE_KEEPER, paths, &e) < 0)
		give_up(fd, &e);
	while ((n = recv(fd, &ask, sizeof ask, 0)) > 0 || (n < 0 && errno == EINTR))
		if (n == sizeof ask)
			answer_one(&k, &ask);
	sign_key_free(k.key);
	_exit(0);
}
