#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "dockerfile_parts.h"

enum { ARGS_MAX = 256 }; /* before the first FROM: with values of DOCKERFILE_WORD_MAX a megabyte */

static const char image_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:@-";

static const char *
quote(const struct dockerfile_word *w, char out[80])
{
	return log_quote(w->s, w->len, out, 80);
}

int
dockerfile_at_line(const struct dockerfile_instruction *in, struct err *e)
{
	return err_wrap(e, "Dockerfile line %d", in->line->number);
}

/*
 * The value that FROM and the ARGs before it see: of declared names, and of those that the classic
 * builder of every engine declares itself.
 */
static const char *
arg_value(void *arg, const char *name)
{
	static const char *const builtin[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
		"FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy" };
	struct dockerfile_reader *r = arg;
	json_t *declared = json_object_get(r->args, name), *given = json_object_get(r->build_args, name);

	for (size_t i = 0; declared == NULL && i < sizeof(builtin) / sizeof(builtin[0]); i++)
		if (strcmp(name, builtin[i]) == 0)
			declared = given;
	if (declared == NULL)
		return NULL;
	return json_string_value(json_is_string(given) ? given : declared);
}

/* --- ARG --- */

static int
arg_name_is_plain(const struct dockerfile_word *name)
{
	size_t len = name->len, good = 0;

	while (good < len && strchr("'\"\\`$=", name->s[good]) == NULL && name->s[good] > ' ')
		good++;
	return len > 0 && len < 256 && good == len;
}

/* One word of ARG: into set, so that the words of one ARG do not see each other. */
static int
take_arg(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct dockerfile_word w,
    json_t *set, struct err *e)
{
	struct dockerfile_vars vars = { .value = arg_value, .arg = r };
	const char *equal = memchr(w.s, '=', w.len);
	struct dockerfile_word name = { w.s, equal != NULL ? (size_t)(equal - w.s) : w.len },
	                       value = { NULL, 0 };
	struct buf out = { 0 };
	char quoted[80];
	int rc = 0;

	if (!arg_name_is_plain(&name))
		return dockerfile_refuse(e, in->line->number, "ARG '%s' before FROM", quote(&name, quoted));
	if (equal != NULL) {
		value = (struct dockerfile_word){ equal + 1, w.len - name.len - 1 };
		rc = dockerfile_expand(&value, r->lines.escape, &vars, &out, e);
	}
	if (rc == 0)
		json_object_setn_new(
		    set, name.s, name.len, equal != NULL ? json_string(buf_text(&out)) : json_null());
	buf_done(&out);
	return rc < 0 ? dockerfile_at_line(in, e) : 0;
}

int
dockerfile_read_arg(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	struct dockerfile_word w;
	const char *s = in->args;
	json_t *set;
	int rc = 0;

	if (r->stage_count > 0)
		return 0; /* not seen by any FROM */
	set = json_object();
	while (rc == 0 && dockerfile_word_quoted(&s, in->end, r->lines.escape, &w))
		rc = take_arg(r, in, w, set, e);
	if (rc == 0)
		json_object_update(r->args, set);
	json_decref(set);
	if (rc == 0 && json_object_size(r->args) > ARGS_MAX)
		return dockerfile_refuse(e, in->line->number, "more than %d ARGs before FROM", ARGS_MAX);
	return rc;
}

/* --- images --- */

/* Puts mapped in the place of the word, which must stand in one piece in the file. */
static int
replace(struct dockerfile_reader *r, const struct dockerfile_instruction *in, const struct dockerfile_word *w,
    const char *mapped, struct err *e)
{
	size_t i = (size_t)(w->s - (const char *)buf_ptr(&in->line->text));
	size_t from = dockerfile_line_at(in->line, i), to = dockerfile_line_at(in->line, i + w->len - 1) + 1;

	if (to - from != w->len)
		return dockerfile_refuse(e, in->line->number, "the name of an image is broken over lines");
	if (mapped[strspn(mapped, image_characters)] != '\0' || *mapped == '\0')
		return err_refuse(e, 500, "dockerfile", "a mapped name is not one");
	buf_add(&r->out, r->lines.text + r->copied, from - r->copied);
	buf_adds(&r->out, mapped);
	r->copied = to;
	return 0;
}

