#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/version.h"
#include "cli/text.h"

static const struct {
	char unit;
	long seconds;
} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };

long
cli_seconds(const char *text)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno != 0 || n > 100000000)
		return -1;
	if (*end == '\0')
		return n;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (end[0] == units[i].unit && end[1] == '\0')
			return n * units[i].seconds;
	return -1;
}

int
cli_number(const struct cli *c, enum opt id, const char *name, long min, long max, long fallback, long *out,
    struct err *e)
{
	const char *text = c->opt[id];
	char *end;

	*out = fallback;
	if (text == NULL)
		return 0;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || *out < min || *out > max)
		return err_set(e, EINVAL, "%s takes a number from %ld to %ld", name, min, max);
	return 0;
}

/* ---- parsing ---- */

struct scan {
	struct cli *c;
	int argc, at;
	const char *const *argv;
	int no_more; /* "--" was seen */
};

static const struct opt_row *
find_in(const struct opt_row *rows, size_t count, const char *name, size_t len, char letter)
{
	for (size_t i = 0; i < count; i++)
		if (letter != 0 ? rows[i].letter == letter
		                : strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

static const struct opt_row *
find_option(const struct cli *c, const char *name, size_t len, char letter)
{
	const struct opt_row *row = NULL, *globals;
	size_t count;

	globals = cli_globals(&count);
	if (c->verb != NULL)
		row = find_in(c->verb->opts, c->verb->opt_count, name, len, letter);
	return row != NULL ? row : find_in(globals, count, name, len, letter);
}

static int
set_option(struct cli *c, const struct opt_row *row, const char *value, struct err *e)
{
	if (row->id == OPT_HEADER) {
		if (c->header_count == CLI_HEADERS_MAX)
			return err_set(e, EINVAL, "more than %d headers", CLI_HEADERS_MAX);
		c->headers[c->header_count++] = value;
		return 0;
	}
	if (c->opt[row->id] != NULL && row->arg != NULL)
		return err_set(e, EINVAL, "%s is given twice", row->name);
	c->opt[row->id] = value;
	return 0;
}

/* "--name", "--name=value", "--name value", "-H value", "-Hvalue". */
static int
take_option(struct scan *s, struct err *e)
{
	const char *text = s->argv[s->at++], *value = NULL;
	int is_long = text[1] == '-';
	size_t len = is_long ? strcspn(text, "=") : 2;
	const struct opt_row *row = find_option(s->c, text, len, is_long ? 0 : text[1]);

	if (row == NULL)
		return err_set(e, EINVAL, "there is no option %.*s", (int)len, text);
	if (text[len] != '\0')
		value = text + len + is_long;
	if (row->arg == NULL && value != NULL)
		return err_set(e, EINVAL, "%s takes no value", row->name);
	if (row->arg != NULL && value == NULL) {
		if (s->at == s->argc)
			return err_set(e, EINVAL, "%s needs a value: %s", row->name, row->arg);
		value = s->argv[s->at++];
	}
	return set_option(s->c, row, value != NULL ? value : "", e);
}

static int
group_known(const char *word)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(v[i].group, word) == 0)
			return 1;
	return 0;
}

static const struct verb *
find_verb(const char *group, const char *name)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(v[i].group, group) == 0 &&
		    (v[i].name == NULL || (name != NULL && strcmp(v[i].name, name) == 0)))
			return &v[i];
	return NULL;
}

/* "start, list, show": what may stand behind a group, or the groups themselves. */
static void
choices(const char *group, struct buf *out)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	for (size_t i = 0; i < count; i++) {
		const char *word = group != NULL ? v[i].name : v[i].group;

		if (group != NULL ? strcmp(v[i].group, group) != 0
		                  : i > 0 && strcmp(v[i - 1].group, v[i].group) == 0)
			continue;
		buf_printf(out, "%s%s", buf_len(out) > 0 ? ", " : "", word);
	}
}

static int
unknown(const char *group, const char *word, struct err *e)
{
	struct buf list = { 0 };

	choices(group, &list);
	if (word == NULL)
		err_set(e, EINVAL, "needs a command: %s", buf_text(&list));
	else
		err_set(e, EINVAL, "there is no '%s%s%.40s'; there is: %s", group != NULL ? group : "",
		    group != NULL ? " " : "", word, buf_text(&list));
	buf_done(&list);
	return -1;
}

