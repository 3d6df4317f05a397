#ifndef DOCKER_DOCKERFILE_PARTS_H
#define DOCKER_DOCKERFILE_PARTS_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "docker/dockerfile.h"

struct err;

/*
 * What the Dockerfile reader is made of: logical lines (dockerfile_lines.c), words
 * (dockerfile_words.c), instructions (dockerfile_read.c,
 * dockerfile_paths.c) and the whole (dockerfile.c). The rules are those of
 * the parser and the shell lexer that engine 20.10 vendors, compared with the one of 28.5; where the two
 * differ, it is refused here.
 */

/* Every refusal of this module that is not the policy's: status 400, rule "dockerfile". Always -1. */
int dockerfile_refuse(struct err *e, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* One instruction as the engine joins it, and where its bytes come from. */
struct dockerfile_line {
	struct buf text;
	struct buf at; /* one uint32_t for every byte of text: its offset in the file */
	int number;    /* of its first line in the file */
};

struct dockerfile_lines {
	const char *text;
	size_t len;
	size_t pos;
	int number;     /* lines read */
	char escape;    /* '\\', or '`' after a directive */
	int directives; /* directives are still possible */
	unsigned seen;  /* bits of the directives met */
};

void dockerfile_lines_init(struct dockerfile_lines *l, const char *text, size_t len);

/* The next instruction: 1, 0 at the end, -1 refused. */
int dockerfile_lines_next(struct dockerfile_lines *l, struct dockerfile_line *line, struct err *e);

/* Offset in the file of byte i of the text. */
size_t dockerfile_line_at(const struct dockerfile_line *line, size_t i);

/* 1 when the text holds white space that only Go knows (U+00A0, U+3000, ...) or a U+FEFF. */
int dockerfile_has_odd_space(const char *s, size_t len);

struct dockerfile_word {
	const char *s;
	size_t len;
};

/* The next word of [*s, end) between blanks, no quotes; 0 when there is none. */
int dockerfile_word_blank(const char **s, const char *end, struct dockerfile_word *w);

/* The next word with quotes and escapes minded (and kept), as ARG is cut; 0 when there is none. */
int dockerfile_word_quoted(const char **s, const char *end, char escape, struct dockerfile_word *w);

enum { DOCKERFILE_WORD_MAX = 4096 }; /* of an expanded word: ARG values double quickly */

/*
 * Takes quotes and escapes off and puts values in, as the engine's shell lexer does:
 * 0, or -1 (e's text has no line yet). value() gives NULL for what is not set. Without value
 * it stops at the first '$' that would be expanded and returns 1.
 */
struct dockerfile_vars {
	const char *(*value)(void *arg, const char *name);
	void *arg;
};

int dockerfile_expand(const struct dockerfile_word *w, char escape, const struct dockerfile_vars *vars,
    struct buf *out, struct err *e);

/* 1 when an engine from 23 on may take a here-document out of this instruction's line. */
int dockerfile_may_heredoc(const char *s, size_t len);

/* What is known while the file is read (dockerfile.c owns it). */
struct dockerfile_reader {
	const struct dockerfile_ask *ask;
	struct dockerfile_facts *facts;
	struct dockerfile_lines lines;
	struct buf out;
	size_t copied;      /* bytes of the file that are in out */
	json_t *build_args; /* object or NULL */
	json_t *args;       /* of ARG before the first FROM: name to value or null */
	json_t *stages;     /* names of the stages that are complete */
	char stage[256];    /* name of the current one, "" when it has none */
	int onbuild;        /* the instruction runs in another build than this one */
	int trigger;        /* it comes out of a base image: its text cannot be changed */
	int stage_count;    /* FROMs read */
	int behind;         /* behind the target: nothing is executed any more */
};

enum { DOCKERFILE_FLAGS_MAX = 8 };

struct dockerfile_flag {
	struct dockerfile_word name, value;
};

/* One instruction cut into its parts, all inside line->text. */
struct dockerfile_instruction {
	const struct dockerfile_line *line;
	const char *args, *end; /* behind the flags, trimmed */
	size_t flag_count;
	struct dockerfile_flag flags[DOCKERFILE_FLAGS_MAX];
};

/* Cuts and judges the instruction at begin of line->text (dockerfile.c); inner: behind ONBUILD. */
int dockerfile_read_line(struct dockerfile_reader *r, const struct dockerfile_line *line, const char *begin,
    int inner, struct err *e);

/* Puts the line before an error that has none yet. Always -1. */
int dockerfile_at_line(const struct dockerfile_instruction *in, struct err *e);

/* The instructions that name images (dockerfile_read.c), addresses or paths (dockerfile_paths.c). */
int dockerfile_read_add(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);
int dockerfile_read_arg(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);
int dockerfile_read_copy(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);
int dockerfile_read_from(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);
int
dockerfile_read_workdir(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);

/* 1 when the arguments are one JSON array of strings for every engine. */
int dockerfile_is_json(const char *s, const char *end);

#endif
