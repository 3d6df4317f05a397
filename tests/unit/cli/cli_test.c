#include "cli/cli.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

enum { ARGS_MAX = 16 };

/* Splits at '|', so that values may hold spaces. */
static int
split(char *text, const char **argv)
{
	int argc = 0;

	argv[argc++] = "dindctl";
	for (char *word = strtok(text, "|"); word != NULL; word = strtok(NULL, "|"))
		argv[argc++] = word;
	return argc;
}

static const struct {
	const char *line;
	int status;
	const char *holds; /* of the error */
} rows[] = {
	{ "task|list", CLI_OK, "" },
	{ "task|show|abc", CLI_OK, "" },
	{ "--json|task|list", CLI_OK, "" },
	{ "task|--json|list", CLI_OK, "" },
	{ "task|list|--control|/x", CLI_OK, "" },
	{ "task|list|--control=/x", CLI_OK, "" },
	{ "task|start|--task|-", CLI_OK, "" },
	{ "policy|explain|GET|/x|-H|A: b|-HC: d|--header=E: f", CLI_OK, "" },
	{ "policy|explain|--|GET|--json", CLI_OK, "" },
	{ "config|check", CLI_OK, "" },
	{ "config|check|file", CLI_OK, "" },
	{ "--help", CLI_OK, "" },
	{ "help", CLI_OK, "" },
	{ "help|task|show", CLI_OK, "" },
	{ "task|-h", CLI_OK, "" },
	{ "task|show|--help", CLI_OK, "" },
	{ "--version", CLI_OK, "" },
	{ "", CLI_USAGE, "what is to be done" },
	{ "tusk", CLI_USAGE,
	    "no 'tusk'; there is: task, artifact, image, policy, top, reload, audit, config, docs" },
	{ "task", CLI_USAGE,
	    "needs a command: start, list, show, report, credentials, finish, evidence, end" },
	{ "task|lust", CLI_USAGE, "no 'task lust'" },
	{ "task|show", CLI_USAGE, "needs ID" },
	{ "task|show|a|b", CLI_USAGE, "one word too many" },
	{ "task|list|x", CLI_USAGE, "one word too many" },
	{ "task|start", CLI_USAGE, "needs --task" },
	{ "image|load|--for|a/0|--task-id|b", CLI_USAGE, "needs --path" },
	{ "task|list|--jsn", CLI_USAGE, "no option --jsn" },
	{ "task|list|--rule|x", CLI_USAGE, "no option --rule" },
	{ "task|list|--json=1", CLI_USAGE, "takes no value" },
	{ "task|list|--control", CLI_USAGE, "needs a value: PATH" },
	{ "task|list|--control|a|--control|b", CLI_USAGE, "given twice" },
	{ "task|list|-x", CLI_USAGE, "no option -x" },
};

static void
parses(size_t i)
{
	const char *argv[ARGS_MAX];
	char *line = strdup(rows[i].line);
	int argc = split(line, argv);
	struct cli c = { 0 };
	struct err e;
	int rc;

	err_clear(&e);
	rc = cli_parse(&c, argc, argv, &e);
	if (!ok(rc == rows[i].status && strstr(e.text, rows[i].holds) != NULL, rows[i].line))
		printf("# %d: %s\n", rc, e.text);
	free(line);
}

static void
values(void)
{
	const char *argv[] = { "dindctl", "policy", "explain", "-H", "A: b", "--task=x", "GET", "-HC: d",
		"--", "--json", NULL };
	struct cli c = { 0 };
	struct err e;

	is_int(cli_parse(&c, 10, argv, &e), CLI_OK, "a line with everything");
	is_int(c.header_count, 2, "two headers");
	is_str(c.headers[0], "A: b", "the first");
	is_str(c.headers[1], "C: d", "the second");
	is_str(c.opt[OPT_TASK], "x", "an option with '='");
	ok(c.opt[OPT_JSON] == NULL, "behind -- nothing is an option");
	is_int(c.count, 2, "two words");
	is_str(c.words[1], "--json", "the second word");
}

static void
too_many_headers(void)
{
	const char *argv[3 + 2 * (CLI_HEADERS_MAX + 1)] = { "dindctl", "policy", "explain" };
	struct cli c = { 0 };
	struct err e;

	for (int i = 0; i <= CLI_HEADERS_MAX; i++) {
		argv[3 + 2 * i] = "-H";
		argv[4 + 2 * i] = "A: b";
	}
	is_int(cli_parse(&c, 3 + 2 * (CLI_HEADERS_MAX + 1), argv, &e), CLI_USAGE, "too many headers");
}

static const struct {
	const char *text;
	long seconds;
} times[] = { { "90", 90 }, { "90s", 90 }, { "10m", 600 }, { "2h", 7200 }, { "3d", 259200 }, { "0", 0 },
	{ "", -1 }, { "-1", -1 }, { "+1", -1 }, { " 1", -1 }, { "1 ", -1 }, { "1w", -1 }, { "1ms", -1 },
	{ "2026-09-11", -1 }, { "99999999999999999999", -1 }, { "999999999d", -1 } };

/* Everything that the table has, stands in help and manual. */
static void
texts(void)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);
	struct buf all = { 0 }, doc = { 0 };
	struct cli c = { 0 };

	cli_help(&c, &all);
	cli_doc(&doc);
	for (size_t i = 0; i < count; i++) {
		struct buf one = { 0 };
		char name[64];

		(void)snprintf(name, sizeof name, "%s%s%s", v[i].group, v[i].name ? " " : "",
		    v[i].name ? v[i].name : "");
		c.group = v[i].group;
		c.verb = &v[i];
		cli_help(&c, &one);
		ok(strstr(buf_text(&all), name) && strstr(buf_text(&doc), name), name);
		for (size_t n = 0; n < v[i].opt_count; n++)
			ok(strstr(buf_text(&one), v[i].opts[n].name) &&
			        strstr(buf_text(&doc), v[i].opts[n].name),
			    v[i].opts[n].name);
		for (const char *p = buf_text(&one), *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
			if (end - p > 100)
				ok(0, "a line of help fits into a terminal");
		buf_done(&one);
	}
	buf_done(&all);
	buf_done(&doc);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		parses(i);
	values();
	too_many_headers();
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		is_int(cli_seconds(times[i].text), times[i].seconds, times[i].text);
	texts();
	return tap_end();
}
