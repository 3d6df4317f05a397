#include "fields.h"

#include <string.h>

#include "base/err.h"
#include "text.h"

enum { LENGTH_DIGITS = 19 };

const char *
http_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	return NULL;
}

/* The only value of a field that may come once; NULL when it is not there. */
static int
field_once(const struct http_head *h, const char *name, const char **value, struct err *e)
{
	*value = NULL;
	for (size_t i = 0; i < h->count; i++) {
		if (strcmp(h->fields[i].name, name) != 0)
			continue;
		if (*value != NULL)
			return err_refuse(e, 400, "http-field-twice",
			    "header '%s' comes more than once, expected once", name);
		*value = h->fields[i].value;
	}
	return 0;
}

/* 0|[1-9][0-9]{0,18} and within int64_t: the engine's limit, and no caller can overflow. */
static int
parse_length(const char *s, uint64_t *length)
{
	size_t n = strlen(s);
	uint64_t v = 0;

	if (n == 0 || n > LENGTH_DIGITS || (s[0] == '0' && n > 1))
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (uint64_t)(*s - '0'); /* 19 digits fit */
	}
	*length = v;
	return v <= INT64_MAX ? 0 : -1;
}

static int
read_coding(struct http_head *h, const char *coding, struct err *e)
{
	if (!text_is_word(coding, strlen(coding), "chunked"))
		return err_refuse(e, 501, "http-transfer-encoding",
		    "Transfer-Encoding '%s' is not accepted, expected 'chunked'",
		    quote(coding, strlen(coding)).text);
	if (h->minor == 0) /* the engine ignores it there and takes the chunks for requests */
		return err_refuse(e, 400, "http-transfer-encoding", "Transfer-Encoding needs HTTP/1.1");
	h->framing = HTTP_BODY_CHUNKED;
	return 0;
}

static int
read_framing(struct http_head *h, struct err *e)
{
	const char *length, *coding;

	if (field_once(h, "content-length", &length, e) < 0 ||
	    field_once(h, "transfer-encoding", &coding, e) < 0)
		return -1;
	if (http_field(h, "trailer") != NULL)
		return err_refuse(e, 400, "http-trailer", "header 'trailer': trailers are not accepted");
	if (length != NULL && coding != NULL)
		return err_refuse(e, 400, "http-framing",
		    "Content-Length and Transfer-Encoding come together, expected one of them");
	if (coding != NULL)
		return read_coding(h, coding, e);
	if (length == NULL)
		return 0;
	if (parse_length(length, &h->length) < 0)
		return err_refuse(e, 400, "http-content-length",
		    "Content-Length '%s' is not a plain decimal number (no sign, no leading zero, below "
		    "2^63)",
		    quote(length, strlen(length)).text);
	h->framing = HTTP_BODY_COUNTED;
	return 0;
}

/* Whether a comma-separated list has the word. */
static int
has_word(const char *list, const char *word)
{
	while (*list != '\0') {
		size_t n, blank = strspn(list, " \t,");

		list += blank;
		n = strcspn(list, ",");
		blank = n;
		while (blank > 0 && (list[blank - 1] == ' ' || list[blank - 1] == '\t'))
			blank--;
		if (text_is_word(list, blank, word))
			return 1;
		list += n;
	}
	return 0;
}

static int
says_connection(const struct http_head *h, const char *word)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->fields[i].name, "connection") == 0 && has_word(h->fields[i].value, word))
			return 1;
	return 0;
}

static int
read_common(struct http_head *h, struct err *e)
{
	h->keep_alive = !says_connection(h, "close") && (h->minor == 1 || says_connection(h, "keep-alive"));
	h->upgrade = http_field(h, "upgrade") != NULL;
	return read_framing(h, e);
}

/* The engine's set, byte by byte (20.10.24). Clients send "", "docker", "d", "d:1", "%2Fvar%2Frun". */
static int
check_host(const struct http_head *h, struct err *e)
{
	const char *host;

	if (field_once(h, "host", &host, e) < 0)
		return -1;
	if (host == NULL)
		return h->minor == 0
		           ? 0
		           : err_refuse(e, 400, "http-host", "header 'Host' is missing (it may be empty)");
	for (const char *p = host; *p != '\0'; p++)
		if (!text_is_unreserved((uint8_t)*p) && strchr("!$%&'()*+,:;=[]", *p) == NULL)
			return err_refuse(e, 400, "http-host", "Host '%s' is not a host name",
			    quote(host, strlen(host)).text);
	return 0;
}

int
fields_of_request(struct http_head *h, struct err *e)
{
	const char *expect;

	if (check_host(h, e) < 0 || read_common(h, e) < 0 || field_once(h, "expect", &expect, e) < 0)
		return -1;
	if (expect == NULL)
		return 0;
	if (!text_is_word(expect, strlen(expect), "100-continue"))
		return err_refuse(e, 417, "http-expect",
		    "Expect '%s' is not accepted, expected '100-continue'",
		    quote(expect, strlen(expect)).text);
	h->expect_continue = h->minor == 1; /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
	return 0;
}

int
fields_of_response(struct http_head *h, enum http_method asked, struct err *e)
{
	if (read_common(h, e) < 0)
		return -1;
	if (asked == HTTP_HEAD || h->status < 200 || h->status == 204 || h->status == 304) {
		h->framing = HTTP_BODY_NONE;
		h->length = 0;
	} else if (h->framing == HTTP_BODY_NONE) {
		h->framing = HTTP_BODY_TO_EOF;
	}
	return 0;
}
