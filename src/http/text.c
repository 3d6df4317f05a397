#include "text.h"

#include <stdio.h>
#include <string.h>

struct quote
quote(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	struct quote q;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int plain = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\'' && p[i] != '"' && p[i] != '\\';

		if (n + 8 > QUOTE_SIZE) { /* the longest escape, the dots and the end */
			memcpy(q.text + n, "...", 4);
			return q;
		}
		if (plain)
			q.text[n++] = (char)p[i];
		else
			n += (size_t)snprintf(q.text + n, QUOTE_SIZE - n, "\\x%02x", p[i]);
	}
	q.text[n] = '\0';
	return q;
}

static int
is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* strchr() finds the NUL of its string too: c must not be one. */
static int
is_one_of(uint8_t c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

int
text_is_token(uint8_t c)
{
	return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

int
text_is_unreserved(uint8_t c)
{
	return is_alnum(c) || is_one_of(c, "-._~");
}

int
text_is_visible(uint8_t c)
{
	return c > 0x20 && c < 0x7f;
}

int
text_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_is_word(const char *s, size_t len, const char *word)
{
	if (len != strlen(word))
		return 0;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != word[i])
			return 0;
	}
	return 1;
}

/* First bytes of well-formed sequences, and what may come second: Unicode table 3-7. */
static const struct {
	uint8_t first, last; /* of the first byte */
	uint8_t second_min, second_max;
	size_t len;
} forms[] = {
	{ 0x00, 0x7f, 0x00, 0x00, 1 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t
text_utf8(const uint8_t *p, size_t len)
{
	for (size_t f = 0; len > 0 && f < sizeof forms / sizeof forms[0]; f++) {
		if (p[0] < forms[f].first || p[0] > forms[f].last)
			continue;
		if (len < forms[f].len)
			return 0;
		if (forms[f].len > 1 && (p[1] < forms[f].second_min || p[1] > forms[f].second_max))
			return 0;
		for (size_t i = 2; i < forms[f].len; i++)
			if ((p[i] & 0xc0) != 0x80)
				return 0;
		return forms[f].len;
	}
	return 0;
}
