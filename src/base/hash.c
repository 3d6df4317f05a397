#include "base/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/log.h"

struct hash {
	EVP_MD_CTX *ctx;
};

static void
must(int good)
{
	if (!good) {
		log_error("hash", "libcrypto refused a digest");
		abort();
	}
}

struct hash *
hash_new(enum hash_kind kind)
{
	struct hash *h = malloc(sizeof *h);

	must(h != NULL);
	h->ctx = EVP_MD_CTX_new();
	must(h->ctx != NULL);
	must(EVP_DigestInit_ex(h->ctx, kind == HASH_SHA512 ? EVP_sha512() : EVP_sha256(), NULL));
	return h;
}

void
hash_add(struct hash *h, const void *bytes, size_t len)
{
	must(EVP_DigestUpdate(h->ctx, bytes, len));
}

static void
finish(struct hash *h, char out[HASH_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	must(EVP_DigestFinal_ex(h->ctx, raw, &len));
	for (unsigned i = 0; i < len; i++) {
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 15];
	}
	out[2 * len] = '\0';
}

void
hash_hex(struct hash *h, char out[HASH_HEX_MAX])
{
	finish(h, out);
	hash_free(h);
}

void
hash_piece(struct hash *h, const void *bytes, size_t len, char out[HASH_HEX_MAX])
{
	hash_add(h, bytes, len);
	finish(h, out);
	must(EVP_DigestInit_ex(h->ctx, NULL, NULL));
}

void
hash_free(struct hash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void
hash_once(enum hash_kind kind, const void *bytes, size_t len, char out[HASH_HEX_MAX])
{
	struct hash *h = hash_new(kind);

	hash_add(h, bytes, len);
	hash_hex(h, out);
}
