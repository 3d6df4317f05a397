#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "cli/text.h"

enum { KEY_WIDTH_MAX = 32, COLUMNS_MAX = 16 };

/* How a number is meant, by the last word of its key. */
static const struct {
	const char *end;
	enum { AS_SIZE = 1, AS_TIME } as;
} meanings[] = {
	{ "bytes", AS_SIZE },
	{ "Bytes", AS_SIZE },
	{ "bytesIn", AS_SIZE },
	{ "bytesOut", AS_SIZE },
	{ "size", AS_SIZE },
	{ "Size", AS_SIZE },
	{ "memory", AS_SIZE },
	{ "created", AS_TIME },
	{ "expires", AS_TIME },
};

static int
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static int
meaning(const char *key)
{
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (ends_with(key, meanings[i].end))
			return meanings[i].as;
	return 0;
}

/* "2026-11-24T16:07:11.000Z (5m ago)" */
static char *
time_text(const char *stamp)
{
	char age[TEXT_MAX];
	int64_t when, now = stamp_now();

	if (stamp_parse(stamp, &when) < 0)
		return mem_str(stamp);
	if (when > now)
		return mem_printf("%s (in %s)", stamp, text_age((when - now) / 1000, age));
	return mem_printf("%s (%s ago)", stamp, text_age((now - when) / 1000, age));
}

static char *
scalar(const char *key, const json_t *value)
{
	int as = meaning(key);
	char size[TEXT_MAX];

	if (as == AS_SIZE && json_is_integer(value))
		return mem_str(text_size(json_integer_value(value), size));
	if (as == AS_TIME && json_is_string(value))
		return time_text(json_string_value(value));
	return as == AS_TIME && json_is_null(value) ? mem_str("never") : text_cell(value);
}

/* What is empty is left out: there is nothing to read. */
static void
put_pair(FILE *f, int width, const char *key, const char *text)
{
	struct buf name = { 0 };

	if (text[0] == '\0')
		return;
	text_safe(&name, key);
	fprintf(f, "%-*s  ", width, buf_text(&name));
	text_put(f, text);
	buf_done(&name);
	fputc('\n', f);
}

static void
show_table(FILE *f, const char *key, const json_t *list)
{
	const char *heads[COLUMNS_MAX], *name;
	char *cells[COLUMNS_MAX];
	struct table *t;
	json_t *member, *item;
	size_t columns = 0, i;

	json_object_foreach(json_array_get(list, 0), name, member) if (columns < COLUMNS_MAX)
	    heads[columns++] = name;
	t = table_new(heads, columns);
	json_array_foreach(list, i, item)
	{
		for (size_t n = 0; n < columns; n++)
			cells[n] = scalar(heads[n], json_object_get(item, heads[n]));
		table_row(t, (const char *const *)cells);
		for (size_t n = 0; n < columns; n++)
			free(cells[n]);
	}
	fputc('\n', f);
	text_put(f, key);
	fputs(":\n", f);
	table_print(t, f);
	table_free(t);
}

static void
show_list(FILE *f, int width, const char *key, const json_t *list)
{
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		put_pair(f, width, key, "-");
	json_array_foreach(list, i, item)
	{
		char *text = scalar(key, item);

		put_pair(f, width, i == 0 ? key : "", text);
		free(text);
	}
}

/* {"a": {..}, "b": {..}}: a table in which each key is a name. */
static int
is_directory(const json_t *value)
{
	json_t *all = (json_t *)(uintptr_t)value, *member;
	const char *name;

	json_object_foreach(all, name, member) if (!json_is_object(member)) return 0;
	return json_object_size(value) > 0;
}

static void
show_directory(FILE *f, const char *key, json_t *object)
{
	json_t *list = json_array(), *member;
	const char *name;

	json_object_foreach(object, name, member)
	{
		json_t *row = json_pack("{s:s}", "name", name);

		json_object_update(row, member);
		json_array_append_new(list, row);
	}
	show_table(f, key, list);
	json_decref(list);
}

static int
is_block(const json_t *value)
{
	return is_directory(value) || json_is_object(json_array_get(value, 0));
}

static void
show_member(FILE *f, int width, const char *key, json_t *value)
{
	const char *name;
	json_t *member;
	char *text;

	if (json_is_array(value)) {
		show_list(f, width, key, value);
		return;
	}
	json_object_foreach(value, name, member)
	{
		char *path = mem_printf("%s.%s", key, name);

		show_member(f, width, path, member);
		free(path);
	}
	if (json_is_object(value))
		return;
	text = scalar(key, value);
	put_pair(f, width, key, text);
	free(text);
}

static int
key_width(const json_t *object, size_t before)
{
	json_t *all = (json_t *)(uintptr_t)object, *value;
	size_t width = 0;
	const char *key;

	json_object_foreach(all, key, value)
	{
		size_t n = before + strlen(key);

		if (is_block(value))
			continue;
		if (json_is_object(value))
			n = (size_t)key_width(value, n + 1);
		if (n > width && n <= KEY_WIDTH_MAX)
			width = n;
	}
	return (int)width;
}

void
text_show(FILE *f, const json_t *object)
{
	json_t *all = (json_t *)(uintptr_t)object, *value;
	int width = key_width(object, 0);
	const char *key;

	json_object_foreach(all, key, value) if (!is_block(value)) show_member(f, width, key, value);
	json_object_foreach(all, key, value)
	{
		if (is_directory(value))
			show_directory(f, key, value);
		else if (is_block(value))
			show_table(f, key, value);
	}
}
