#include "http/head.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "fields.h"
#include "names.h"
#include "raw.h"
#include "read.h"

/*
 * Three steps: raw.c checks the bytes, read.c lets http-parser cut them into
 * strings, fields.c says what they mean.
 */

/* The string behind s in h->text. */
static const char *
next(const char *s)
{
	return s + strlen(s) + 1;
}

/* No value holds a NUL (the raw check), so the strings can be found by their ends. */
static int
take_fields(struct http_head *h, const struct reading *r, const char *s, struct err *e)
{
	if (r->fields > HTTP_FIELDS_MAX)
		return err_refuse(e, 431, "http-head-size", "more than %d header lines", HTTP_FIELDS_MAX);
	for (; h->count < r->fields; h->count++) {
		h->fields[h->count].name = s;
		h->fields[h->count].value = s = next(s);
		s = next(s);
	}
	h->minor = r->minor;
	h->status = r->status;
	return 0;
}

/* A method that no route names is read as GET: http-parser has rules of its own for some of those. */
static int
read_as_request(struct http_head *h, const char *head, size_t len, struct err *e)
{
	struct reading r = { .text = h->text };
	size_t n = strcspn(head, " "); /* the raw check has seen that it ends, and fits */

	memcpy(h->method_name, head, n);
	h->method_name[n] = '\0';
	h->method = names_method(h->method_name);
	h->target = h->text;
	if (read_request(&r, h->method != HTTP_NONE ? h->method_name : "GET", head + n, len - n, e) < 0)
		return -1;
	return take_fields(h, &r, next(h->target), e) < 0 ? -1 : fields_of_request(h, e);
}

static int
read_as_response(struct http_head *h, enum http_method asked, const char *head, size_t len, struct err *e)
{
	struct reading r = { .text = h->text };

	if (read_response(&r, head, len, e) < 0 || take_fields(h, &r, h->text, e) < 0)
		return -1;
	return fields_of_response(h, asked, e);
}

/* Every string is two bytes or more shorter than its share of the head: with their NULs, all fit in its
 * length. */
static int
start(struct http_head *h, enum raw_kind kind, const void *bytes, size_t len, size_t *used, struct err *e)
{
	int rc = raw_find(kind, bytes, len, used, e);

	*h = (struct http_head){ 0 };
	if (rc == 0)
		rc = raw_check(kind, bytes, *used, e);
	if (rc == 0)
		h->text = mem_new(h->text_size = *used);
	return rc;
}

int
http_request_parse(struct http_head *h, const void *bytes, size_t len, size_t *used, struct err *e)
{
	int rc = start(h, RAW_REQUEST, bytes, len, used, e);

	if (rc == 0)
		rc = read_as_request(h, bytes, *used, e);
	if (rc < 0)
		http_head_done(h);
	return rc;
}

int
http_response_parse(
    struct http_head *h, enum http_method asked, const void *bytes, size_t len, size_t *used, struct err *e)
{
	int rc = start(h, RAW_RESPONSE, bytes, len, used, e);

	if (rc == 0)
		rc = read_as_response(h, asked, bytes, *used, e);
	if (rc < 0) {
		http_head_done(h);
		e->status = 502; /* whatever it is, it is not the client's fault */
		err_wrap(e, "the engine's answer");
	}
	return rc;
}

void
http_head_done(struct http_head *h)
{
	mem_wipe(h->text, h->text_size);
	free(h->text);
	*h = (struct http_head){ 0 };
}
