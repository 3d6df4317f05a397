#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"

/* The settings of a file beside the defaults. */
struct both {
	const char *file;
	struct settings given, defaults;
};

static const char *
file_of(const struct cli *c)
{
	if (c->count > 0)
		return c->words[0];
	return c->opt[OPT_CONFIG] != NULL ? c->opt[OPT_CONFIG] : CLI_CONFIG;
}

static int
load(struct both *b, const struct cli *c, struct err *e)
{
	b->file = file_of(c);
	settings_init(&b->defaults);
	return settings_load(&b->given, b->file, e);
}

static void
done(struct both *b)
{
	settings_done(&b->given);
	settings_done(&b->defaults);
}

static char *
value_of(const struct settings *s, const struct setting_row *row)
{
	struct buf b = { 0 };
	char *text;

	settings_print(s, row, &b);
	text = mem_str(buf_text(&b));
	buf_done(&b);
	return text;
}

/* Rows of key, value, default: all, or only those that the file changed. Returns how many it changed. */
static size_t
list(const struct both *b, int all, struct table *t, json_t *object)
{
	size_t count, changed = 0;
	const struct setting_row *rows = settings_rows(&count);

	for (size_t i = 0; i < count; i++) {
		char *value = value_of(&b->given, &rows[i]), *usual = value_of(&b->defaults, &rows[i]);
		int differs = strcmp(value, usual) != 0;
		const char *cells[] = { rows[i].key, value, differs ? usual : "" };

		changed += (size_t)differs;
		if (all || differs) {
			table_row(t, cells);
			json_object_set_new(object, rows[i].key, json_string(value));
		}
		free(value);
		free(usual);
	}
	return changed;
}

static void
report(const struct cli *c, const struct both *b, int all)
{
	static const char *const heads[] = { "KEY", "VALUE", "DEFAULT, WHERE IT DIFFERS" };
	struct table *t = table_new(heads, sizeof heads / sizeof heads[0]);
	json_t *object = json_object();
	size_t changed = list(b, all, t, object);

	if (c->opt[OPT_JSON] != NULL)
		text_json(c->out, object);
	else {
		if (!all) {
			text_put(c->out, b->file);
			fprintf(c->out, ": good, %zu setting%s from the defaults\n", changed,
			    changed == 1 ? " differs" : "s differ");
		}
		table_print(t, c->out);
	}
	json_decref(object);
	table_free(t);
}

int
verb_config_check(struct cli *c, struct err *e)
{
	struct both b;
	int rc = load(&b, c, e);

	if (rc == 0)
		report(c, &b, 0);
	done(&b);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}

int
verb_config_show(struct cli *c, struct err *e)
{
	struct both b;
	int named = c->count > 0 || c->opt[OPT_CONFIG] != NULL, rc = load(&b, c, e);

	if (rc < 0 && e->code == ENOENT && !named)
		rc = 0; /* a host that lives with the defaults */
	if (rc == 0)
		report(c, &b, 1);
	done(&b);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}
