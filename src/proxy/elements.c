#include "proxy/elements.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"

static int
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int
give(struct elements *x, struct err *e)
{
	json_t *element;
	int rc;

	if (buf_len(&x->one) == 0)
		return 0; /* an empty array */
	element = json_parse(buf_ptr(&x->one), buf_len(&x->one), e);
	buf_clear(&x->one);
	if (element == NULL)
		return -1;
	rc = x->take(x->arg, element, e);
	json_decref(element);
	return rc;
}

/* A byte inside of an element, or a bracket around all of them. */
static int
keep(struct elements *x, uint8_t c, struct err *e)
{
	if (buf_len(&x->one) >= ELEMENT_MAX)
		return err_set(e, 0, "an element of the engine's list is larger than %d bytes", ELEMENT_MAX);
	if (buf_len(&x->one) > 0 || !is_space(c))
		buf_add(&x->one, &c, 1);
	return 0;
}

static int
take_byte(struct elements *x, uint8_t c, struct err *e)
{
	if (x->in_string) {
		x->in_string = x->escaped || c != '"';
		x->escaped = !x->escaped && c == '\\';
		return keep(x, c, e);
	}
	if (x->depth == 0) {
		if (x->ended || c != '[')
			return is_space(c) ? 0 : err_set(e, 0, "the engine's list is not a JSON array");
		x->depth = 1;
		return 0;
	}
	if (x->depth == 1 && c == ',')
		return give(x, e);
	if (x->depth == 1 && c == ']') {
		x->depth = 0;
		x->ended = 1;
		return give(x, e);
	}
	x->in_string = c == '"';
	x->depth += c == '{' || c == '[';
	x->depth -= c == '}' || c == ']';
	return keep(x, c, e);
}

int
elements_feed(struct elements *x, const uint8_t *bytes, size_t len, struct err *e)
{
	for (size_t i = 0; i < len; i++)
		if (take_byte(x, bytes[i], e) < 0)
			return -1;
	return 0;
}

void
elements_done(struct elements *x)
{
	buf_done(&x->one);
}
