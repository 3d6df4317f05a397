#include "cli/text.h"

#include <stdlib.h>

#include "base/buf.h"
#include "tap.h"

static const struct {
	int64_t bytes;
	const char *text;
} sizes[] = { { 0, "0 MiB" }, { 1, "<0.1 MiB" }, { 104857, "<0.1 MiB" }, { 104858, "0.1 MiB" },
	{ 1048576, "1.0 MiB" }, { 279000000, "266.1 MiB" }, { 10737418239, "10240.0 MiB" },
	{ 10737418240, "10.0 GiB" } };

static const struct {
	int64_t seconds;
	const char *text;
} ages[] = { { -5, "0s" }, { 0, "0s" }, { 119, "119s" }, { 120, "2m" }, { 7199, "119m" }, { 7200, "2h" },
	{ 172799, "47h" }, { 172800, "2d" } };

static const struct {
	const char *raw, *safe;
} texts[] = { { "plain \"text\" \\ ~", "plain \"text\" \\ ~" }, { "\x1b[2J", "\\x1b[2J" },
	{ "a\nb\tc\r", "a\\x0ab\\x09c\\x0d" },
	{ "\xe2\x80\xae"
	  "evil",
	    "\\xe2\\x80\\xaeevil" },
	{ "\x7f", "\\x7f" } };

/* What print() writes to a file. Caller frees. */
static char *
written(void (*print)(FILE *f, void *arg), void *arg)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	print(f, arg);
	fclose(f);
	return text;
}

static void
print_table(FILE *f, void *arg)
{
	table_print(arg, f);
}

static void
print_show(FILE *f, void *arg)
{
	text_show(f, arg);
}

static void
tables(void)
{
	static const char *const heads[] = { "NAME", ">SIZE", "WHAT" };
	static const char *const a[] = { "short", "1", "x" }, *const b[] = { "a-longer\x1bname", "1000",
		NULL };
	struct table *t = table_new(heads, 3);
	char *text = written(print_table, t);

	is_str(text, "", "a table without rows is nothing");
	free(text);
	table_row(t, a);
	table_note(t, "why", "a\nb");
	table_row(t, b);
	text = written(print_table, t);
	is_str(text,
	    "NAME              SIZE  WHAT\n"
	    "short                1  x\n"
	    "    why: a\\x0ab\n"
	    "a-longer\\x1bname  1000\n",
	    "columns are aligned, cells are safe");
	free(text);
	table_free(t);
}

static void
shows(void)
{
	json_t *v = json_pack("{s:s,s:n,s:s,s:I,s:b,s:s,s:{s:i},s:[s,s],s:[],s:[{s:s,s:[s,s]}],s:{s:{s:s}}}",
	    "id", "x\x01y", "expires", "when", "not a time", "size", (json_int_t)1048576, "good", 1, "empty",
	    "", "now", "n", 2, "list", "p", "q", "none", "owned", "id", "1", "names", "a", "b", "artifacts",
	    "public/x", "image", "i:1");
	char *text = written(print_show, v);

	is_str(text,
	    "id       x\\x01y\n"
	    "expires  never\n"
	    "when     not a time\n"
	    "size     1.0 MiB\n"
	    "good     yes\n"
	    "now.n    2\n"
	    "list     p\n"
	    "         q\n"
	    "none     -\n"
	    "\nowned:\n"
	    "id  names\n"
	    "1   a, b\n"
	    "\nartifacts:\n"
	    "name      image\n"
	    "public/x  i:1\n",
	    "an answer for people");
	free(text);
	json_decref(v);
}

int
main(void)
{
	char out[TEXT_MAX];

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		is_str(text_size(sizes[i].bytes, out), sizes[i].text, sizes[i].text);
	for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++)
		is_str(text_age(ages[i].seconds, out), ages[i].text, ages[i].text);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buf b = { 0 };

		text_safe(&b, texts[i].raw);
		is_str(buf_text(&b), texts[i].safe, texts[i].safe);
		buf_done(&b);
	}
	tables();
	shows();
	return tap_end();
}
