/* The keeper's two ends: how it is started, and how the front asks. What it does is in keeper_serve.c. */

#include "task/keeper.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/err.h"
#include "keeper_private.h"

enum { ANSWER_MS = 10 * 1000 };

int
keeper_fork(const struct settings *s, pid_t *pid, int *fd, struct err *e)
{
	*pid = confine_fork(fd, e);
	if (*pid == 0)
		keeper_serve(s, *fd);
	return *pid < 0 ? -1 : 0;
}

static int
wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, ANSWER_MS);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

/* An answer that comes after its ten seconds must not be taken for the next one. */
static void
drop_late(int fd)
{
	struct keeper_answer late;

	while (recv(fd, &late, sizeof late, MSG_DONTWAIT) > 0)
		;
}

int
keeper_ask(int fd, const struct keeper_ask *ask, struct keeper_answer *answer, struct err *e)
{
	ssize_t n = -1;

	drop_late(fd);
	if (send(fd, ask, sizeof *ask, MSG_NOSIGNAL) == sizeof *ask && wait_for(fd) == 0)
		n = recv(fd, answer, sizeof *answer, 0);
	if (n < 0)
		return err_set(e, errno, "the audit log's keeper does not answer: %m");
	if (n != sizeof *answer)
		return err_set(e, EPIPE, "the audit log's keeper has gone");
	answer->why[sizeof answer->why - 1] = '\0';
	return answer->refused ? err_set(e, EPERM, "%s", answer->why) : 0;
}

int
keeper_tell(int fd, const struct chain_head *head, struct err *e)
{
	const struct keeper_ask ask = { .kind = KEEPER_HEAD, .head = *head };

	if (send(fd, &ask, sizeof ask, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof ask || errno == EAGAIN)
		return 0;
	return err_set(e, errno, "the audit log's keeper has gone: %m");
}
