#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"

enum { WIDTH = 78, COLUMN_MAX = 28 };

/* A word ends at a space, but "[--since TIME]" stays in one piece. */
static size_t
word_length(const char *text)
{
	size_t n = 0;

	for (int inside = 0; text[n] != '\0' && (text[n] != ' ' || inside); n++)
		inside += (text[n] == '[') - (text[n] == ']');
	return n;
}

/* Words from column `indent` on, broken at WIDTH; the first line goes on where the text stands now. */
static void
put_wrapped(struct buf *out, const char *text, size_t indent)
{
	size_t column = indent;

	while (*text != '\0') {
		size_t n = word_length(text);

		if (column > indent && column + 1 + n > WIDTH) {
			buf_printf(out, "\n%*s", (int)indent, "");
			column = indent;
		}
		if (column > indent) {
			buf_adds(out, " ");
			column++;
		}
		buf_add(out, text, n);
		column += n;
		text += n + (text[n] == ' ');
	}
	buf_adds(out, "\n");
}

static void
put_entry(struct buf *out, const char *left, size_t width, const char *right)
{
	buf_printf(out, "  %-*s  ", (int)width, left);
	put_wrapped(out, right, width + 4);
}

/* "dindctl task start", "dindctl policy explain". */
static void
put_name(struct buf *out, const struct verb *v)
{
	buf_printf(
	    out, "dindctl %s%s%s", v->group, v->name != NULL ? " " : "", v->name != NULL ? v->name : "");
}

static void
option_text(const struct opt_row *row, struct buf *out)
{
	if (row->letter != 0)
		buf_printf(out, "-%c, ", row->letter);
	buf_printf(out, "%s%s%s", row->name, row->arg != NULL ? " " : "", row->arg != NULL ? row->arg : "");
}

static void
put_options(struct buf *out, const char *title, const struct opt_row *rows, size_t count)
{
	struct buf left = { 0 };
	size_t width = 0;

	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		buf_clear(&left);
		option_text(&rows[i], &left);
		if (buf_len(&left) > width && buf_len(&left) <= COLUMN_MAX)
			width = buf_len(&left);
	}
	buf_printf(out, "\n%s\n", title);
	for (size_t i = 0; i < count; i++) {
		buf_clear(&left);
		option_text(&rows[i], &left);
		put_entry(out, buf_text(&left), width, rows[i].help);
	}
	buf_done(&left);
}

static void
put_globals(struct buf *out)
{
	size_t count;
	const struct opt_row *rows = cli_globals(&count);

	put_options(out, "Options of every command", rows, count);
}

static void
put_usage(struct buf *out, const struct verb *v)
{
	put_name(out, v);
	for (size_t i = 0; i < v->opt_count; i++)
		if (v->opts[i].required)
			buf_printf(out, " %s %s", v->opts[i].name, v->opts[i].arg);
	for (size_t i = 0; i < v->opt_count; i++)
		if (!v->opts[i].required)
			buf_printf(out, " [%s%s%s]", v->opts[i].name, v->opts[i].arg != NULL ? " " : "",
			    v->opts[i].arg != NULL ? v->opts[i].arg : "");
	if (v->args[0] != '\0')
		buf_printf(out, " %s", v->args);
}

static void
put_verb(struct buf *out, const struct verb *v)
{
	struct buf usage = { 0 };

	put_name(out, v);
	buf_printf(out, " - %s\n\nUsage: ", v->help);
	put_usage(&usage, v);
	put_wrapped(out, buf_text(&usage), strlen("Usage: "));
	buf_done(&usage);
	if (v->text[0] != '\0') {
		buf_adds(out, "\n");
		put_wrapped(out, v->text, 0);
	}
	put_options(out, "Options", v->opts, v->opt_count);
	put_globals(out);
}

/* The verbs of a group, or all. */
static void
put_list(struct buf *out, const char *group)
{
	struct buf left = { 0 };
	size_t count, width = 0;
	const struct verb *v = cli_verbs(&count);

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < count; i++) {
			if (group != NULL && strcmp(group, v[i].group) != 0)
				continue;
			buf_clear(&left);
			buf_printf(&left, "%s%s%s", v[i].group, v[i].name != NULL ? " " : "",
			    v[i].name != NULL ? v[i].name : "");
			if (pass == 0 && buf_len(&left) > width)
				width = buf_len(&left);
			else if (pass == 1)
				put_entry(out, buf_text(&left), width, v[i].help);
		}
	buf_done(&left);
}

void
cli_help(const struct cli *c, struct buf *out)
{
	if (c->verb != NULL) {
		put_verb(out, c->verb);
		return;
	}
	buf_printf(out,
	    "dindctl - ask dind-proxyd about tasks, artifacts, images and decisions\n\n"
	    "Usage: dindctl%s%s COMMAND [OPTIONS]\n\nCommands\n",
	    c->group != NULL ? " " : "", c->group != NULL ? c->group : "");
	put_list(out, c->group);
	put_globals(out);
	buf_adds(out,
	    "\n'dindctl COMMAND --help' says more about a command. Exit status: 0 done, 1 refused or\n"
	    "failed (standard error says why), 2 wrong usage.\n");
}

static void
doc_options(struct buf *out, const struct opt_row *rows, size_t count)
{
	buf_adds(out, "| option | |\n|---|---|\n");
	for (size_t i = 0; i < count; i++) {
		struct buf left = { 0 };

		option_text(&rows[i], &left);
		buf_adds(out, "| `");
		for (const char *p = buf_text(&left); *p != '\0'; p++)
			buf_printf(out, *p == '|' ? "\\%c" : "%c", *p);
		buf_printf(out, "` | %s%s |\n", rows[i].help, rows[i].required ? " (required)" : "");
		buf_done(&left);
	}
	buf_adds(out, "\n");
}

void
cli_doc(struct buf *out)
{
	size_t count, globals;
	const struct verb *v = cli_verbs(&count);
	const struct opt_row *rows = cli_globals(&globals);

	buf_adds(out, "Options of every command:\n\n");
	doc_options(out, rows, globals);
	for (size_t i = 0; i < count; i++) {
		buf_adds(out, "### ");
		put_name(out, &v[i]);
		buf_printf(out, "\n\n%s.\n\n```\n", v[i].help);
		put_usage(out, &v[i]);
		buf_adds(out, "\n```\n\n");
		if (v[i].opt_count > 0)
			doc_options(out, v[i].opts, v[i].opt_count);
		if (v[i].text[0] != '\0')
			buf_printf(out, "%s\n\n", v[i].text);
	}
}
