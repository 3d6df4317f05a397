#ifndef ARTIFACT_RETRY_H
#define ARTIFACT_RETRY_H

#include <stdint.h>

#include "io/transfer.h"

/*
 * What a failed request means, and when it may be made again. Pure tables: nothing is tried again because it
 * failed, only because its kind of failure passes.
 */
enum retry_class {
	RETRY_FATAL = 0, /* the same request fails in the same way */
	RETRY_AGAIN,     /* it may work later */
	RETRY_RENEW,     /* it may work with a new signature: fresh credentials, the store's clock */
};

/* status and code (the <Code> of an S3 answer; NULL or "" = none) of what was answered; both are ignored
 * unless end is TRANSFER_ANSWERED. A 2xx is given only when it carries an error all the same. */
enum retry_class retry_judge(enum transfer_end end, unsigned status, const char *code);

struct retry_pace {
	int64_t first, most; /* ms between two tries: doubled each time, with full jitter */
	int64_t after_most;  /* of a Retry-After */
	unsigned tries;      /* without progress */
};
extern const struct retry_pace retry_pace; /* 250 ms, 20 s, 60 s, 8 */

/* The pause in ms after `failed` tries (1, 2, ..), at least what the server asked for (ms, 0 = nothing). */
int64_t retry_pause(const struct retry_pace *p, unsigned failed, int64_t after, uint32_t dice);

/* A Retry-After header, seconds or a date, as ms from now (ms since 1970); 0 when it says nothing. */
int64_t retry_after(const char *value, int64_t now);

/* An HTTP date ("Fri, 24 May 2013 00:00:00 GMT") as ms since 1970, -1 when it is none. */
int64_t retry_date(const char *value);

#endif
