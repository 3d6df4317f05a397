/*
 * The clients. One line of figures comes out.
 *   load small SOCKET CONNECTIONS SECONDS TARGET   requests/s p50-us p99-us
 *   load up    SOCKET CONNECTIONS MIB TARGET       seconds of a context of MIB MiB on each connection
 *   load down  SOCKET CONNECTIONS 0 TARGET         seconds, bytes
 *   load hold  SOCKET CONNECTIONS REQUESTS TARGET  "ready" when so many requests were answered on each; then
 * waits for stdin load stall SOCKET CONNECTIONS MIB TARGET       the same when nothing has moved for a
 * second: down (MIB 0) nothing is read, up nothing is taken load slow  SOCKET CONNECTIONS 0 TARGET down, 64
 * KiB every 10 ms for 3 seconds, then as stall
 */
#include <poll.h>

#include "bodies.h"
#include "net.h"

enum { EVENTS = 64, SPACE = 256 * 1024, SLOW_READ = 64 * 1024 };

struct conn {
	int fd;
	int64_t asked; /* ns */
	uint64_t sent, got;
	char end[8]; /* the last bytes that came */
	int done;
	unsigned answers;
};

struct run {
	const char *socket, *target;
	int count;
	uint64_t mib;
	struct conn *conns;
	int loop, left;
	uint64_t moved;
};

static char space[SPACE];

static void
wait_for_stdin(void)
{
	puts("ready");
	fflush(stdout);
	while (read(0, space, sizeof space) > 0)
		;
}

static void
open_all(struct run *r, uint32_t events)
{
	r->loop = epoll_create1(EPOLL_CLOEXEC);
	r->conns = calloc((size_t)r->count, sizeof *r->conns);
	r->left = r->count;
	for (int i = 0; i < r->count; i++) {
		r->conns[i].fd = connect_to(r->socket);
		watch(r->loop, EPOLL_CTL_ADD, r->conns[i].fd, events, &r->conns[i]);
	}
}

/* --- small requests */

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
ask(struct run *r, struct conn *c)
{
	char text[512];
	int n = snprintf(text, sizeof text,
	    "GET %s HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10\r\n\r\n", r->target);

	c->asked = now_ns();
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
}

/* 1 when the answer (it fits one read) is here. */
static int
answered(struct conn *c)
{
	ssize_t n = recv(c->fd, space, sizeof space - 1, 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		die("the connection was closed");
	space[n] = '\0';
	if (strncmp(space, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "%s\n", space);
		exit(1);
	}
	if (strstr(space, "\r\n\r\n") == NULL)
		die("an answer in pieces");
	return 1;
}

static void
small(struct run *r)
{
	int64_t start, end;
	size_t count = 0, room = 1 << 20;
	uint32_t *times = malloc(room * sizeof *times);
	struct epoll_event events[EVENTS];

	open_all(r, EPOLLIN);
	start = now_ns();
	end = start + (int64_t)r->mib * 1000000000;
	for (int i = 0; i < r->count; i++)
		ask(r, &r->conns[i]);
	while (now_ns() < end) {
		int n = epoll_wait(r->loop, events, EVENTS, 1000);

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (!answered(c))
				continue;
			if (count == room)
				times = realloc(times, (room *= 2) * sizeof *times);
			times[count++] = (uint32_t)((now_ns() - c->asked) / 100);
			ask(r, c);
		}
	}
	qsort(times, count, sizeof *times, by_value);
	printf("%.1f %.1f %.1f\n", (double)count * 1e9 / (double)(now_ns() - start), times[count / 2] / 10.0,
	    times[count * 99 / 100] / 10.0);
}

/* --- bodies */

static struct body sent;

static void
make_context(const struct run *r)
{
	static const char file[] = "FROM scratch\nLABEL a=b\n";
	char head[1024], files[4 * BLOCK];
	size_t len = 0;

	(void)snprintf(head, sizeof head,
	    "POST %s HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n",
	    r->target);
	add_file(files, &len, "Dockerfile", strlen(file), file);
	add_file(files, &len, "big", r->mib << 20, NULL);
	body_make(&sent, head, files, len, r->mib);
}

