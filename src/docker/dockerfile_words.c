#include "dockerfile_parts.h"

#include <string.h>

#include "base/err.h"

enum { NESTING_MAX = 8, NAME_MAX_LEN = 255 };

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
is_name(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int
dockerfile_word_blank(const char **s, const char *end, struct dockerfile_word *w)
{
	while (*s < end && is_blank(**s))
		++*s;
	w->s = *s;
	while (*s < end && !is_blank(**s))
		++*s;
	w->len = (size_t)(*s - w->s);
	return w->len > 0;
}

int
dockerfile_word_quoted(const char **s, const char *end, char escape, struct dockerfile_word *w)
{
	char quote = 0;

	while (*s < end && is_blank(**s))
		++*s;
	for (w->s = *s; *s < end && (quote != 0 || !is_blank(**s)); ++*s) {
		if (**s == escape && quote != '\'' && *s + 1 < end)
			++*s;
		else if (quote != 0)
			quote = **s == quote ? 0 : quote;
		else if (**s == '\'' || **s == '"')
			quote = **s;
	}
	w->len = (size_t)(*s - w->s);
	return w->len > 0;
}

struct lexer {
	const char *s, *end;
	char escape;
	const struct dockerfile_vars *vars;
	int depth;
};

static int lex_until(struct lexer *x, char stop, struct buf *out, struct err *e);

static int
unclear(struct err *e, const char *what)
{
	return err_refuse(e, 400, "dockerfile", "%s", what);
}

static const char *
lex_value(struct lexer *x, const char *name, size_t len)
{
	char text[NAME_MAX_LEN + 1];

	if (len > NAME_MAX_LEN)
		return NULL;
	memcpy(text, name, len);
	text[len] = '\0';
	return x->vars->value(x->vars->arg, text);
}

static size_t
lex_name(struct lexer *x)
{
	const char *name = x->s;

	if (x->s < x->end && is_digit(*x->s))
		return 0;
	while (x->s < x->end && is_name(*x->s))
		x->s++;
	return (size_t)(x->s - name);
}

/* "${name" has been read: '}', or ":-word}", ":+word}", ":?word}", "?word}". */
static int
lex_braced(struct lexer *x, const char *name, size_t len, struct buf *out, struct err *e)
{
	const char *value = lex_value(x, name, len);
	struct buf word = { 0 };
	char how, colon = 0;

	if (x->s < x->end && *x->s == '}') {
		x->s++;
		buf_adds(out, value != NULL ? value : "");
		return 0;
	}
	if (x->s < x->end && *x->s == ':')
		colon = *x->s++;
	how = x->s < x->end ? *x->s++ : '\0';
	if (how != '?' && !(colon && (how == '-' || how == '+')))
		return unclear(e, "only ${x}, ${x:-y}, ${x:+y} and ${x:?y} are substituted by all engines");
	if (lex_until(x, '}', &word, e) < 0) {
		buf_done(&word);
		return -1;
	}
	if (how == '-' && (value == NULL || *value == '\0'))
		value = buf_text(&word);
	else if (how == '+' && value != NULL && *value != '\0')
		value = buf_text(&word);
	if (how == '?' && (value == NULL || (colon && *value == '\0')))
		unclear(e, "a variable that must be set with ${x:?} is not set");
	else
		buf_adds(out, value != NULL ? value : "");
	buf_done(&word);
	return how == '?' && (value == NULL || (colon && *value == '\0')) ? -1 : 0;
}

static int
lex_dollar(struct lexer *x, struct buf *out, struct err *e)
{
	const char *name;
	size_t len;

	x->s++;
	if (x->s < x->end && *x->s == '{') {
		name = ++x->s;
		len = lex_name(x);
		if (len == 0)
			return unclear(e, "bad substitution: ${name} is expected");
		return lex_braced(x, name, len, out, e);
	}
	name = x->s;
	len = lex_name(x);
	if (len == 0 && x->s < x->end && ((*x->s & 0x80) != 0 || strchr("@*#?-$!0123456789", *x->s) != NULL))
		return unclear(e, "'$' before something that is no name");
	if (len == 0) {
		buf_add(out, "$", 1);
		return 0;
	}
	name = lex_value(x, name, len);
	buf_adds(out, name != NULL ? name : "");
	return 0;
}

static int
lex_single(struct lexer *x, struct buf *out, struct err *e)
{
	const char *quote = memchr(x->s + 1, '\'', (size_t)(x->end - x->s - 1));

	if (quote == NULL)
		return unclear(e, "a single quote is not closed");
	buf_add(out, x->s + 1, (size_t)(quote - x->s - 1));
	x->s = quote + 1;
	return 0;
}

/* In double quotes the escape only works before '"', '$' and itself; else it stays. 1: stopped at '$'. */
static int
lex_double(struct lexer *x, struct buf *out, struct err *e)
{
	for (x->s++; x->s < x->end && *x->s != '"';) {
		if (*x->s == '$') {
			if (x->vars == NULL)
				return 1;
			if (lex_dollar(x, out, e) < 0)
				return -1;
			continue;
		}
		if (*x->s == x->escape && x->s + 1 < x->end &&
		    (x->s[1] == '"' || x->s[1] == '$' || x->s[1] == x->escape))
			x->s++;
		buf_add(out, x->s++, 1);
	}
	if (x->s == x->end)
		return unclear(e, "a double quote is not closed");
	x->s++;
	return 0;
}

static int
lex_one(struct lexer *x, struct buf *out, struct err *e)
{
	switch (*x->s) {
	case '\'':
		return lex_single(x, out, e);
	case '"':
		return lex_double(x, out, e);
	case '$':
		return x->vars != NULL ? lex_dollar(x, out, e) : 1;
	default:
		if (*x->s == x->escape && ++x->s == x->end)
			return 0;
		buf_add(out, x->s++, 1);
		return 0;
	}
}

static int
lex_until(struct lexer *x, char stop, struct buf *out, struct err *e)
{
	int rc = 0;

	if (++x->depth > NESTING_MAX)
		return unclear(e, "substitutions are nested too deeply");
	while (rc == 0 && x->s < x->end && (stop == '\0' || *x->s != stop)) {
		rc = lex_one(x, out, e);
		if (buf_len(out) > DOCKERFILE_WORD_MAX)
			return unclear(e, "a word becomes too long");
	}
	if (rc != 0)
		return rc;
	if (stop != '\0' && x->s++ == x->end)
		return unclear(e, "'}' is missing");
	x->depth--;
	return 0;
}

int
dockerfile_expand(const struct dockerfile_word *w, char escape, const struct dockerfile_vars *vars,
    struct buf *out, struct err *e)
{
	struct lexer x = { .s = w->s, .end = w->s + w->len, .escape = escape, .vars = vars };

	return lex_until(&x, '\0', out, e);
}

/* "<<", "3<<" at s, but not "<<<". */
static int
begins_heredoc(const char *s, const char *end)
{
	while (s < end && is_digit(*s))
		s++;
	return end - s >= 2 && s[0] == '<' && s[1] == '<' && !(end - s >= 3 && s[2] == '<');
}

/*
 * The same without any understanding of quotes: a word of the engine's lexer can only begin
 * where blanks end, and what it drops are escapes.
 */
static int
rough_heredoc(const char *s, const char *end)
{
	struct dockerfile_word w;
	size_t i, angles;

	while (dockerfile_word_blank(&s, end, &w)) {
		for (i = 0; i < w.len && (w.s[i] == '\\' || is_digit(w.s[i]));)
			i++;
		for (angles = 0; i < w.len && (w.s[i] == '\\' || w.s[i] == '<'); i++)
			angles += w.s[i] == '<';
		if (angles == 2)
			return 1;
	}
	return 0;
}

/* Behind a quote: where it ends, NULL when it does not or holds a "${". */
static const char *
skip_quotes(const char *s, const char *end)
{
	char quote = *s++;

	for (; s < end && *s != quote; s++) {
		if (quote == '"' && *s == '\\' && ++s == end)
			return NULL;
		if (quote == '"' && *s == '$' && end - s >= 2 && s[1] == '{')
			return NULL;
	}
	return s < end ? s + 1 : NULL;
}

/* Behind "${": where it ends when only plain characters are in it, else NULL. */
static const char *
skip_braces(const char *s, const char *end)
{
	while (s < end && *s != '}' && (is_name(*s) || strchr(":-+?./,=@%#*", *s) != NULL))
		s++;
	return s < end && *s == '}' ? s + 1 : NULL;
}

/*
 * The parser of engine 23 and later cuts the line into shell words (always with '\' as escape) and takes
 * every word of the form [digits]<<[-]name as a here-document; since then blanks may stand between. What
 * this lexer does not follow for sure is looked at roughly, where more is taken for one.
 */
int
dockerfile_may_heredoc(const char *s, size_t len)
{
	const char *start = s, *end = s + len;
	int in_word = 0;

	if (memmem(s, len, "<<", 2) == NULL)
		return 0;
	if (dockerfile_has_odd_space(s, len))
		return 1;
	while (s != NULL && s < end) {
		if (!in_word && begins_heredoc(s, end))
			return 1;
		in_word = !is_blank(*s);
		if (*s == '\'' || *s == '"')
			s = skip_quotes(s, end);
		else if (*s == '\\')
			s += end - s >= 2 ? 2 : 1;
		else if (*s == '$' && end - s >= 2 && s[1] == '{')
			s = skip_braces(s + 2, end);
		else
			s++;
	}
	return s == NULL && rough_heredoc(start, end);
}
