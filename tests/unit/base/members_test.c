#include "base/members.h"

#include <stdint.h>

#include "tap.h"

static void
each_kind(void)
{
	struct buf b = { 0 };
	json_t *value = json_pack("{s:[i]}", "x", 1);

	members_text(&b, "t", "a\"b\\c");
	members_text(&b, "utf8", "\xc3\xa4\n");
	members_text(&b, "not", "\xff");
	members_text(&b, "none", NULL);
	members_quoted(&b, "q", "a\"\n", 3);
	members_quoted(&b, "gone", NULL, 0);
	members_number(&b, "n", 0);
	members_number(&b, "least", INT64_MIN);
	members_number(&b, "most", INT64_MAX);
	members_word(&b, "yes", "true");
	members_json(&b, "j", value);
	is_str(buf_text(&b),
	    "\"t\":\"a\\\"b\\\\c\",\"utf8\":\"\\u00E4\\n\",\"not\":\"\\\\xff\",\"none\":null,\"q\":"
	    "\"a\\\\x22\\\\x0a\","
	    "\"gone\":null,\"n\":0,\"least\":-9223372036854775808,\"most\":9223372036854775807,\"yes\":true,"
	    "\"j\":{\"x\":[1]}",
	    "every kind of member");
	json_decref(value);
	buf_done(&b);
}

static void
nested(void)
{
	struct buf b = { 0 };

	members_open(&b, "list", '[');
	members_close(&b, ']');
	members_open(&b, "names", '{');
	members_open(&b, "before", '[');
	members_text(&b, NULL, "a");
	members_text(&b, NULL, "b");
	members_close(&b, ']');
	members_number(&b, "n", 1);
	members_close(&b, '}');
	members_word(&b, "end", "true");
	is_str(buf_text(&b), "\"list\":[],\"names\":{\"before\":[\"a\",\"b\"],\"n\":1},\"end\":true",
	    "lists and objects inside");
	buf_done(&b);
}

/* A text that ends in a bracket is no open bracket. */
static void
commas(void)
{
	struct buf b = { 0 };

	members_text(&b, "a", "{");
	members_text(&b, "b", "[");
	is_str(buf_text(&b), "\"a\":\"{\",\"b\":\"[\"", "a comma behind every member");
	buf_done(&b);
}

int
main(void)
{
	each_kind();
	nested();
	commas();
	return tap_end();
}
