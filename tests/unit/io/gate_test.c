/*
 * Takes the front's place at the gate's socketpair: whatever bytes are sent, the gate must not issue a
 * request that the policy does not allow. The engine is a listening socket of ours that records what arrives.
 */
#include "io/gate.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "io/gate_wire.h"
#include "policy/param.h"
#include "tap.h"

#define NS "abcdefghijklmnopqrst"
#define ID "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int engine, gate;
static pid_t pid;
static uint32_t tickets;
static char config[64];

static void
write_config(const char *text)
{
	FILE *f = fopen(config, "w");

	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void
start(void)
{
	struct settings s;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct err e = { 0 };

	(void)snprintf(config, sizeof config, "/tmp/gate-test-%d", (int)getpid());
	if (mkdir(config, 0700) < 0)
		abort();
	strcat(config, "/c.json");
	write_config("{}");
	settings_init(&s);
	free(s.engine_socket);
	s.engine_socket = mem_printf("/tmp/gate-test-%d.sock", (int)getpid());
	memcpy(at.sun_path, s.engine_socket, strlen(s.engine_socket) + 1);
	(void)unlink(at.sun_path);
	engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(engine, (struct sockaddr *)&at, sizeof at) < 0 || listen(engine, 16) < 0 ||
	    gate_fork(&s, config, &pid, &gate, &e) < 0)
		abort();
	settings_done(&s);
}

static void
stop(void)
{
	struct sockaddr_un at;
	socklen_t len = sizeof at;
	int status;

	(void)getsockname(engine, (struct sockaddr *)&at, &len);
	(void)unlink(at.sun_path);
	(void)unlink(config);
	*strrchr(config, '/') = '\0';
	(void)rmdir(config);
	close(gate);
	(void)waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the gate ends when the front closes its end");
	close(engine);
}

static void
post(uint32_t kind, const char *ns, const void *tail, size_t len)
{
	static char message[GATE_MESSAGE_MAX + 1024];
	struct gate_ask ask = { .kind = kind, .ticket = ++tickets, .len = (uint32_t)len };

	(void)strncpy(ask.ns, ns, sizeof ask.ns - 1);
	memcpy(message, &ask, sizeof ask);
	memcpy(message + sizeof ask, tail, len);
	if (send(gate, message, sizeof ask + len, 0) < 0)
		abort();
}

/* The gate's answer to the last call: 0 = a connection (closed here), else the status of the refusal. */
static unsigned
answer(void)
{
	struct gate_reply r = { 0 };
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec v = { &r, sizeof r };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(gate, &m, 0) != (ssize_t)sizeof r || r.ticket != tickets)
		return 999;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL) {
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
		close(fd);
	}
	return c != NULL ? 0 : r.status;
}

