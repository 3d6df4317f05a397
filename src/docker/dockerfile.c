#include "docker/dockerfile.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "dockerfile_parts.h"

enum { TEXT = 0, STRICT = 1, HEREDOC = 2 }; /* STRICT: no white space beyond ASCII anywhere */

static const struct rule {
	const char *name;
	const char *flags[6];
	int how;
	int (*read)(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e);
} rules[] = {
	{ "ADD", { "chown" }, STRICT | HEREDOC, dockerfile_read_add },
	{ "ARG", { NULL }, STRICT, dockerfile_read_arg },
	{ "CMD", { NULL }, TEXT, NULL },
	{ "COPY", { "chown", "from" }, STRICT | HEREDOC, dockerfile_read_copy },
	{ "ENTRYPOINT", { NULL }, TEXT, NULL },
	{ "ENV", { NULL }, TEXT, NULL },
	{ "EXPOSE", { NULL }, TEXT, NULL },
	{ "FROM", { "platform" }, STRICT, dockerfile_read_from },
	{ "HEALTHCHECK", { "interval", "timeout", "start-period", "start-interval", "retries" }, TEXT, NULL },
	{ "LABEL", { NULL }, TEXT, NULL },
	{ "MAINTAINER", { NULL }, TEXT, NULL },
	{ "ONBUILD", { NULL }, STRICT, NULL },
	{ "RUN", { NULL }, HEREDOC, NULL },
	{ "SHELL", { NULL }, TEXT, NULL },
	{ "STOPSIGNAL", { NULL }, TEXT, NULL },
	{ "USER", { NULL }, TEXT, NULL },
	{ "VOLUME", { NULL }, TEXT, NULL },
	{ "WORKDIR", { NULL }, TEXT, dockerfile_read_workdir },
};

int
dockerfile_refuse(struct err *e, int line, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_refuse(e, 400, "dockerfile", "Dockerfile line %d: %s", line, text);
}

static int
word_is(const struct dockerfile_word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->s, text, w->len) == 0;
}

static int
word_is_caseless(const struct dockerfile_word *w, const char *text)
{
	return w->len == strlen(text) && strncasecmp(w->s, text, w->len) == 0;
}

static int
refuse_flag(const struct dockerfile_instruction *in, const struct dockerfile_word *name, struct err *e)
{
	static const char *const buildkit[] = { "mount", "network", "security", "device", "link", "chmod",
		"parents", "exclude", "checksum", "keep-git-dir", "unpack" };
	char quoted[60];

	for (size_t i = 0; i < sizeof(buildkit) / sizeof(buildkit[0]); i++)
		if (word_is(name, buildkit[i]))
			return dockerfile_refuse(e, in->line->number,
			    "the --%s option requires BuildKit, which is not available here", buildkit[i]);
	return dockerfile_refuse(
	    e, in->line->number, "Unknown flag: %s", log_quote(name->s, name->len, quoted, sizeof(quoted)));
}

/* "--name=value": quotes and backslashes in it would be taken off by the engine, so none may be there. */
static int
take_flag(struct dockerfile_instruction *in, const struct rule *rule, struct dockerfile_word w, struct err *e)
{
	struct dockerfile_flag *flag = &in->flags[in->flag_count];
	const char *equal = memchr(w.s, '=', w.len);
	size_t i;

	for (i = 0; i < w.len; i++)
		if ((w.s[i] & 0x80) != 0 || strchr("'\"\\`", w.s[i]) != NULL)
			return dockerfile_refuse(
			    e, in->line->number, "a flag holds quotes, escapes or letters beyond ASCII");
	flag->name =
	    (struct dockerfile_word){ w.s + 2, equal != NULL ? (size_t)(equal - w.s - 2) : w.len - 2 };
	for (i = 0; i < 6 && rule->flags[i] != NULL && !word_is(&flag->name, rule->flags[i]);)
		i++;
	if (i == 6 || rule->flags[i] == NULL)
		return refuse_flag(in, &flag->name, e);
	if (equal == NULL)
		return dockerfile_refuse(e, in->line->number, "Missing a value on flag: %s", rule->flags[i]);
	for (size_t k = 0; k < in->flag_count; k++)
		if (word_is(&in->flags[k].name, rule->flags[i]))
			return dockerfile_refuse(
			    e, in->line->number, "Duplicate flag specified: %s", rule->flags[i]);
	flag->value = (struct dockerfile_word){ equal + 1, w.len - flag->name.len - 3 };
	in->flag_count++;
	return 0;
}

