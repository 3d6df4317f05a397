#include "base/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

enum { QUOTED_MAX = 2048 };

/* The comma before all but the first, and the key. */
static void
start(struct buf *b, const char *key)
{
	size_t len = key == NULL ? 0 : strlen(key);
	uint8_t *to = buf_reserve(b, len + 4), *from = to;
	uint8_t last = buf_len(b) > 0 ? to[-1] : '{';

	if (last != '{' && last != '[')
		*to++ = ',';
	if (key != NULL) {
		*to++ = '"';
		memcpy(to, key, len);
		to += len;
		*to++ = '"';
		*to++ = ':';
	}
	buf_commit(b, (size_t)(to - from));
}

static int
is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

/* Printable ASCII in quotes. */
static void
put_string(struct buf *b, const char *s, size_t len)
{
	uint8_t *to = buf_reserve(b, 2 * len + 2), *from = to;

	*to++ = '"';
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			*to++ = '\\';
		*to++ = (uint8_t)s[i];
	}
	*to++ = '"';
	buf_commit(b, (size_t)(to - from));
}

void
members_quoted(struct buf *b, const char *key, const char *bytes, size_t len)
{
	char text[QUOTED_MAX];

	start(b, key);
	if (bytes == NULL) {
		buf_add(b, "null", 4);
		return;
	}
	(void)log_quote(bytes, len, text, sizeof text);
	put_string(b, text, strlen(text));
}

void
members_json(struct buf *b, const char *key, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	start(b, key);
	buf_adds(b, text != NULL ? text : "null");
	free(text);
}

void
members_text(struct buf *b, const char *key, const char *text)
{
	size_t len = 0;
	json_t *value;

	while (text != NULL && is_plain((uint8_t)text[len]))
		len++;
	if (text != NULL && text[len] == '\0') {
		start(b, key);
		put_string(b, text, len);
		return;
	}
	value = text == NULL ? json_null() : json_string(text);
	if (value != NULL)
		members_json(b, key, value);
	else
		members_quoted(b, key, text, strlen(text));
	json_decref(value);
}

void
members_number(struct buf *b, const char *key, int64_t value)
{
	char digits[24], *at = digits + sizeof digits;
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (value < 0)
		*--at = '-';
	start(b, key);
	buf_add(b, at, (size_t)(digits + sizeof digits - at));
}

void
members_word(struct buf *b, const char *key, const char *word)
{
	start(b, key);
	buf_adds(b, word);
}

void
members_open(struct buf *b, const char *key, char bracket)
{
	start(b, key);
	buf_add(b, &bracket, 1);
}

void
members_close(struct buf *b, char bracket)
{
	buf_add(b, &bracket, 1);
}
