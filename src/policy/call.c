#include "policy/call.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/print.h"
#include "policy/param.h"
#include "policy/route.h"
#include "value.h"

size_t
call_size(const struct call *c)
{
	return offsetof(struct call, text) + c->text_len;
}

static int
broken(struct err *e, const char *what)
{
	return err_refuse(e, 400, "call", "a call with %s", what);
}

/* Values stand one after the other, in order, each with its NUL, and nothing else stands in the text. */
static int
check_values(const struct call *c, struct err *e)
{
	uint32_t at = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct call_value *v = &c->values[i];

		if (v->param == PARAM_NONE || v->param >= PARAM_COUNT || v->pad != 0)
			return broken(e, "an unknown parameter");
		if (v->off != at || v->len >= c->text_len - at)
			return broken(e, "a value outside its text");
		if (memchr(c->text + at, '\0', v->len + 1) != c->text + at + v->len)
			return broken(e, "a value that does not end where it says");
		at += v->len + 1;
	}
	return at == c->text_len ? 0 : broken(e, "text that belongs to no value");
}

static int
is_blank(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	while (len > 0 && p[len - 1] == 0)
		len--;
	return len == 0;
}

int
call_take(struct call *c, const void *bytes, size_t len, struct err *e)
{
	const size_t head = offsetof(struct call, text);

	if (len < head || len > sizeof(*c))
		return broken(e, "a wrong size");
	memcpy(c, bytes, len);
	if (c->text_len > CALL_TEXT_MAX || len != call_size(c))
		return broken(e, "a text that is not as long as it says");
	if (c->count > CALL_VALUES_MAX)
		return broken(e, "too many values");
	if (c->route == ROUTE_DENY || c->route >= ROUTE_COUNT)
		return broken(e, "an unknown route");
	if (memchr(c->ns, '\0', sizeof(c->ns)) == NULL)
		return broken(e, "an endless namespace");
	if (!is_blank(c->ns + strlen(c->ns), sizeof(c->ns) - strlen(c->ns)) ||
	    !is_blank(c->values + c->count, (CALL_VALUES_MAX - c->count) * sizeof(*c->values)))
		return broken(e, "something where nothing belongs");
	return check_values(c, e);
}

void
call_start(struct call *c, enum route route, const char *ns, unsigned api)
{
	memset(c, 0, offsetof(struct call, text));
	c->route = (uint16_t)route;
	c->api = (uint16_t)api;
	snprintf(c->ns, sizeof(c->ns), "%s", ns);
}

int
call_add(struct call *c, enum param param, const char *value, struct err *e)
{
	size_t len = strlen(value);
	struct call_value *v;

	if (c->count == CALL_VALUES_MAX || len >= CALL_TEXT_MAX - c->text_len)
		return err_refuse(e, 400, "request-size", "the request has more parameters than can be kept");
	v = &c->values[c->count++];
	*v = (struct call_value){ .param = (uint16_t)param, .off = c->text_len, .len = (uint32_t)len };
	memcpy(c->text + v->off, value, len + 1);
	c->text_len += (uint32_t)len + 1;
	return 0;
}

const char *
call_get(const struct call *c, enum param param)
{
	return call_next(c, param, NULL);
}

const char *
call_next(const struct call *c, enum param param, const char *after)
{
	for (size_t i = 0; i < c->count; i++) {
		const char *value = c->text + c->values[i].off;

		if (c->values[i].param == param && (after == NULL || value > after))
			return value;
	}
	return NULL;
}

/* "/v1.41/images/<name>/tag" */
static void
print_path(const struct call *c, const char *pattern, struct buf *out)
{
	size_t before = strcspn(pattern, "{");
	const char *name = call_get(c, PARAM_NAME);

	if (c->api != 0)
		buf_printf(out, "/v1.%u", c->api);
	buf_add(out, pattern, before);
	if (pattern[before] == '\0')
		return;
	http_print_path(out, name, strlen(name));
	buf_adds(out, strchr(pattern, '}') + 1);
}

static void
print_query(const struct call *c, struct buf *out)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct call_value *v = &c->values[i];

		if (v->param != PARAM_NAME && v->param != PARAM_REGISTRY_CONFIG)
			http_print_pair(out, param_by_id(c->route, v->param)->key, c->text + v->off, v->len);
	}
}

void
call_print(const struct call *c, struct buf *out)
{
	int body = c->route == ROUTE_BUILD || c->route == ROUTE_IMAGE_LOAD;
	const struct route_row *row = route_by_id(c->route);
	const char *config = call_get(c, PARAM_REGISTRY_CONFIG);
	enum http_framing framing = HTTP_BODY_NONE;
	struct buf target = { 0 }, extra = { 0 };

	print_path(c, row->path, &target);
	print_query(c, &target);
	if (config != NULL)
		registry_pick(config, call_get(c, PARAM_FROMIMAGE), &extra);
	if (row->method == HTTP_POST)
		framing = body ? HTTP_BODY_CHUNKED : HTTP_BODY_COUNTED;
	http_print_request(out, row->method, buf_text(&target), framing, 0, body ? "application/x-tar" : NULL,
	    buf_len(&extra) > 0 ? buf_text(&extra) : NULL);
	buf_done(&target);
	if (extra.data != NULL)
		mem_wipe(extra.data, extra.cap);
	buf_done(&extra);
}
