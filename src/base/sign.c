#include "base/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

struct sign_key {
	EVP_PKEY *pkey;
};

static const char *const names[] = { "public", "private" };

static void
must(int good)
{
	if (!good) {
		log_error("sign", "libcrypto refused a signature");
		abort();
	}
}

/* A passphrase is never asked for: OpenSSL would open the terminal. */
static int
no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static EVP_PKEY *
parse(const void *pem, size_t len, enum sign_kind kind)
{
	BIO *in = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *pkey;

	must(in != NULL);
	pkey = kind == SIGN_PRIVATE ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL)
	                            : PEM_read_bio_PUBKEY(in, NULL, no_passphrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	return pkey;
}

struct sign_key *
sign_key_parse(const void *pem, size_t len, enum sign_kind kind, struct err *e)
{
	EVP_PKEY *pkey = len > 0 && len <= SIGN_KEY_FILE_MAX ? parse(pem, len, kind) : NULL;
	struct sign_key *k;

	if (pkey == NULL) {
		err_set(e, EINVAL, "is no %s key in PEM without a passphrase", names[kind]);
		return NULL;
	}
	if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
		err_set(e, EINVAL, "is a key of type %s, expected ed25519", EVP_PKEY_get0_type_name(pkey));
		EVP_PKEY_free(pkey);
		return NULL;
	}
	k = mem_new(sizeof *k);
	k->pkey = pkey;
	return k;
}

/*
 * On a file system with ACLs, systemd's copy of a credential is root's with mode 0440: the group's bits are
 * the mask of the entry that lets the service's user in.
 */
static int
check_file(int fd, enum sign_kind kind, struct err *e)
{
	struct stat st;
	mode_t others;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "%m");
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "is no plain file");
	if (kind == SIGN_PUBLIC)
		return 0;
	others = st.st_uid == 0 && st.st_gid == 0 ? 037 : 077;
	if (st.st_mode & others)
		return err_set(e, EPERM,
		    "has mode %04o: others than its owner may use it; expected 0600 or 0400",
		    (unsigned)(st.st_mode & 07777));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, EPERM, "belongs to user %u, expected %u or root", (unsigned)st.st_uid,
		    (unsigned)geteuid());
	return 0;
}

static int
read_file(int fd, struct buf *out, struct err *e)
{
	ssize_t n;

	do {
		n = read(fd, buf_reserve(out, SIGN_KEY_FILE_MAX + 1), SIGN_KEY_FILE_MAX + 1);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (buf_len(out) <= SIGN_KEY_FILE_MAX && (n > 0 || (n < 0 && errno == EINTR)));
	return n < 0 ? err_set(e, errno, "cannot be read: %m") : 0;
}

struct sign_key *
sign_key_read(const char *path, enum sign_kind kind, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe would keep us waiting */
	struct sign_key *k = NULL;
	struct buf text = { 0 };

	if (fd < 0)
		err_set(e, errno, "cannot be opened: %m");
	else if (check_file(fd, kind, e) == 0 && read_file(fd, &text, e) == 0)
		k = sign_key_parse(buf_ptr(&text), buf_len(&text), kind, e);
	if (fd >= 0)
		close(fd);
	buf_done(&text);
	if (k == NULL)
		err_wrap(e, "%s key '%s'", names[kind], path);
	return k;
}

void
sign_key_free(struct sign_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* wipes the private half */
	free(k);
}

void
sign_key_id(const struct sign_key *k, char out[SIGN_ID_MAX])
{
	unsigned char *der = NULL;
	char hex[HASH_HEX_MAX];
	int len = i2d_PUBKEY(k->pkey, &der);

	must(len > 0);
	hash_once(HASH_SHA256, der, (size_t)len, hex);
	OPENSSL_free(der);
	for (size_t i = 0; i < SIGN_ID_MAX; i++)
		out[i] = hex[i];
}

void
sign_bytes(const struct sign_key *k, const void *bytes, size_t len, uint8_t out[SIGN_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGN_LEN;

	must(ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
	     EVP_DigestSign(ctx, out, &n, bytes, len) == 1 && n == SIGN_LEN);
	EVP_MD_CTX_free(ctx);
}

int
sign_is_good(const struct sign_key *k, const void *bytes, size_t len, const uint8_t *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good;

	must(ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1);
	good = sig_len == SIGN_LEN && EVP_DigestVerify(ctx, sig, sig_len, bytes, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}
