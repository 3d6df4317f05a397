#include "dockerfile_parts.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/log.h"
#include "docker/dockerfile.h"

enum { LINE_MAX_LEN = 65534 }; /* the engine's scanner gives up at 64 KiB */

static const char blanks[] = " \t";

struct span {
	const char *s;
	size_t len;
};

void
dockerfile_lines_init(struct dockerfile_lines *l, const char *text, size_t len)
{
	*l = (struct dockerfile_lines){ .text = text, .len = len, .escape = '\\', .directives = 1 };
}

size_t
dockerfile_line_at(const struct dockerfile_line *line, size_t i)
{
	uint32_t at;

	memcpy(&at, buf_ptr(&line->at) + i * sizeof(at), sizeof(at));
	return at;
}

/* Length of the UTF-8 sequence at s, 0 when it is none. */
static size_t
utf8_length(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char low, high, second_low, second_high;
		size_t length;
	} shapes[] = {
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
	size_t i = 0;

	while (i < sizeof(shapes) / sizeof(shapes[0]) && (*s < shapes[i].low || *s > shapes[i].high))
		i++;
	if (i == sizeof(shapes) / sizeof(shapes[0]) || shapes[i].length > len)
		return 0;
	if (shapes[i].length > 1 && (s[1] < shapes[i].second_low || s[1] > shapes[i].second_high))
		return 0;
	for (size_t k = 2; k < shapes[i].length; k++)
		if ((s[k] & 0xc0) != 0x80)
			return 0;
	return shapes[i].length;
}

static int
is_utf8(const char *s, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n)
		if ((n = utf8_length((const unsigned char *)s + i, len - i)) == 0)
			return 0;
	return 1;
}

/* What unicode.IsSpace() takes beyond ASCII, and U+FEFF, which Go's scanner skips. */
static int
is_odd_space(const char *s, size_t len)
{
	static const char *const two[] = { "\xc2\x85", "\xc2\xa0" };
	static const char *const three[] = { "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
		"\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf" };

	for (size_t i = 0; len >= 2 && i < sizeof(two) / sizeof(two[0]); i++)
		if (memcmp(s, two[i], 2) == 0)
			return 1;
	for (size_t i = 0; len >= 3 && i < sizeof(three) / sizeof(three[0]); i++)
		if (memcmp(s, three[i], 3) == 0)
			return 1;
	return len >= 3 && memcmp(s, "\xe2\x80", 2) == 0 && (unsigned char)s[2] <= 0x8a;
}

int
dockerfile_has_odd_space(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((s[i] & 0x80) != 0 && is_odd_space(s + i, len - i))
			return 1;
	return 0;
}

static size_t
count_blanks(struct span line)
{
	size_t n = 0;

	while (n < line.len && (line.s[n] == ' ' || line.s[n] == '\t'))
		n++;
	return n;
}

/* One line of the file without its end: 1, 0 at the end of the file, -1 refused. */
static int
next_span(struct dockerfile_lines *l, struct span *line, struct err *e)
{
	const char *s = l->text + l->pos, *end;
	size_t left = l->len - l->pos;

	if (left == 0)
		return 0;
	if (++l->number > DOCKERFILE_LINES_MAX)
		return dockerfile_refuse(e, l->number, "more than %d lines", DOCKERFILE_LINES_MAX);
	end = memchr(s, '\n', left);
	line->s = s;
	line->len = end != NULL ? (size_t)(end - s) : left;
	l->pos += line->len + (end != NULL);
	if (line->len > 0 && s[line->len - 1] == '\r')
		line->len--;
	if (line->len > LINE_MAX_LEN)
		return dockerfile_refuse(e, l->number, "the line is longer than %d bytes", LINE_MAX_LEN);
	for (size_t i = 0; i < line->len; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return dockerfile_refuse(
			    e, l->number, "control character \\x%02x", (unsigned)(unsigned char)s[i]);
	return 1;
}

/* Text (not a comment) must be UTF-8 and begin with what both C and Go call white space, or none. */
static int
check_text(const struct dockerfile_lines *l, struct span line, struct err *e)
{
	size_t n = count_blanks(line);

	if (!is_utf8(line.s, line.len))
		return dockerfile_refuse(e, l->number, "not UTF-8");
	if (is_odd_space(line.s + n, line.len - n))
		return dockerfile_refuse(
		    e, l->number, "the line begins with white space other than blanks and tabs");
	return 0;
}

enum directive { DIRECTIVE_NONE, DIRECTIVE_SYNTAX = 1, DIRECTIVE_ESCAPE = 2, DIRECTIVE_CHECK = 4 };

/* "name = value" behind the '#': which directive it is, and its value. */
static enum directive
match_directive(struct span s, struct span *value)
{
	static const struct {
		const char *name;
		enum directive directive;
	} names[] = { { "syntax", DIRECTIVE_SYNTAX }, { "escape", DIRECTIVE_ESCAPE },
		{ "check", DIRECTIVE_CHECK } };
	size_t n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		n = strlen(names[i].name);
		if (s.len <= n || strncasecmp(s.s, names[i].name, n) != 0)
			continue;
		*value = (struct span){ s.s + n, s.len - n };
		n = count_blanks(*value);
		if (n == value->len || value->s[n] != '=')
			continue;
		*value = (struct span){ value->s + n + 1, value->len - n - 1 };
		n = count_blanks(*value);
		*value = (struct span){ value->s + n, value->len - n };
		while (value->len > 0 && strchr(blanks, value->s[value->len - 1]) != NULL)
			value->len--;
		return value->len > 0 ? names[i].directive : DIRECTIVE_NONE;
	}
	return DIRECTIVE_NONE;
}

