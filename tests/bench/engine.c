/*
 * A scripted engine that costs as little as one can: small answers at once, images/NAME/get as a tarball of
 * MIB MiB in chunks of 32 KiB, builds whose context is walked to its end. What a target holds says more:
 *   stall  its bytes are not read
 *   slow   64 KiB of it are read every 10 ms
 *
 *   engine LISTEN MIB
 */
#include "bodies.h"
#include "net.h"

enum { EVENTS = 64, READ = 256 * 1024, HEAD_MAX = 64 * 1024, SLOW_READ = 64 * 1024 };

enum state { HEAD, BODY, SEND };

struct conn {
	int fd;
	enum state state;
	uint32_t watched;
	char *head; /* a head that is not whole yet */
	size_t head_len;
	int slow, close;
	uint64_t left; /* of a chunk, with its CRLF */
	char size[20]; /* of a chunk line that is not whole yet */
	unsigned size_len;
	int last;      /* the last chunk's CRLF is awaited */
	uint64_t sent; /* of the save */
	struct conn *next_slow;
};

static int loop;
static char space[READ];
static struct conn *slow_ones;

static struct body save;

static const char build_text[] =
    "{\"stream\":\"Step 1/1 : FROM scratch\\n\"}\r\n"
    "{\"aux\":{\"ID\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\"}}\r\n"
    "{\"stream\":\"Successfully built 111111111111\\n\"}\r\n";
static const char version_text[] = "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1."
                                   "12\",\"Os\":\"linux\",\"Arch\":\"amd64\"}\n";
static const char inspect_text[] =
    "{\"Id\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\",\"RepoTags\":[],"
    "\"Config\":{\"OnBuild\":null},\"Size\":1,\"RootFS\":{\"Type\":\"layers\"}}\n";

static void
put_answer(struct conn *c, const char *type, const char *extra, const char *body)
{
	char text[4096];
	int n = snprintf(text, sizeof text,
	    "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n%s\r\n%s",
	    type, extra, strlen(body), c->close ? "Connection: close\r\n" : "", body);

	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		c->close = 1;
	c->state = HEAD;
}

static void
end_conn(struct conn *c)
{
	for (struct conn **at = &slow_ones; *at != NULL; at = &(*at)->next_slow)
		if (*at == c) {
			*at = c->next_slow;
			break;
		}
	close(c->fd);
	free(c->head);
	free(c);
}

static void
rewatch(struct conn *c, uint32_t want)
{
	if (c->watched != want)
		watch(loop, EPOLL_CTL_MOD, c->fd, want, c);
	c->watched = want;
}

/* Returns -1 when the connection is done with. */
static int
on_send(struct conn *c)
{
	while (c->sent < body_size(&save)) {
		size_t len;
		const char *p = body_piece(&save, c->sent, &len);
		ssize_t n = send(c->fd, p, len < READ ? len : READ, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			rewatch(c, EPOLLOUT);
			return 0;
		}
		if (n < 0)
			return -1;
		c->sent += (uint64_t)n;
	}
	c->state = HEAD;
	rewatch(c, EPOLLIN);
	return c->close ? -1 : 0;
}

/* A chunked body, walked to its end. Returns bytes used; state leaves BODY at the end. */
static size_t
walk(struct conn *c, const char *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (c->left > 0) {
			size_t n = len - at < c->left ? len - at : c->left;

			c->left -= n;
			at += n;
			if (c->left == 0 && c->last) {
				put_answer(c, "application/json", "", build_text);
				break;
			}
			continue;
		}
		c->size[c->size_len++] = p[at++];
		if (c->size[c->size_len - 1] != '\n' && c->size_len < sizeof c->size - 1)
			continue;
		c->size[c->size_len] = '\0';
		c->left = strtoull(c->size, NULL, 16);
		c->last = c->left == 0;
		c->left += 2;
		c->size_len = 0;
	}
	return at;
}

