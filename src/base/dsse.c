#include "base/dsse.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

void
dsse_encode(const char *type, const void *payload, size_t len, struct buf *out)
{
	buf_printf(out, "DSSEv1 %zu %s %zu ", strlen(type), type, len);
	buf_add(out, payload, len);
}

json_t *
dsse_envelope(const char *type, const void *payload, size_t len, const char key_id[SIGN_ID_MAX],
    const uint8_t signature[SIGN_LEN])
{
	struct buf body = { 0 }, sig = { 0 };
	json_t *v;

	base64_add(&body, payload, len);
	base64_add(&sig, signature, SIGN_LEN);
	v = json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "payload", buf_text(&body), "payloadType", type,
	    "signatures", "keyid", key_id, "sig", buf_text(&sig));
	buf_done(&body);
	buf_done(&sig);
	return v;
}

/* base64 member of an object; -1 with e. */
static int
read_base64(const json_t *object, const char *key, struct buf *out, struct err *e)
{
	const json_t *v = json_object_get(object, key);

	if (!json_is_string(v))
		return err_set(e, EINVAL, "the envelope has no '%s'", key);
	if (base64_read(json_string_value(v), json_string_length(v), out) < 0)
		return err_set(e, EINVAL, "the envelope's '%s' is not base64", key);
	return 0;
}

/* 1: good; 0: somebody else's; -1: it names the key and is not good, or is no signature at all. */
static int
check_one(const json_t *one, const struct sign_key *key, const struct buf *encoded, struct err *e)
{
	const char *named = json_str(one, "keyid", "");
	struct buf sig = { 0 };
	char id[SIGN_ID_MAX];
	int rc = read_base64(one, "sig", &sig, e);

	sign_key_id(key, id);
	if (rc == 0)
		rc = sign_is_good(key, buf_ptr(encoded), buf_len(encoded), buf_ptr(&sig), buf_len(&sig));
	if (rc == 0 && strcmp(named, id) == 0)
		rc = err_set(e, EBADMSG,
		    "the signature of key %.16s... is not good: payload, type or signature were changed", id);
	buf_done(&sig);
	return rc;
}

static int
check_signatures(const json_t *envelope, const struct sign_key *key, const struct buf *encoded, struct err *e)
{
	const json_t *list = json_object_get(envelope, "signatures"), *one;
	char id[SIGN_ID_MAX], quoted[100];
	const char *named;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > DSSE_SIGNATURES_MAX)
		return err_set(e, EINVAL, "the envelope must have 1 to %d signatures", DSSE_SIGNATURES_MAX);
	json_array_foreach(list, i, one)
	{
		int rc = check_one(one, key, encoded, e);

		if (rc != 0)
			return rc > 0 ? 0 : -1;
	}
	named = json_str(json_array_get(list, 0), "keyid", "");
	sign_key_id(key, id);
	return err_set(e, EACCES, "no signature is that of key %s; the first one names key '%s'", id,
	    log_quote(named, strlen(named), quoted, sizeof quoted));
}

int
dsse_open(
    const json_t *envelope, const char *type, const struct sign_key *key, struct buf *payload, struct err *e)
{
	struct buf body = { 0 }, encoded = { 0 };
	const char *is = json_str(envelope, "payloadType", "");
	char quoted[100];
	int rc;

	if (strcmp(is, type) != 0)
		return err_set(e, EINVAL, "the envelope's 'payloadType' is '%s', expected '%s'",
		    log_quote(is, strlen(is), quoted, sizeof quoted), type);
	rc = read_base64(envelope, "payload", &body, e);
	if (rc == 0 && key != NULL) {
		dsse_encode(type, buf_ptr(&body), buf_len(&body), &encoded);
		rc = check_signatures(envelope, key, &encoded, e);
	}
	if (rc == 0)
		buf_add(payload, buf_ptr(&body), buf_len(&body));
	buf_done(&body);
	buf_done(&encoded);
	return rc;
}