/* What the engine was sent since the last look, or "" when nobody connected. */
static const char *
engine_heard(void)
{
	static char text[8192];
	struct pollfd p = { .fd = engine, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;
	int fd;

	text[0] = '\0';
	if (poll(&p, 1, 0) != 1)
		return text;
	fd = accept(engine, NULL, NULL);
	while (n > 0 && len < sizeof text - 1) {
		n = recv(fd, text + len, sizeof text - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	close(fd);
	return text;
}

static struct call c;

static void
refused(const char *name)
{
	unsigned status = answer();

	ok(status >= 400 && status < 500 && engine_heard()[0] == '\0', name);
}

static void
send_call(void)
{
	post(GATE_CALL, "", &c, call_size(&c));
}

static void
honest_calls(void)
{
	struct err e = { 0 };

	post(GATE_POLICY, NS, "{}", 2);
	call_start(&c, ROUTE_IMAGE_INSPECT, NS, 41);
	(void)call_add(&c, PARAM_NAME, "dind.invalid/" NS "/docker.io/library/app:1", &e);
	send_call();
	is_int(answer(), 0, "an own name passes");
	ok(strncmp(engine_heard(),
	       "GET /v1.41/images/dind.invalid/" NS "/docker.io/library/app:1/json HTTP/1.1\r\n", 80) == 0,
	    "and the gate writes the head");
}

static const struct {
	const char *name;
	enum route route;
	const char *ns;
	enum param param;
	const char *value;
} hostile[] = {
	{ "a host image", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME, "debian:12" },
	{ "another task's name", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME,
	    "dind.invalid/bbbbbbbbbbbbbbbbbbbb/docker.io/library/app:1" },
	{ "an abbreviated id", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME, "sha256:aaaa" },
	{ "a name that leaves the path", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME,
	    "dind.invalid/" NS "/../../containers/json" },
	{ "a name with a query", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME,
	    "dind.invalid/" NS "/docker.io/library/app:1?all=1" },
	{ "a name with a line end", ROUTE_IMAGE_INSPECT, NS, PARAM_NAME,
	    "dind.invalid/" NS "/a:1 HTTP/1.1\r\nX: y" },
	{ "removal by id", ROUTE_IMAGE_REMOVE, NS, PARAM_NAME, ID },
	{ "removal of a host image", ROUTE_IMAGE_REMOVE, NS, PARAM_NAME, "debian:12" },
	{ "an unknown namespace", ROUTE_IMAGE_INSPECT, "bbbbbbbbbbbbbbbbbbbb", PARAM_NAME,
	    "dind.invalid/bbbbbbbbbbbbbbbbbbbb/docker.io/library/app:1" },
	{ "a parameter of another route", ROUTE_IMAGE_INSPECT, NS, PARAM_NETWORKMODE, "host" },
	{ "a save of a host image", ROUTE_IMAGE_SAVE, NS, PARAM_NAMES, "debian:12" },
	{ "a base image that no pattern allows", ROUTE_BASE_INSPECT, NS, PARAM_NAME,
	    "registry.example.com/private:1" },
	{ "the deny route", ROUTE_DENY, NS, PARAM_NAME, "app" },
	{ "a route that is answered here", ROUTE_INFO, NS, PARAM_NAME, "app" },
	{ "a route out of range", (enum route)200, NS, PARAM_NAME, "app" },
	{ "a build on the host's network", ROUTE_BUILD, NS, PARAM_NETWORKMODE, "host" },
	{ "a build from a remote context", ROUTE_BUILD, NS, PARAM_REMOTE, "http://example.com/" },
	{ "a build with a foreign tag", ROUTE_BUILD, NS, PARAM_T, "debian:12" },
	{ "a build without what is forced", ROUTE_BUILD, NS, PARAM_T,
	    "dind.invalid/" NS "/docker.io/library/app:1" },
};

static void
hostile_calls(void)
{
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
		call_start(&c, hostile[i].route, hostile[i].ns, 41);
		(void)call_add(&c, hostile[i].param, hostile[i].value, &e);
		send_call();
		refused(hostile[i].name);
	}
}

/* Every single byte of a good call, changed: what passes must still be a call of this namespace. */
static void
damaged_calls(void)
{
	struct err e = { 0 };
	size_t len;
	int foreign = 0, silent = 0;

	call_start(&c, ROUTE_IMAGE_INSPECT, NS, 41);
	(void)call_add(&c, PARAM_NAME, "dind.invalid/" NS "/docker.io/library/app:1", &e);
	len = call_size(&c);
	for (size_t i = 0; i < len; i++) {
		char bytes[16384];
		const char *text;

		memcpy(bytes, &c, len);
		bytes[i] ^= (char)(1 + i * 7 % 255);
		post(GATE_CALL, "", bytes, len);
		if (answer() == 999)
			silent++;
		text = engine_heard();
		if (text[0] == '\0')
			continue;
		if (strncmp(text, "GET /v1.", 8) != 0)
			foreign++;
		if (strstr(text, "/images/") != NULL && strstr(text, "dind.invalid/" NS "/") == NULL)
			foreign++;
	}
	is_int(silent, 0, "every damaged call is answered");
	is_int(foreign, 0, "no damaged call reaches another image or route");
}

static void
garbage(void)
{
	char bytes[2048];

	srand(7);
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)rand() % sizeof bytes;

		for (size_t k = 0; k < len; k++)
			bytes[k] = (char)rand();
		post(GATE_CALL, "", bytes, len);
		if (answer() < 400)
			break;
	}
	ok(engine_heard()[0] == '\0', "no garbage reaches the engine");
	if (send(gate, bytes, 3, 0) < 0) /* shorter than a message's head */
		abort();
	call_start(&c, ROUTE_PING, "", 0);
	send_call();
	is_int(answer(), 0, "and the gate still serves");
	ok(strstr(engine_heard(), " /_ping HTTP/1.1\r\n") != NULL, "a ping");
}

static void
policies(void)
{
	struct err e = { 0 };

	post(GATE_POLICY, NS, "{\"network\":\"host\"}", 18);
	call_start(&c, ROUTE_IMAGE_INSPECT, NS, 41);
	(void)call_add(&c, PARAM_NAME, "dind.invalid/" NS "/docker.io/library/app:1", &e);
	send_call();
	refused("a policy that no worker may give leaves the namespace unknown");
	post(GATE_POLICY, NS, "{}", 2);
	send_call();
	is_int(answer(), 0, "with a good one it is known again");
	(void)engine_heard();
	post(GATE_POLICY, NS, "", 0);
	send_call();
	refused("a forgotten namespace is unknown");
}

