#include "base/base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/buf.h"

enum { PIECE = 3 << 20 }; /* OpenSSL counts in int; a piece that ends on three bytes has no padding */

void
base64_add(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	while (len > 0) {
		size_t n = len < PIECE ? len : PIECE;
		int written = EVP_EncodeBlock(buf_reserve(out, n / 3 * 4 + 5), p, (int)n);

		buf_commit(out, (size_t)written);
		p += n;
		len -= n;
	}
}

/* OpenSSL takes white space, and bits that stand for nothing: who writes the bytes anew sees those. */
static int
is_canonical(const char *text, size_t len, const struct buf *bytes)
{
	struct buf again = { 0 };
	int same;

	base64_add(&again, buf_ptr(bytes), buf_len(bytes));
	same = buf_len(&again) == len && memcmp(buf_ptr(&again), text, len) == 0;
	buf_done(&again);
	return same;
}

int
base64_read(const char *text, size_t len, struct buf *out)
{
	struct buf bytes = { 0 };
	int n, rc = -1;

	if (len == 0)
		return 0;
	if (len % 4 != 0 || len > INT_MAX)
		return -1;
	n = EVP_DecodeBlock(buf_reserve(&bytes, len / 4 * 3), (const unsigned char *)text, (int)len);
	for (size_t i = len; n > 0 && i > len - 2 && text[i - 1] == '='; i--)
		n--;
	if (n > 0) {
		buf_commit(&bytes, (size_t)n);
		rc = is_canonical(text, len, &bytes) ? 0 : -1;
	}
	if (rc == 0)
		buf_add(out, buf_ptr(&bytes), buf_len(&bytes));
	buf_done(&bytes);
	return rc;
}
