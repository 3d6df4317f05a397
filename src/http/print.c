#include "http/print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "text.h"

static void
put_escaped(struct buf *out, const char *text, size_t len, const char *also)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];
		char escape[3] = { '%', hex[c >> 4], hex[c & 15] };

		if (text_is_unreserved(c) || (c != '\0' && strchr(also, c) != NULL))
			buf_add(out, &c, 1);
		else
			buf_add(out, escape, sizeof escape);
	}
}

void
http_print_pair(struct buf *target, const char *key, const char *value, size_t len)
{
	int more = buf_len(target) > 0 && memchr(buf_ptr(target), '?', buf_len(target)) != NULL;

	buf_adds(target, more ? "&" : "?");
	put_escaped(target, key, strlen(key), "");
	buf_adds(target, "=");
	put_escaped(target, value, len, "");
}

void
http_print_path(struct buf *target, const char *text, size_t len)
{
	put_escaped(target, text, len, "/:@");
}

static void
put_framing(struct buf *out, enum http_framing framing, uint64_t length)
{
	if (framing == HTTP_BODY_COUNTED)
		buf_printf(out, "Content-Length: %" PRIu64 "\r\n", length);
	else if (framing == HTTP_BODY_CHUNKED)
		buf_adds(out, "Transfer-Encoding: chunked\r\n");
}

/* The end that both kinds of heads have in common. */
static void
put_rest(struct buf *out, enum http_framing framing, uint64_t length, const char *type, const char *extra)
{
	if (type != NULL)
		buf_printf(out, "Content-Type: %s\r\n", type);
	put_framing(out, framing, length);
	if (extra != NULL)
		buf_adds(out, extra);
	buf_adds(out, "\r\n");
}

void
http_print_request(struct buf *out, enum http_method method, const char *target, enum http_framing framing,
    uint64_t length, const char *type, const char *extra)
{
	buf_printf(out,
	    "%s %s HTTP/1.1\r\n"
	    "Host: docker\r\n"
	    "User-Agent: dind-proxy\r\n"
	    "Connection: close\r\n",
	    http_method_name(method), target);
	put_rest(out, framing, length, type, extra);
}

void
http_print_response(struct buf *out, unsigned minor, unsigned status, enum http_framing framing,
    uint64_t length, const char *type, int keep_alive, const char *extra)
{
	buf_printf(out, "HTTP/1.%u %u %s\r\n", minor, status, http_reason(status));
	if (status >= 200 && (!keep_alive || framing == HTTP_BODY_TO_EOF))
		buf_adds(out, "Connection: close\r\n");
	else if (status >= 200 && minor == 0)
		buf_adds(out, "Connection: keep-alive\r\n");
	put_rest(out, framing, length, type, extra);
}

/* JSON is UTF-8: what is not (a text cut in the middle of a character) becomes '?'. */
static void
put_utf8(struct buf *out, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = strlen(text);

	while (len > 0) {
		size_t n = text_utf8(p, len);

		buf_add(out, n > 0 ? (const void *)p : "?", n > 0 ? n : 1);
		n += n == 0;
		p += n;
		len -= n;
	}
}

/* Docker's error object, as text; the caller frees it. */
static char *
error_json(const char *rule, const char *text)
{
	struct buf message = { 0 };
	json_t *object = json_object();
	char *json;

	put_utf8(&message, text);
	if (rule != NULL)
		buf_printf(&message, " (rule: %s)", rule);
	json_object_set_new(object, "message", json_string(buf_text(&message)));
	json = json_text(object, 1);
	json_decref(object);
	buf_done(&message);
	return json;
}

void
http_print_error(struct buf *out, unsigned minor, unsigned status, const char *rule, const char *text,
    int keep_alive, int head_only)
{
	char *json = error_json(rule, text);

	http_print_response(
	    out, minor, status, HTTP_BODY_COUNTED, strlen(json) + 1, "application/json", keep_alive, NULL);
	if (!head_only)
		buf_printf(out, "%s\n", json);
	free(json);
}
