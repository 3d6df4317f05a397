#include "proxy/elements.h"

#include <stdlib.h>

#include "base/err.h"
#include "tap.h"

struct seen {
	int count;
	char text[256];
};

static int
take(void *arg, json_t *element, struct err *e)
{
	struct seen *s = arg;
	char *dump = json_dumps(element, JSON_COMPACT | JSON_ENCODE_ANY);

	(void)e;
	s->count++;
	strncat(s->text, dump, sizeof s->text - strlen(s->text) - 2);
	strcat(s->text, "|");
	free(dump);
	return 0;
}

static const struct {
	const char *name, *input, *want; /* want NULL: an error */
	int ended;
} rows[] = {
	{ "an empty array", "[]", "", 1 }, { "an empty array with spaces", " [ \r\n ] \n", "", 1 },
	{ "one object", "[{\"a\":1}]", "{\"a\":1}|", 1 },
	{ "brackets and quotes in strings", "[{\"a\":\"]},\\\"[{\"},\"x\\\\\",[1,[2]]]",
	    "{\"a\":\"]},\\\"[{\"}|\"x\\\\\"|[1,[2]]|", 1 },
	{ "an array that is cut", "[{\"a\":1},{\"b\"", "{\"a\":1}|", 0 },
	{ "not an array", "{\"a\":1}", NULL, 0 }, { "something behind the array", "[1] 2", NULL, 0 },
	{ "an element that is not JSON", "[{a:1}]", NULL, 0 },
	{ "a hole", "[1,,2]", "1|2|", 1 }, /* the engine's business: nothing is lost */
};

static void
feed(size_t row, size_t step)
{
	struct seen s = { 0 };
	struct elements x = { .take = take, .arg = &s };
	struct err e = { 0 };
	const char *p = rows[row].input;
	size_t len = strlen(p);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < len; i += step)
		rc = elements_feed(&x, (const uint8_t *)p + i, len - i < step ? len - i : step, &e);
	if (rows[row].want == NULL)
		ok(rc < 0 && e.text[0] != '\0', rows[row].name);
	else
		ok(rc == 0 && x.ended == rows[row].ended && strcmp(s.text, rows[row].want) == 0,
		    rows[row].name);
	elements_done(&x);
}

static void
too_large(void)
{
	struct elements x = { .take = take, .arg = NULL };
	struct err e = { 0 };
	int rc = elements_feed(&x, (const uint8_t *)"[\"", 2, &e);

	for (int i = 0; rc == 0 && i <= ELEMENT_MAX; i++)
		rc = elements_feed(&x, (const uint8_t *)"x", 1, &e);
	ok(rc < 0, "an element above the cap ends the list");
	ok(x.one.cap <= 2 * ELEMENT_MAX, "and costs no more than twice the cap");
	elements_done(&x);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		feed(i, 1000);
		feed(i, 1);
	}
	too_large();
	return tap_end();
}
