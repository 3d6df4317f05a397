#include "base/dsse.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tap.h"

/* RFC 8032 section 7.1, TEST 2 and TEST 1: keys that everybody knows. */
static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                                  "-----END PRIVATE KEY-----\n";
static const char other_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                "-----END PUBLIC KEY-----\n";
static const char type[] = "http://example.com/HelloWorld", text[] = "hello world";

static struct sign_key *key, *other;

static json_t *
make(void)
{
	struct buf encoded = { 0 };
	uint8_t sig[SIGN_LEN];
	char id[SIGN_ID_MAX];

	dsse_encode(type, text, strlen(text), &encoded);
	sign_bytes(key, buf_ptr(&encoded), buf_len(&encoded), sig);
	sign_key_id(key, id);
	buf_done(&encoded);
	return dsse_envelope(type, text, strlen(text), id, sig);
}

/* Opens it and gives the reason when it does not open. Takes the envelope. */
static const char *
open_it(json_t *v, const char *of, const struct sign_key *with)
{
	static struct err e;
	struct buf out = { 0 };
	int rc;

	e = (struct err){ 0 };
	rc = dsse_open(v, of, with, &out, &e);
	if (rc == 0 && strcmp(buf_text(&out), text) != 0)
		err_set(&e, 0, "another payload");
	if (rc < 0 && buf_len(&out) > 0)
		err_set(&e, 0, "a payload in spite of the error");
	buf_done(&out);
	json_decref(v);
	return rc == 0 && e.text[0] == '\0' ? "good" : e.text;
}

static json_t *
with(const char *name, json_t *value)
{
	json_t *v = make();

	if (value != NULL)
		json_object_set_new(v, name, value);
	else
		json_object_del(v, name);
	return v;
}

static json_t *
with_signature(const char *name, const char *value)
{
	json_t *v = make();

	json_object_set_new(json_array_get(json_object_get(v, "signatures"), 0), name, json_string(value));
	return v;
}

static void
test_open(void)
{
	char zeros[90] = { 0 };
	json_t *v;

	memset(zeros, 'A', 86);
	strcpy(zeros + 86, "==");
	is_str(open_it(make(), type, key), "good", "signed and opened");
	is_str(open_it(make(), type, NULL), "good", "opened without a key");
	is_str(open_it(make(), "x", key),
	    "the envelope's 'payloadType' is 'http://example.com/HelloWorld', expected 'x'", "another type");
	is_str(open_it(with("payload", NULL), type, key), "the envelope has no 'payload'", "no payload");
	is_str(open_it(with("payload", json_integer(1)), type, key), "the envelope has no 'payload'",
	    "a number");
	is_str(open_it(with("payload", json_string("aGVsbG8gd29ybGQ")), type, key),
	    "the envelope's 'payload' is not base64", "payload without its padding");
	ok(strstr(open_it(with("payload", json_string("aGVsbG8gd29ybGU=")), type, key),
	       "is not good: payload, type or signature were changed") != NULL,
	    "another payload");
	is_str(open_it(with("signatures", NULL), type, key), "the envelope must have 1 to 16 signatures",
	    "none");
	is_str(open_it(with("signatures", json_array()), type, key),
	    "the envelope must have 1 to 16 signatures", "an empty list");
	is_str(open_it(with("signatures", json_pack("[i]", 1)), type, key), "the envelope has no 'sig'",
	    "a number");
	ok(strstr(open_it(with_signature("sig", zeros), type, key), "is not good") != NULL, "zeros");
	is_str(open_it(with_signature("sig", "!"), type, key), "the envelope's 'sig' is not base64",
	    "no base64");
	ok(strstr(open_it(with_signature("sig", "AAAA"), type, key), "is not good") != NULL, "cut");
	is_str(open_it(with_signature("keyid", "\x1b[2J"), type, key), "good", "a key id is only a hint");
	ok(strstr(open_it(make(), type, other), "no signature is that of key") != NULL, "another key");
	is_str(open_it(json_array(), type, key),
	    "the envelope's 'payloadType' is '', expected 'http://example.com/"
	    "HelloWorld'",
	    "no envelope");
	v = make();
	json_array_insert_new(
	    json_object_get(v, "signatures"), 0, json_pack("{s:s,s:s}", "keyid", "somebody", "sig", zeros));
	is_str(open_it(v, type, key), "good", "one of two signatures");
}

int
main(void)
{
	struct buf encoded = { 0 };
	struct err e = { 0 };

	dsse_encode(type, text, strlen(text), &encoded);
	is_str(buf_text(&encoded), "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
	    "the protocol's own example");
	buf_done(&encoded);
	key = sign_key_parse(private_pem, strlen(private_pem), SIGN_PRIVATE, &e);
	other = sign_key_parse(other_pem, strlen(other_pem), SIGN_PUBLIC, &e);
	if (ok(key != NULL && other != NULL, "keys"))
		test_open();
	sign_key_free(key);
	sign_key_free(other);
	return tap_end();
}
