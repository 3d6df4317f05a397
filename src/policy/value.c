#include "value.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "show.h"

static const char word_members[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
static const char digits[] = "0123456789";

enum { KEY_MAX = 256, LIST_MAX = 64 };

static int
has_controls(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return 1;
	return 0;
}

/* The front's parser lets nothing else through; the gate does not rely on it. */
static int
is_utf8(const char *s)
{
	json_t *v = json_string(s); /* NULL for what is not */
	int good = v != NULL;

	json_decref(v);
	return good;
}

/* httputils.BoolValue() of the engine: trimmed, any case; whatever is not a known false is true. */
static int
read_bool(const struct param_row *row, const char *text, struct buf *out)
{
	static const char *const no[] = { "", "0", "no", "false", "none" };
	size_t n;

	(void)row;
	text += strspn(text, " \t\n\v\f\r");
	n = strlen(text);
	while (n > 0 && strchr(" \t\n\v\f\r", text[n - 1]) != NULL)
		n--;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		if (n == strlen(no[i]) && strncasecmp(text, no[i], n) == 0)
			return 0;
	buf_adds(out, "1");
	return 0;
}

/* The engine reads garbage as 0, which is "no limit" for most: here it is an error. */
static int
read_int(const struct param_row *row, const char *text, struct buf *out)
{
	size_t n = strspn(text, digits);

	if (text[0] == '\0' || strcmp(text, "0") == 0)
		return 0;
	if (text[n] != '\0' || text[0] == '0' || n > 18 || (uint64_t)value_number(text) > row->max)
		return -1;
	buf_adds(out, text);
	return 0;
}

static int
read_text(const struct param_row *row, const char *text, struct buf *out)
{
	(void)row;
	if (has_controls(text))
		return -1;
	buf_adds(out, text);
	return 0;
}

static int
read_word(const struct param_row *row, const char *text, struct buf *out)
{
	(void)row;
	if (text[strspn(text, word_members)] != '\0')
		return -1;
	buf_adds(out, text);
	return 0;
}

static int
read_cpus(const struct param_row *row, const char *text, struct buf *out)
{
	const char *s = text;

	(void)row;
	while (*s != '\0') {
		size_t n = strspn(s, digits);

		if (n == 0 || n > 5)
			return -1;
		s += n;
		if (*s == '\0')
			break;
		if ((*s != ',' && *s != '-') || s[1] == '\0')
			return -1;
		s++;
	}
	buf_adds(out, text);
	return 0;
}

/* Clean: no empty and no "." components; ".." and a leading '/' are refused, not resolved. */
static int
read_path(const struct param_row *row, const char *text, struct buf *out)
{
	const char *sep = "";

	(void)row;
	if (has_controls(text) || text[0] == '/')
		return -1;
	while (*text != '\0') {
		size_t n = strcspn(text, "/");

		if (n == 2 && memcmp(text, "..", 2) == 0)
			return -1;
		if (n > 0 && !(n == 1 && text[0] == '.')) {
			buf_adds(out, sep);
			buf_add(out, text, n);
			sep = "/";
		}
		text += n + (text[n] == '/');
	}
	return 0;
}

/* "name:address" with a literal address: host-gateway would be a way to the host. */
static int
read_host(const struct param_row *row, const char *text, struct buf *out)
{
	size_t n = strcspn(text, ":");
	unsigned char address[16];

	(void)row;
	if (text[0] == '\0')
		return 0;
	if (n == 0 || strspn(text, word_members) != n || text[n] != ':')
		return -1;
	if (inet_pton(AF_INET, text + n + 1, address) != 1 && inet_pton(AF_INET6, text + n + 1, address) != 1)
		return -1;
	buf_adds(out, text);
	return 0;
}

static int
key_ok(const char *key, int strict)
{
	size_t n = strlen(key);

	return n > 0 && n <= KEY_MAX && !has_controls(key) && (!strict || strspn(key, word_members) == n);
}

/* {"key": "value"}; a build-arg's name is a word, and its null means "from the client's environment". */
static int
map_ok(const json_t *map, int args)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)map, key, v)
	{
		if (!key_ok(key, args) || !(json_is_string(v) || (args && json_is_null(v))))
			return 0;
	}
	return 1;
}

static void
add_json(struct buf *out, const json_t *v)
{
	char *text = json_text(v, 0);

	buf_adds(out, text);
	free(text);
}

