#ifndef IO_SIGNER_H
#define IO_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "base/sign.h"

struct err;

/*
 * The process that has the private key, and nothing else: no files, no sockets of its own, no network. It is
 * forked before its parent reads anything from outside, reads the key, becomes the user, and gives up all
 * rights. What it signs are DSSE envelopes of one payload type, whatever it is handed: whoever takes its
 * parent over may have statements signed as long as that lasts, but never takes the key away, nor gets a
 * signature that passes for anything but such a statement. It ends when its parent does.
 */
struct signer;

/* user: as confine_become() takes it. NULL with e when the key is not fit to sign: base/sign.h says how. */
struct signer *signer_start(const char *key_path, const char *user, const char *payload_type, struct err *e);
void signer_stop(struct signer *s);

/* Valid as long as s. */
const char *signer_key_id(const struct signer *s);

/* The signature of an envelope with this payload, at most SIGNER_MAX bytes. -1: the signer has gone. */
enum { SIGNER_MAX = 1024 * 1024 };
int
signer_sign(const struct signer *s, const void *payload, size_t len, uint8_t out[SIGN_LEN], struct err *e);

#endif
