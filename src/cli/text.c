#include "cli/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"

void
text_safe(struct buf *out, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++)
		if (*p >= 0x20 && *p < 0x7f)
			buf_add(out, p, 1);
		else
			buf_printf(out, "\\x%02x", *p);
}

void
text_put(FILE *f, const char *s)
{
	struct buf b = { 0 };

	text_safe(&b, s);
	fputs(buf_text(&b), f);
	buf_done(&b);
}

const char *
text_size(int64_t bytes, char out[TEXT_MAX])
{
	double mib = (double)bytes / (1024 * 1024);

	if (bytes == 0)
		return strcpy(out, "0 MiB");
	if (mib < 0.1)
		return strcpy(out, "<0.1 MiB");
	if (mib < 10 * 1024)
		(void)snprintf(out, TEXT_MAX, "%.1f MiB", mib);
	else
		(void)snprintf(out, TEXT_MAX, "%.1f GiB", mib / 1024);
	return out;
}

const char *
text_age(int64_t seconds, char out[TEXT_MAX])
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	/* "90m" says more than "1h": a unit is used from two of it on */
	while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
		i++;
	(void)snprintf(out, TEXT_MAX, "%" PRId64 "%c", seconds / units[i].seconds, units[i].unit);
	return out;
}

static char *
joined(const json_t *list)
{
	struct buf b = { 0 };
	json_t *item;
	char *text;
	size_t i;

	json_array_foreach(list, i, item)
	{
		text = text_cell(item);
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", text);
		free(text);
	}
	text = mem_str(buf_text(&b));
	buf_done(&b);
	return text;
}

char *
text_cell(const json_t *value)
{
	if (json_is_string(value))
		return mem_str(json_string_value(value));
	if (json_is_boolean(value))
		return mem_str(json_is_true(value) ? "yes" : "no");
	if (value == NULL || json_is_null(value))
		return mem_str("");
	if (json_is_array(value))
		return joined(value);
	return json_text(value, 1);
}

void
text_json(FILE *f, const json_t *value)
{
	json_dumpf(value, f, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	fputc('\n', f);
}
