#include "io/signer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/confine.h"
#include "base/dsse.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

struct signer {
	int fd;
	pid_t pid;
	char key_id[SIGN_ID_MAX];
};

/* The first word of the child. */
struct hello {
	int32_t code, good;
	char text[512]; /* the key's id, or what is wrong with it */
};

/* All of len bytes: 0, or -1 at an end or an error. */
static int
read_all(int fd, void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One request: its length, its bytes. */
static int
serve_one(int fd, const struct sign_key *key, const char *type)
{
	struct buf payload = { 0 }, encoded = { 0 };
	uint8_t sig[SIGN_LEN];
	struct err e;
	uint32_t len;
	int rc = -1;

	if (read_all(fd, &len, sizeof len) == 0 && len <= SIGNER_MAX &&
	    read_all(fd, buf_reserve(&payload, len), len) == 0) {
		buf_commit(&payload, len);
		dsse_encode(type, buf_ptr(&payload), len, &encoded);
		sign_bytes(key, buf_ptr(&encoded), buf_len(&encoded), sig);
		rc = fs_write_all(fd, sig, sizeof sig, &e);
	}
	buf_done(&payload);
	buf_done(&encoded);
	return rc;
}

/* The key, and then no rights at all: what OpenSSL loads at its first signature, it loads before. */
static struct sign_key *
take_key(const char *path, const char *user, struct err *e)
{
	struct sign_key *key = sign_key_read(path, SIGN_PRIVATE, e);
	uint8_t sig[SIGN_LEN];

	if (key == NULL)
		return NULL;
	sign_bytes(key, "", 0, sig);
	if (confine_become(user, e) == 0 && confine(CONFINE_SIGNER, NULL, e) == 0)
		return key;
	sign_key_free(key);
	return NULL;
}

static _Noreturn void
run(int fd, const char *path, const char *user, const char *type)
{
	struct hello hello = { 0 };
	struct err e = { 0 };
	struct sign_key *key;

	confine_child("dind-signer", &fd);
	key = take_key(path, user, &e);
	hello.good = key != NULL;
	hello.code = e.code;
	if (key != NULL)
		sign_key_id(key, hello.text);
	else
		(void)snprintf(hello.text, sizeof hello.text, "%s", e.text);
	if (fs_write_all(fd, &hello, sizeof hello, &e) == 0 && key != NULL)
		while (serve_one(fd, key, type) == 0)
			;
	sign_key_free(key);
	_exit(0);
}

static int
hear_hello(struct signer *s, struct err *e)
{
	struct hello hello;

	if (read_all(s->fd, &hello, sizeof hello) < 0)
		return err_set(e, EIO, "the signer ended at its start");
	hello.text[sizeof hello.text - 1] = '\0';
	if (!hello.good)
		return err_set(e, hello.code, "%s", hello.text);
	memcpy(s->key_id, hello.text, SIGN_ID_MAX - 1);
	return 0;
}

struct signer *
signer_start(const char *key_path, const char *user, const char *payload_type, struct err *e)
{
	struct signer *s = mem_new(sizeof *s);
	int pair[2];

	s->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set(e, errno, "socketpair: %m");
		free(s);
		return NULL;
	}
	s->pid = fork();
	if (s->pid == 0)
		run(pair[1], key_path, user, payload_type);
	s->fd = pair[0];
	close(pair[1]);
	if (s->pid < 0)
		err_set(e, errno, "fork: %m");
	else if (hear_hello(s, e) == 0)
		return s;
	signer_stop(s);
	return NULL;
}

/* A parent that is confined may not wait for anybody (ENOSYS): it is about to end, and init does. */
void
signer_stop(struct signer *s)
{
	if (s == NULL)
		return;
	close(s->fd);
	if (s->pid > 0)
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	free(s);
}

const char *
signer_key_id(const struct signer *s)
{
	return s->key_id;
}

int
signer_sign(const struct signer *s, const void *payload, size_t len, uint8_t out[SIGN_LEN], struct err *e)
{
	uint32_t n = (uint32_t)len;

	if (len > SIGNER_MAX)
		return err_set(e, EFBIG, "a statement of %zu bytes is more than the signer takes", len);
	if (fs_write_all(s->fd, &n, sizeof n, e) < 0 || fs_write_all(s->fd, payload, len, e) < 0)
		return err_wrap(e, "the signer has gone");
	if (read_all(s->fd, out, SIGN_LEN) < 0)
		return err_set(e, EPIPE, "the signer has gone");
	return 0;
}
