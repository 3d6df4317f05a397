/* Parts of the manual pages, made of the tables: roff with the man macros. */

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/settings.h"
#include "cli/cli.h"

/* As text of a line: nothing in it is a request or a macro. */
static void
put_text(struct buf *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_adds(out, "\\&");
	for (; *text != '\0'; text++)
		if (*text == '\\')
			buf_adds(out, "\\e");
		else
			buf_printf(out, *text == '-' ? "\\%c" : "%c", *text);
}

static void
put_line(struct buf *out, const char *before, const char *text, const char *after)
{
	buf_adds(out, before);
	put_text(out, text);
	buf_adds(out, after);
}

static void
put_option(struct buf *out, const struct opt_row *row)
{
	buf_adds(out, ".TP\n");
	if (row->letter != 0)
		buf_printf(out, "\\fB\\-%c\\fR, ", row->letter);
	put_line(out, "\\fB", row->name, "\\fR");
	if (row->arg != NULL)
		put_line(out, " \\fI", row->arg, "\\fR");
	buf_adds(out, "\n");
	put_text(out, row->help);
	buf_adds(out, row->required ? " (required)\n" : "\n");
}

static void
put_usage(struct buf *out, const struct verb *v)
{
	put_line(out, ".PP\n\\fBdindctl ", v->group, "");
	if (v->name != NULL)
		put_line(out, " ", v->name, "");
	buf_adds(out, "\\fR");
	for (size_t i = 0; i < v->opt_count; i++) {
		put_line(out, v->opts[i].required ? " \\fB" : " [\\fB", v->opts[i].name, "\\fR");
		if (v->opts[i].arg != NULL)
			put_line(out, " \\fI", v->opts[i].arg, "\\fR");
		buf_adds(out, v->opts[i].required ? "" : "]");
	}
	if (v->args[0] != '\0')
		put_line(out, " \\fI", v->args, "\\fR");
	buf_adds(out, "\n");
}

void
cli_man_commands(struct buf *out)
{
	size_t count, globals;
	const struct verb *v = cli_verbs(&count);
	const struct opt_row *rows = cli_globals(&globals);

	buf_adds(out, ".SS Options of every command\n");
	for (size_t i = 0; i < globals; i++)
		put_option(out, &rows[i]);
	for (size_t i = 0; i < count; i++) {
		put_line(out, ".SS ", v[i].group, "");
		put_line(out, v[i].name != NULL ? " " : "", v[i].name != NULL ? v[i].name : "", "\n");
		put_line(out, "", v[i].help, ".\n");
		put_usage(out, &v[i]);
		if (v[i].text[0] != '\0')
			put_line(out, ".PP\n", v[i].text, "\n");
		for (size_t k = 0; k < v[i].opt_count; k++)
			put_option(out, &v[i].opts[k]);
	}
}

void
cli_man_settings(struct buf *out)
{
	size_t count;
	const struct setting_row *row = settings_rows(&count);

	for (size_t i = 0; i < count; i++, row++) {
		struct buf takes = { 0 };

		put_line(out, ".TP\n\\fB", row->key, "\\fR\n");
		put_line(out, "", row->help, ".\n");
		settings_expected(row, &takes);
		put_line(out, "Takes ", buf_text(&takes), "; default: ");
		put_text(out, row->fallback[0] != '\0' ? row->fallback : "empty");
		buf_printf(out, ". A change is taken by a %s.\n",
		    row->when == SETTING_RELOAD ? "reload" : "restart");
		buf_done(&takes);
	}
}
