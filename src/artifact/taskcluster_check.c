/* Reads the spool's bytes once, a slice a turn, before anybody hears of them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "taskcluster_private.h"

enum { SLICE = 1024 * 1024 }; /* some milliseconds of hashing */

struct tc_check {
	const struct spool_record *record;
	tc_check_cb *cb;
	void *arg;
	struct event *turn;
	struct hash *sha256, *sha512;
	uint8_t *slice;
	uint64_t read;
	int fd;
};

void
tc_check_cancel(struct tc_check *c)
{
	if (c == NULL)
		return;
	event_free(c->turn);
	hash_free(c->sha256);
	hash_free(c->sha512);
	free(c->slice);
	free(c);
}

/* 1 = there is more, 0 = all was read. */
static int
step(struct tc_check *c, struct err *e)
{
	ssize_t n = pread(c->fd, c->slice, SLICE, (off_t)c->read);

	if (n < 0)
		return errno == EINTR ? 1 : err_set(e, errno, "cannot read the spool's data: %m");
	hash_add(c->sha256, c->slice, (size_t)n);
	hash_add(c->sha512, c->slice, (size_t)n);
	c->read += (uint64_t)n;
	return n > 0;
}

static int
compare(struct tc_check *c, struct err *e)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX];

	hash_hex(c->sha256, sha256);
	hash_hex(c->sha512, sha512);
	c->sha256 = c->sha512 = NULL;
	if (c->read == c->record->size && strcmp(sha256, c->record->sha256) == 0 &&
	    strcmp(sha512, c->record->sha512) == 0)
		return 0;
	return err_set(e, EBADMSG,
	    "damaged in the spool: %llu bytes of sha256 %s were sealed, it has %llu of %s",
	    (unsigned long long)c->record->size, c->record->sha256, (unsigned long long)c->read, sha256);
}

static void
again(struct tc_check *c)
{
	struct timeval at_once = { 0, 0 };

	if (c->turn == NULL || evtimer_add(c->turn, &at_once) < 0)
		abort();
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct tc_check *c = arg;
	tc_check_cb *cb = c->cb;
	void *user = c->arg;
	struct err e = { 0 };
	int rc = step(c, &e);

	(void)fd;
	(void)what;
	if (rc == 1) {
		again(c);
		return;
	}
	if (rc == 0)
		rc = compare(c, &e);
	tc_check_cancel(c);
	cb(user, rc, &e);
}

struct tc_check *
tc_check_start(struct event_base *base, int fd, const struct spool_record *r, tc_check_cb *cb, void *arg)
{
	struct tc_check *c = mem_new(sizeof *c);

	*c = (struct tc_check){ .record = r, .cb = cb, .arg = arg, .fd = fd };
	c->turn = evtimer_new(base, on_turn, c);
	c->sha256 = hash_new(HASH_SHA256);
	c->sha512 = hash_new(HASH_SHA512);
	c->slice = mem_new(SLICE);
	again(c);
	return c;
}
