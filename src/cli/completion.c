/* Completion for shells, made of the table of verbs. */

#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"

/* How the shells complete what an option or a word stands for. */
static const struct kind {
	const char *arg;
	const char *bash, *zsh;
} kinds[] = {
	{ "FILE", "files", "_files" }, { "FILE|-", "files", "_files" }, { "[FILE]", "files", "_files" },
	{ "PATH", "files", "_files" }, { "ID", "ids", "_dindctl_ids" },
	{ "WORD", "words:deny allow answer", "(deny allow answer)" },
	{ "PART", NULL, NULL }, /* see cli_doc_parts() */
};

static const struct kind nothing = { "", "", " " };

/* A taskId on the command line is one that is known here only where it names an existing task. */
static const struct kind *
kind_of(const char *arg, enum opt id)
{
	if (id == OPT_TASK_ID)
		return &nothing;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (arg != NULL && strcmp(arg, kinds[i].arg) == 0)
			return &kinds[i];
	return &nothing;
}

/* "task start"; "reload" */
static void
put_name(struct buf *out, const struct verb *v)
{
	buf_printf(out, "%s%s%s", v->group, v->name != NULL ? " " : "", v->name != NULL ? v->name : "");
}

/* A test for each command of one word. */
static void
put_single(struct buf *out, const struct verb *verbs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (verbs[i].name == NULL)
			buf_printf(out, " || $verb == %s", verbs[i].group);
}

static int
first_of_group(const struct verb *verbs, size_t i)
{
	return i == 0 || strcmp(verbs[i].group, verbs[i - 1].group) != 0;
}

/* --- bash */

static void
bash_kind(struct buf *out, const struct kind *kind)
{
	buf_printf(out, " takes='%s", kind->bash != NULL ? kind->bash : "words:");
	if (kind->bash == NULL)
		cli_doc_parts(" ", out);
	buf_adds(out, "'");
}

static void
bash_options(struct buf *out, const struct opt_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%s", i > 0 ? " " : "", rows[i].name);
}

static void
bash_verb(struct buf *out, const struct verb *v)
{
	buf_adds(out, "\t'");
	put_name(out, v);
	buf_adds(out, "')");
	bash_kind(out, kind_of(v->args, OPT_COUNT));
	if (v->opt_count > 0) {
		buf_adds(out, " options+=' ");
		bash_options(out, v->opts, v->opt_count);
		buf_adds(out, "'");
	}
	buf_adds(out, " ;;\n");
}

/* v NULL: options of every command */
static void
bash_values(struct buf *out, const struct verb *v, const struct opt_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].arg == NULL)
			continue;
		buf_adds(out, "\t'");
		if (v != NULL)
			put_name(out, v);
		else
			buf_adds(out, "'*'");
		buf_printf(out, " %s') value=1", rows[i].name);
		bash_kind(out, kind_of(rows[i].arg, rows[i].id));
		buf_adds(out, " ;;\n");
	}
}

/* "task) takes='words:start list ...'" */
static void
bash_groups(struct buf *out, const struct verb *verbs, size_t count)
{
	buf_adds(out, "\t'') takes='words:");
	for (size_t i = 0; i < count; i++)
		if (first_of_group(verbs, i))
			buf_printf(out, "%s%s", i > 0 ? " " : "", verbs[i].group);
	buf_adds(out, "' ;;\n");
	for (size_t i = 0; i < count; i++) {
		if (verbs[i].name == NULL)
			continue;
		if (first_of_group(verbs, i))
			buf_printf(out, "\t%s) takes='words:", verbs[i].group);
		buf_adds(out, verbs[i].name);
		buf_adds(out, i + 1 == count || first_of_group(verbs, i + 1) ? "' ;;\n" : " ");
	}
}

static const char bash_head[] = "# bash completion for dindctl, made by: dindctl docs completion-bash\n\n"
                                "_dindctl()\n{\n"
                                "\tlocal i word verb='' options='' takes='' value=''\n"
                                "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n\n"
                                "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
                                "\t\tword=${COMP_WORDS[i]}\n"
                                "\t\tcase $word in\n"
                                "\t\t--control | --config) ((i++)) ;;\n"
                                "\t\t-*) ;;\n"
                                "\t\t*) verb+=${verb:+ }$word ;;\n"
                                "\t\tesac\n"
                                "\t\t[[ $verb == *' '*";