static int
note_base(struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_base *base, struct err *e)
{
	struct dockerfile_facts *f = r->facts;

	for (size_t i = 0; i < f->base_count; i++)
		if (strcmp(f->bases[i].name.typed, base->name.typed) == 0 &&
		    strcmp(f->bases[i].name.mapped, base->name.mapped) == 0)
			return 0;
	if (f->base_count == DOCKERFILE_BASES_MAX)
		return dockerfile_refuse(e, in->line->number, "more than %d images", DOCKERFILE_BASES_MAX);
	f->bases[f->base_count++] = *base;
	return 0;
}

/* The word w stands for the image `name`: asks for what the engine shall read, and writes that. */
static int
use_image(struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_word *w, const char *name, struct err *e)
{
	struct dockerfile_base base = { .line = in->line->number };

	if (strlen(name) >= REFERENCE_MAX || w->len >= REFERENCE_MAX)
		return dockerfile_refuse(e, in->line->number, "the name of an image is too long");
	if (r->ask->resolve(r->ask->arg, name, base.name.mapped, &base.own, e) < 0)
		return dockerfile_at_line(in, e);
	if (r->onbuild) {
		/* kept in the image and read by another build: there it must mean the same as here */
		if (strcmp(base.name.mapped, name) == 0)
			return 0;
		return dockerfile_refuse(e, in->line->number,
		    "ONBUILD COPY --from may name stages and such base images only whose name is not changed "
		    "here");
	}
	memcpy(base.name.typed, w->s, w->len);
	base.name.typed[w->len] = '\0';
	if (replace(r, in, w, base.name.mapped, e) < 0)
		return -1;
	return note_base(r, in, &base, e);
}

/* --- FROM --- */