/*
 * A comment while directives are possible. 28.5 knows "check" and skips any white space behind
 * the '#'; 20.10 ends the directives at both. So an escape behind one of them is refused.
 */
static int
read_directive(struct dockerfile_lines *l, struct span comment, struct err *e)
{
	struct span s = { comment.s + 1, comment.len - 1 }, value;
	size_t n = count_blanks(s), odd;
	enum directive d;
	char quoted[40];

	s = (struct span){ s.s + n, s.len - n };
	for (odd = 0; odd < s.len && ((s.s[odd] & 0x80) != 0 || strchr(blanks, s.s[odd]) != NULL);)
		odd++;
	d = match_directive((struct span){ s.s + odd, s.len - odd }, &value);
	if (d == DIRECTIVE_ESCAPE && (odd > 0 || (l->seen & DIRECTIVE_CHECK) != 0))
		return dockerfile_refuse(e, l->number,
		    "engines disagree about this escape directive: write it alone in the first line");
	if (d == DIRECTIVE_NONE || odd > 0) {
		l->directives = 0;
		return 0;
	}
	if ((l->seen & d) != 0)
		return dockerfile_refuse(e, l->number, "the same parser directive twice");
	l->seen |= d;
	if (d != DIRECTIVE_ESCAPE)
		return 0;
	if (value.len != 1 || (*value.s != '\\' && *value.s != '`'))
		return dockerfile_refuse(e, l->number, "invalid escape token '%s' does not match ` or \\",
		    log_quote(value.s, value.len, quoted, sizeof(quoted)));
	l->escape = *value.s;
	return 0;
}

static void
append(struct dockerfile_lines *l, struct dockerfile_line *line, struct span s)
{
	uint32_t at = (uint32_t)(s.s - l->text);

	buf_add(&line->text, s.s, s.len);
	for (size_t i = 0; i < s.len; i++, at++)
		buf_add(&line->at, &at, sizeof(at));
}

/* The last character but blanks is an escape, and not the second of two: takes it off and returns 1. */
static int
take_continuation(const struct dockerfile_lines *l, struct span *line)
{
	size_t n = line->len;

	while (n > 0 && strchr(blanks, line->s[n - 1]) != NULL)
		n--;
	if (n == 0 || line->s[n - 1] != l->escape || (n > 1 && line->s[n - 2] == l->escape))
		return 0;
	line->len = n - 1;
	return 1;
}

/* The lines behind a continuation; comments and empty lines between them do not end it. */
static int
read_continued(struct dockerfile_lines *l, struct dockerfile_line *line, struct err *e)
{
	int more = 1, rc = 1;
	struct span s;
	size_t n;

	while (more && (rc = next_span(l, &s, e)) > 0) {
		n = count_blanks(s);
		if (n == s.len || s.s[n] == '#')
			continue;
		if (check_text(l, s, e) < 0)
			return -1;
		more = take_continuation(l, &s);
		append(l, line, s);
	}
	return rc < 0 ? -1 : 1;
}

int
dockerfile_lines_next(struct dockerfile_lines *l, struct dockerfile_line *line, struct err *e)
{
	struct span s;
	size_t n;
	int rc;

	buf_clear(&line->text);
	buf_clear(&line->at);
	buf_reserve(&line->text, 1); /* pointers into it exist even when it stays empty */
	while ((rc = next_span(l, &s, e)) > 0) {
		n = count_blanks(s);
		s = (struct span){ s.s + n, s.len - n };
		if (s.len > 0 && *s.s == '#') {
			if (l->directives && read_directive(l, s, e) < 0)
				return -1;
			continue;
		}
		l->directives = 0;
		if (s.len > 0)
			break;
	}
	if (rc <= 0)
		return rc;
	line->number = l->number;
	if (check_text(l, s, e) < 0)
		return -1;
	rc = take_continuation(l, &s);
	append(l, line, s);
	return rc ? read_continued(l, line, e) : 1;
}