static void
serve(struct conn *c, const char *head)
{
	c->close = strcasestr(head, "connection: close") != NULL;
	c->slow = 0;
	if (strncmp(head, "POST", 4) == 0 && strstr(head, "/build") != NULL) {
		c->state = BODY;
		c->left = c->last = c->size_len = 0;
		if (strstr(head, "stall") != NULL)
			rewatch(c, 0);
		else if (strstr(head, "slow") != NULL) {
			rewatch(c, 0);
			c->slow = 1;
			c->next_slow = slow_ones;
			slow_ones = c;
		}
	} else if (strstr(head, "/get") != NULL) {
		c->state = SEND;
		c->sent = 0;
	} else if (strstr(head, "_ping") != NULL) {
		put_answer(c, "text/plain; charset=utf-8", "Docker-Experimental: false\r\nOstype: linux\r\n",
		    strncmp(head, "HEAD", 4) ? "OK" : "");
	} else if (strstr(head, "/version") != NULL) {
		put_answer(c, "application/json", "", version_text);
	} else if (strstr(head, "/images/json") != NULL) {
		put_answer(c, "application/json", "", "[]\n");
	} else {
		put_answer(c, "application/json", "", inspect_text);
	}
}

static int
feed(struct conn *c, const char *p, size_t len)
{
	const char *end;
	size_t old = c->head_len, used;

	while (len > 0) {
		if (c->state == BODY) {
			used = walk(c, p, len);
			p += used;
			len -= used;
			if (c->close && c->state == HEAD)
				return -1;
			continue;
		}
		c->head = realloc(c->head, c->head_len + len + 1);
		memcpy(c->head + c->head_len, p, len);
		c->head_len += len;
		c->head[c->head_len] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (end == NULL)
			return 0;
		used = (size_t)(end + 4 - c->head) - old;
		c->head[used + old - 1] = '\0';
		p += used;
		len -= used;
		serve(c, c->head);
		free(c->head);
		c->head = NULL;
		old = c->head_len = 0;
		if (c->state == SEND)
			return on_send(c);
		if (c->close && c->state == HEAD)
			return -1;
	}
	return 0;
}

static int
on_read(struct conn *c, size_t most)
{
	ssize_t n = recv(c->fd, space, most, 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	return n <= 0 ? -1 : feed(c, space, (size_t)n);
}

static void
make_save(uint64_t mib)
{
	static const char id[] = "2222222222222222222222222222222222222222222222222222222222222222";
	char config[80], layer[90], manifest[400], files[6 * BLOCK];
	size_t len = 0;
	int n;

	(void)snprintf(config, sizeof config, "%s.json", id);
	(void)snprintf(layer, sizeof layer, "%s/layer.tar", id);
	n = snprintf(manifest, sizeof manifest,
	    "[{\"Config\":\"%s\",\"RepoTags\":null,\"Layers\":[\"%s\"]}]\n", config, layer);
	add_file(files, &len, "manifest.json", (uint64_t)n, manifest);
	add_file(files, &len, config, 2, "{}");
	add_file(files, &len, layer, mib << 20, NULL);
	body_make(&save,
	    "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n", files,
	    len, mib);
}

static void
accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);

		c->fd = fd;
		c->watched = EPOLLIN;
		wide(fd);
		watch(loop, EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

static void
on_event(struct conn *c, uint32_t what)
{
	int rc = 0;

	if (what & EPOLLOUT)
		rc = on_send(c);
	else if (c->watched == 0)
		rc = what & (EPOLLHUP | EPOLLERR) ? -1 : 0;
	else
		rc = on_read(c, READ);
	if (rc < 0)
		end_conn(c);
}

static void
read_slowly(void)
{
	struct conn *next;

	for (struct conn *c = slow_ones; c != NULL; c = next) {
		next = c->next_slow;
		if (on_read(c, SLOW_READ) < 0)
			end_conn(c);
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener, n;

	if (argc != 3)
		return 2;
	many_descriptors();
	make_save(strtoull(argv[2], NULL, 10));
	listener = listen_at(argv[1]);
	loop = epoll_create1(EPOLL_CLOEXEC);
	watch(loop, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		n = epoll_wait(loop, events, EVENTS, slow_ones != NULL ? 10 : -1);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				accept_all(listener);
			else
				on_event(events[i].data.ptr, events[i].events);
		if (slow_ones != NULL)
			read_slowly();
	}
}
