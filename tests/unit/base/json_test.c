#include "base/json.h"

#include <errno.h>
#include <sys/stat.h>

#include "scratch.h"
#include "tap.h"

static const struct {
	const char *text;
	size_t len;
	int good;
} rows[] = {
	{ "{\"a\": [1, 2.5, true, null, \"\\u00e9\"]}", 37, 1 },
	{ "\"text\"", 6, 1 },
	{ " 7 ", 3, 1 },
	{ "", 0, 0 },
	{ "{", 1, 0 },
	{ "{} {}", 5, 0 },
	{ "{}x", 3, 0 },
	{ "{\"a\":1,\"a\":2}", 13, 0 },
	{ "{\"a\":1,\"\\u0061\":2}", 18, 0 },
	{ "{'a':1}", 7, 0 },
	{ "{\"a\":1,}", 8, 0 },
	{ "[\"\\u0000\"]", 10, 0 },
	{ "[\"\xff\"]", 5, 0 },
	{ "[\"\\ud800\"]", 10, 0 },
	{ "[01]", 4, 0 },
	{ "[99999999999999999999]", 22, 0 },
	{ "{}\0", 3, 0 },
};

static void
test_parse(void)
{
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *v = json_parse(rows[i].text, rows[i].len, &e);

		is_int(v != NULL, rows[i].good, rows[i].good ? "taken" : e.text);
		json_decref(v);
	}
	ok(json_parse("{\x1b[2J", 5, &e) == NULL && strchr(e.text, 0x1b) == NULL, "errors are printable");
	ok(json_parse("{\n \"a\" 1}", 9, &e) == NULL && strncmp(e.text, "line 2, column ", 15) == 0, e.text);
}

static void
test_deep(void)
{
	enum { DEEP = 100000 };
	char *text = malloc(DEEP);
	struct err e;

	memset(text, '[', DEEP);
	ok(json_parse(text, DEEP, &e) == NULL, "depth has an end");
	free(text);
}

static void
test_text(void)
{
	json_t *v = json_pack("{s:s, s:i, s:b}", "z", "\xc3\xa9\n", "a", 1, "m", 1);
	char *text = json_text(v, 1);

	is_str(text, "{\"z\":\"\\u00E9\\n\",\"a\":1,\"m\":true}", "compact, as inserted, ASCII");
	free(text);
	text = json_text(v, 0);
	is_str(text, "{\"z\":\"\xc3\xa9\\n\",\"a\":1,\"m\":true}", "or UTF-8");
	free(text);
	is_str(json_str(v, "z", "no"), "\xc3\xa9\n", "a string member");
	is_str(json_str(v, "a", "no"), "no", "is no string");
	is_str(json_str(NULL, "a", NULL), NULL, "of nothing");
	is_int(json_num(v, "a", -1), 1, "an integer member");
	is_int(json_num(v, "z", -1), -1, "is no integer");
	is_int(json_num(v, "missing", 9), 9, "is missing");
	json_decref(v);
}

static void
test_files(void)
{
	char *path = scratch_path("a.json"), *text;
	json_t *v = json_pack("{s:i}", "a", 1), *back;
	struct err e = { 0 };
	struct stat st = { 0 };

	is_int(json_write(path, v, 0600, &e), 0, "written");
	text = scratch_read("a.json");
	is_str(text, "{\"a\":1}\n", "with a newline");
	(void)stat(path, &st);
	is_int(st.st_mode & 0777, 0600, "and a mode");
	back = json_read(path, 100, &e);
	ok(json_equal(v, back), "read back");
	ok(json_read(path, 7, &e) == NULL && e.code == EFBIG, e.text);
	ok(json_read("/nonexistent", 7, &e) == NULL && e.code == ENOENT, e.text);
	scratch_write("a.json", "{");
	ok(json_read(path, 100, &e) == NULL && strstr(e.text, "a.json': line 1") != NULL, e.text);
	json_decref(v);
	json_decref(back);
	free(text);
	free(path);
}

int
main(void)
{
	scratch_make();
	test_parse();
	test_deep();
	test_text();
	test_files();
	scratch_remove();
	return tap_end();
}
