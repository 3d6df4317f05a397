#include "base/sign.h"

#include <errno.h>
#include <sys/stat.h>

#include "scratch.h"
#include "tap.h"

/* RFC 8032 section 7.1, TEST 2: a key that everybody knows. */
static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                                  "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
                                 "-----END PUBLIC KEY-----\n";
static const uint8_t message[] = { 0x72 };
static const uint8_t signature[SIGN_LEN] = { 0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82,
	0x0b, 0x5f, 0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23,
	0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0,
	0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb,
	0x0c, 0x00 };
/* `openssl pkey -pubin -outform DER | sha256sum` */
static const char key_id[] = "deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170";

static const char ec_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjzBq24t1QnZRgK1w\n"
                             "FCd+wYzoQW/gTe4o9fEVZc42OeChRANCAASM9N/YRndurSRmRiSU+CN4s+8iDqTn\n"
                             "4pTDeJLuVBD49D5ozdrsRvIvratV6sLhs6AKilihLK5TOmXV/DajXIA+\n"
                             "-----END PRIVATE KEY-----\n";
static const char locked_pem[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                 "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiyXxwwPSmWlQICCAAw\n"
                                 "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEPOzsQjtHGsaPJ4ch8/QHWAEQLk8\n"
                                 "OQFzFUJ0CWCaob4oeDARfUaWeX0q5DM/BTYmngxmroXarlPRdNt0oc1/eAHZkkR1\n"
                                 "MWzQRzIb2xEni0Ozlcs=\n"
                                 "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char ed448_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                "MEMwBQYDK2VxAzoAxxv0tC94k++y6MWzL+qzSJ5Y/7g0RMGuTpvT08E+F+Ax5/YO\n"
                                "1/RPoiBaSNPdQtZd1PpzWY/ftt+A\n"
                                "-----END PUBLIC KEY-----\n";

static const struct {
	const char *what;
	enum sign_kind kind;
	const char *pem;
	const char *error;
} bad[] = {
	{ "nothing", SIGN_PRIVATE, "", "is no private key in PEM without a passphrase" },
	{ "no PEM", SIGN_PUBLIC, "ssh-ed25519 AAAA", "is no public key in PEM without a passphrase" },
	{ "a public key for a private one", SIGN_PRIVATE, public_pem,
	    "is no private key in PEM without a passphrase" },
	{ "a private key for a public one", SIGN_PUBLIC, private_pem,
	    "is no public key in PEM without a passphrase" },
	{ "P-256", SIGN_PRIVATE, ec_pem, "is a key of type EC, expected ed25519" },
	{ "ed448", SIGN_PUBLIC, ed448_pem, "is a key of type ED448, expected ed25519" },
	{ "a passphrase", SIGN_PRIVATE, locked_pem, "is no private key in PEM without a passphrase" },
};

static void
test_parse(void)
{
	char large[SIGN_KEY_FILE_MAX + 1];
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct sign_key *k = sign_key_parse(bad[i].pem, strlen(bad[i].pem), bad[i].kind, &e);

		ok(k == NULL, bad[i].what);
		is_str(e.text, bad[i].error, "says why");
		sign_key_free(k);
	}
	for (size_t len = 0; len + 2 < sizeof private_pem; len++)
		if (sign_key_parse(private_pem, len, SIGN_PRIVATE, &e) != NULL)
			is_int(len, -1, "a key that was cut was taken");
	memset(large, '\n', sizeof large);
	memcpy(large, public_pem, sizeof public_pem - 1);
	ok(sign_key_parse(large, sizeof large, SIGN_PUBLIC, &e) == NULL, "a file that is too large");
}

