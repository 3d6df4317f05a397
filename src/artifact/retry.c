#include "artifact/retry.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct retry_pace retry_pace = {
	.first = 250,
	.most = 20 * 1000,
	.after_most = 60 * 1000,
	.tries = 8,
};

static const enum retry_class by_end[] = {
	[TRANSFER_IMPOSSIBLE] = RETRY_FATAL,
	[TRANSFER_ANSWERED] = RETRY_FATAL, /* see below */
	[TRANSFER_UNREACHABLE] = RETRY_AGAIN,
	[TRANSFER_UNTRUSTED] = RETRY_FATAL,
	[TRANSFER_CUT] = RETRY_AGAIN,
	[TRANSFER_STALLED] = RETRY_AGAIN,
	[TRANSFER_EXCESS] = RETRY_FATAL,
};

/* What S3 says is more than its status: 400 and 403 stand for both kinds. */
static const struct {
	const char *code;
	enum retry_class class;
} by_code[] = {
	{ "RequestTimeout", RETRY_AGAIN },
	{ "IncompleteBody", RETRY_AGAIN },
	{ "BadDigest", RETRY_AGAIN },
	{ "XAmzContentSHA256Mismatch", RETRY_AGAIN },
	{ "XAmzContentChecksumMismatch", RETRY_AGAIN },
	{ "OperationAborted", RETRY_AGAIN },
	{ "ConditionalRequestConflict", RETRY_AGAIN },
	{ "SlowDown", RETRY_AGAIN },
	{ "InternalError", RETRY_AGAIN },
	{ "ServiceUnavailable", RETRY_AGAIN },
	{ "Throttling", RETRY_AGAIN },
	{ "RequestTimeTooSkewed", RETRY_RENEW },
	{ "ExpiredToken", RETRY_RENEW },
	{ "TokenRefreshRequired", RETRY_RENEW },
	{ "InvalidToken", RETRY_RENEW },
	{ "InvalidAccessKeyId", RETRY_RENEW }, /* the file may hold a newer key by now */
	{ "SignatureDoesNotMatch", RETRY_RENEW },
	{ "NotImplemented", RETRY_FATAL },
};

static const struct {
	unsigned from, to;
	enum retry_class class;
} by_status[] = {
	{ 200, 299, RETRY_AGAIN }, /* with an <Error> inside */
	{ 408, 408, RETRY_AGAIN },
	{ 425, 425, RETRY_AGAIN },
	{ 429, 429, RETRY_AGAIN },
	{ 500, 500, RETRY_AGAIN },
	{ 502, 504, RETRY_AGAIN },
	{ 507, 599, RETRY_AGAIN },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum retry_class
retry_judge(enum transfer_end end, unsigned status, const char *code)
{
	if (end != TRANSFER_ANSWERED)
		return by_end[end];
	for (size_t i = 0; code != NULL && i < COUNT(by_code); i++)
		if (strcmp(by_code[i].code, code) == 0)
			return by_code[i].class;
	for (size_t i = 0; i < COUNT(by_status); i++)
		if (status >= by_status[i].from && status <= by_status[i].to)
			return by_status[i].class;
	return RETRY_FATAL;
}

/* Full jitter: many that failed together do not come back together. */
int64_t
retry_pause(const struct retry_pace *p, unsigned failed, int64_t after, uint32_t dice)
{
	int64_t most = p->first;

	for (unsigned i = 1; i < failed && most < p->most; i++)
		most *= 2;
	if (most > p->most)
		most = p->most;
	if (after > p->after_most)
		after = p->after_most;
	return after + 1 + (int64_t)dice % most;
}

int64_t
retry_date(const char *value)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = { 0 };
	char month[4] = { 0 }, zone[4] = { 0 };
	const char *at;

	/* not strptime(): it reads by the locale, and a day without its weekday */
	if (sscanf(value, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d %3[A-Z]", &tm.tm_mday, month,
	        &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, zone) != 7 ||
	    strcmp(zone, "GMT") != 0 || (at = strstr(months, month)) == NULL || (at - months) % 3 != 0)
		return -1;
	tm.tm_mon = (int)(at - months) / 3;
	tm.tm_year -= 1900;
	return (int64_t)timegm(&tm) * 1000;
}

int64_t
retry_after(const char *value, int64_t now)
{
	size_t n = strspn(value, "0123456789");
	int64_t date;

	if (n > 0 && n < 10 && value[n] == '\0')
		return (int64_t)atol(value) * 1000;
	date = retry_date(value);
	return date > now ? date - now : 0;
}
