/*
 * The control server as its client sees it: bytes go in by a socketpair, in steps, with answers at once or
 * late, and a client that half-closes or vanishes. Whatever was sent, no connection may be left behind.
 */
#include "control/server.h"

#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "control/standin_life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LATE = 1, VANISH = 2, DEAF = 4 };

static struct event_base *base;
static struct server *server;
static struct life life;

static void
setup(void)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct err e;

	if (bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) < 0 || listen(fd, 1) < 0)
		abort();
	base = event_base_new();
	server = server_new(base, "none", fd, &life, &e);
	if (server == NULL)
		abort();
}

static void
drain(int fd, int flags)
{
	char sink[4096];

	event_base_loop(base, EVLOOP_NONBLOCK);
	while (!(flags & DEAF) && recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
		;
}

static void
feed(int fd, const uint8_t *data, size_t size, size_t step, int flags)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size < step ? size : step, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return;
		data += n;
		size -= (size_t)n;
		drain(fd, flags);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], flags;

	if (size < 2)
		return 0;
	if (base == NULL)
		setup();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	flags = data[0];
	life.later = flags & LATE;
	server_adopt(server, pair[0]);
	feed(pair[1], data + 2, size - 2, data[1] == 255 ? 65536 : data[1] + 1u, flags);
	if (!(flags & VANISH)) {
		shutdown(pair[1], SHUT_WR);
		drain(pair[1], flags);
		for (int i = 0; i < 300 && life.held > 0; i++) {
			standin_release(&life);
			drain(pair[1], flags);
		}
	}
	close(pair[1]);
	for (int i = 0; i < 20 && server_connections(server) > 0; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	standin_release(&life);
	if (server_connections(server) > 0)
		abort();
	return 0;
}
