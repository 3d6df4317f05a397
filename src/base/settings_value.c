#include "settings_value.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* largest first: printing takes the first that divides */
static const struct unit sizes[] = {
	{ "TiB", INT64_C(1) << 40 },
	{ "GiB", INT64_C(1) << 30 },
	{ "MiB", INT64_C(1) << 20 },
	{ "KiB", INT64_C(1) << 10 },
	{ "", 1 },
	{ NULL, 0 },
};
static const struct unit times[] = { { "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 }, { "", 1 },
	{ NULL, 0 } };
static const struct unit ones[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *
units_of(enum setting_type type)
{
	return type == SETTING_SIZE ? sizes : type == SETTING_SECONDS ? times : ones;
}

/* "64MiB": digits and one of the units, nothing else. */
static int
read_quantity(const char *text, const struct unit *unit, int64_t *out)
{
	int64_t n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return -1;
	if (p == text)
		return -1;
	for (; unit->name != NULL; unit++)
		if (strcmp(p, unit->name) == 0)
			return __builtin_mul_overflow(n, unit->factor, out) ? -1 : 0;
	return -1;
}

static int
set_number(const struct setting_row *row, int64_t *field, const json_t *value)
{
	int64_t n;

	if (json_is_integer(value))
		n = json_integer_value(value);
	else if (row->type == SETTING_INT || !json_is_string(value) ||
	         read_quantity(json_string_value(value), units_of(row->type), &n) < 0)
		return -1;
	if (n < row->min || n > row->max)
		return -1;
	*field = n;
	return 0;
}

/* Is word one of the words, separated by spaces or commas? */
static int
among(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *p = words; *p != '\0';) {
		size_t n = strcspn(p, " ,");

		if (n > 0 && n == len && memcmp(p, word, n) == 0)
			return 1;
		p += n + strspn(p + n, " ,");
	}
	return 0;
}

static int
is_name(const char *s)
{
	static const char members[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return s[strspn(s, members)] == '\0' && strlen(s) < 128 &&
	       (s[0] == '\0' || strchr("_.-", s[0]) == NULL);
}

static int
set_text(const struct setting_row *row, char **field, const json_t *value)
{
	const char *s = json_string_value(value);

	if (s == NULL || (row->type == SETTING_PATH && s[0] != '/') ||
	    (row->type == SETTING_ENUM && !among(s, row->words)) ||
	    (row->type == SETTING_NAME && (!is_name(s) || among(s, row->words))))
		return -1;
	free(*field);
	*field = mem_str(s);
	return 0;
}

static void
free_list(struct setting_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct setting_list){ 0 };
}

static int
set_list(struct setting_list *list, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return -1;
	json_array_foreach(value, i, item) if (!json_is_string(item)) return -1;
	free_list(list);
	list->item = mem_array(json_array_size(value), sizeof *list->item);
	json_array_foreach(value, i, item) list->item[list->count++] = mem_str(json_string_value(item));
	return 0;
}

int
setting_set(const struct setting_row *row, void *field, const json_t *value)
{
	switch (row->type) {
	case SETTING_INT:
	case SETTING_SIZE:
	case SETTING_SECONDS:
		return set_number(row, field, value);
	case SETTING_BOOL:
		if (!json_is_boolean(value))
			return -1;
		*(int64_t *)field = json_is_true(value);
		return 0;
	case SETTING_LIST:
		return set_list(field, value);
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_ENUM:
	case SETTING_NAME:
		return set_text(row, field, value);
	}
	return -1;
}

static json_t *
words_to_json(const char *words)
{
	json_t *list = json_array();

	for (const char *p = words; *p != '\0';) {
		size_t n = strcspn(p, " ,");

		if (n > 0)
			json_array_append_new(list, json_stringn(p, n));
		p += n + strspn(p + n, " ,");
	}
	return list;
}

json_t *
setting_default(const struct setting_row *row)
{
	int64_t n = 0;

	switch (row->type) {
	case SETTING_INT:
		(void)read_quantity(row->fallback, ones, &n);
		return json_integer(n);
	case SETTING_BOOL:
		return json_boolean(strcmp(row->fallback, "true") == 0);
	case SETTING_LIST:
		return words_to_json(row->fallback);
	default:
		return json_string(row->fallback);
	}
}

static void
print_quantity(int64_t n, const struct unit *unit, struct buf *out)
{
	while (n == 0 ? unit->factor > 1 : n % unit->factor != 0)
		unit++;
	buf_printf(out, "%lld%s", (long long)(n / unit->factor), unit->name);
}

static void
print_words(const char *words, struct buf *out)
{
	for (; *words != '\0'; words++)
		buf_adds(out, *words == ' ' ? ", " : (const char[]){ *words, '\0' });
}

void
setting_print(const struct setting_row *row, const void *field, struct buf *out)
{
	const struct setting_list *list = field;

	switch (row->type) {
	case SETTING_INT:
	case SETTING_SIZE:
	case SETTING_SECONDS:
		print_quantity(*(const int64_t *)field, units_of(row->type), out);
		return;
	case SETTING_BOOL:
		buf_adds(out, *(const int64_t *)field ? "true" : "false");
		return;
	case SETTING_LIST:
		for (size_t i = 0; i < list->count; i++)
			buf_printf(out, "%s%s", i ? ", " : "", list->item[i]);
		return;
	default:
		buf_adds(out, *(char *const *)field);
	}
}

void
setting_swap(const struct setting_row *row, void *one, void *other)
{
	union {
		int64_t number;
		char *text;
		struct setting_list list;
	} kept;
	size_t size = sizeof kept.number;

	if (row->type == SETTING_LIST)
		size = sizeof kept.list;
	else if (row->type != SETTING_INT && row->type != SETTING_SIZE && row->type != SETTING_SECONDS &&
	         row->type != SETTING_BOOL)
		size = sizeof kept.text;
	memcpy(&kept, one, size);
	memcpy(one, other, size);
	memcpy(other, &kept, size);
}

void
setting_free(const struct setting_row *row, void *field)
{
	switch (row->type) {
	case SETTING_LIST:
		free_list(field);
		return;
	case SETTING_STRING:
	case SETTING_PATH:
	case SETTING_ENUM:
	case SETTING_NAME:
		free(*(char **)field);
		*(char **)field = NULL;
		return;
	default:
		*(int64_t *)field = 0;
	}
}

static void
print_range(const struct setting_row *row, struct buf *out)
{
	const struct unit *unit = units_of(row->type);

	buf_adds(out, row->max == INT64_MAX      ? ", at least "
	              : row->type == SETTING_INT ? " from "
	                                         : ", from ");
	print_quantity(row->min, unit, out);
	if (row->max == INT64_MAX)
		return;
	buf_adds(out, " to ");
	print_quantity(row->max, unit, out);
}

void
settings_expected(const struct setting_row *row, struct buf *out)
{
	static const char *const what[] = {
		[SETTING_STRING] = "a string",
		[SETTING_PATH] = "an absolute path",
		[SETTING_INT] = "an integer",
		[SETTING_SIZE] = "bytes, or a size such as \"64MiB\" (KiB, MiB, GiB, TiB)",
		[SETTING_SECONDS] = "seconds, or a time such as \"10m\" (s, m, h, d)",
		[SETTING_BOOL] = "true or false",
		[SETTING_ENUM] = "one of ",
		[SETTING_LIST] = "an array of strings",
		[SETTING_NAME] = "empty, or a name of letters, digits, '_', '.' and '-'",
	};

	buf_adds(out, what[row->type]);
	if (row->type == SETTING_INT || row->type == SETTING_SIZE || row->type == SETTING_SECONDS)
		print_range(row, out);
	if (row->type == SETTING_NAME && row->words[0] != '\0')
		buf_adds(out, ", never ");
	if (row->type == SETTING_ENUM || row->type == SETTING_NAME)
		print_words(row->words, out);
}
