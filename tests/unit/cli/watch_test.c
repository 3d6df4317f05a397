#include "cli/watch.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

#define MIB "1048576"

static const struct {
	const char *list;
	int64_t elapsed, rate;
	size_t width;
	const char *line;
} rows[] = {
	{ "[{\"name\":\"a\",\"state\":\"declared\",\"bytes\":0}]", 0, 0, 0,
	    "[0:00] 0 of 1 done: declared  a" },
	{ "[{\"name\":\"a\",\"state\":\"exporting\",\"bytes\":" MIB "}]", 65, 0, 0,
	    "[1:05] 0 of 1 done: exporting 1.0 MiB  a" },
	{ "[{\"name\":\"a\",\"state\":\"uploading\",\"bytes\":" MIB ",\"total\":4194304}]", 1, 2097152, 0,
	    "[0:01] 0 of 1 done: uploading 25% of 4.0 MiB, 2.0 MiB/s  a" },
	{ "[{\"name\":\"a\",\"state\":\"done\"},{\"name\":\"b\",\"state\":\"failed\"}]", 1, 5, 0,
	    "[0:01] 1 of 2 done, 1 failed" },
	{ "[{\"name\":\"a\",\"state\":\"declared\"},{\"name\":\"b\",\"state\":\"exporting\"},{\"name\":\"c\","
	  "\"state\":\"uploading\"}]",
	    1, 0, 0, "[0:01] 0 of 3 done: uploading  c" },
	{ "[{\"name\":\"a\",\"state\":\"uploading\",\"bytes\":9,\"total\":4}]", 1, 0, 0,
	    "[0:01] 0 of 1 done: uploading <0.1 MiB  a" },
	{ "[{\"name\":\"\\u001b[2J\",\"state\":\"x\"}]", 1, 0, 0, "[0:01] 0 of 1 done: x  \\x1b[2J" },
	{ "[{\"name\":\"a-long-name\",\"state\":\"declared\"}]", 1, 0, 30, "[0:01] 0 of 1 done: declare..." },
	{ "[{}]", 1, 0, 0, "[0:01] 0 of 1 done: ?  ?" },
	{ "[3]", 1, 0, 0, "[0:01] 0 of 1 done: ?  ?" },
	{ "[]", 1, 0, 0, "[0:01] 0 of 0 done" },
};

static void
line(size_t i)
{
	json_t *list = json_loads(rows[i].list, 0, NULL);
	struct buf out = { 0 };

	watch_line(list, rows[i].elapsed, rows[i].rate, rows[i].width, &out);
	is_str(buf_text(&out), rows[i].line, rows[i].line);
	buf_done(&out);
	json_decref(list);
}

static void
tables(void)
{
	json_t *answer =
	    json_loads("{\"artifacts\":[{\"name\":\"public/a.tar\",\"state\":\"done\",\"size\":" MIB
	               ",\"sha256\":\"0123456789abcdef\",\"image\":\"app:1\",\"path\":\"/store/a\"},"
	               "{\"name\":\"b\",\"state\":\"failed\",\"image\":\"c\",\"error\":\"403\"}]}",
	        0, NULL);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct err e;

	watch_table(watch_list(answer), f);
	fclose(f);
	is_str(text,
	    "ARTIFACT      STATE      SIZE  SHA256        IMAGE\n"
	    "public/a.tar  done    1.0 MiB  0123456789ab  app:1\n"
	    "    at: /store/a\n"
	    "b             failed                         c\n"
	    "    error: 403\n",
	    "the table");
	free(text);
	ok(watch_result(watch_list(answer), &e) < 0, "one failed");
	is_str(e.text, "1 of 2 artifacts failed: b: 403", "and is named");
	json_array_remove(json_object_get(answer, "artifacts"), 1);
	ok(watch_result(watch_list(answer), &e) == 0, "all are done");
	json_decref(answer);
	ok(watch_list(NULL) == NULL, "no answer has no list");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		line(i);
	tables();
	return tap_end();
}
