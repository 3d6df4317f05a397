#include "artifact/retry.h"

#include "tap.h"

static const struct {
	enum transfer_end end;
	unsigned status;
	const char *code;
	enum retry_class want;
} rows[] = {
	{ TRANSFER_IMPOSSIBLE, 0, NULL, RETRY_FATAL },
	{ TRANSFER_UNREACHABLE, 0, NULL, RETRY_AGAIN },
	{ TRANSFER_UNTRUSTED, 0, NULL, RETRY_FATAL },
	{ TRANSFER_CUT, 0, NULL, RETRY_AGAIN },
	{ TRANSFER_CUT, 403, "AccessDenied", RETRY_AGAIN }, /* an answer that is not whole says nothing */
	{ TRANSFER_STALLED, 0, NULL, RETRY_AGAIN },
	{ TRANSFER_EXCESS, 200, NULL, RETRY_FATAL },
	{ TRANSFER_ANSWERED, 200, "InternalError", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 200, "SomethingNew", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 301, "PermanentRedirect", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 307, NULL, RETRY_FATAL },
	{ TRANSFER_ANSWERED, 400, NULL, RETRY_FATAL },
	{ TRANSFER_ANSWERED, 400, "RequestTimeout", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 400, "IncompleteBody", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 400, "BadDigest", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 400, "XAmzContentSHA256Mismatch", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 400, "ExpiredToken", RETRY_RENEW },
	{ TRANSFER_ANSWERED, 400, "EntityTooLarge", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 401, "", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 403, "", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 403, "AccessDenied", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 403, "RequestTimeTooSkewed", RETRY_RENEW },
	{ TRANSFER_ANSWERED, 403, "InvalidAccessKeyId", RETRY_RENEW },
	{ TRANSFER_ANSWERED, 403, "SignatureDoesNotMatch", RETRY_RENEW },
	{ TRANSFER_ANSWERED, 404, "NoSuchBucket", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 404, "NoSuchUpload", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 408, NULL, RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 409, "OperationAborted", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 409, "BucketAlreadyExists", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 412, "PreconditionFailed", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 429, NULL, RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 500, "InternalError", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 501, "NotImplemented", RETRY_FATAL },
	{ TRANSFER_ANSWERED, 503, "SlowDown", RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 504, NULL, RETRY_AGAIN },
	{ TRANSFER_ANSWERED, 505, NULL, RETRY_FATAL },
};

static void
test_judge(void)
{
	char name[100];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(name, sizeof name, "end %d, status %u, code %s", (int)rows[i].end,
		    rows[i].status, rows[i].code ? rows[i].code : "-");
		is_int(retry_judge(rows[i].end, rows[i].status, rows[i].code), rows[i].want, name);
	}
}

/* The dice at its highest shows the range. */
static void
test_pause(void)
{
	static const int64_t most[] = { 250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000 };

	for (unsigned i = 0; i < sizeof most / sizeof most[0]; i++) {
		is_int(retry_pause(&retry_pace, i + 1, 0, 0), 1, "never at once");
		is_int(retry_pause(&retry_pace, i + 1, 0, (uint32_t)most[i] - 1), most[i], "doubled, capped");
		is_int(retry_pause(&retry_pace, i + 1, 0, (uint32_t)most[i]), 1, "and not above");
	}
	is_int(retry_pause(&retry_pace, 1, 5000, 0), 5001, "not before the server wants");
	is_int(retry_pause(&retry_pace, 1, 3600000, 0), 60001, "within reason");
	is_int(retry_pause(&retry_pace, 4000000000U, 0, 19999), 20000, "whatever the count");
}

static void
test_after(void)
{
	static const struct {
		const char *value;
		int64_t want;
	} after[] = {
		{ "0", 0 },
		{ "7", 7000 },
		{ "999999999", 999999999000 },
		{ "9999999999", 0 },
		{ "", 0 },
		{ "-1", 0 },
		{ "7s", 0 },
		{ "soon", 0 },
		{ "Fri, 24 May 2013 00:00:09 GMT", 9000 },
		{ "Thu, 23 May 2013 00:00:09 GMT", 0 },
	};

	for (size_t i = 0; i < sizeof after / sizeof after[0]; i++)
		is_int(retry_after(after[i].value, 1369353600000), after[i].want, after[i].value);
	is_int(retry_date("Fri, 24 May 2013 00:00:00 GMT"), 1369353600000, "a date");
	is_int(retry_date("Fri, 24 Foo 2013 00:00:00 GMT"), -1, "no month");
	is_int(retry_date("Fri, 24 anF 2013 00:00:00 GMT"), -1, "no month either");
	is_int(retry_date("Fri, 24 May 2013 00:00:00 CET"), -1, "not in GMT");
	is_int(retry_date("2013-05-24T00:00:00Z"), -1, "no HTTP date");
}

int
main(void)
{
	test_judge();
	test_pause();
	test_after();
	return tap_end();
}