static void
test_signature(void)
{
	struct err e = { 0 };
	struct sign_key *private = sign_key_parse(private_pem, strlen(private_pem), SIGN_PRIVATE, &e);
	struct sign_key *public = sign_key_parse(public_pem, strlen(public_pem), SIGN_PUBLIC, &e);
	uint8_t sig[SIGN_LEN];
	char id[SIGN_ID_MAX];
	int bits = 0;

	if (!ok(private != NULL && public != NULL, "both halves"))
		return;
	sign_key_id(private, id);
	is_str(id, key_id, "the id, from the private half");
	sign_key_id(public, id);
	is_str(id, key_id, "and from the public half");
	sign_bytes(private, message, sizeof message, sig);
	ok(memcmp(sig, signature, SIGN_LEN) == 0, "RFC 8032 TEST 2");
	ok(sign_is_good(public, message, sizeof message, sig, SIGN_LEN), "is good");
	ok(sign_is_good(private, message, sizeof message, sig, SIGN_LEN), "also for the private half");
	ok(!sign_is_good(public, "s", 1, sig, SIGN_LEN), "not for other bytes");
	ok(!sign_is_good(public, "", 0, sig, SIGN_LEN), "not for none");
	ok(!sign_is_good(public, message, sizeof message, sig, SIGN_LEN - 1), "not when cut");
	for (size_t i = 0; i < SIGN_LEN * 8; i++) {
		sig[i / 8] ^= (uint8_t)(1U << i % 8);
		bits += sign_is_good(public, message, sizeof message, sig, SIGN_LEN);
		sig[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	is_int(bits, 0, "and no bit of it may differ");
	sign_key_free(private);
	sign_key_free(public);
	sign_key_free(NULL);
}

static int
try_file(const char *name, enum sign_kind kind, struct err *e)
{
	char *path = scratch_path(name);
	struct sign_key *k = sign_key_read(path, kind, e);

	sign_key_free(k);
	free(path);
	return k == NULL ? -1 : 0;
}

static void
test_file(void)
{
	char *path = scratch_path("key"), *link = scratch_path("link"), *pipe = scratch_path("pipe");
	static const mode_t good[] = { 0600, 0400 }, wrong[] = { 0644, 0660, 0604, 0601, 0610, 0620 };
	struct err e = { 0 };

	scratch_write("key", private_pem);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)chmod(path, good[i]);
		is_int(try_file("key", SIGN_PRIVATE, &e), 0, "a mode that keeps others out");
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		(void)chmod(path, wrong[i]);
		is_int(try_file("key", SIGN_PRIVATE, &e), -1, "a mode that lets others in");
		is_int(e.code, EPERM, e.text);
	}
	ok(strstr(e.text, "0620") != NULL && strstr(e.text, path) != NULL,
	    "the text says which mode and file");
	scratch_write("key", public_pem);
	(void)chmod(path, 0644);
	is_int(try_file("key", SIGN_PUBLIC, &e), 0, "a public key may be read by all");
	is_int(symlink(path, link), 0, "a link");
	is_int(try_file("link", SIGN_PUBLIC, &e), 0, "is followed");
	is_int(mkfifo(pipe, 0600), 0, "a pipe");
	is_int(try_file("pipe", SIGN_PRIVATE, &e), -1, "is not waited for");
	is_int(e.code, EINVAL, e.text);
	is_int(try_file("nothing", SIGN_PRIVATE, &e), -1, "no file");
	is_int(e.code, ENOENT, e.text);
	free(path);
	free(link);
	free(pipe);
}

/* The owner: only root can make such a file. systemd's credentials are root's, with the ACL's mask as group.
 */
static void
test_owner(void)
{
	char *path = scratch_path("key");
	struct err e = { 0 };

	scratch_write("key", private_pem);
	(void)chmod(path, 0440);
	if (geteuid() != 0 || chown(path, 0, 0) < 0) {
		free(path);
		return;
	}
	is_int(try_file("key", SIGN_PRIVATE, &e), 0, "root's, and group root may read");
	is_int(chown(path, 0, 1), 0, "another group");
	is_int(try_file("key", SIGN_PRIVATE, &e), -1, "may not");
	(void)chmod(path, 0400);
	is_int(chown(path, 1, 1), 0, "another user");
	is_int(try_file("key", SIGN_PRIVATE, &e), -1, "may not own it");
	is_int(e.code, EPERM, e.text);
	free(path);
}

int
main(void)
{
	scratch_make();
	test_parse();
	test_signature();
	test_file();
	test_owner();
	scratch_remove();
	return tap_end();
}
