#include "http/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "text.h"

enum { API_LEAST = 12 }; /* what any engine that is still about has ever spoken */

/* A first segment that could be meant as a version: "v1.41", and what the engine reads as one. */
static int
looks_like_version(const char *path)
{
	return (path[1] == 'v' || path[1] == 'V') && (path[2] == '.' || (path[2] >= '0' && path[2] <= '9'));
}

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the version off a path that may have one; *rest is the path behind it. */
static int
take_version(struct target *t, const char *path, const char **rest, struct err *e)
{
	*rest = path;
	if (!looks_like_version(path))
		return 0;
	if (strncmp(path, "/v1.", 4) == 0 && is_digit(path[4]) && is_digit(path[5]) && path[6] == '/')
		t->api = (unsigned)(path[4] - '0') * 10 + (unsigned)(path[5] - '0');
	if (t->api < API_LEAST)
		return err_refuse(e, 400, "target-version",
		    "path '%s': the version must be spelled /v1.NN/ with NN from %d to 99",
		    quote(path, strlen(path)).text, API_LEAST);
	*rest = path + 6;
	if (looks_like_version(*rest))
		return err_refuse(
		    e, 400, "target-version", "path '%s' has two versions", quote(path, strlen(path)).text);
	return 0;
}

/* Everything that names, tags, digests and ids are made of; none of it is read in two ways. */
static int
is_path_byte(uint8_t c)
{
	return text_is_unreserved(c) || c == '/' || c == ':' || c == '@';
}

/* "", "." and ".." are what the engine would clean away. */
static int
is_odd_segment(const char *s, size_t len)
{
	return len == 0 || (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')));
}

static int
check_path(const char *path, struct err *e)
{
	size_t n = 0;

	if (path[0] != '/')
		return err_refuse(e, 400, "target-path", "target '%s' does not start with '/'",
		    quote(path, strlen(path)).text);
	for (const char *p = path; *p != '\0'; p++)
		if (!is_path_byte((uint8_t)*p))
			return err_refuse(e, 400, "target-path",
			    "the path holds '%s': only letters, digits and '/ : @ . _ ~ -' are accepted, "
			    "without %%-escapes",
			    quote(p, 1).text);
	if (path[1] == '\0')
		return 0; /* the root, on its own */
	for (const char *p = path; *p != '\0'; p += n) {
		n = strcspn(++p, "/");
		if (is_odd_segment(p, n))
			return err_refuse(e, 400, "target-path",
			    "path '%s' has an empty segment, '.', '..' or a '/' at its end",
			    quote(path, strlen(path)).text);
	}
	return 0;
}

/* Decodes in place. NULL, or what is wrong. */
static const char *
decode(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		int high, low;

		if (*s != '%') {
			*out++ = (char)(*s == '+' ? ' ' : *s);
			continue;
		}
		high = text_hex((uint8_t)s[1]);
		low = high < 0 ? -1 : text_hex((uint8_t)s[2]);
		if (low < 0)
			return "a '%' that is not followed by two hexadecimal digits";
		if (high == 0 && low == 0)
			return "an encoded NUL";
		*out++ = (char)(high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return NULL;
}

/* What is wrong with a decoded text, or NULL. */
static const char *
check_utf8(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t len = strlen(s), n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8(p, len);
		if (n == 0)
			return "bytes that are not UTF-8";
	}
	return NULL;
}

/* Texts name a key, never its value: that may be a build argument. */
static int
refuse_pair(const char *key, const char *wrong, struct err *e)
{
	return err_refuse(
	    e, 400, "target-query", "query parameter '%s' holds %s", quote(key, strlen(key)).text, wrong);
}

static int
parse_pair(struct target_pair *pair, char *text, struct err *e)
{
	char *value = strchr(text, '=');
	const char *wrong;

	if (value != NULL)
		*value++ = '\0';
	pair->key = text;
	pair->value = value != NULL ? value : text + strlen(text);
	wrong = decode(pair->key);
	if (wrong == NULL)
		wrong = check_utf8(pair->key);
	if (wrong == NULL)
		wrong = decode(pair->value);
	if (wrong == NULL)
		wrong = check_utf8(pair->value);
	if (wrong != NULL)
		return refuse_pair(pair->key, wrong, e);
	if (pair->key[0] == '\0')
		return err_refuse(e, 400, "target-query", "the query has a parameter without a name");
	return 0;
}

static int
check_query(const char *query, struct err *e)
{
	for (const char *p = query; *p != '\0'; p++)
		if (!text_is_visible((uint8_t)*p) || *p == ';' || *p == '#')
			return err_refuse(e, 400, "target-query",
			    "the query holds '%s', which must be written as %%%02X", quote(p, 1).text,
			    (unsigned)(uint8_t)*p);
	return 0;
}

/* "/x?" is "/x"; anything else between the '&' must be a pair. */
static int
parse_query(struct target *t, char *query, struct err *e)
{
	size_t pairs = 1;

	if (check_query(query, e) < 0)
		return -1;
	if (*query == '\0')
		return 0;
	for (const char *p = query; (p = strchr(p, '&')) != NULL; p++)
		pairs++;
	if (pairs > TARGET_PAIRS_MAX)
		return err_refuse(e, 400, "target-query",
		    "the query has %zu parameters, at most %d are accepted", pairs, TARGET_PAIRS_MAX);
	t->query = mem_array(pairs, sizeof *t->query);
	while (query != NULL) {
		char *pair = strsep(&query, "&");

		if (parse_pair(&t->query[t->count], pair, e) < 0)
			return -1;
		t->count++;
	}
	return 0;
}

/* All strings live in one block: path is its start. */
static int
parse(struct target *t, struct err *e)
{
	char *query = strchr(t->path, '?');
	const char *rest;

	if (query != NULL)
		*query++ = '\0';
	if (check_path(t->path, e) < 0 || take_version(t, t->path, &rest, e) < 0)
		return -1;
	if (query != NULL && parse_query(t, query, e) < 0)
		return -1;
	memmove(t->path, rest, strlen(rest) + 1);
	return 0;
}

int
target_parse(struct target *t, const char *raw, struct err *e)
{
	size_t len = strlen(raw);

	*t = (struct target){ 0 };
	if (len > TARGET_MAX)
		return err_refuse(e, 400, "target-size", "the target has %zu bytes, at most %d are accepted",
		    len, TARGET_MAX);
	t->path = mem_strn(raw, len);
	if (parse(t, e) < 0) {
		target_done(t);
		return -1;
	}
	return 0;
}

const char *
target_get(const struct target *t, const char *key)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->query[i].key, key) == 0)
			return t->query[i].value;
	return NULL;
}

size_t
target_times(const struct target *t, const char *key)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += strcmp(t->query[i].key, key) == 0;
	return n;
}

void
target_done(struct target *t)
{
	free(t->query);
	free(t->path);
	*t = (struct target){ 0 };
}
