#include "artifact/hawk.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

enum { DIGEST_LEN = 32, PORT_MAX = 65535 };

/* A URL's parts, pointing into it. */
struct place {
	const char *host, *target;
	size_t host_len;
	unsigned port;
};

static int
read_port(const char *text, const char *end, unsigned *port)
{
	unsigned n = 0;

	if (text == end || end - text > 5)
		return -1;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*port = n;
	return n >= 1 && n <= PORT_MAX ? 0 : -1;
}

/* No user, no fragment, nothing that would have to be escaped. */
static int
read_url(const char *url, struct place *p)
{
	const char *end, *colon;

	p->port = strncmp(url, "https://", 8) == 0 ? 443 : 80;
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return -1;
	p->host = strstr(url, "://") + 3;
	p->target = end = p->host + strcspn(p->host, "/?#");
	if (*end != '/')
		return -1;
	for (const char *c = p->host; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '#' || (c < end && *c == '@'))
			return -1;
	colon = memrchr(p->host, ':', (size_t)(end - p->host));
	if (colon != NULL && memchr(colon, ']', (size_t)(end - colon)) != NULL)
		colon = NULL; /* of an IPv6 address */
	if (colon != NULL && read_port(colon + 1, end, &p->port) < 0)
		return -1;
	p->host_len = (size_t)((colon != NULL ? colon : end) - p->host);
	return p->host_len > 0 ? 0 : -1;
}

static void
base64(const uint8_t bytes[DIGEST_LEN], char out[HAWK_HASH_MAX])
{
	(void)EVP_EncodeBlock((uint8_t *)out, bytes, DIGEST_LEN);
}

static void
add_lower(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = (char)tolower((unsigned char)text[i]);

		buf_add(out, &c, 1);
	}
}

void
hawk_hash(const char *content_type, const void *body, size_t length, char out[HAWK_HASH_MAX])
{
	size_t type = strcspn(content_type, ";");
	uint8_t digest[DIGEST_LEN];
	struct buf text = { 0 };

	while (type > 0 && content_type[type - 1] == ' ')
		type--;
	buf_adds(&text, "hawk.1.payload\n");
	add_lower(&text, content_type, type);
	buf_adds(&text, "\n");
	buf_add(&text, body, length);
	buf_adds(&text, "\n");
	if (EVP_Digest(buf_ptr(&text), buf_len(&text), digest, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* a libcrypto without SHA-256 */
	base64(digest, out);
	mem_wipe(text.data, text.tail);
	buf_done(&text);
}

static void
make_mac(const struct hawk_request *r, const struct hawk_key *key, const struct place *p, const char *hash,
    char out[HAWK_HASH_MAX])
{
	uint8_t digest[DIGEST_LEN];
	struct buf text = { 0 };

	buf_printf(
	    &text, "hawk.1.header\n%lld\n%s\n%s\n%s\n", (long long)r->time, r->nonce, r->method, p->target);
	add_lower(&text, p->host, p->host_len);
	buf_printf(&text, "\n%u\n%s\n%s\n", p->port, hash, key->ext != NULL ? key->ext : "");
	if (HMAC(EVP_sha256(), key->secret, (int)strlen(key->secret), buf_ptr(&text), buf_len(&text), digest,
	        NULL) == NULL)
		abort();
	base64(digest, out);
	buf_done(&text);
}

/* As a value between quotes of the header. */
static int
is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return 0;
	return 1;
}

int
hawk_sign(const struct hawk_request *r, const struct hawk_key *key, struct buf *header, struct err *e)
{
	char hash[HAWK_HASH_MAX] = "", mac[HAWK_HASH_MAX];
	struct place p;

	if (read_url(r->url, &p) < 0)
		return err_set(e, EINVAL, "this is no URL that can be signed");
	if (key->id[0] == '\0' || !is_plain(key->id) || !is_plain(r->nonce))
		return err_set(e, EINVAL, "the credentials' clientId is not printable ASCII");
	if (r->content_type != NULL)
		hawk_hash(r->content_type, r->body, r->length, hash);
	make_mac(r, key, &p, hash, mac);
	buf_printf(header, "Authorization: Hawk id=\"%s\", ts=\"%lld\", nonce=\"%s\"", key->id,
	    (long long)r->time, r->nonce);
	if (hash[0] != '\0')
		buf_printf(header, ", hash=\"%s\"", hash);
	if (key->ext != NULL)
		buf_printf(header, ", ext=\"%s\"", key->ext);
	buf_printf(header, ", mac=\"%s\"\n", mac);
	return 0;
}

char *
hawk_ext(const json_t *certificate, const char *scope)
{
	json_t *v = json_object();
	char *text, *out;
	size_t len;

	if (certificate != NULL)
		json_object_set(v, "certificate", (json_t *)(uintptr_t)certificate);
	if (scope != NULL)
		json_object_set_new(v, "authorizedScopes", json_pack("[s]", scope));
	text = json_text(v, 1);
	json_decref(v);
	len = strlen(text);
	out = mem_array(len / 3 + 2, 4);
	(void)EVP_EncodeBlock((uint8_t *)out, (const uint8_t *)text, (int)len);
	mem_wipe(text, len);
	free(text);
	return out;
}
