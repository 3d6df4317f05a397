/*
 * The little XML that S3 speaks: elements, text, the five named and the numeric entities. No DTD, no CDATA,
 * no processing instructions but the declaration: what has them is not an answer of S3.
 */

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "s3_private.h"

enum { DEPTH_MAX = 8, PATH_MAX_LEN = 256 };

struct walk {
	const char *at, *end;
	char path[PATH_MAX_LEN];
	size_t starts[DEPTH_MAX]; /* where in path each open element begins */
	size_t depth, path_len, roots;
	char text[S3_TEXT_MAX]; /* of the innermost element, since its last child */
	size_t text_len;
	s3_xml_cb *cb;
	void *arg;
};

static int
is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == ':' || c == '.';
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int
malformed(struct err *e, const char *what)
{
	return err_set(e, 0, "an answer that is no XML of S3: %s", what);
}

static int
starts_with(const struct walk *w, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(w->end - w->at) >= n && memcmp(w->at, word, n) == 0;
}

/* Past the next `end`, or -1. */
static int
skip_past(struct walk *w, const char *end)
{
	const char *found = memmem(w->at, (size_t)(w->end - w->at), end, strlen(end));

	if (found == NULL)
		return -1;
	w->at = found + strlen(end);
	return 0;
}

static int
add_text(struct walk *w, const char *bytes, size_t len, struct err *e)
{
	if (w->text_len + len >= sizeof w->text)
		return malformed(e, "a value is too long");
	memcpy(w->text + w->text_len, bytes, len);
	w->text_len += len;
	return 0;
}

/* A code point as UTF-8; controls and what is above ASCII are not in our answers but are harmless. */
static int
add_code_point(struct walk *w, unsigned long c, struct err *e)
{
	char out[4];

	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return malformed(e, "no such character");
	if (c < 0x80) {
		out[0] = (char)c;
		return add_text(w, out, 1, e);
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return add_text(w, out, 2, e);
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return add_text(w, out, 3, e);
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return add_text(w, out, 4, e);
}

static unsigned
digit_of(char c)
{
	return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
	       : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
	       : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
	                              : 99;
}

static int
add_number(struct walk *w, const char *digits, size_t len, struct err *e)
{
	unsigned radix = len > 0 && digits[0] == 'x' ? 16 : 10;
	unsigned long c = 0;
	size_t i = radix == 16;

	if (i == len)
		return malformed(e, "an entity");
	for (; i < len; i++) {
		if (digit_of(digits[i]) >= radix || c > 0x10ffff)
			return malformed(e, "an entity");
		c = c * radix + digit_of(digits[i]);
	}
	return add_code_point(w, c, e);
}

static int
read_entity(struct walk *w, struct err *e)
{
	static const struct {
		const char *name;
		char is;
	} entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' },
		{ "&apos;", '\'' } };
	size_t left = (size_t)(w->end - w->at), most = left < 12 ? left : 12;
	const char *end = memchr(w->at, ';', most);

	for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
		if (starts_with(w, entities[i].name)) {
			w->at += strlen(entities[i].name);
			return add_text(w, &entities[i].is, 1, e);
		}
	if (end == NULL || end - w->at < 3 || w->at[1] != '#')
		return malformed(e, "an entity");
	if (add_number(w, w->at + 2, (size_t)(end - w->at - 2), e) < 0)
		return -1;
	w->at = end + 1;
	return 0;
}

/* The element ends: its path, its text without blanks at both ends. */
static int
leave(struct walk *w)
{
	size_t from = 0;
	int rc;

	while (w->text_len > 0 && is_blank(w->text[w->text_len - 1]))
		w->text_len--;
	w->text[w->text_len] = '\0';
	while (is_blank(w->text[from]))
		from++;
	rc = w->cb(w->arg, w->path, w->text + from);
	w->path_len = w->starts[--w->depth];
	w->path[w->path_len] = '\0';
	w->text_len = 0;
	return rc;
}

