#include "io/signer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/dsse.h"
#include "scratch.h"
#include "tap.h"

/* RFC 8032 section 7.1, TEST 2. */
static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                                  "-----END PRIVATE KEY-----\n";
static const char type[] = "application/vnd.in-toto+json";

static int
is_signed(const struct sign_key *key, const char *text, size_t len, const uint8_t sig[SIGN_LEN])
{
	struct buf encoded = { 0 };
	int good;

	dsse_encode(type, text, len, &encoded);
	good = sign_is_good(key, buf_ptr(&encoded), buf_len(&encoded), sig, SIGN_LEN);
	buf_done(&encoded);
	return good;
}

static void
test_sign(const char *path)
{
	struct err e = { 0 };
	struct sign_key *key = sign_key_parse(private_pem, strlen(private_pem), SIGN_PRIVATE, &e);
	struct signer *s = signer_start(path, "", type, &e);
	char *large = mem_new(SIGNER_MAX + 1), id[SIGN_ID_MAX];
	uint8_t sig[SIGN_LEN];

	if (!ok(s != NULL, e.text))
		return;
	sign_key_id(key, id);
	is_str(signer_key_id(s), id, "its key");
	for (int i = 0; i < 3; i++) {
		is_int(signer_sign(s, "{}", 2, sig, &e), 0, "signs");
		ok(is_signed(key, "{}", 2, sig), "an envelope of its type");
		ok(!sign_is_good(key, "{}", 2, sig, SIGN_LEN), "and never bare bytes");
	}
	is_int(signer_sign(s, "", 0, sig, &e), 0, "nothing");
	ok(is_signed(key, "", 0, sig), "has a signature, too");
	memset(large, 'x', SIGNER_MAX);
	is_int(signer_sign(s, large, SIGNER_MAX, sig, &e), 0, "a large one");
	ok(is_signed(key, large, SIGNER_MAX, sig), "as any other");
	is_int(signer_sign(s, large, SIGNER_MAX + 1, sig, &e), -1, "one that is too large");
	is_int(e.code, EFBIG, e.text);
	is_int(signer_sign(s, "{}", 2, sig, &e), 0, "which changes nothing");
	signer_stop(s);
	sign_key_free(key);
	free(large);
}

/* It ends with the other side of its socket; whoever still asks is told. */
static void
test_gone(const char *path)
{
	struct err e = { 0 };
	struct signer *s = signer_start(path, "", type, &e);
	uint8_t sig[SIGN_LEN];
	char *children = NULL, name[64];
	FILE *f;
	size_t room = 0;

	(void)snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(name, "re");
	if (!ok(s != NULL && f != NULL && getline(&children, &room, f) > 0, "one child"))
		return;
	(void)fclose(f);
	(void)kill((pid_t)strtol(children, NULL, 10), SIGKILL);
	is_int(signer_sign(s, "{}", 2, sig, &e), -1, "the signer was killed");
	is_int(e.code, EPIPE, e.text);
	signer_stop(s);
	free(children);
}

static void
test_key(const char *path)
{
	struct err e = { 0 };

	(void)chmod(path, 0640);
	if (geteuid() != 0) {
		ok(signer_start(path, "", type, &e) == NULL, "a mode that lets others in");
		is_int(e.code, EPERM, e.text);
	}
	(void)chmod(path, 0604);
	ok(signer_start(path, "", type, &e) == NULL, "a mode that lets everybody in");
	is_int(e.code, EPERM, e.text);
	ok(signer_start("/nonexistent", "", type, &e) == NULL, "no key");
	is_int(e.code, ENOENT, e.text);
	ok(signer_start("/dev/null", "", type, &e) == NULL, "no file");
	is_int(e.code, EINVAL, e.text);
}

int
main(void)
{
	char *path;

	(void)signal(SIGPIPE, SIG_IGN);
	scratch_make();
	scratch_write("key", private_pem);
	path = scratch_path("key");
	(void)chmod(path, 0600);
	test_sign(path);
	test_gone(path);
	test_key(path);
	free(path);
	scratch_remove();
	return tap_end();
}
