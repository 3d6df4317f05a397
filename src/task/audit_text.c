#include "audit_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/target.h"
#include "policy/param.h"
#include "task/audit.h"

enum {
	VALUE_MAX = 256, /* of a query value */
	KEY_MAX = 64,    /* of a query key, or of a build-arg's name */
	NAMES_MAX = 64,  /* build-args or labels that are listed */
};

static const char hidden[] = "(redacted)";

json_t *
audit_cut(const char *text, size_t len, size_t max)
{
	char *copy;
	json_t *s;

	if (len <= max)
		return json_stringn(text, len);
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--; /* not inside a character */
	copy = mem_printf("%.*s...", (int)max, text);
	s = json_string(copy);
	free(copy);
	return s;
}

/* A copy of the value with all its strings cut; new reference. */
static json_t *
cut_strings(const json_t *value, size_t max)
{
	const char *key;
	json_t *copy, *v;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return audit_cut(json_string_value(value), json_string_length(value), max);
	case JSON_ARRAY:
		copy = json_array();
		json_array_foreach(value, i, v) json_array_append_new(copy, cut_strings(v, max));
		return copy;
	case JSON_OBJECT:
		copy = json_object();
		json_object_foreach((json_t *)(uintptr_t)value, key, v)
		    json_object_set_new(copy, key, cut_strings(v, max));
		return copy;
	default:
		return json_incref((json_t *)(uintptr_t)value);
	}
}

/*
 * Puts "(cut)" in the place of the member that is longest as text; with `inside`, of the longest member of
 * that member, so that one long build-arg does not hide the rest of a query.
 */
static void
drop_longest(json_t *record, int inside)
{
	const char *key, *worst = NULL;
	size_t most = 0;
	json_t *v;

	json_object_foreach(record, key, v)
	{
		size_t n = json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

		if (n > most) {
			most = n;
			worst = key;
		}
	}
	if (worst == NULL)
		return;
	v = json_object_get(record, worst);
	if (inside && json_object_size(v) > 0)
		drop_longest(v, 0);
	else
		json_object_set_new(record, worst, json_string("(cut)"));
}

static char *
line_of(const json_t *record)
{
	char *text = json_text(record, 1), *line;

	if (text == NULL)
		return NULL;
	line = strlen(text) + 1 <= AUDIT_LINE_MAX ? mem_printf("%s\n", text) : NULL;
	free(text);
	return line;
}

char *
audit_line(json_t *record)
{
	static const size_t steps[] = { 1024, 512, 256, 128, 64, 32 };
	char *line = line_of(record);
	json_t *copy = NULL;

	for (size_t i = 0; line == NULL && i < sizeof steps / sizeof steps[0]; i++) {
		json_decref(copy);
		copy = cut_strings(record, steps[i]);
		json_object_set_new(copy, "cut", json_true());
		line = line_of(copy);
	}
	for (size_t i = 0; line == NULL && i < 8 + json_object_size(copy); i++) {
		drop_longest(copy, i < 8);
		line = line_of(copy);
	}
	json_decref(copy);
	return line;
}

static int
is_public(const char *name, size_t count, char *const *names)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return 1;
	return 0;
}

/* A JSON object of names and secrets: the names, and the values of public ones. */
static json_t *
redact_map(const char *text, size_t public_count, char *const *public_args)
{
	struct err ignored;
	json_t *map = json_parse(text, strlen(text), &ignored), *out, *v;
	const char *key;
	size_t n = 0;

	if (!json_is_object(map)) {
		json_decref(map);
		return json_string(hidden); /* the task may have meant it as a secret all the same */
	}
	out = json_object();
	json_object_foreach(map, key, v)
	{
		json_t *name = audit_cut(key, strlen(key), KEY_MAX);
		json_t *shown = json_string(hidden);

		if (n++ == NAMES_MAX)
			json_object_set_new(out, "...", json_integer((json_int_t)json_object_size(map)));
		if (is_public(key, public_count, public_args) && json_is_string(v)) {
			json_decref(shown);
			shown = audit_cut(json_string_value(v), json_string_length(v), VALUE_MAX);
		}
		if (n <= NAMES_MAX)
			json_object_set(out, json_string_value(name), shown);
		json_decref(name);
		json_decref(shown);
	}
	json_decref(map);
	return out;
}

/* "https://user:token@host/" -> "https://(redacted)@host/", wherever a URL stands in the value. */
static void
add_without_users(struct buf *out, const char *value)
{
	const char *scheme, *at;

	while ((scheme = strstr(value, "://")) != NULL) {
		scheme += 3;
		buf_add(out, value, (size_t)(scheme - value));
		at = scheme + strcspn(scheme, "/?#\", \t\r\n");
		while (at > scheme && *at != '@')
			at--;
		buf_adds(out, at > scheme ? hidden : "");
		value = at;
	}
	buf_adds(out, value);
}

static json_t *
redact(const struct target_pair *pair, size_t public_count, char *const *public_args)
{
	struct buf value = { 0 };
	json_t *s;

	/* case does not matter: a misspelt key is refused, but its value is as secret */
	if (strcasecmp(pair->key, "buildargs") == 0 || strcasecmp(pair->key, "labels") == 0)
		return redact_map(pair->value, public_count, public_args);
	if (strncasecmp(pair->key, "x-registry", 10) == 0)
		return json_string(hidden);
	add_without_users(&value, pair->value);
	s = audit_cut(buf_text(&value), buf_len(&value), VALUE_MAX);
	buf_done(&value);
	return s;
}

/* A key that comes again makes its value a list. */
static void
add_pair(json_t *out, const char *key, json_t *value)
{
	json_t *had = json_object_get(out, key), *list = had;

	if (had == NULL) {
		json_object_set_new(out, key, value);
		return;
	}
	if (!json_is_array(had)) {
		list = json_array();
		json_array_append(list, had);
		json_object_set_new(out, key, list);
	}
	json_array_append_new(list, value);
}

/* Names and ids are told in forms of their own, where they are known as the task's. */
static int
is_told_elsewhere(uint16_t param)
{
	return param == PARAM_T || param == PARAM_CACHEFROM;
}

json_t *
audit_call(const struct call *c, size_t public_count, char *const *public_args)
{
	json_t *out = json_object();

	for (size_t i = 0; i < c->count; i++) {
		const struct call_value *v = &c->values[i];
		const struct param_row *row = param_by_id((enum route)c->route, (enum param)v->param);
		char *text;
		struct target_pair pair;

		if (row == NULL || is_told_elsewhere(v->param))
			continue;
		text = mem_strn(c->text + v->off, v->len);
		pair = (struct target_pair){ .key = mem_str(row->key), .value = text };
		add_pair(out, row->key, redact(&pair, public_count, public_args));
		mem_wipe(text, v->len);
		free(text);
		free(pair.key);
	}
	return out;
}

json_t *
audit_query(const struct target *t, size_t public_count, char *const *public_args)
{
	json_t *out = json_object();

	for (size_t i = 0; i < t->count; i++) {
		json_t *key = audit_cut(t->query[i].key, strlen(t->query[i].key), KEY_MAX);

		add_pair(out, json_string_value(key), redact(&t->query[i], public_count, public_args));
		json_decref(key);
	}
	return out;
}