static int
stage_is(const struct dockerfile_reader *r, const char *name)
{
	char lower[256];
	size_t i;

	for (i = 0; name[i] != '\0' && i < sizeof(lower) - 1; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	lower[i] = '\0';
	return name[i] == '\0' && *lower != '\0' && json_object_get(r->stages, lower) != NULL;
}

/* The stage before this FROM is complete: its name counts from here on, and it may have been the target. */
static void
end_stage(struct dockerfile_reader *r)
{
	if (r->stage[0] == '\0')
		return;
	json_object_set_new(r->stages, r->stage, json_true());
	if (r->ask->target != NULL && strcasecmp(r->stage, r->ask->target) == 0)
		r->behind = 1;
}

static int
take_stage_name(struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_word *w, struct err *e)
{
	char quoted[80];

	if (w->len >= sizeof(r->stage))
		return dockerfile_refuse(e, in->line->number, "the name of a stage is too long");
	for (size_t i = 0; i < w->len; i++)
		r->stage[i] = w->s[i] >= 'A' && w->s[i] <= 'Z' ? (char)(w->s[i] | 0x20) : w->s[i];
	r->stage[w->len] = '\0';
	if (r->stage[0] < 'a' || r->stage[0] > 'z' ||
	    r->stage[strspn(r->stage, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] != '\0')
		return dockerfile_refuse(e, in->line->number,
		    "invalid name for build stage: '%s', name can't start with a number or contain symbols",
		    quote(w, quoted));
	if (stage_is(r, r->stage))
		return dockerfile_refuse(e, in->line->number, "%s stage name already used", r->stage);
	return 0;
}

static int
check_from(const struct dockerfile_instruction *in, struct err *e)
{
	for (const char *s = in->args; s < in->end; s++)
		if ((*s & 0x80) != 0 || strchr("'\"\\`", *s) != NULL)
			return dockerfile_refuse(
			    e, in->line->number, "FROM holds quotes, escapes or letters beyond ASCII");
	if (in->flag_count > 0 && in->flags[0].value.len > 0)
		return dockerfile_refuse(e, in->line->number,
		    "FROM --platform is not available here: leave it out, the host's platform is used");
	return 0;
}

static int
use_base(struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_word *w, struct err *e)
{
	struct dockerfile_vars vars = { .value = arg_value, .arg = r };
	struct buf name = { 0 };
	char quoted[80];
	int rc;

	rc = dockerfile_expand(w, r->lines.escape, &vars, &name, e);
	if (rc < 0)
		dockerfile_at_line(in, e);
	else if (buf_len(&name) == 0)
		rc = dockerfile_refuse(
		    e, in->line->number, "base name (%s) should not be blank", quote(w, quoted));
	else if (!stage_is(r, buf_text(&name)) && strcmp(buf_text(&name), "scratch") != 0)
		rc = use_image(r, in, w, buf_text(&name), e);
	else if (memchr(w->s, '$', w->len) != NULL)
		rc = replace(r, in, w, buf_text(&name), e); /* what was judged, not what may come out */
	buf_done(&name);
	return rc;
}

int
dockerfile_read_from(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	struct dockerfile_word w[4] = { { NULL, 0 } };
	const char *s = in->args;
	size_t n = 0;

	end_stage(r);
	r->stage[0] = '\0';
	while (n < 4 && dockerfile_word_blank(&s, in->end, &w[n]))
		n++;
	if (n != 1 && !(n == 3 && w[1].len == 2 && strncasecmp(w[1].s, "as", 2) == 0))
		return dockerfile_refuse(e, in->line->number, "FROM requires either one or three arguments");
	if (check_from(in, e) < 0)
		return -1;
	r->stage_count++;
	if (r->behind) { /* not built, but parsed */
		int rc = n == 3 ? take_stage_name(r, in, &w[2], e) : 0;

		r->stage[0] = '\0';
		return rc;
	}
	r->facts->stages++;
	/* the base is looked up first: a stage is not its own base */
	if (use_base(r, in, &w[0], e) < 0)
		return -1;
	return n == 3 ? take_stage_name(r, in, &w[2], e) : 0;
}

/* --- COPY --- */

static int
use_index(const struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_word *w, struct err *e)
{
	int index = 0;

	for (size_t i = 0; i < w->len && index < DOCKERFILE_LINES_MAX; i++)
		index = index * 10 + (w->s[i] - '0');
	if (r->onbuild || index < r->stage_count - 1)
		return 0;
	return dockerfile_refuse(e, in->line->number, "invalid from flag value %d: %s", index,
	    index == r->stage_count - 1 ? "refers to current build stage" : "index out of bounds");
}

int
dockerfile_read_copy(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	const struct dockerfile_word *from = NULL;
	char name[REFERENCE_MAX];

	for (size_t i = 0; i < in->flag_count; i++)
		if (in->flags[i].name.len == 4) /* "from", beside "chown" */
			from = &in->flags[i].value;
	if (from == NULL || from->len == 0 || r->behind)
		return 0;
	if (from->len >= sizeof(name))
		return dockerfile_refuse(e, in->line->number, "the value of --from is too long");
	memcpy(name, from->s, from->len);
	name[from->len] = '\0';
	if (stage_is(r, name))
		return 0;
	if (strspn(name, "0123456789") == from->len)
		return use_index(r, in, from, e);
	if (strchr(name, '$') != NULL)
		return dockerfile_refuse(e, in->line->number,
		    "COPY --from does not substitute variables: name a stage (FROM ${x} AS name) instead");
	if (strcmp(name, "scratch") == 0)
		return dockerfile_refuse(e, in->line->number, "COPY --from=scratch: 'scratch' is empty");
	return use_image(r, in, from, name, e);
}