static int
take_flags(struct dockerfile_instruction *in, const struct rule *rule, struct err *e)
{
	struct dockerfile_word w;
	const char *s = in->args;

	while (in->end - s >= 2 && s[0] == '-' && s[1] == '-') {
		dockerfile_word_blank(&s, in->end, &w);
		if (w.len == 2)
			return dockerfile_refuse(e, in->line->number, "'--' in place of a flag");
		if (take_flag(in, rule, w, e) < 0) /* different ones only, so there is always room */
			return -1;
		while (s < in->end && (*s == ' ' || *s == '\t'))
			s++;
	}
	in->args = s;
	return 0;
}

int
dockerfile_is_json(const char *s, const char *end)
{
	struct err e;
	json_t *list, *item;
	size_t i;
	int good;

	if (s == end || *s != '[' || (list = json_parse(s, (size_t)(end - s), &e)) == NULL)
		return 0;
	good = json_is_array(list);
	json_array_foreach(list, i, item) good = good && json_is_string(item);
	json_decref(list);
	return good;
}

static int
check_instruction(const struct rule *rule, const struct dockerfile_instruction *in, struct err *e)
{
	const struct buf *text = &in->line->text;
	const char *all = (const char *)buf_ptr(text);

	if ((rule->how & STRICT) != 0 && dockerfile_has_odd_space(all, buf_len(text)))
		return dockerfile_refuse(
		    e, in->line->number, "white space other than blanks and tabs in %s", rule->name);
	if ((rule->how & HEREDOC) != 0 && !dockerfile_is_json(in->args, in->end) &&
	    dockerfile_may_heredoc(all, buf_len(text)))
		return dockerfile_refuse(e, in->line->number,
		    "'<<' may begin a here-document, which engines read differently: write "
		    "the text with printf or COPY a file (a shift as $((1<<2)), without blanks)");
	return 0;
}

static int
read_onbuild(struct dockerfile_reader *r, const struct dockerfile_instruction *in, int inner, struct err *e)
{
	int rc;

	if (inner)
		return dockerfile_refuse(
		    e, in->line->number, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	r->onbuild++;
	rc = dockerfile_read_line(r, in->line, in->args, 1, e);
	r->onbuild--;
	return rc;
}

static const struct rule *
find_rule(const struct dockerfile_word *name)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (word_is_caseless(name, rules[i].name))
			return &rules[i];
	return NULL;
}

static int
refuse_place(const struct dockerfile_reader *r, const struct rule *rule, int inner, int line, struct err *e)
{
	int from = strcmp(rule->name, "FROM") == 0;

	if (inner && (from || strcmp(rule->name, "MAINTAINER") == 0))
		return dockerfile_refuse(e, line, "%s isn't allowed as an ONBUILD trigger", rule->name);
	if (!from && r->stage_count == 0 && strcmp(rule->name, "ARG") != 0)
		return dockerfile_refuse(
		    e, line, "no build stage in current context: %s before FROM", rule->name);
	return 0;
}

int
dockerfile_read_line(struct dockerfile_reader *r, const struct dockerfile_line *line, const char *begin,
    int inner, struct err *e)
{
	struct dockerfile_instruction in = { .line = line };
	const struct rule *rule;
	struct dockerfile_word name;
	char quoted[60];

	in.args = begin;
	in.end = (const char *)buf_ptr(&line->text) + buf_len(&line->text);
	while (in.end > in.args && (in.end[-1] == ' ' || in.end[-1] == '\t'))
		in.end--;
	dockerfile_word_blank(&in.args, in.end, &name);
	rule = find_rule(&name);
	if (rule == NULL)
		return err_refuse(e, 400, "dockerfile",
		    "dockerfile parse error line %d: unknown instruction: %s", line->number,
		    log_quote(name.s, name.len, quoted, sizeof(quoted)));
	while (in.args < in.end && (*in.args == ' ' || *in.args == '\t'))
		in.args++;
	if (refuse_place(r, rule, inner, line->number, e) < 0 || take_flags(&in, rule, e) < 0 ||
	    check_instruction(rule, &in, e) < 0)
		return -1;
	if (strcmp(rule->name, "ONBUILD") == 0)
		return read_onbuild(r, &in, inner, e);
	return rule->read != NULL ? rule->read(r, &in, e) : 0;
}