static void
push(struct run *r, struct conn *c)
{
	while (c->sent < body_size(&sent)) {
		size_t len;
		const char *p = body_piece(&sent, c->sent, &len);
		ssize_t n = send(c->fd, p, len < SPACE ? len : SPACE, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			(void)recv(c->fd, space, sizeof space - 1, 0);
			fprintf(stderr, "%s\n", space);
			die("send");
		}
		c->sent += (uint64_t)n;
		r->moved += (uint64_t)n;
	}
	watch(r->loop, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void
note_end(struct conn *c, const char *p, size_t n)
{
	size_t keep = n < sizeof c->end ? sizeof c->end - n : 0, take = sizeof c->end - keep;

	memmove(c->end, c->end + sizeof c->end - keep, keep);
	memcpy(c->end + keep, p + n - take, take);
}

/* Both kinds of end: the last chunk; or the counted build output of the scripted engine ("\n\"}\r\n"). */
static void
pull(struct run *r, struct conn *c, size_t most)
{
	ssize_t n = recv(c->fd, space, most, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the connection was closed");
	if (c->got == 0 && strncmp(space, "HTTP/1.1 200", 12) != 0) {
		space[n < SPACE ? n : SPACE - 1] = '\0';
		fprintf(stderr, "%s\n", space);
		exit(1);
	}
	c->got += (uint64_t)n;
	r->moved += (uint64_t)n;
	note_end(c, space, (size_t)n);
	if (memcmp(c->end + 1, "\r\n0\r\n\r\n", 7) == 0 || memcmp(c->end + 3, "\"}\r\n", 4) == 0 ||
	    memcmp(c->end + 4, "\"}\r\n", 4) == 0) {
		c->done = 1;
		r->left--;
		watch(r->loop, EPOLL_CTL_MOD, c->fd, 0, c);
	}
}

static void
turn(struct run *r, int wait)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(r->loop, events, EVENTS, wait);

	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;

		if (events[i].events & EPOLLOUT)
			push(r, c);
		if ((events[i].events & EPOLLIN) && !c->done)
			pull(r, c, SPACE);
	}
}

static void
start_bodies(struct run *r)
{
	int up = r->mib > 0;

	if (up)
		make_context(r);
	open_all(r, up ? EPOLLIN | EPOLLOUT : EPOLLIN);
	for (int i = 0; i < r->count && !up; i++)
		ask(r, &r->conns[i]);
}

static void
bodies(struct run *r)
{
	int64_t start = now_ns();
	uint64_t got = 0;

	start_bodies(r);
	while (r->left > 0)
		turn(r, 1000);
	for (int i = 0; i < r->count; i++)
		got += r->conns[i].got;
	printf("%.6f %llu\n", (double)(now_ns() - start) / 1e9, (unsigned long long)got);
}

static void
stall(struct run *r)
{
	int64_t last = now_ns();

	start_bodies(r);
	if (r->mib == 0) { /* nothing is read: give the bytes time to come as far as they can */
		(void)usleep(1500000);
	} else {
		while (now_ns() < last + 1000000000) {
			uint64_t before = r->moved;

			turn(r, 100);
			if (r->moved > before)
				last = now_ns();
		}
	}
	wait_for_stdin();
}

static void
slow(struct run *r)
{
	int64_t end = now_ns() + 3000000000;

	start_bodies(r);
	while (now_ns() < end) {
		for (int i = 0; i < r->count; i++)
			pull(r, &r->conns[i], SLOW_READ);
		(void)usleep(10000);
	}
	wait_for_stdin();
}

static void
hold(struct run *r)
{
	open_all(r, EPOLLIN);
	for (int i = 0; i < r->count; i++)
		for (uint64_t k = 0; k < r->mib; k++) {
			struct pollfd p = { .fd = r->conns[i].fd, .events = POLLIN };

			ask(r, &r->conns[i]);
			while (poll(&p, 1, 10000) != 1 || !answered(&r->conns[i]))
				;
		}
	wait_for_stdin();
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*work)(struct run *r);
	} works[] = { { "small", small }, { "up", bodies }, { "down", bodies }, { "hold", hold },
		{ "stall", stall }, { "slow", slow } };
	struct run r = { 0 };

	if (argc != 6)
		return 2;
	many_descriptors();
	r.socket = argv[2];
	r.count = atoi(argv[3]);
	r.mib = strtoull(argv[4], NULL, 10);
	r.target = argv[5];
	for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
		if (strcmp(works[i].name, argv[1]) == 0) {
			works[i].work(&r);
			return 0;
		}
	return 2;
}
