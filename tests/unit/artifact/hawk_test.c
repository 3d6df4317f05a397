#include "artifact/hawk.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tap.h"

/* The request of a createArtifact that a real queue accepted, and what @hapi/hawk makes of it. */
static const char id[] = "task-client/AAAAAAAAQ_CAAAAAAAAAAA/0/on/wg/w1/until/1";
static const char secret[] = "aaRGgwtDj7_QkTY0bGo2Nd9KVARKDAkaz0Rq1op8eXA";
static const char url[] = "https://tc.example.com/api/queue/v1/task/AAAAAAAAQ_CAAAAAAAAAAA/runs/0/artifacts/"
                          "public%2Fimage.tar";
static const char body[] = "{\"storageType\":\"s3\"}";

static const struct row {
	const char *name, *method, *url, *type, *body, *ext, *want;
} rows[] = {
	{ "createArtifact", "POST", url, "application/json", body, NULL,
	    "hash=\"YFke8Jg2w55z92t08aAoLtjuY/Y6z7Uh2TBdcXNdC9Y=\", "
	    "mac=\"b8X0G5miS+5ftXvbDqKrd2/ZlRZUlwG7yIsjH5DsWxs=\"\n" },
	{ "a type counts without parameters and in lower case", "POST", url,
	    "Application/JSON ; charset=utf-8", body, NULL,
	    "hash=\"YFke8Jg2w55z92t08aAoLtjuY/Y6z7Uh2TBdcXNdC9Y=\", "
	    "mac=\"b8X0G5miS+5ftXvbDqKrd2/ZlRZUlwG7yIsjH5DsWxs=\"\n" },
	{ "the port that goes without saying may be said", "POST",
	    "https://TC.example.com:443/api/queue/v1/task/AAAAAAAAQ_CAAAAAAAAAAA/runs/0/artifacts/"
	    "public%2Fimage.tar",
	    "application/json", body, NULL,
	    "hash=\"YFke8Jg2w55z92t08aAoLtjuY/Y6z7Uh2TBdcXNdC9Y=\", "
	    "mac=\"b8X0G5miS+5ftXvbDqKrd2/ZlRZUlwG7yIsjH5DsWxs=\"\n" },
	{ "a query counts", "GET", "http://127.0.0.1:8080/api/queue/v1/task/x/status?a=%20b&c=d", NULL, NULL,
	    NULL, "mac=\"cmOXZngs5I1+V9c+Y2Wjk0ILKcqZOcWXBTL9GsgzB/o=\"\n" },
	{ "ext, and port 80", "GET", "http://tc.example.com/api/queue/v1/ping", NULL, NULL,
	    "eyJhIjoxfQ==", "ext=\"eyJhIjoxfQ==\", mac=\"6u9evXQO9V1r4OZgdSlQAQEHJTgBsDpYzVJsDH5P6w0=\"\n" },
	{ "all of it", "PUT", "https://tc.example.com:8443/api/object/v1/upload/t%2FT%2F0%2Fa",
	    "application/json", "{}", "eyJhIjoxfQ==",
	    "hash=\"vNZvU+y3rJKqH4hu1yxrNuaijNPgIJ2Rgj/sHzsQhXY=\", ext=\"eyJhIjoxfQ==\", "
	    "mac=\"fZOe13mH3KgYPl5rk/umDGhdu0tDcLpMpMMh1XHwOoc=\"\n" },
};

static void
test_rows(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		struct hawk_request q = { r->method, r->url, r->type, r->body,
			r->body != NULL ? strlen(r->body) : 0, 1795450031, "TE6gGvMw" };
		struct hawk_key key = { id, secret, r->ext };
		struct buf out = { 0 };
		struct err e = { 0 };
		char want[600];

		(void)snprintf(want, sizeof want,
		    "Authorization: Hawk id=\"%s\", ts=\"1795450031\", nonce=\"TE6gGvMw\", %s", id, r->want);
		is_int(hawk_sign(&q, &key, &out, &e), 0, r->name);
		is_str(buf_text(&out), want, r->name);
		buf_done(&out);
	}
}

static void
test_refused(void)
{
	static const char *const bad[] = { "", "ftp://h/x", "https://", "https://h", "https:///x",
		"https://h:/x", "https://h:0/x", "https://h:65536/x", "https://h:1a/x", "https://h:000443/x",
		"https://u@h/x", "https://h/x#y", "https://h/x y", "https://h/\x7f", "https://h/\n",
		"https://h?x", "https://h/\"" };
	struct err e = { 0 };
	struct buf out = { 0 };
	struct hawk_key key = { id, secret, NULL };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct hawk_request q = { "GET", bad[i], NULL, NULL, 0, 1, "n" };

		ok(hawk_sign(&q, &key, &out, &e) < 0 && e.code == EINVAL, bad[i]);
	}
	for (const char *const *k = (const char *const[]){ "", "a\"b", "a\\b", "a\nb", "\xc3\xa4", NULL };
	     *k != NULL; k++) {
		struct hawk_request q = { "GET", url, NULL, NULL, 0, 1, "n" };

		key.id = *k;
		ok(hawk_sign(&q, &key, &out, &e) < 0 && strstr(e.text, secret) == NULL, e.text);
	}
	is_int(buf_len(&out), 0, "nothing was written");
	buf_done(&out);
}

static void
decode(const char *text, char *out, size_t size)
{
	size_t len = strlen(text);
	int n;

	if (len / 4 * 3 >= size)
		len = 0;
	n = EVP_DecodeBlock((uint8_t *)out, (const uint8_t *)text, (int)len);
	out[n > 0 ? n - (len > 0 && text[len - 1] == '=') - (len > 1 && text[len - 2] == '=') : 0] = '\0';
}

static void
test_ext(void)
{
	json_t *certificate = json_pack("{s:i,s:s,s:[s]}", "version", 1, "seed", "abc", "scopes", "x:*");
	char out[500], *ext = hawk_ext(certificate, "queue:create-artifact:T/0");

	decode(ext, out, sizeof out);
	is_str(out,
	    "{\"certificate\":{\"version\":1,\"seed\":\"abc\",\"scopes\":[\"x:*\"]},"
	    "\"authorizedScopes\":[\"queue:create-artifact:T/0\"]}",
	    "certificate and scope");
	free(ext);
	ext = hawk_ext(certificate, NULL);
	decode(ext, out, sizeof out);
	is_str(out, "{\"certificate\":{\"version\":1,\"seed\":\"abc\",\"scopes\":[\"x:*\"]}}", "certificate");
	free(ext);
	ext = hawk_ext(NULL, "a");
	decode(ext, out, sizeof out);
	is_str(out, "{\"authorizedScopes\":[\"a\"]}", "scope");
	free(ext);
	json_decref(certificate);
}

int
main(void)
{
	test_rows();
	test_refused();
	test_ext();
	return tap_end();
}