static int
reader_init(struct dockerfile_reader *r, const char *text, size_t len, struct err *e)
{
	const char *args = r->ask->build_args, *name;
	json_t *value;

	dockerfile_lines_init(&r->lines, text, len);
	r->args = json_object();
	r->stages = json_object();
	if (args == NULL || *args == '\0' || strcmp(args, "null") == 0)
		return 0;
	r->build_args = json_parse(args, strlen(args), e);
	if (!json_is_object(r->build_args))
		return err_refuse(e, 400, "dockerfile", "buildargs: a JSON object of strings is expected");
	json_object_foreach(r->build_args, name,
	    value) if (!json_is_string(value) && !json_is_null(value)) return err_refuse(e, 400, "dockerfile",
	    "buildargs: a JSON object of strings is expected");
	return 0;
}

static void
reader_done(struct dockerfile_reader *r)
{
	json_decref(r->build_args);
	json_decref(r->args);
	json_decref(r->stages);
	buf_done(&r->out);
}

static int
read_file(struct dockerfile_reader *r, struct err *e)
{
	struct dockerfile_line line = { .number = 0 };
	int rc, any = 0;

	while ((rc = dockerfile_lines_next(&r->lines, &line, e)) > 0) {
		any = 1;
		rc = dockerfile_read_line(r, &line, (const char *)buf_ptr(&line.text), 0, e);
		if (rc < 0)
			break;
		r->facts->steps += !r->behind;
	}
	buf_done(&line.text);
	buf_done(&line.at);
	if (rc == 0 && r->stage_count == 0)
		return err_refuse(e, 400, "dockerfile", "dockerfile parse error: %s",
		    any ? "no build stage in the file: FROM is missing" : "file with no instructions");
	return rc;
}

int
dockerfile_rewrite(const char *text, size_t len, const struct dockerfile_ask *ask, struct buf *out,
    struct dockerfile_facts *facts, struct err *e)
{
	struct dockerfile_reader r = { .ask = ask, .facts = facts };
	int rc = -1;

	if (len > DOCKERFILE_MAX)
		return err_refuse(
		    e, 400, "dockerfile", "the Dockerfile has more than %d bytes", DOCKERFILE_MAX);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return dockerfile_refuse(e, 1, "a byte order mark: save the file without it");
	if (reader_init(&r, text, len, e) == 0 && read_file(&r, e) == 0) {
		buf_add(&r.out, text + r.copied, len - r.copied);
		buf_move(&r.out, out, buf_len(&r.out));
		rc = 0;
	}
	reader_done(&r);
	return rc;
}

int
dockerfile_judge_trigger(const char *trigger, const struct dockerfile_ask *ask, struct err *e)
{
	struct dockerfile_facts *facts = NULL;
	struct dockerfile_reader r = {
		.ask = ask, .facts = facts, .onbuild = 1, .trigger = 1, .stage_count = 1
	};
	struct dockerfile_line line = { .number = 0 };
	int rc = -1;

	if (strpbrk(trigger, "\r\n") != NULL || strlen(trigger) > DOCKERFILE_MAX)
		return err_refuse(
		    e, 400, "dockerfile", "an ONBUILD trigger of a base image has several lines");
	if (reader_init(&r, trigger, strlen(trigger), e) == 0) {
		rc = dockerfile_lines_next(&r.lines, &line, e);
		if (rc > 0)
			rc = dockerfile_read_line(&r, &line, (const char *)buf_ptr(&line.text), 1, e);
		if (rc < 0)
			err_wrap(e, "ONBUILD trigger of a base image");
	}
	buf_done(&line.text);
	buf_done(&line.at);
	reader_done(&r);
	return rc;
}
