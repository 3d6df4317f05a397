#include "artifact/sigv4.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

enum { MAC_LEN = 32, TIME_MAX = 20 };

struct mac {
	uint8_t bytes[MAC_LEN];
};

/* One request on its way to a signature. */
struct work {
	char time[TIME_MAX]; /* 20130524T000000Z; its first 8 are the day */
	char *scope;         /* 20130524/us-east-1/s3/aws4_request */
	struct sigv4_pair headers[SIGV4_PAIRS_MAX];
	size_t header_count;
	struct buf path, query, signed_names, canonical;
	char signature[2 * MAC_LEN + 1];
};

void
sigv4_escape(struct buf *out, const char *text, int path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++)
		if (strchr(plain, *text) != NULL || (path && *text == '/'))
			buf_add(out, text, 1);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
}

static int
by_name(const void *a, const void *b)
{
	const struct sigv4_pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : strcmp(x->value, y->value);
}

static char *
escaped(const char *text)
{
	struct buf b = { 0 };
	char *copy;

	sigv4_escape(&b, text, 0);
	copy = mem_str(buf_text(&b));
	buf_done(&b);
	return copy;
}

/* Sorted as it is written, that is, after escaping. */
static void
add_query(struct work *w, const struct sigv4_pair *pairs, size_t count)
{
	struct sigv4_pair sorted[SIGV4_PAIRS_MAX];

	assert(count <= SIGV4_PAIRS_MAX);
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct sigv4_pair){ escaped(pairs[i].name), escaped(pairs[i].value) };
	qsort(sorted, count, sizeof sorted[0], by_name);
	for (size_t i = 0; i < count; i++) {
		buf_printf(&w->query, "%s%s=%s", i > 0 ? "&" : "", sorted[i].name, sorted[i].value);
		free((char *)(uintptr_t)sorted[i].name);
		free((char *)(uintptr_t)sorted[i].value);
	}
}

static void
add_header(struct work *w, const char *name, const char *value)
{
	assert(w->header_count < SIGV4_PAIRS_MAX);
	w->headers[w->header_count++] = (struct sigv4_pair){ name, value };
}

/* Without spaces at both ends, runs of them as one. */
static void
add_trimmed(struct buf *out, const char *value)
{
	for (value += strspn(value, " "); *value != '\0'; value++)
		if (*value != ' ' || (value[1] != ' ' && value[1] != '\0'))
			buf_add(out, value, 1);
}

static void
add_headers(struct work *w)
{
	qsort(w->headers, w->header_count, sizeof w->headers[0], by_name);
	for (size_t i = 0; i < w->header_count; i++) {
		buf_printf(&w->canonical, "%s:", w->headers[i].name);
		add_trimmed(&w->canonical, w->headers[i].value);
		buf_adds(&w->canonical, "\n");
		buf_printf(&w->signed_names, "%s%s", i > 0 ? ";" : "", w->headers[i].name);
	}
}

static struct mac
mac(const void *key, size_t key_len, const char *text)
{
	struct mac m;
	unsigned len = 0;

	if (HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), m.bytes, &len) ==
	        NULL ||
	    len != MAC_LEN)
		abort(); /* a libcrypto without SHA-256 */
	return m;
}

static struct mac
signing_key(const struct work *w, const struct sigv4_scope *scope, const char *secret)
{
	char *start = mem_printf("AWS4%s", secret), day[9] = { 0 };
	struct mac m;

	memcpy(day, w->time, 8);
	m = mac(start, strlen(start), day);
	mem_wipe(start, strlen(start));
	free(start);
	m = mac(m.bytes, MAC_LEN, scope->region);
	m = mac(m.bytes, MAC_LEN, scope->service);
	return mac(m.bytes, MAC_LEN, "aws4_request");
}

static void
begin(struct work *w, const struct sigv4_request *r, const struct sigv4_scope *scope)
{
	time_t t = (time_t)scope->time;
	struct tm tm;

	*w = (struct work){ 0 };
	if (gmtime_r(&t, &tm) == NULL || strftime(w->time, sizeof w->time, "%Y%m%dT%H%M%SZ", &tm) == 0)
		abort(); /* no year has so many digits */
	w->scope = mem_printf("%.8s/%s/%s/aws4_request", w->time, scope->region, scope->service);
	sigv4_escape(&w->path, r->path, 1);
	add_header(w, "host", r->host);
}

static void
finish(struct work *w, const struct sigv4_request *r, const struct sigv4_scope *scope, const char *secret)
{
	struct mac key = signing_key(w, scope, secret), signature;
	char hash[HASH_HEX_MAX], *text;

	buf_printf(&w->canonical, "%s\n%s\n%s\n", r->method, buf_text(&w->path), buf_text(&w->query));
	add_headers(w);
	buf_printf(&w->canonical, "\n%s\n%s", buf_text(&w->signed_names), r->payload_sha256);
	hash_once(HASH_SHA256, buf_ptr(&w->canonical), buf_len(&w->canonical), hash);
	text = mem_printf("AWS4-HMAC-SHA256\n%s\n%s\n%s", w->time, w->scope, hash);
	signature = mac(key.bytes, MAC_LEN, text);
	for (size_t i = 0; i < MAC_LEN; i++)
		(void)sprintf(w->signature + 2 * i, "%02x", signature.bytes[i]);
	mem_wipe(&key, sizeof key);
	free(text);
}

static void
done(struct work *w)
{
	free(w->scope);
	buf_done(&w->path);
	buf_done(&w->query);
	buf_done(&w->signed_names);
	if (w->canonical.data != NULL)
		mem_wipe(w->canonical.data, w->canonical.cap); /* a token stands in it */
	buf_done(&w->canonical);
}

static void
add_target(const struct work *w, struct buf *target)
{
	buf_add(target, buf_ptr(&w->path), buf_len(&w->path));
	if (buf_len(&w->query) > 0)
		buf_adds(target, "?");
	buf_add(target, buf_ptr(&w->query), buf_len(&w->query));
}

void
sigv4_sign(const struct sigv4_request *r, const struct sigv4_scope *scope, const struct sigv4_key *key,
    struct buf *target, struct buf *headers)
{
	struct work w;

	begin(&w, r, scope);
	add_query(&w, r->query, r->query_count);
	for (size_t i = 0; i < r->header_count; i++)
		add_header(&w, r->headers[i].name, r->headers[i].value);
	add_header(&w, "x-amz-date", w.time);
	if (key->token != NULL)
		add_header(&w, "x-amz-security-token", key->token);
	finish(&w, r, scope, key->secret);
	add_target(&w, target);
	for (size_t i = 0; i < w.header_count; i++)
		if (strcmp(w.headers[i].name, "host") != 0)
			buf_printf(headers, "%s: %s\n", w.headers[i].name, w.headers[i].value);
	buf_printf(headers,
	    "authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s\n", key->id,
	    w.scope, buf_text(&w.signed_names), w.signature);
	done(&w);
}
