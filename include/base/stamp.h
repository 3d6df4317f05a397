#ifndef BASE_STAMP_H
#define BASE_STAMP_H

#include <stdint.h>

/*
 * Points in time as text: RFC 3339, printed in UTC with milliseconds ("2026-11-24T16:07:11.000Z").
 */
enum { STAMP_MAX = 32 };

int64_t stamp_now(void); /* milliseconds since 1970, of the wall clock */
void stamp_print(int64_t ms, char out[STAMP_MAX]);

/* Reads RFC 3339 with any offset and fraction (cut to milliseconds); -1 when it is not that, or no real
 * date. */
int stamp_parse(const char *text, int64_t *ms);

#endif
