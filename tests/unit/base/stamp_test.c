#include "base/stamp.h"

#include "tap.h"

static const struct {
	const char *text;
	const char *back; /* NULL: refused */
} rows[] = {
	{ "2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000Z" },
	{ "2026-11-24T16:07:11.5Z", "2026-11-24T16:07:11.500Z" },
	{ "2026-11-24T16:07:11.123999Z", "2026-11-24T16:07:11.123Z" },
	{ "2026-11-24t16:07:11z", "2026-11-24T16:07:11.000Z" },
	{ "2026-11-24 16:07:11Z", "2026-11-24T16:07:11.000Z" },
	{ "2026-11-24T01:07:11+02:30", "2026-11-23T22:37:11.000Z" },
	{ "2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000Z" },
	{ "2028-02-29T00:00:00-01:00", "2028-02-29T01:00:00.000Z" },
	{ "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z" },
	{ "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z" },
	{ "2027-02-29T00:00:00Z", NULL },
	{ "2027-06-31T23:59:59Z", NULL },
	{ "2027-13-01T00:00:00Z", NULL },
	{ "2027-00-01T00:00:00Z", NULL },
	{ "2027-01-01T24:00:00Z", NULL },
	{ "2027-01-01T00:00:00", NULL },
	{ "2027-01-01T00:00:00Z ", NULL },
	{ "2027-01-01T00:00:00.Z", NULL },
	{ "2027-01-01", NULL },
	{ "27-01-01T00:00:00Z", NULL },
	{ "2027-01-01T00:00:00+0100", NULL },
	{ "", NULL },
	{ "tomorrow", NULL },
};

int
main(void)
{
	char out[STAMP_MAX];
	int64_t ms;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int rc = stamp_parse(rows[i].text, &ms);

		is_int(rc, rows[i].back != NULL ? 0 : -1, rows[i].text);
		if (rc < 0)
			continue;
		stamp_print(ms, out);
		is_str(out, rows[i].back, "and back");
	}
	stamp_print(INT64_MAX, out);
	is_str(out, "9999-12-31T23:59:59.807Z", "beyond four digits");
	stamp_print(-5, out);
	is_str(out, "1970-01-01T00:00:00.000Z", "before 1970");
	ok(stamp_now() > INT64_C(1700000000000), "now is after this was written");
	return tap_end();
}
