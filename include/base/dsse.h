#ifndef BASE_DSSE_H
#define BASE_DSSE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sign.h"

struct buf;
struct err;

/*
 * DSSE, the signed envelope of in-toto (github.com/secure-systems-lab/dsse, v1.0.0): {"payload": base64,
 * "payloadType", "signatures": [{"keyid", "sig": base64}]}. What is signed is not the payload but its
 * pre-authentication encoding, which holds the type, too. Pure, but for the key.
 */
enum { DSSE_SIGNATURES_MAX = 16 };

/* Appends "DSSEv1 LEN TYPE LEN PAYLOAD". */
void dsse_encode(const char *type, const void *payload, size_t len, struct buf *out);

/* The envelope with one signature, as a new reference. */
json_t *dsse_envelope(const char *type, const void *payload, size_t len, const char key_id[SIGN_ID_MAX],
    const uint8_t signature[SIGN_LEN]);

/*
 * Opens an envelope from anywhere: appends its payload when one of its signatures is the key's. With key
 * NULL nothing is checked but the form. -1 says what is wrong; a signature that names the key and is not good
 * is told apart from one that is not there.
 */
int dsse_open(
    const json_t *envelope, const char *type, const struct sign_key *key, struct buf *payload, struct err *e);

#endif