static int
take_word(struct cli *c, const char *word, struct err *e)
{
	if (c->group == NULL && strcmp(word, "help") == 0) {
		c->opt[OPT_HELP] = "";
		return 0;
	}
	if (c->group == NULL) {
		if (!group_known(word))
			return unknown(NULL, word, e);
		c->group = word;
		c->verb = find_verb(word, NULL);
		return 0;
	}
	if (c->verb == NULL) {
		c->verb = find_verb(c->group, word);
		return c->verb != NULL ? 0 : unknown(c->group, word, e);
	}
	if (c->count == c->verb->max || c->count == CLI_WORDS_MAX)
		return err_set(e, EINVAL, "'%.60s' is one word too many", word);
	c->words[c->count++] = word;
	return 0;
}

/* What must be there is there. */
static int
check(const struct cli *c, struct err *e)
{
	if (c->opt[OPT_HELP] != NULL || c->opt[OPT_VERSION] != NULL)
		return 0;
	if (c->group == NULL)
		return err_set(e, EINVAL, "what is to be done? 'dindctl --help' lists it");
	if (c->verb == NULL)
		return unknown(c->group, NULL, e);
	if (c->count < c->verb->min)
		return err_set(e, EINVAL, "needs %s", c->verb->args);
	for (size_t i = 0; i < c->verb->opt_count; i++)
		if (c->verb->opts[i].required && c->opt[c->verb->opts[i].id] == NULL)
			return err_set(e, EINVAL, "needs %s %s", c->verb->opts[i].name, c->verb->opts[i].arg);
	return 0;
}

int
cli_parse(struct cli *c, int argc, const char *const *argv, struct err *e)
{
	struct scan s = { .c = c, .argc = argc, .at = 1, .argv = argv };
	int rc = 0;

	while (rc == 0 && s.at < argc) {
		const char *word = argv[s.at];

		if (!s.no_more && strcmp(word, "--") == 0) {
			s.no_more = 1;
			s.at++;
		} else if (!s.no_more && word[0] == '-' && word[1] != '\0')
			rc = take_option(&s, e);
		else {
			rc = take_word(c, word, e);
			s.at++;
		}
	}
	if (rc == 0)
		rc = check(c, e);
	return rc < 0 ? CLI_USAGE : CLI_OK;
}

/* ---- carrying out ---- */

static int
complain(const struct cli *c, int rc, const struct err *e)
{
	struct buf text = { 0 };
	const char *group = c->group != NULL ? c->group : "";
	const char *name = c->verb != NULL && c->verb->name != NULL ? c->verb->name : "";

	text_safe(&text, e->text);
	fprintf(c->err, "dindctl%s%s%s%s: %s\n", *group ? " " : "", group, *name ? " " : "", name,
	    buf_text(&text));
	if (rc == CLI_USAGE && c->group != NULL)
		fprintf(c->err, "'dindctl%s%s%s%s --help' says more\n", *group ? " " : "", group,
		    *name ? " " : "", name);
	buf_done(&text);
	return rc;
}

static int
run(struct cli *c, struct err *e)
{
	struct buf text = { 0 };

	if (c->opt[OPT_VERSION] != NULL) {
		fputs("dindctl " DIND_VERSION "\n", c->out);
		return CLI_OK;
	}
	if (c->opt[OPT_HELP] == NULL)
		return c->verb->run(c, e);
	cli_help(c, &text);
	fputs(buf_text(&text), c->out);
	buf_done(&text);
	return CLI_OK;
}

int
cli_main(int argc, const char *const *argv, FILE *in, FILE *out, FILE *err)
{
	struct cli c = { .in = in, .out = out, .err = err };
	struct err e;
	int rc;

	err_clear(&e);
	rc = cli_parse(&c, argc, argv, &e);
	if (rc == CLI_OK)
		rc = run(&c, &e);
	if (rc == CLI_OK && (fflush(out) != 0 || ferror(out))) {
		err_set(&e, errno, "cannot write: %m");
		rc = CLI_FAILED;
	}
	fflush(out);
	return rc == CLI_OK ? CLI_OK : complain(&c, rc, &e);
}
