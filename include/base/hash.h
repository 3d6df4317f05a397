#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>

/*
 * SHA-256 and SHA-512 over a stream (OpenSSL EVP), and hex. Never fails: a
 * missing algorithm ends the process.
 */
enum hash_kind { HASH_SHA256, HASH_SHA512 };
enum { HASH_HEX_MAX = 129 }; /* sha512 in hex, and the NUL */

struct hash;

struct hash *hash_new(enum hash_kind kind);
void hash_add(struct hash *h, const void *bytes, size_t len);
/* Ends the stream, writes lower-case hex and a NUL, and frees h. */
void hash_hex(struct hash *h, char out[HASH_HEX_MAX]);
void hash_free(struct hash *h);

/* The hash of these bytes alone, in hex; h is new, and good for the next ones: nothing is allocated. */
void hash_piece(struct hash *h, const void *bytes, size_t len, char out[HASH_HEX_MAX]);

/* One call for bytes at hand. */
void hash_once(enum hash_kind kind, const void *bytes, size_t len, char out[HASH_HEX_MAX]);

#endif
