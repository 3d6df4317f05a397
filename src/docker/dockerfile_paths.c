#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "dockerfile_parts.h"

/* ADD, which may fetch from the network, and WORKDIR. */

/* May the word, once expanded, be an address? begin is what stands before the first variable. */
static int
may_be_url(const char *begin, size_t len, int open)
{
	static const char *const schemes[] = { "http://", "https://", "git://", "ssh://", "git@" };
	size_t n;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		n = strlen(schemes[i]);
		if (len >= n ? strncasecmp(begin, schemes[i], n) == 0
		             : open && strncasecmp(begin, schemes[i], len) == 0)
			return 1;
	}
	return 0;
}

static int
check_source(struct dockerfile_reader *r, const struct dockerfile_instruction *in,
    const struct dockerfile_word *w, struct err *e)
{
	struct buf begin = { 0 };
	char quoted[80];
	int rc, url;

	for (size_t i = 0; i < w->len; i++)
		if ((unsigned char)w->s[i] < ' ' || (r->onbuild && (w->s[i] == '\\' || w->s[i] == '`')))
			return dockerfile_refuse(
			    e, in->line->number, "ADD with escapes or control characters");
	if (dockerfile_has_odd_space(w->s, w->len))
		return dockerfile_refuse(e, in->line->number, "ADD with white space other than blanks");
	rc = dockerfile_expand(w, r->lines.escape, NULL, &begin, e);
	url = rc >= 0 && may_be_url(buf_text(&begin), buf_len(&begin), rc > 0);
	buf_done(&begin);
	if (rc < 0)
		return dockerfile_at_line(in, e);
	if (!url)
		return 0;
	return err_refuse(e, 403, "add-url", "Dockerfile line %d: ADD '%s': %s", in->line->number,
	    log_quote(w->s, w->len, quoted, sizeof(quoted)),
	    rc > 0 ? "it could become an address: write ./ before it, or use COPY"
	           : "the engine may not fetch from the network here");
}

/* All words but the last one, the destination. */
static int
check_json_sources(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	struct dockerfile_word w;
	json_t *list = json_parse(in->args, (size_t)(in->end - in->args), e);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i + 1 < json_array_size(list); i++) {
		w.s = json_string_value(json_array_get(list, i));
		w.len = strlen(w.s);
		rc = check_source(r, in, &w, e);
	}
	json_decref(list);
	return rc;
}

int
dockerfile_read_add(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	struct dockerfile_word w, next;
	const char *s = in->args;
	int more;

	if (r->ask->add_urls || r->behind)
		return 0;
	if (dockerfile_is_json(in->args, in->end))
		return check_json_sources(r, in, e);
	if (in->args < in->end && *in->args == '[')
		return dockerfile_refuse(e, in->line->number,
		    "ADD [...] is no JSON array of strings: engines disagree about it (a pattern can begin "
		    "with "
		    "./)");
	more = dockerfile_word_blank(&s, in->end, &w);
	while (more && (more = dockerfile_word_blank(&s, in->end, &next)) != 0) {
		if (check_source(r, in, &w, e) < 0)
			return -1;
		w = next;
	}
	return 0;
}

/* Below /proc lie the doors that CVE-2024-21626 went through; in depth only, a RUN can go there too. */
int
dockerfile_read_workdir(struct dockerfile_reader *r, const struct dockerfile_instruction *in, struct err *e)
{
	struct dockerfile_word w = { in->args, (size_t)(in->end - in->args) };
	struct buf path = { 0 };
	const char *text, *s;
	int below;

	if (dockerfile_expand(&w, r->lines.escape, NULL, &path, e) < 0) {
		buf_done(&path);
		return dockerfile_at_line(in, e);
	}
	s = text = buf_text(&path);
	while (*s == '/' || (s > text && s[0] == '.' && s[1] == '/'))
		s++;
	below = s > text && strncmp(s, "proc", 4) == 0 && (s[4] == '\0' || s[4] == '/');
	buf_done(&path);
	if (below)
		return err_refuse(
		    e, 403, "workdir-proc", "Dockerfile line %d: WORKDIR below /proc", in->line->number);
	return 0;
}
