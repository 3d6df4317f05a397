/*
 * A request or a response head. What parses must be clean, must not parse any
 * shorter, and must mean the same when we print it ourselves.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/head.h"
#include "http/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(x)                                                                                              \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			abort();                                                                             \
	} while (0)

static int
parse(struct http_head *h, int response, enum http_method asked, const void *data, size_t size, size_t *used)
{
	struct err e = { 0 };
	int rc = response ? http_response_parse(h, asked, data, size, used, &e)
	                  : http_request_parse(h, data, size, used, &e);

	must(rc >= 0 || (e.status >= 400 && e.rule != NULL && e.text[0] != '\0'));
	must(rc == 0 || h->text == NULL);
	return rc;
}

static size_t
count_lines(const uint8_t *data, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

static void
check_clean(const struct http_head *h, const uint8_t *data, size_t used)
{
	must(used <= HTTP_HEAD_MAX && used >= 4 && memcmp(data + used - 4, "\r\n\r\n", 4) == 0);
	must(h->count + 2 == count_lines(data, used)); /* two readers agree on what a line is */
	must(h->framing == HTTP_BODY_COUNTED ? h->length <= INT64_MAX : h->length == 0);
	for (size_t i = 0; i < h->count; i++) {
		must(h->fields[i].name[0] != '\0' && strpbrk(h->fields[i].name, "\r\n: \tABCXYZ") == NULL);
		must(strpbrk(h->fields[i].value, "\r\n\x7f") == NULL);
	}
}

static void
check_prefixes(int response, enum http_method asked, const uint8_t *data, size_t used)
{
	struct http_head h;
	size_t n = 0, step = used / 16 + 1, ignored;

	for (; n < used; n += step)
		must(parse(&h, response, asked, data, n, &ignored) == 1);
	must(parse(&h, response, asked, data, used - 1, &ignored) == 1);
}

static void
same(const struct http_head *a, const struct http_head *b)
{
	const char *t = http_field(a, "content-type");

	must(a->framing == b->framing && a->length == b->length);
	must(t == NULL || t[0] == '\0' || strcmp(t, http_field(b, "content-type")) == 0);
}

static void
check_request(const uint8_t *data, size_t size)
{
	struct http_head h, again;
	struct buf b = { 0 };
	size_t used;

	if (parse(&h, 0, HTTP_NONE, data, size, &used) != 0)
		return;
	check_clean(&h, data, used);
	check_prefixes(0, HTTP_NONE, data, used);
	must(h.target[0] == '/');
	if (h.method != HTTP_NONE) {
		http_print_request(
		    &b, h.method, h.target, h.framing, h.length, http_field(&h, "content-type"), NULL);
		if (buf_len(&b) <= HTTP_HEAD_MAX) {
			must(parse(&again, 0, HTTP_NONE, buf_ptr(&b), buf_len(&b), &used) == 0);
			must(used == buf_len(&b) && again.method == h.method && !again.keep_alive);
			must(strcmp(again.target, h.target) == 0 && !again.upgrade && !again.expect_continue);
			same(&h, &again);
			http_head_done(&again);
		}
	}
	buf_done(&b);
	http_head_done(&h);
}

static void
check_response(enum http_method asked, const uint8_t *data, size_t size)
{
	struct http_head h, again;
	struct buf b = { 0 };
	size_t used;

	if (parse(&h, 1, asked, data, size, &used) != 0)
		return;
	check_clean(&h, data, used);
	check_prefixes(1, asked, data, used);
	http_print_response(
	    &b, h.minor, h.status, h.framing, h.length, http_field(&h, "content-type"), h.keep_alive, NULL);
	if (buf_len(&b) <= HTTP_HEAD_MAX) {
		must(parse(&again, 1, asked, buf_ptr(&b), buf_len(&b), &used) == 0);
		must(used == buf_len(&b) && again.status == h.status && again.minor == h.minor);
		if (h.status >= 200 && h.framing != HTTP_BODY_TO_EOF)
			must(again.keep_alive == h.keep_alive);
		same(&h, &again);
		http_head_done(&again);
	}
	buf_done(&b);
	http_head_done(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request(data, size);
	check_response(HTTP_GET, data, size);
	check_response(HTTP_HEAD, data, size);
	return 0;
}
