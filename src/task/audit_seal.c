/* What the keeper does for the log: checkpoints are signed, full files put aside. Neither holds a request up:
 * when it fails the log goes on as it is, and the service's own log says so. */

#include <stdio.h>
#include <string.h>

#include "audit_private.h"
#include "base/err.h"
#include "base/log.h"
#include "base/stamp.h"
#include "task/audit.h"
#include "task/keeper.h"

enum { ROTATE_AGAIN = 1024 * 1024 }; /* bytes more before it is tried again */

static void
hex(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

void
audit_checkpoint(struct audit *a, const char *why)
{
	struct keeper_ask ask = { .kind = KEEPER_SIGN, .head = a->head };
	struct keeper_answer answer;
	char members[512], signature[2 * SIGN_LEN + 1];
	struct err e = { 0 };
	int n;

	a->checkpoint_at = stamp_now() + a->checkpoint_ms;
	if (a->key[0] == '\0' || a->keeper < 0 || a->torn || a->unsigned_records == 0) {
		a->unsigned_records = 0;
		return;
	}
	stamp_print(stamp_now(), ask.time);
	if (keeper_ask(a->keeper, &ask, &answer, &e) == 0) {
		hex(answer.signature, sizeof answer.signature, signature);
		n = snprintf(members, sizeof members,
		    "\"event\":\"checkpoint\",\"why\":\"%s\",\"key\":\"%s\",\"sig\":\"%s\"", why, a->key,
		    signature);
		if (audit_put(a, NULL, ask.time, members, (size_t)n, &e) == 0) {
			a->unsigned_records = 0;
			return;
		}
	}
	log_error("audit", "no checkpoint: %s", e.text);
	a->unsigned_records = 1; /* tried again when it is time */
}

void
audit_rotate(struct audit *a)
{
	struct keeper_ask ask = { .kind = KEEPER_ROTATE };
	struct keeper_answer answer;
	struct err e = { 0 };

	audit_checkpoint(a, "rotate");
	ask.head = a->head;
	if (keeper_ask(a->keeper, &ask, &answer, &e) == 0 && audit_reopen(a, &e) == 0)
		return;
	log_error("audit", "audit.jsonl is full and is not put aside: %s", e.text);
	a->rotate_at = (int64_t)a->size + ROTATE_AGAIN;
}
