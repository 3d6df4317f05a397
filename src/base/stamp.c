#include "base/stamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t
stamp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
stamp_print(int64_t ms, char out[STAMP_MAX])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (ms < 0 || gmtime_r(&s, &tm) == NULL || tm.tm_year > 9999 - 1900) {
		s = ms < 0 ? 0 : INT64_C(253402300799); /* the last second that four digits can name */
		gmtime_r(&s, &tm);
	}
	(void)snprintf(out, STAMP_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)tm.tm_year % 10000U + 1900U, (unsigned)tm.tm_mon % 12U + 1, (unsigned)tm.tm_mday % 32U,
	    (unsigned)tm.tm_hour % 24U, (unsigned)tm.tm_min % 60U, (unsigned)tm.tm_sec % 61U,
	    (unsigned)(ms < 0 ? 0 : ms % 1000));
}

/* Exactly n digits as a number from 0 to max; -1 otherwise. Moves *p behind them. */
static int
digits(const char **p, int n, int max)
{
	int value = 0;

	for (; n > 0; n--, ++*p) {
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value <= max ? value : -1;
}

static int
literal(const char **p, const char *any)
{
	return **p != '\0' && strchr(any, **p) != NULL ? *(*p)++ : -1;
}

static int
fraction(const char **p)
{
	int ms = 0, place = 100;

	if (**p != '.')
		return 0;
	if (*++*p < '0' || **p > '9')
		return -1;
	for (; **p >= '0' && **p <= '9'; ++*p, place /= 10)
		ms += (**p - '0') * place;
	return ms;
}

/* "Z" or "+hh:mm": seconds east of UTC. */
static int
offset(const char **p, int *east)
{
	int sign = literal(p, "Zz+-"), h, m;

	*east = 0;
	if (sign == 'Z' || sign == 'z')
		return 0;
	if (sign < 0 || (h = digits(p, 2, 23)) < 0 || literal(p, ":") < 0 || (m = digits(p, 2, 59)) < 0)
		return -1;
	*east = (sign == '-' ? -60 : 60) * (h * 60 + m);
	return 0;
}

int
stamp_parse(const char *text, int64_t *ms)
{
	struct tm tm = { 0 }, back;
	const char *p = text;
	int part, east;
	time_t s;

	if ((tm.tm_year = digits(&p, 4, 9999)) < 0 || literal(&p, "-") < 0 ||
	    (tm.tm_mon = digits(&p, 2, 12)) < 1 || literal(&p, "-") < 0 ||
	    (tm.tm_mday = digits(&p, 2, 31)) < 1 || literal(&p, "Tt ") < 0 ||
	    (tm.tm_hour = digits(&p, 2, 23)) < 0 || literal(&p, ":") < 0 ||
	    (tm.tm_min = digits(&p, 2, 59)) < 0 || literal(&p, ":") < 0 ||
	    (tm.tm_sec = digits(&p, 2, 60)) < 0 || (part = fraction(&p)) < 0 || offset(&p, &east) < 0 ||
	    *p != '\0')
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	s = timegm(&tm); /* moves the 31st of June on to July: no such date */
	if (tm.tm_sec == back.tm_sec && tm.tm_mday != back.tm_mday)
		return -1;
	*ms = ((int64_t)s - east) * 1000 + part;
	return 0;
}
