#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "control/api.h"
#include "control/metrics.h"
#include "policy/doc.h"
#include "policy/rule.h"

static const char *const types[] = {
	[SETTING_STRING] = "string",
	[SETTING_PATH] = "path",
	[SETTING_INT] = "integer",
	[SETTING_SIZE] = "size",
	[SETTING_SECONDS] = "time",
	[SETTING_BOOL] = "true, false",
	[SETTING_ENUM] = "one of",
	[SETTING_LIST] = "list of strings",
	[SETTING_NAME] = "name",
};

/* A table's cell cannot hold '|'. */
static void
put_cell(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		buf_printf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void
put_range(struct buf *out, const struct setting_row *row)
{
	if (row->max == INT64_MAX)
		buf_printf(out, "from %" PRId64, row->min);
	else
		buf_printf(out, "%" PRId64 " to %" PRId64, row->min, row->max);
}

static void
put_setting(struct buf *out, const struct setting_row *row)
{
	buf_printf(out, "| `%s` | %s", row->key, types[row->type]);
	if (row->type == SETTING_ENUM)
		buf_printf(out, " `%s`", row->words);
	buf_adds(out, " | ");
	if (row->fallback[0] != '\0')
		buf_printf(out, "`%s`", row->fallback);
	buf_adds(out, " | ");
	if (row->min < row->max)
		put_range(out, row);
	buf_printf(out, " | %s | ", row->when == SETTING_RELOAD ? "reload" : "restart");
	put_cell(out, row->help);
	buf_adds(out, " |\n");
}

static void
doc_settings(struct buf *out)
{
	size_t count;
	const struct setting_row *rows = settings_rows(&count);

	buf_adds(out, "| key | type | default | range | taken by | meaning |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < count; i++)
		put_setting(out, &rows[i]);
}

static const struct {
	const char *name;
	void (*print)(struct buf *out);
} docs[] = {
	{ "settings", doc_settings },
	{ "routes", policy_doc_routes },
	{ "params", policy_doc_params },
	{ "refusals", policy_doc_refusals },
	{ "rules", rule_doc },
	{ "metrics", metrics_doc },
	{ "commands", cli_doc },
	{ "api", api_doc },
	{ "man-commands", cli_man_commands },
	{ "man-settings", cli_man_settings },
	{ "completion-bash", cli_completion_bash },
	{ "completion-zsh", cli_completion_zsh },
};

void
cli_doc_parts(const char *between, struct buf *out)
{
	for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++)
		buf_printf(out, "%s%s", i > 0 ? between : "", docs[i].name);
}

int
verb_docs(struct cli *c, struct err *e)
{
	struct buf out = { 0 }, names = { 0 };

	for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++) {
		if (strcmp(c->words[0], docs[i].name) == 0) {
			docs[i].print(&out);
			fputs(buf_text(&out), c->out);
			buf_done(&out);
			buf_done(&names);
			return CLI_OK;
		}
	}
	cli_doc_parts(", ", &names);
	err_set(e, EINVAL, "there is no such part; there are %s", buf_text(&names));
	buf_done(&names);
	return CLI_USAGE;
}