/*
 * BUILDKIT_* arguments talk to a builder that is not here; the classic one would only warn that they were
 * not consumed.
 */
static void
drop_buildkit(json_t *map)
{
	const char *key;
	json_t *v;
	void *next;

	json_object_foreach_safe(map, next, key, v)
	{
		if (strncmp(key, "BUILDKIT_", 9) == 0)
			json_object_del(map, key);
	}
}

static int
read_map(const struct param_row *row, const char *text, struct buf *out)
{
	int args = row->id == PARAM_BUILDARGS, rc = -1;
	struct err ignored; /* its text may quote a secret */
	json_t *map;

	if (text[0] == '\0')
		return 0;
	map = json_parse(text, strlen(text), &ignored);
	if (json_is_null(map) || (json_is_object(map) && map_ok(map, args))) {
		rc = 0;
		if (args && map != NULL)
			drop_buildkit(map);
		if (json_object_size(map) > 0)
			add_json(out, map);
	}
	json_decref(map);
	return rc;
}

static int
list_ok(const json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
		return 0;
	json_array_foreach((json_t *)list, i, v)
	{
		if (!json_is_string(v) || has_controls(json_string_value(v)))
			return 0;
	}
	return 1;
}

static int
read_list(const struct param_row *row, const char *text, struct buf *out)
{
	struct err ignored;
	json_t *list;
	int rc = -1;

	(void)row;
	if (text[0] == '\0')
		return 0;
	list = json_parse(text, strlen(text), &ignored);
	if (json_is_null(list) || list_ok(list)) {
		rc = 0;
		if (json_array_size(list) > 0)
			add_json(out, list);
	}
	json_decref(list);
	return rc;
}

static int
read_ulimits(const struct param_row *row, const char *text, struct buf *out)
{
	(void)row;
	return ulimits_read(text, out);
}

static int
read_registry(const struct param_row *row, const char *text, struct buf *out)
{
	(void)row;
	return registry_read(text, out);
}

static const struct {
	int (*read)(const struct param_row *row, const char *text, struct buf *out);
	const char *expected;
	int secret;
} kinds[] = {
	[KIND_BOOL] = { read_bool, "a boolean", 0 },
	[KIND_INT] = { read_int, "a whole number in its range", 0 },
	[KIND_TEXT] = { read_text, "text without control characters", 0 },
	[KIND_NAME] = { read_text, "an image name or id", 0 },
	[KIND_NEW_NAME] = { read_text, "an image name", 0 },
	[KIND_JSON_MAP] = { read_map, "a JSON object of strings, each key once and of ordinary characters",
	    1 },
	[KIND_JSON_LIST] = { read_list, "a JSON array of at most 64 strings", 0 },
	[KIND_PATH] = { read_path, "a path inside the context: relative, without '..'", 0 },
	[KIND_WORD] = { read_word, "a word of letters, digits, '_', '.' and '-'", 0 },
	[KIND_CPUS] = { read_cpus, "a list of CPU numbers and ranges such as 0-3,7", 0 },
	[KIND_HOST] = { read_host, "name:address with a literal IP address", 0 },
	[KIND_ULIMITS] = { read_ulimits,
	    "a JSON array of {\"Name\", \"Soft\", \"Hard\"} with limits that a build may set", 0 },
	[KIND_REGISTRY] = { read_registry, "base64url of a JSON object of registries", 1 },
};

int
value_read(const struct param_row *row, const char *text, struct buf *out, struct err *e)
{
	const char *expected = kinds[row->kind].expected;

	if (row->kind != KIND_INT && strlen(text) > row->max)
		return err_refuse(e, 400, row->rule, "%s: longer than %zu bytes", row->key, row->max);
	if (!is_utf8(text))
		return err_refuse(e, 400, row->rule, "%s: UTF-8 was expected", row->key);
	if (row->neutral != NULL && strcmp(text, row->neutral) == 0)
		return 0;
	if (kinds[row->kind].read(row, text, out) == 0)
		return 0;
	if (kinds[row->kind].secret)
		return err_refuse(e, 400, row->rule, "%s: %s was expected", row->key, expected);
	return err_refuse(
	    e, 400, row->rule, "%s: %s was expected, not '%s'", row->key, expected, show(text).text);
}

int64_t
value_number(const char *text)
{
	int64_t n = 0;

	for (; *text >= '0' && *text <= '9' && n < INT64_MAX / 10 - 1; text++)
		n = n * 10 + (*text - '0');
	return n;
}
