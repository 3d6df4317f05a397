#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>
#include <stdio.h>

struct buf;
struct err;

/*
 * dindctl: one table of verbs (src/cli/verbs.c) feeds the parser, --help, usage errors and
 * `dindctl docs commands`. It touches the control socket, and for `audit show`, `config` and `task` the files
 * that are named. What a person reads goes through cli/text.h: no byte of a task reaches the terminal raw.
 */

/* Exit statuses, and what a verb returns. Whatever is not CLI_OK has explained itself in the error. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

#define CLI_CONFIG "/etc/dind-proxy/config.json"
#define CLI_CONTROL "/run/dind-proxy/control.sock"

enum opt {
	OPT_CONTROL,
	OPT_CONFIG,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
	OPT_TASK,
	OPT_TASK_ID,
	OPT_RUN_ID,
	OPT_NAMESPACE,
	OPT_DOCKER_ARGS,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_FOR,
	OPT_PATH,
	OPT_HEADER,
	OPT_DECISION,
	OPT_RULE,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_KEY,
	OPT_HEAD,
	OPT_OUTPUT,
	OPT_FILE,
	OPT_LAST,
	OPT_POLICY,
	OPT_INTERVAL,
	OPT_DOCKERFILE,
	OPT_RECORD,
	OPT_PROVENANCE,
	OPT_COUNT
};

enum { CLI_HEADERS_MAX = 64, CLI_WORDS_MAX = 4096 };

struct opt_row {
	enum opt id;
	const char *name; /* "--task" */
	char letter;      /* of a short form, or 0 */
	const char *arg;  /* what it takes, NULL for a flag */
	int required;
	const char *help;
};

struct cli;

struct verb {
	const char *group; /* "task"; of a verb of one word: the word */
	const char *name;  /* "start", or NULL */
	const char *args;  /* "ID", "" */
	size_t min, max;   /* how many */
	const struct opt_row *opts;
	size_t opt_count;
	int (*run)(struct cli *c, struct err *e);
	const char *help; /* one line */
	const char *text; /* what else there is to know, "" */
};

/* A command line, parsed. Borrows argv. */
struct cli {
	FILE *in, *out, *err;
	const struct verb *verb; /* NULL: help about group, or about everything */
	const char *group;
	const char *opt[OPT_COUNT]; /* value, "" for a flag, NULL when not given */
	size_t header_count;
	const char *headers[CLI_HEADERS_MAX];
	size_t count;
	const char *words[CLI_WORDS_MAX];
};

const struct verb *cli_verbs(size_t *count);
const struct opt_row *cli_globals(size_t *count);

/* CLI_OK, or CLI_USAGE with e. Nothing is asked, nothing is printed. */
int cli_parse(struct cli *c, int argc, const char *const *argv, struct err *e);

/* Parses, carries out, and prints what went wrong. Returns the exit status. */
int cli_main(int argc, const char *const *argv, FILE *in, FILE *out, FILE *err);

/* Text of --help for what c names. */
void cli_help(const struct cli *c, struct buf *out);

/* All verbs as Markdown. */
void cli_doc(struct buf *out);

/* Parts of manual pages in roff: all verbs, all settings. */
void cli_man_commands(struct buf *out);
void cli_man_settings(struct buf *out);

/* The names of all parts of the manual, as verb_docs() takes them. */
void cli_doc_parts(const char *between, struct buf *out);

/* Files for the shells. */
void cli_completion_bash(struct buf *out);
void cli_completion_zsh(struct buf *out);

/* The value of an option as a number from min to max, or the fallback when it was not given. */
int cli_number(const struct cli *c, enum opt id, const char *name, long min, long max, long fallback,
    long *out, struct err *e);

/* "90", "90s", "10m", "2h", "3d" in seconds; -1 when it is none of these. */
long cli_seconds(const char *text);

#endif
