/* Settings: any bytes are either taken, with every value in its range, or refused with a line and a reason.
 */

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int good)
{
	if (!good)
		abort();
}

static int
is_number(const struct setting_row *row)
{
	return row->type == SETTING_INT || row->type == SETTING_SIZE || row->type == SETTING_SECONDS;
}

static void
check_row(const struct settings *s, const struct setting_row *row)
{
	const char *field = (const char *)s + row->offset;
	struct buf out = { 0 };
	int64_t n;
	char *text;

	if (is_number(row)) {
		memcpy(&n, field, sizeof n);
		check(n >= row->min && n <= row->max);
	} else if (row->type == SETTING_PATH || row->type == SETTING_NAME) {
		memcpy(&text, field, sizeof text);
		check(row->type == SETTING_PATH ? text[0] == '/' : strcmp(text, "host") != 0);
	}
	settings_print(s, row, &out);
	buf_done(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s;
	struct err e = { 0 };
	size_t count;
	const struct setting_row *rows = settings_rows(&count);

	if (settings_parse(&s, "c.json", data, size, &e) == 0) {
		for (size_t i = 0; i < count; i++)
			check_row(&s, &rows[i]);
	} else {
		check(strncmp(e.text, "c.json line ", 12) == 0 || strncmp(e.text, "c.json: line ", 13) == 0);
		for (const char *p = e.text; *p != '\0'; p++)
			check((unsigned char)*p >= 0x20 || *p == '\n' ||
			      *p == '\t'); /* jansson quotes the text */
	}
	settings_done(&s);
	return 0;
}
