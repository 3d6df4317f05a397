#include "base/hash.h"

#include "tap.h"

/* FIPS 180-4 examples. */
static const struct {
	enum hash_kind kind;
	const char *bytes;
	const char *hex;
} rows[] = {
	{ HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ HASH_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ HASH_SHA512, "abc",
	    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
};

int
main(void)
{
	char out[HASH_HEX_MAX];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t len = strlen(rows[i].bytes);
		struct hash *h = hash_new(rows[i].kind);

		hash_once(rows[i].kind, rows[i].bytes, len, out);
		is_str(out, rows[i].hex, "at once");
		for (size_t k = 0; k < len; k++)
			hash_add(h, rows[i].bytes + k, 1);
		hash_hex(h, out);
		is_str(out, rows[i].hex, "one byte at a time");
	}
	hash_free(hash_new(HASH_SHA512));
	hash_free(NULL);
	return tap_end();
}
