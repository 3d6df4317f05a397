#ifndef BASE_SIGN_H
#define BASE_SIGN_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * ed25519 signatures (RFC 8032, by OpenSSL) and their keys, which are PEM: PKCS#8 without a passphrase for a
 * private key, SubjectPublicKeyInfo for a public one, as `openssl genpkey -algorithm ed25519` and `openssl
 * pkey -pubout` write them. What is signed says by its first bytes what it is, so that a signature of one
 * kind never passes for one of another: DSSE's "DSSEv1 ..." does, other uses choose their own words.
 *
 * A key's id is the SHA-256 of its public half's DER, in hex: `openssl pkey -pubin -outform DER | sha256sum`.
 */
enum { SIGN_LEN = 64, SIGN_ID_MAX = 65, SIGN_KEY_FILE_MAX = 4096 };
enum sign_kind { SIGN_PUBLIC, SIGN_PRIVATE };

struct sign_key;

/*
 * A key from its file; the caller frees it. A private key's file has to be a plain file of root or of the
 * user that reads it, which nobody else may read or write (group root may read: systemd's credentials are
 * marked so). NULL with e saying what is wrong: e->code is ENOENT when there is no file, EPERM for its mode
 * or owner, EINVAL for what is in it.
 */
struct sign_key *sign_key_read(const char *path, enum sign_kind kind, struct err *e);

/* The same from its text. */
struct sign_key *sign_key_parse(const void *pem, size_t len, enum sign_kind kind, struct err *e);

void sign_key_free(struct sign_key *k);

void sign_key_id(const struct sign_key *k, char out[SIGN_ID_MAX]);

/* Signs; the key is a private one. Never fails: what OpenSSL cannot do with a good key ends the process. */
void sign_bytes(const struct sign_key *k, const void *bytes, size_t len, uint8_t out[SIGN_LEN]);

/* Whether sig is the key's signature of exactly these bytes; either half of the key will do. */
int sign_is_good(const struct sign_key *k, const void *bytes, size_t len, const uint8_t *sig, size_t sig_len);

#endif
