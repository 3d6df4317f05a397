#include "raw.h"

#include <string.h>

#include "base/err.h"
#include "http/head.h"
#include "http/target.h"
#include "text.h"

enum {
	VERSION_LEN = 8,                                                 /* HTTP/1.1 */
	STATUS_LEN = VERSION_LEN + 5,                                    /* and " 200 " */
	LINE_MAX_BYTES = HTTP_METHOD_MAX + TARGET_MAX + VERSION_LEN + 4, /* two spaces, CRLF */
};

static const char preface[] = "PRI * HTTP/2";

static int
check_version(const uint8_t *v, struct err *e)
{
	if (memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' || v[7] > '9')
		return err_refuse(e, 400, "http-version",
		    "the first line says '%s' where HTTP/1.1 or HTTP/1.0 is expected",
		    quote(v, VERSION_LEN).text);
	if (v[5] != '1' || v[7] > '1')
		return err_refuse(e, 505, "http-version", "'%s' is not spoken here, use HTTP/1.1",
		    quote(v, VERSION_LEN).text);
	return 0;
}

/* The method, as far as it is there. */
static int
check_method(const uint8_t *bytes, size_t len, struct err *e)
{
	size_t n = 0;

	while (n < len && n < HTTP_METHOD_MAX && ((bytes[n] >= 'A' && bytes[n] <= 'Z') || bytes[n] == '-'))
		n++;
	if (n == HTTP_METHOD_MAX)
		return err_refuse(e, 501, "http-method", "method '%s...' is longer than any that is known",
		    quote(bytes, n).text);
	if (n < len && (n == 0 || bytes[n] != ' '))
		return err_refuse(e, 400, "http-method",
		    "a request starts with '%s': an upper-case method and one space are expected",
		    quote(bytes, n + 1).text);
	return 0;
}

/* The ends of a whole request line (without CRLF): what can be told without walking it. */
static int
check_request_ends(const uint8_t *line, size_t len, struct err *e)
{
	if (len >= sizeof preface - 1 && memcmp(line, preface, sizeof preface - 1) == 0)
		return err_refuse(
		    e, 505, "http2-preface", "HTTP/2 with prior knowledge is not spoken here, use HTTP/1.1");
	if (len < VERSION_LEN + 1 || line[len - VERSION_LEN - 1] != ' ')
		return err_refuse(e, 400, "http-request-line",
		    "the request line must be 'METHOD /path HTTP/1.1' with single spaces");
	return check_version(line + len - VERSION_LEN, e);
}

static int
check_status_line(const uint8_t *line, size_t len, struct err *e)
{
	if (len < STATUS_LEN)
		return err_refuse(
		    e, 400, "http-status-line", "status line '%s' is too short", quote(line, len).text);
	if (check_version(line, e) < 0)
		return -1;
	line += VERSION_LEN;
	if (line[0] != ' ' || line[1] < '1' || line[1] > '5' || line[2] < '0' || line[2] > '9' ||
	    line[3] < '0' || line[3] > '9' || line[4] != ' ')
		return err_refuse(e, 400, "http-status-line",
		    "the status line has '%s' where a status of 100 to 599 between single spaces is expected",
		    quote(line, 5).text);
	return 0;
}

/* A first line that is not whole yet. */
static int
check_start(enum raw_kind kind, const uint8_t *bytes, size_t len, struct err *e)
{
	if (kind == RAW_REQUEST)
		return check_method(bytes, len, e);
	if (memcmp(bytes, "HTTP/", len < 5 ? len : 5) != 0)
		return err_refuse(e, 400, "http-status-line", "an answer starts with '%s' instead of 'HTTP/'",
		    quote(bytes, len < 5 ? len : 5).text);
	return 0;
}

/* Line number n, from 0 for the first. */
static int
check_line_end(enum raw_kind kind, const uint8_t *line, size_t len, size_t n, struct err *e)
{
	if (len == 0 || line[len - 1] != '\r')
		return err_refuse(
		    e, 400, "http-line-end", "line %zu of the head ends in a bare LF, expected CRLF", n + 1);
	if (n == 0)
		return kind == RAW_REQUEST ? check_request_ends(line, len - 1, e)
		                           : check_status_line(line, len - 1, e);
	if (n > HTTP_FIELDS_MAX && len > 1)
		return err_refuse(e, 431, "http-head-size", "more than %d header lines", HTTP_FIELDS_MAX);
	return 0;
}

static int
too_long(enum raw_kind kind, size_t lines, size_t len, struct err *e)
{
	if (kind == RAW_REQUEST && lines == 0 && len > LINE_MAX_BYTES)
		return err_refuse(
		    e, 414, "http-target-size", "the request target is longer than %d bytes", TARGET_MAX);
	if (len >= HTTP_HEAD_MAX)
		return err_refuse(
		    e, 431, "http-head-size", "the head is longer than %d bytes", HTTP_HEAD_MAX);
	return 0;
}

int
raw_find(enum raw_kind kind, const uint8_t *bytes, size_t len, size_t *used, struct err *e)
{
	size_t limit = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX, at = 0, lines = 0;
	const uint8_t *lf;

	if (limit == 0)
		return 1;
	if (check_start(kind, bytes, limit, e) < 0)
		return -1;
	while (at < limit && (lf = memchr(bytes + at, '\n', limit - at)) != NULL) {
		size_t n = (size_t)(lf - bytes) - at;

		if (check_line_end(kind, bytes + at, n, lines, e) < 0)
			return -1;
		at += n + 1;
		if (n == 1) {
			*used = at;
			return 0;
		}
		lines++;
	}
	return too_long(kind, lines, limit, e) < 0 ? -1 : 1;
}

static int
check_target(const uint8_t *t, size_t len, struct err *e)
{
	if (len > TARGET_MAX)
		return err_refuse(
		    e, 414, "http-target-size", "the request target is longer than %d bytes", TARGET_MAX);
	for (size_t i = 0; i < len; i++)
		if (!text_is_visible(t[i]))
			return err_refuse(e, 400, "http-target",
			    "byte %zu of the request target is '%s', visible ASCII is expected", i + 1,
			    quote(t + i, 1).text);
	if (len == 0 || t[0] != '/')
		return err_refuse(e, 400, "http-target",
		    "request target '%s' is not a path: only 'METHOD /path HTTP/1.1' is accepted",
		    quote(t, len).text);
	return 0;
}

static int
check_request_line(const uint8_t *line, size_t len, struct err *e)
{
	const uint8_t *sp;

	if (check_method(line, len, e) < 0 || check_request_ends(line, len, e) < 0)
		return -1;
	sp = memchr(line, ' ', len); /* both checks saw a space */
	if (sp == line + len - VERSION_LEN - 1)
		return err_refuse(e, 400, "http-request-line", "the request line has no target");
	if (sp - line == 7 && memcmp(line, "CONNECT", 7) == 0)
		return err_refuse(e, 400, "http-method", "CONNECT is not accepted: this is no tunnel");
	return check_target(sp + 1, (size_t)(line + len - VERSION_LEN - 1 - (sp + 1)), e);
}

/* Tab, space, visible ASCII and the bytes above it, as the engine accepts them. */
static int
check_value(const uint8_t *v, size_t len, const void *name, size_t name_len, struct err *e)
{
	for (size_t i = 0; i < len; i++)
		if ((v[i] < 0x20 && v[i] != '\t') || v[i] == 0x7f)
			return err_refuse(e, 400, "http-field", "'%s' holds the control byte '%s'",
			    quote(name, name_len).text, quote(v + i, 1).text);
	return 0;
}

/* Texts name a header, never its value: that may be a credential. */
static int
check_field(const uint8_t *line, size_t len, size_t number, struct err *e)
{
	size_t n = 0;

	if (line[0] == ' ' || line[0] == '\t')
		return err_refuse(e, 400, "http-folding",
		    "line %zu of the head starts with a blank: folded headers are not accepted", number);
	while (n < len && text_is_token(line[n]))
		n++;
	if (n == len)
		return err_refuse(e, 400, "http-field", "line %zu of the head has no ':'", number);
	if (n == 0 || line[n] != ':')
		return err_refuse(e, 400, "http-field",
		    "line %zu of the head starts with '%s', expected a header name and at once a ':'", number,
		    quote(line, n + 1).text);
	return check_value(line + n + 1, len - n - 1, line, n, e);
}

static int
check_first(enum raw_kind kind, const uint8_t *line, size_t len, struct err *e)
{
	static const char what[] = "status line";

	if (kind == RAW_REQUEST)
		return check_request_line(line, len, e);
	return check_value(line, len, what, sizeof what - 1, e);
}

int
raw_check(enum raw_kind kind, const uint8_t *head, size_t len, struct err *e)
{
	const uint8_t *line = head, *end = head + len - 2, *lf; /* end: the empty line */
	size_t number = 1;
	int rc = 0;

	for (; rc == 0 && line < end; line = lf + 1, number++) {
		lf = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)(lf - line) - 1;

		rc = number == 1 ? check_first(kind, line, n, e) : check_field(line, n, number, e);
	}
	return rc;
}
