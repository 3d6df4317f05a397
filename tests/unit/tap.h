#ifndef TAP_H
#define TAP_H

/* TAP for unit tests: one ok line per check; tap_end() prints the plan and gives main's status. */

#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

static inline int
tap_line(int good, const char *file, int line, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tap_count, name);
	if (!good) {
		printf("# at %s:%d\n", file, line);
		tap_failed++;
	}
	return good;
}

static inline int
tap_str(const char *got, const char *want, const char *file, int line, const char *name)
{
	int good = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);

	tap_line(good, file, line, name);
	if (!good)
		printf("#  got: %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
	return good;
}

static inline int
tap_int(long long got, long long want, const char *file, int line, const char *name)
{
	tap_line(got == want, file, line, name);
	if (got != want)
		printf("#  got: %lld\n# want: %lld\n", got, want);
	return got == want;
}

static inline int
tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#define ok(good, name) tap_line(!!(good), __FILE__, __LINE__, (name))
#define is_str(got, want, name) tap_str((got), (want), __FILE__, __LINE__, (name))
#define is_int(got, want, name) tap_int((long long)(got), (long long)(want), __FILE__, __LINE__, (name))

#endif