static void
ask_version(uint32_t kind, unsigned version)
{
	struct gate_ask ask = { .kind = kind, .ticket = ++tickets, .version = version };

	if (send(gate, &ask, sizeof ask, 0) < 0)
		abort();
}

/* Is this base image allowed by that version? */
static unsigned
base_by(unsigned version)
{
	struct err e = { 0 };
	unsigned status;

	call_start(&c, ROUTE_BASE_INSPECT, NS, 41);
	c.policy = (uint16_t)version;
	(void)call_add(&c, PARAM_NAME, "registry.example.com/private:1", &e);
	send_call();
	status = answer();
	(void)engine_heard();
	return status;
}

static void
versions(void)
{
	post(GATE_POLICY, NS, "{}", 2);
	is_int(base_by(0), 403, "refused by the present policy");
	is_int(base_by(1), 403, "which is the first");
	is_int(base_by(2), 503, "one that is not there judges nothing");
	write_config("{\"policy\": {\"baseImages\": 1}}");
	ask_version(GATE_LOAD, 0);
	is_int(answer(), 400, "a wrong file is not taken");
	ask_version(GATE_SWITCH, 2);
	is_int(base_by(2), 503, "and nothing can be switched to");
	write_config("{\"policy\": {\"baseImages\": [\"registry.example.com/*\"]}}");
	ask_version(GATE_LOAD, 0);
	is_int(answer(), 0, "a good one comes back as a descriptor");
	is_int(base_by(0), 403, "and judges nothing yet");
	ask_version(GATE_SWITCH, 2);
	is_int(base_by(0), 0, "now it does");
	is_int(base_by(2), 0, "by its version");
	is_int(base_by(1), 403, "the one before judges what was judged by it");
	post(GATE_POLICY, NS, "{\"baseImages\": []}", 18);
	is_int(base_by(2), 403, "a task's own words lie over it");
	post(GATE_POLICY, NS, "{}", 2);
	is_int(base_by(1), 403, "a task that is told later has both");
	is_int(base_by(2), 0, "the present one as well");
	ask_version(GATE_RELEASE, 0);
	is_int(base_by(1), 503, "released: not there any more");
	(void)unlink(config);
	ask_version(GATE_LOAD, 0);
	is_int(answer(), 400, "no file");
	is_int(base_by(2), 0, "changes nothing");
}

enum { CROWD_UID = 61733, CROWD = 1265 }; /* descriptors under way of a user that nobody else is */

static void
crowd(int on, int pair[2])
{
	int fds[253];
	char control[CMSG_SPACE(sizeof fds)] = { 0 }, byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
	};

	if (!on) { /* what nobody took goes with its socket */
		close(pair[0]);
		close(pair[1]);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		_exit(2);
	for (int i = 0; i < 253; i++)
		fds[i] = pair[0];
	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof fds);
	for (int i = 0; i < CROWD; i += 253)
		if (sendmsg(pair[0], &m, 0) < 0)
			_exit(3);
}

static unsigned
own_by_name(void)
{
	struct err e = { 0 };
	unsigned status;

	call_start(&c, ROUTE_IMAGE_INSPECT, NS, 41);
	(void)call_add(&c, PARAM_NAME, "dind.invalid/" NS "/docker.io/library/app:1", &e);
	send_call();
	status = answer();
	(void)engine_heard();
	return status;
}

/* As a user of its own, so that what is under way counts for nobody else. */
static void
be_crowded(void)
{
	struct rlimit most;
	int pair[2];
	unsigned early, crowded, after;

	(void)getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	if (most.rlim_max < 2 * CROWD || setrlimit(RLIMIT_NOFILE, &most) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(CROWD_UID, CROWD_UID, CROWD_UID) < 0 || setresuid(CROWD_UID, CROWD_UID, CROWD_UID) < 0)
		_exit(77);
	tickets = 0;
	start();
	post(GATE_POLICY, NS, "{}", 2);
	early = own_by_name();
	crowd(1, pair);
	crowded = own_by_name();
	crowd(0, pair);
	after = own_by_name();
	stop();
	_exit(early == 0 && crowded == 503 && after == 0 ? 0 : 1);
}

static void
descriptors_under_way(void)
{
	int status;
	pid_t child = geteuid() == 0 ? fork() : 0;

	if (geteuid() != 0)
		return;
	if (child == 0)
		be_crowded();
	(void)waitpid(child, &status, 0);
	ok(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77),
	    "a connection that cannot be passed on is refused, not forgotten");
}

int
main(void)
{
	start();
	honest_calls();
	hostile_calls();
	damaged_calls();
	garbage();
	policies();
	versions();
	stop();
	descriptors_under_way();
	return tap_end();
}
