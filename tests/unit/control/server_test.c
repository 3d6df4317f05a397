#include "control/server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "standin_life.h"
#include "tap.h"

static struct event_base *base;
static struct server *server;
static struct life life;
static char dir[64], path[96];

#define H "Host: x\r\n"
#define CL "Connection: close\r\n"

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int
dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(to.sun_path, path);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	turn();
	return fd;
}

/* Sends all, at most `step` bytes at a time, the server working in between. */
static void
put(int fd, const char *text, size_t len, size_t step)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len < step ? len : step, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		turn();
	}
}

/* Reads until the server ends the stream, or has nothing more to say. */
static int
get(int fd, struct buf *out)
{
	for (int idle = 0; idle < 20; idle++) {
		ssize_t n;

		turn();
		n = recv(fd, buf_reserve(out, 65536), 65536, 0);
		if (n == 0)
			return 1;
		if (n > 0) {
			buf_commit(out, (size_t)n);
			idle = 0;
		}
	}
	return 0;
}

static const struct {
	const char *name, *send, *status, *holds;
	int ends; /* the server ends the connection */
} talks[] = {
	{ "health", "GET /healthz HTTP/1.1\r\n" H CL "\r\n", "HTTP/1.1 200", "{\"ok\":true}\n", 1 },
	{ "keep-alive", "GET /healthz HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200", "{\"ok\":true}\n", 0 },
	{ "1.0", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200", "Connection: close", 1 },
	{ "body, counted", "POST /v1/tasks HTTP/1.1\r\n" H CL "Content-Length: 7\r\n\r\n{\"a\":1}",
	    "HTTP/1.1 200", "\"body\":{\"a\":1}", 1 },
	{ "body, chunked",
	    "POST /v1/tasks HTTP/1.1\r\n" H CL
	    "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
	    "HTTP/1.1 200", "\"body\":{\"a\":1}", 1 },
	{ "100-continue",
	    "POST /v1/tasks HTTP/1.1\r\n" H CL "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200", "\"body\":{\"a\":1}", 1 },
	{ "204 has no body", "PUT /v1/tasks/x/credentials HTTP/1.1\r\n" H CL "Content-Length: 2\r\n\r\n{}",
	    "HTTP/1.1 204", "\r\n\r\n", 1 },
	{ "metrics are text", "GET /metrics HTTP/1.1\r\n" H CL "\r\n", "HTTP/1.1 200",
	    "text/plain; version=0.0.4\r\nContent-Length: 13\r\n\r\ndind_tasks 2\n", 1 },
	{ "two at once", "GET /v1/tasks/a HTTP/1.1\r\n" H "\r\nGET /v1/tasks/b HTTP/1.1\r\n" H CL "\r\n",
	    "HTTP/1.1 200", "\"id\":\"b\"}\n", 1 },
	{ "a wrong path keeps the connection",
	    "GET /a HTTP/1.1\r\n" H "\r\nGET /healthz HTTP/1.1\r\n" H CL "\r\n", "HTTP/1.1 404",
	    "{\"ok\":true}", 1 },
	{ "an empty body is none", "POST /v1/tasks/x/finish HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
	    "HTTP/1.1 200", "finish", 0 },
	{ "refusal before the body", "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}",
	    "HTTP/1.1 404", "\"rule\":\"control-path\"", 1 },
	{ "wrong method", "DELETE /healthz HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405", "takes GET", 0 },
	{ "wrong JSON keeps the connection", "POST /v1/explain HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{]",
	    "HTTP/1.1 400", "the body is not JSON: line 1, column 2", 0 },
	{ "a key twice", "POST /v1/explain HTTP/1.1\r\n" H "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}",
	    "HTTP/1.1 400", "duplicate", 0 },
	{ "bytes that are not UTF-8",
	    "POST /v1/explain HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\n\"\xff\xfe\"", "HTTP/1.1 400",
	    "control-body", 0 },
	{ "no body where one is due", "POST /v1/explain HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400",
	    "control-body", 0 },
	{ "body where none is due", "GET /v1/tasks HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}",
	    "HTTP/1.1 400", "\"rule\"", 1 },
	{ "body where none is due, POST",
	    "POST /v1/tasks/x/finish HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 400",
	    "takes no body", 1 },
	{ "too large, said", "POST /v1/tasks HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\n{",
	    "HTTP/1.1 413", "1 MiB", 1 },
	{ "no HTTP", "hello\r\n\r\n", "HTTP/1.1 400", "\"message\"", 1 },
	{ "no Host", "GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "\"message\"", 1 },
	{ "bad chunk", "POST /v1/tasks HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	    "HTTP/1.1 400", "\"rule\"", 1 },
	{ "a Docker client", "GET /v1.41/images/json HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404",
	    "not a Docker engine", 0 },
};

static void
talk(size_t i, size_t step)
{
	struct buf out = { 0 };
	char name[128];
	int fd = dial(), ends;

	put(fd, talks[i].send, strlen(talks[i].send), step);
	ends = get(fd, &out);
	snprintf(name, sizeof name, "%s, %zu bytes at a time", talks[i].name, step);
	if (!ok(strncmp(buf_text(&out), talks[i].status, strlen(talks[i].status)) == 0 &&
	            strstr(buf_text(&out), talks[i].holds) != NULL && ends == talks[i].ends,
	        name))
		printf("# ends=%d: %s\n", ends, buf_text(&out));
	buf_done(&out);
	close(fd);
	turn();
	turn();
	if (server_connections(server) != 0)
		ok(0, "the connection is let go");
}

/* A refusal early in an upload reaches a client that goes on writing. */
static void
early_refusal(void)
{
	static char mega[1 << 20];
	static const char head[] = "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 3145728\r\n\r\n";
	struct buf out = { 0 };
	int fd = dial();

	memset(mega, ' ', sizeof mega);
	put(fd, head, strlen(head), 4096);
	for (int i = 0; i < 3; i++)
		put(fd, mega, sizeof mega, 65536);
	get(fd, &out);
	ok(strstr(buf_text(&out), "HTTP/1.1 404") != NULL,
	    "a refusal reaches a client that is still writing");
	close(fd);
	turn();
	turn();
	is_int(server_connections(server), 0, "and the connection ends");
	buf_done(&out);
}

static void
body_cap(const char *framing, size_t size, const char *want)
{
	char *text = malloc(size + 512);
	int n, fd = dial();
	struct buf out = { 0 };

	n = sprintf(text, "POST /v1/tasks HTTP/1.1\r\n" H CL "%s\r\n\r\n", framing);
	if (framing[0] == 'T')
		n += sprintf(text + n, "%zx\r\n", size);
	memset(text + n, ' ', size);
	text[n] = '1';
	put(fd, text, (size_t)n + size, 65536);
	if (framing[0] == 'T')
		put(fd, "\r\n0\r\n\r\n", 7, 7);
	get(fd, &out);
	if (!ok(strncmp(buf_text(&out), want, strlen(want)) == 0, framing))
		printf("# %.200s\n", buf_text(&out));
	buf_done(&out);
	close(fd);
	turn();
	turn();
	free(text);
}

static void
head_cap(void)
{
	struct buf text = { 0 }, out = { 0 };
	int fd = dial();

	buf_adds(&text, "GET /healthz HTTP/1.1\r\n" H "X: ");
	for (int i = 0; i < 70000; i++)
		buf_adds(&text, "a");
	put(fd, buf_text(&text), buf_len(&text), 4096);
	get(fd, &out);
	ok(strncmp(buf_text(&out), "HTTP/1.1 431", 12) == 0, "a head above 64 KiB");
	buf_done(&text);
	buf_done(&out);
	close(fd);
	turn();
	turn();
}

static void
late_answers(void)
{
	static const char get_a[] = "GET /v1/tasks/a HTTP/1.1\r\n" H "\r\n";
	struct buf out = { 0 };
	int fd = dial();

	life.later = 1;
	life.asked = 0;
	put(fd, get_a, strlen(get_a), 4096);
	put(fd, get_a, strlen(get_a), 4096);
	ok(get(fd, &out) == 0 && buf_len(&out) == 0, "an answer that is not there yet is waited for");
	is_int(life.asked, 1, "and the next request waits for it");
	standin_release(&life);
	get(fd, &out);
	ok(strstr(buf_text(&out), "\"id\":\"a\"") != NULL, "it comes when it comes");
	is_int(life.asked, 2, "then the next request runs");
	close(fd);
	turn();
	is_int(server_connections(server), 0, "a client that has gone is let go before its answer");
	standin_release(&life);
	turn();
	ok(1, "and the answer is dropped");

	buf_clear(&out);
	fd = dial();
	put(fd, get_a, strlen(get_a), 4096);
	shutdown(fd, SHUT_WR);
	turn();
	turn();
	standin_release(&life);
	ok(get(fd, &out) == 1 && strstr(buf_text(&out), "\"id\":\"a\"") != NULL,
	    "a client that half-closed gets its answer");
	close(fd);
	turn();
	is_int(server_connections(server), 0, "and is let go");
	buf_done(&out);
	life.later = 0;
}

static void
limits(void)
{
	int fd[66];
	struct buf out = { 0 };

	for (size_t i = 0; i < 65; i++)
		fd[i] = dial();
	get(fd[64], &out);
	ok(strncmp(buf_text(&out), "HTTP/1.1 503", 12) == 0, "connection 65 is told to come back");
	is_int(server_connections(server), 65, "65 are open");
	for (size_t i = 0; i < 65; i++)
		close(fd[i]);
	turn();
	turn();
	turn();
	is_int(server_connections(server), 0, "all are let go");
	buf_done(&out);
}

/* As another user: the mode keeps it out; were it let in, SO_PEERCRED would. Only root can play that. */
static void
strangers(void)
{
	struct buf out = { 0 };
	int pair[2], status;
	pid_t pid;

	if (geteuid() != 0) {
		ok(1, "# SKIP another user: needs root");
		return;
	}
	chmod(path, 0666);
	chmod(dir, 0755);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	pid = fork();
	if (pid == 0) {
		struct sockaddr_un to = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char got[1024] = "";

		strcpy(to.sun_path, path);
		if (setuid(65534) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
			_exit(1);
		if (read(fd, got, sizeof got - 1) < 0)
			_exit(2);
		_exit(strncmp(got, "HTTP/1.1 403", 12) == 0 ? 0 : 3);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		turn();
	is_int(status, 0, "another user gets a 403, without asking");
	turn();
	turn();
	is_int(server_connections(server), 0, "and is let go");
	buf_done(&out);
	close(pair[0]);
	close(pair[1]);
	chmod(path, 0600);
}

static void
places(void)
{
	struct server *second;
	struct stat st;
	struct err e;
	char other[128];
	int fd;

	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "the socket's mode is 0600");
	second = server_new(base, path, -1, &life, &e);
	ok(second == NULL && strstr(e.text, "another process serves it"),
	    "a served socket is not taken over");
	snprintf(other, sizeof other, "%s/file", dir);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	close(fd);
	second = server_new(base, other, -1, &life, &e);
	ok(second == NULL && strstr(e.text, "not a socket"), "a file is not replaced");
	unlink(other);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	snprintf(to.sun_path, sizeof to.sun_path, "%.90s", other);
	ok(bind(fd, (struct sockaddr *)&to, sizeof to) == 0 && close(fd) == 0,
	    "a dead socket is left behind");
	second = server_new(base, other, -1, &life, &e);
	ok(second != NULL, "a dead socket is replaced");
	server_free(second);
	ok(stat(other, &st) < 0 && errno == ENOENT, "and removed at the end");
	second = server_new(base,
	    "/run/a-path-that-is-much-too-long-for-a-unix-socket/0123456789/0123456789/"
	    "0123456789/0123456789/0123456789/x",
	    -1, &life, &e);
	ok(second == NULL && strstr(e.text, "longer than"), "a path that does not fit is an error");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok(bind(fd, (struct sockaddr *)&to, sizeof to) == 0 && listen(fd, 5) == 0, "a listener is handed in");
	second = server_new(base, other, fd, &life, &e);
	server_free(second);
	ok(stat(other, &st) == 0, "its path stays when the server ends");
	unlink(other);
}

int
main(void)
{
	struct err e;
	int fd;

	strcpy(dir, "/tmp/control.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof path, "%s/control.sock", dir);
	base = event_base_new();
	server = server_new(base, path, -1, &life, &e);
	if (!ok(server != NULL, "listens"))
		return 1;
	for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
		talk(i, 65536);
		talk(i, 1);
	}
	early_refusal();
	head_cap();
	body_cap("Content-Length: 1048576", 1048576, "HTTP/1.1 200");
	body_cap("Transfer-Encoding: chunked", 1048577, "HTTP/1.1 413");
	late_answers();
	limits();
	strangers();
	places();
	life.later = 1;
	fd = dial();
	put(fd, "GET /v1/tasks/a HTTP/1.1\r\n" H "\r\n", 37, 37);
	server_free(server);
	standin_release(&life);
	ok(1, "an answer after the server's end is dropped");
	close(fd);
	event_base_free(base);
	rmdir(dir);
	return tap_end();
}