/* Past the attributes to '>'; *empty for "/>". */
static int
skip_attributes(struct walk *w, int *empty, struct err *e)
{
	for (; w->at < w->end && *w->at != '>'; w->at++) {
		const char *close;

		if (*w->at == '<')
			return malformed(e, "a tag without its end");
		if (*w->at != '"' && *w->at != '\'')
			continue;
		close = memchr(w->at + 1, *w->at, (size_t)(w->end - w->at - 1));
		if (close == NULL)
			return malformed(e, "an attribute without its end");
		w->at = close;
	}
	if (w->at == w->end)
		return malformed(e, "a tag without its end");
	*empty = w->at[-1] == '/';
	w->at++;
	return 0;
}

static int
read_start(struct walk *w, struct err *e)
{
	const char *name = ++w->at;
	size_t len;
	int empty = 0;

	while (w->at < w->end && is_name(*w->at))
		w->at++;
	len = (size_t)(w->at - name);
	if (len == 0 || w->depth == DEPTH_MAX || w->path_len + 1 + len >= sizeof w->path)
		return malformed(e, "a tag");
	if (w->depth == 0 && w->roots++ > 0)
		return malformed(e, "a second root");
	w->starts[w->depth] = w->path_len;
	if (w->depth++ > 0)
		w->path[w->path_len++] = '/';
	memcpy(w->path + w->path_len, name, len);
	w->path_len += len;
	w->path[w->path_len] = '\0';
	w->text_len = 0;
	if (skip_attributes(w, &empty, e) < 0)
		return -1;
	return empty ? leave(w) : 0;
}

static int
read_end(struct walk *w, struct err *e)
{
	const char *name = w->at += 2, *open;

	while (w->at < w->end && is_name(*w->at))
		w->at++;
	open = w->depth == 0 ? "" : w->path + w->starts[w->depth - 1] + (w->depth > 1);
	if (w->depth == 0 || strlen(open) != (size_t)(w->at - name) || memcmp(open, name, strlen(open)) != 0)
		return malformed(e, "tags that do not match");
	while (w->at < w->end && is_blank(*w->at))
		w->at++;
	if (w->at == w->end || *w->at++ != '>')
		return malformed(e, "a tag without its end");
	return leave(w);
}

static int
read_some(struct walk *w, struct err *e)
{
	if (*w->at == '&' && w->depth > 0)
		return read_entity(w, e);
	if (*w->at != '<') {
		if (w->depth == 0 && !is_blank(*w->at))
			return malformed(e, "text outside of all tags");
		return w->depth == 0 ? (w->at++, 0) : add_text(w, w->at++, 1, e);
	}
	if (starts_with(w, "<?xml"))
		return skip_past(w, "?>") < 0 ? malformed(e, "its declaration") : 0;
	if (starts_with(w, "<!--"))
		return skip_past(w, "-->") < 0 ? malformed(e, "a comment without its end") : 0;
	return starts_with(w, "</") ? read_end(w, e) : read_start(w, e);
}

int
s3_xml_walk(const char *text, size_t len, s3_xml_cb *cb, void *arg, struct err *e)
{
	struct walk w = { .at = text, .end = text + len, .cb = cb, .arg = arg };
	int rc = 0;

	if (memchr(text, '\0', len) != NULL)
		return malformed(e, "a NUL");
	while (rc == 0 && w.at < w.end)
		rc = read_some(&w, e);
	if (rc == 0 && (w.depth > 0 || w.roots == 0))
		return malformed(e, "it is not whole");
	return rc;
}

void
s3_xml_escape(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '&' || *text == '<' || *text == '>')
			buf_printf(out, "&#%d;", *text);
		else
			buf_add(out, text, 1);
}

static int
on_error_part(void *arg, const char *path, const char *text)
{
	struct s3_error *out = arg;

	if (strcmp(path, "Error/Code") == 0)
		(void)snprintf(out->code, sizeof out->code, "%s", text);
	else if (strcmp(path, "Error/Message") == 0)
		(void)snprintf(out->message, sizeof out->message, "%s", text);
	else if (strcmp(path, "Error/RequestId") == 0)
		(void)snprintf(out->request, sizeof out->request, "%s", text);
	return 0;
}

int
s3_error_read(const char *text, size_t len, struct s3_error *out)
{
	struct err e;

	*out = (struct s3_error){ 0 };
	if (len == 0 || s3_xml_walk(text, len, on_error_part, out, &e) != 0)
		return 0;
	return out->code[0] != '\0';
}
