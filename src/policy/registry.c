#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/reference.h"
#include "value.h"

/*
 * X-Registry-Config: base64url of {"host": {"username": ..., "password": ...}}. Read and written anew, so
 * that nothing but credentials passes; all copies made here are wiped.
 */
enum { REGISTRY_MAX = 16 * 1024, REGISTRY_HOSTS_MAX = 64 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
encode(const uint8_t *p, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		             (have > 2 ? (uint32_t)p[i + 2] : 0);
		char four[4];

		for (size_t k = 0; k < 4; k++)
			four[k] = k <= have ? alphabet[v >> (18 - 6 * k) & 63] : '=';
		buf_add(out, four, 4);
	}
}

static int
digit(char c)
{
	const char *at;

	if (c == '+') /* the other alphabet, which dockerode writes */
		c = '-';
	if (c == '/')
		c = '_';
	at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

static int
decode(const char *text, struct buf *out)
{
	size_t n = strlen(text);
	uint32_t v = 0;

	for (int pad = 0; strlen(text) % 4 == 0 && pad < 2 && n > 0 && text[n - 1] == '='; pad++)
		n--;
	if (n % 4 == 1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int d = digit(text[i]);
		uint8_t byte;

		if (d < 0)
			return -1;
		v = v << 6 | (uint32_t)d;
		if (i % 4 == 0)
			continue;
		byte = (uint8_t)(v >> (6 - 2 * (i % 4)));
		buf_add(out, &byte, 1);
	}
	return 0;
}

static json_t *
read_host(const json_t *v)
{
	static const char *const fields[] = { "username", "password", "auth", "email", "serveraddress",
		"identitytoken", "registrytoken" };
	json_t *out = json_object();

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_t *field = json_object_get(v, fields[i]);

		if (json_is_string(field))
			json_object_set(out, fields[i], field);
	}
	return out;
}

static json_t *
read_hosts(const json_t *v)
{
	const char *host;
	json_t *one, *out;

	if (!json_is_object(v) || json_object_size(v) > REGISTRY_HOSTS_MAX)
		return NULL;
	out = json_object();
	json_object_foreach((json_t *)v, host, one)
	{
		if (!json_is_object(one)) {
			json_decref(out);
			return NULL;
		}
		json_object_set_new(out, host, read_host(one));
	}
	return out;
}

static void
wipe_buf(struct buf *b)
{
	if (b->data != NULL)
		mem_wipe(b->data, b->cap);
	buf_done(b);
}

int
registry_read(const char *text, struct buf *out)
{
	struct buf plain = { 0 };
	struct err ignored;
	json_t *given = NULL, *mine = NULL;
	char *printed;
	int rc = -1;

	if (text[0] == '\0')
		return 0;
	(void)buf_reserve(&plain, REGISTRY_MAX); /* does not move: no copy is left behind */
	if (strlen(text) > REGISTRY_MAX / 3 * 4 || decode(text, &plain) < 0)
		goto out;
	given = json_parse(buf_ptr(&plain), buf_len(&plain), &ignored);
	if (json_is_null(given) || (mine = read_hosts(given)) != NULL)
		rc = 0;
	if (json_object_size(mine) > 0) {
		printed = json_text(mine, 0);
		encode((const uint8_t *)printed, strlen(printed), out);
		mem_wipe(printed, strlen(printed));
		free(printed);
	}
out:
	json_decref(mine);
	json_decref(given);
	wipe_buf(&plain);
	return rc;
}

/* docker.io's credentials stand under the address of its old index. */
static const char *
key_of(const char *domain)
{
	return strcmp(domain, "docker.io") == 0 ? "https://index.docker.io/v1/" : domain;
}

void
registry_pick(const char *config, const char *image, struct buf *out)
{
	struct buf plain = { 0 };
	struct reference r;
	struct err ignored;
	json_t *hosts = NULL, *host;
	char *text = NULL;

	(void)buf_reserve(&plain, strlen(config)); /* does not move: one copy to wipe */
	if (reference_parse(&r, image, &ignored) == 0 && decode(config, &plain) == 0)
		hosts = json_parse(buf_ptr(&plain), buf_len(&plain), &ignored);
	host = json_object_get(hosts, key_of(r.domain));
	if (host != NULL)
		text = json_text(host, 0);
	if (text != NULL) {
		buf_adds(out, "X-Registry-Auth: ");
		encode((const uint8_t *)text, strlen(text), out);
		buf_adds(out, "\r\n");
		mem_wipe(text, strlen(text));
	}
	free(text);
	json_decref(hosts);
	wipe_buf(&plain);
}
