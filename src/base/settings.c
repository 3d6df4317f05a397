#include "base/settings.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "settings_value.h"

enum {
	PATH_TEXT = 160, /* a key as it stands in an error */
	QUOTE_TEXT = 80, /* a wrong value as it stands in an error */
};

static const struct setting_row rows[] = {
#define X(type, field, key, fallback, min, max, words, when, help)                                           \
	{ SETTING_##type, key, fallback, min, max, words, SETTING_##when, help,                              \
		offsetof(struct settings, field) },
	SETTINGS(X)
#undef X
};

enum { ROWS = sizeof rows / sizeof rows[0] };

/* The text that is being read, for line numbers. */
struct source {
	const char *name;
	const char *text;
	size_t len;
};

const struct setting_row *
settings_rows(size_t *count)
{
	*count = ROWS;
	return rows;
}

static void *
field_of(const struct settings *s, const struct setting_row *row)
{
	return (char *)(uintptr_t)s + row->offset;
}

void
settings_init(struct settings *s)
{
	*s = (struct settings){ 0 };
	for (size_t i = 0; i < ROWS; i++) {
		json_t *value = setting_default(&rows[i]);
		int rc = setting_set(&rows[i], field_of(s, &rows[i]), value);

		assert(rc == 0); /* a default in the table is wrong */
		(void)rc;
		json_decref(value);
	}
}

void
settings_done(struct settings *s)
{
	for (size_t i = 0; i < ROWS; i++)
		setting_free(&rows[i], field_of(s, &rows[i]));
}

void
settings_print(const struct settings *s, const struct setting_row *row, struct buf *out)
{
	setting_print(row, field_of(s, row), out);
}

static int
differs(const struct settings *a, const struct settings *b, const struct setting_row *row)
{
	struct buf one = { 0 }, other = { 0 };
	int rc;

	settings_print(a, row, &one);
	settings_print(b, row, &other);
	rc = strcmp(buf_text(&one), buf_text(&other)) != 0;
	buf_done(&one);
	buf_done(&other);
	return rc;
}

void
settings_compare(const struct settings *was, const struct settings *is, settings_visit *visit, void *arg)
{
	for (size_t i = 0; i < ROWS; i++)
		if (differs(was, is, &rows[i]))
			visit(arg, &rows[i], was, is);
}

void
settings_reload(struct settings *s, struct settings *fresh)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].when == SETTING_RELOAD)
			setting_swap(&rows[i], field_of(s, &rows[i]), field_of(fresh, &rows[i]));
}

/* The end of the string token at text[i] == '"', one past its closing quote. The text is valid JSON. */
static size_t
string_end(const struct source *src, size_t i)
{
	for (i++; i < src->len && src->text[i] != '"'; i++)
		if (src->text[i] == '\\')
			i++;
	return i < src->len ? i + 1 : src->len;
}

static int
is_key(const struct source *src, size_t end)
{
	while (end < src->len && strchr(" \t\r\n", src->text[end]) != NULL)
		end++;
	return end < src->len && src->text[end] == ':';
}

/* Does the string token, escapes and all, say these n bytes? */
static int
token_is(const char *token, size_t len, const char *want, size_t n)
{
	struct err ignored;
	json_t *key = json_parse(token, len, &ignored);
	int same =
	    key != NULL && json_string_length(key) == n && memcmp(json_string_value(key), want, n) == 0;

	json_decref(key);
	return same;
}

/*
 * jansson forgets where a key stood: this finds its line again. prefix is "" or "limits."; the key is there,
 * and there once, because the text was parsed (duplicates are errors).
 */
static unsigned
line_of(const struct source *src, const char *prefix, const char *key)
{
	unsigned line = 1, depth = 0, matched = 0;

	for (size_t i = 0, end; i < src->len; i = end) {
		const char *want = *prefix != '\0' ? prefix : key;
		size_t n = *prefix != '\0' ? strcspn(prefix, ".") : strlen(key);
		char c = src->text[i];

		end = c == '"' ? string_end(src, i) : i + 1;
		line += c == '\n';
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		if (c != '"' || depth != matched + 1 || !is_key(src, end) ||
		    !token_is(src->text + i, end - i, want, n))
			continue;
		if (want == key)
			return line;
		prefix += n + 1;
		matched++;
	}
	return 1;
}

/* The value as it stands in an error: printable, cut. Caller frees. */
static char *
value_text(const json_t *value)
{
	char *text = json_text(value, 1);

	if (text == NULL)
		return mem_str("this");
	for (char *p = text; *p != '\0'; p++)
		if (*p == 0x7f)
			*p = '?'; /* the one control that JSON lets pass */
	if (strlen(text) > QUOTE_TEXT)
		memcpy(text + QUOTE_TEXT - 3, "...", 4);
	return text;
}