static const char bash_tail[] =
    "\tesac\n"
    "\tif [[ -z $value && $cur == -* ]]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n"
    "\tcase $takes in\n"
    "\tfiles) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "\tids) mapfile -t COMPREPLY < <(compgen -W \"$(dindctl task list 2>/dev/null | sed -n '2,$s/ .*//p')\" "
    "-- \"$cur\") ;;\n"
    "\twords:*) mapfile -t COMPREPLY < <(compgen -W \"${takes#words:}\" -- \"$cur\") ;;\n"
    "\tesac\n"
    "}\n"
    "complete -o filenames -F _dindctl dindctl\n";

void
cli_completion_bash(struct buf *out)
{
	size_t count, global_count;
	const struct verb *verbs = cli_verbs(&count);
	const struct opt_row *globals = cli_globals(&global_count);

	buf_adds(out, bash_head);
	put_single(out, verbs, count);
	buf_adds(out, " ]] && break\n\tdone\n\toptions='");
	bash_options(out, globals, global_count);
	buf_adds(out, "'\n\tcase $verb in\n");
	bash_groups(out, verbs, count);
	for (size_t i = 0; i < count; i++)
		bash_verb(out, &verbs[i]);
	buf_adds(out, "\tesac\n\tcase \"$verb $prev\" in\n");
	bash_values(out, NULL, globals, global_count);
	for (size_t i = 0; i < count; i++)
		bash_values(out, &verbs[i], verbs[i].opts, verbs[i].opt_count);
	buf_adds(out, bash_tail);
}

/* --- zsh */

/* Inside of '...' */
static void
zsh_text(struct buf *out, const char *text, const char *escaped)
{
	for (; *text != '\0'; text++)
		if (*text == '\'')
			buf_adds(out, "'\\''");
		else
			buf_printf(out, strchr(escaped, *text) != NULL ? "\\%c" : "%c", *text);
}

static void
zsh_kind(struct buf *out, const struct kind *kind)
{
	buf_adds(out, kind->zsh != NULL ? kind->zsh : "(");
	if (kind->zsh != NULL)
		return;
	cli_doc_parts(" ", out);
	buf_adds(out, ")");
}

static void
zsh_options(struct buf *out, const struct opt_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, " \\\n\t\t\t'%s%s[", rows[i].id == OPT_HEADER ? "*" : "", rows[i].name);
		zsh_text(out, rows[i].help, "[]\\");
		buf_adds(out, "]");
		if (rows[i].arg != NULL) {
			buf_adds(out, ":");
			zsh_text(out, rows[i].arg, ":\\");
			buf_adds(out, ":");
			zsh_kind(out, kind_of(rows[i].arg, rows[i].id));
		}
		buf_adds(out, "'");
	}
}

static void
zsh_verb(struct buf *out, const struct verb *v)
{
	buf_adds(out, "\t'");
	put_name(out, v);
	buf_adds(out, "') _arguments $globals");
	zsh_options(out, v->opts, v->opt_count);
	if (v->args[0] != '\0') {
		buf_printf(out, " \\\n\t\t\t'%s:%s:", v->max > 1 ? "*" : v->min == 0 ? ":" : "", v->args);
		zsh_kind(out, kind_of(v->args, OPT_COUNT));
		buf_adds(out, "'");
	}
	buf_adds(out, " ;;\n");
}

static void
zsh_word(struct buf *out, const char *word, const char *help)
{
	buf_printf(out, " \\\n\t\t\t'%s:", word);
	zsh_text(out, help, ":\\");
	buf_adds(out, "'");
}

static void
zsh_groups(struct buf *out, const struct verb *verbs, size_t count)
{
	buf_adds(out, "\t'')\n\t\tlist=(");
	for (size_t i = 0; i < count; i++)
		if (first_of_group(verbs, i))
			zsh_word(out, verbs[i].group, verbs[i].name == NULL ? verbs[i].help : "");
	buf_adds(out, ")\n\t\t_describe command list ;;\n");
	for (size_t i = 0; i < count; i++) {
		if (verbs[i].name == NULL)
			continue;
		if (first_of_group(verbs, i))
			buf_printf(out, "\t%s)\n\t\tlist=(", verbs[i].group);
		zsh_word(out, verbs[i].name, verbs[i].help);
		if (i + 1 == count || first_of_group(verbs, i + 1))
			buf_adds(out, ")\n\t\t_describe command list ;;\n");
	}
}

static const char zsh_head[] = "#compdef dindctl\n"
                               "# zsh completion for dindctl, made by: dindctl docs completion-zsh\n\n"
                               "_dindctl_ids()\n{\n"
                               "\tlocal -a ids\n"
                               "\tids=(${(f)\"$(dindctl task list 2>/dev/null | sed -n '2,$s/ .*//p')\"})\n"
                               "\tcompadd -a ids\n}\n\n"
                               "_dindctl()\n{\n"
                               "\tlocal -a globals list\n"
                               "\tlocal verb=''\n"
                               "\tglobals=(";

void
cli_completion_zsh(struct buf *out)
{
	size_t count, global_count;
	const struct verb *verbs = cli_verbs(&count);
	const struct opt_row *globals = cli_globals(&global_count);

	buf_adds(out, zsh_head);
	zsh_options(out, globals, global_count);
	buf_adds(out, ")\n\n"
	              "\t# the words of the command come first\n"
	              "\twhile ((CURRENT > 2)) && [[ $words[2] != -* ]]; do\n"
	              "\t\tverb+=${verb:+ }$words[2]\n"
	              "\t\tshift words\n"
	              "\t\t((CURRENT--))\n"
	              "\t\t[[ $verb == *' '*");
	put_single(out, verbs, count);
	buf_adds(out, " ]] && break\n\tdone\n\tcase $verb in\n");
	zsh_groups(out, verbs, count);
	for (size_t i = 0; i < count; i++)
		zsh_verb(out, &verbs[i]);
	buf_adds(out, "\tesac\n}\n\n_dindctl \"$@\"\n");
}