static int
refuse_value(const struct source *src, const struct setting_row *row, const char *prefix, const char *key,
    const json_t *value, struct err *e)
{
	char *text = value_text(value);
	struct buf want = { 0 };

	settings_expected(row, &want);
	err_set(e, 0, "%s line %u: '%s' must be %s, not %s", src->name, line_of(src, prefix, key), row->key,
	    buf_text(&want), text);
	buf_done(&want);
	free(text);
	return -1;
}

/* "limits" -> "connections, builds, ..."; "" -> the top level */
static void
list_keys(const char *prefix, struct buf *out)
{
	size_t len = strlen(prefix), last = 0;
	const char *before = "";

	for (size_t i = 0; i < ROWS; i++) {
		const char *rest = rows[i].key + len;
		size_t n;

		if (strncmp(rows[i].key, prefix, len) != 0)
			continue;
		n = strcspn(rest, ".");
		if (n == last && memcmp(rest, before, n) == 0)
			continue; /* the next row of the same object */
		buf_printf(out, "%s%.*s", last ? ", " : "", (int)n, rest);
		before = rest;
		last = n;
	}
}

static int
refuse_key(const struct source *src, const char *prefix, const char *key, struct err *e)
{
	char quoted[QUOTE_TEXT];
	struct buf known = { 0 };

	list_keys(prefix, &known);
	err_set(e, 0, "%s line %u: unknown key '%s%s'; expected one of %s", src->name,
	    line_of(src, prefix, key), prefix, log_quote(key, strlen(key), quoted, sizeof quoted),
	    buf_text(&known));
	buf_done(&known);
	return -1;
}

/* The row of a whole path; or *group = 1 when rows lie below it. */
static const struct setting_row *
find_row(const char *path, int *group)
{
	size_t len = strlen(path);

	*group = 0;
	for (size_t i = 0; i < ROWS; i++) {
		if (strncmp(rows[i].key, path, len) != 0)
			continue;
		if (rows[i].key[len] == '\0')
			return &rows[i];
		if (rows[i].key[len] == '.')
			*group = 1;
	}
	return NULL;
}

static int take_object(
    struct settings *s, const struct source *src, const char *prefix, const json_t *object, struct err *e);

static int
take_key(struct settings *s, const struct source *src, const char *prefix, const char *key,
    const json_t *value, struct err *e)
{
	char path[PATH_TEXT];
	int group, n = snprintf(path, sizeof path, "%s%s", prefix, key);
	const struct setting_row *row;

	/* "limits.builds" as one word would be a second spelling of the same setting */
	if (n < 0 || (size_t)n >= sizeof path - 1 || strchr(key, '.') != NULL || key[0] == '\0')
		return refuse_key(src, prefix, key, e);
	row = find_row(path, &group);
	if (row != NULL && setting_set(row, field_of(s, row), value) < 0)
		return refuse_value(src, row, prefix, key, value, e);
	if (row != NULL)
		return 0;
	if (!group)
		return refuse_key(src, prefix, key, e);
	if (!json_is_object(value))
		return err_set(
		    e, 0, "%s line %u: '%s' must be an object", src->name, line_of(src, prefix, key), path);
	path[n] = '.';
	path[n + 1] = '\0';
	return take_object(s, src, path, value, e);
}

static int
take_object(
    struct settings *s, const struct source *src, const char *prefix, const json_t *object, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (take_key(s, src, prefix, key, value, e) < 0)
			return -1;
	}
	return 0;
}

int
settings_parse(struct settings *s, const char *name, const void *text, size_t len, struct err *e)
{
	struct source src = { name, text, len };
	json_t *root = json_parse(text, len, e);
	int rc;

	settings_init(s);
	if (root == NULL)
		return err_wrap(e, "%s", name);
	if (json_is_object(root))
		rc = take_object(s, &src, "", root, e);
	else
		rc = err_set(
		    e, 0, "%s line 1: must be an object, such as {\"runDir\": \"/run/dind-proxy\"}", name);
	json_decref(root);
	return rc;
}

int
settings_load(struct settings *s, const char *path, struct err *e)
{
	struct buf text = { 0 };
	int rc = fs_read(path, SETTINGS_FILE_MAX, &text, e);

	if (rc == 0)
		rc = settings_parse(s, path, buf_ptr(&text), buf_len(&text), e);
	else
		settings_init(s);
	buf_done(&text);
	return rc;
}

void
settings_help(struct buf *out)
{
	for (size_t i = 0; i < ROWS; i++) {
		const char *fallback = rows[i].fallback[0] != '\0' ? rows[i].fallback : "empty";

		buf_printf(out, "  %s (default %s)\n      ", rows[i].key, fallback);
		settings_expected(&rows[i], out);
		buf_printf(out, "\n      %s\n", rows[i].help);
	}
}
