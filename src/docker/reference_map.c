#include "docker/reference.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

/* The private names: there, back, and back inside a text. */

enum {
	PREFIX_LEN = sizeof(REFERENCE_REGISTRY "/") - 1 + REFERENCE_NS_LEN + 1,
	NAME_MAX_LEN = 255, /* the engine's limit for a name without its tag */
};

int
reference_map(const struct reference *r, const char *ns, char out[REFERENCE_MAX], struct err *e)
{
	size_t host = strcspn(r->domain, ":");
	const char *port = r->domain[host] == ':' ? r->domain + host + 1 : NULL;
	int n;

	n = snprintf(out, REFERENCE_MAX, "%s/%s/%.*s%s%s/%s", REFERENCE_REGISTRY, ns, (int)host, r->domain,
	    port != NULL ? "__" : "", port != NULL ? port : "", r->path);
	if (n > NAME_MAX_LEN)
		return err_refuse(e, 400, "reference",
		    "the image name '%s/%s' is too long: at most %d characters are possible here", r->domain,
		    r->path, (int)(NAME_MAX_LEN - PREFIX_LEN - (port != NULL)));
	if (r->tag[0] != '\0')
		snprintf(out + n, REFERENCE_MAX - (size_t)n, ":%s", r->tag);
	return 0;
}

/* What stands behind "dind.invalid/<ns>/", NULL when text does not begin so. */
static const char *
below(const char *text, const char *ns)
{
	size_t n = sizeof(REFERENCE_REGISTRY) - 1;

	if (!reference_is_ns(ns) || strncmp(text, REFERENCE_REGISTRY "/", n + 1) != 0)
		return NULL;
	text += n + 1;
	if (strncmp(text, ns, REFERENCE_NS_LEN) != 0 || text[REFERENCE_NS_LEN] != '/')
		return NULL;
	return text + REFERENCE_NS_LEN + 1;
}

int
reference_unmap(struct reference *r, const char *engine_name, const char *ns)
{
	const char *rest = below(engine_name, ns), *port;
	char typed[REFERENCE_MAX], again[REFERENCE_MAX];
	struct err e;
	size_t first, n;

	if (rest == NULL || strnlen(rest, REFERENCE_MAX) >= REFERENCE_MAX)
		return -1;
	first = strcspn(rest, "/");
	port = memmem(rest, first, "__", 2);
	if (port != NULL)
		snprintf(typed, sizeof(typed), "%.*s:%s", (int)(port - rest), rest, port + 2);
	else
		snprintf(typed, sizeof(typed), "%s", rest);
	/* only what mapping would give is a mapped name: "foo/bar" and "docker.io/app" below ns are not */
	if (reference_parse(r, typed, &e) < 0 || reference_map(r, ns, again, &e) < 0)
		return -1;
	n = strlen(again);
	if (strncmp(engine_name, again, n) != 0 || (engine_name[n] != '\0' && engine_name[n] != '@'))
		return -1;
	return 0;
}

static size_t
run_length(const char *s, size_t len)
{
	static const char members[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:@-";
	size_t n = 0;

	while (n < len && s[n] != '\0' && strchr(members, s[n]) != NULL)
		n++;
	return n;
}

static const char *
find_typed(const char *name, const struct reference_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(pairs[i].mapped, name) == 0)
			return pairs[i].typed;
	return NULL;
}

/* The familiar form in place; NULL when it is no name of this namespace. */
static const char *
unmap_name(char name[REFERENCE_MAX], const char *ns)
{
	struct reference r;

	if (reference_unmap(&r, name, ns) < 0)
		return NULL;
	reference_familiar(&r, name);
	return name;
}

/*
 * One run of name characters that begins with the registry's name. A sentence may have put its
 * own punctuation behind the name ("app:1: not found"), so up to three such bytes are left off.
 */
static void
unmap_run(const char *run, size_t len, const char *ns, const struct reference_pair *pairs, size_t count,
    struct buf *out)
{
	size_t least = len;
	const char *found;
	char name[REFERENCE_MAX];

	while (least > 1 && len - least < 3 && strchr(".:/@-_", run[least - 1]) != NULL)
		least--;
	for (int by_pairs = 1; by_pairs >= 0; by_pairs--) {
		for (size_t n = len; n >= least && n < sizeof(name); n--) {
			memcpy(name, run, n);
			name[n] = '\0';
			found = by_pairs ? find_typed(name, pairs, count) : unmap_name(name, ns);
			if (found == NULL)
				continue;
			buf_adds(out, found);
			buf_add(out, run + n, len - n);
			return;
		}
	}
	buf_adds(out, "(hidden)");
}

void
reference_unmap_text(const char *text, size_t len, const char *ns, const struct reference_pair *pairs,
    size_t count, struct buf *out)
{
	const char *end = text + len, *at;
	size_t n;

	while (text < end && (at = memmem(text, (size_t)(end - text), REFERENCE_REGISTRY,
	                          sizeof(REFERENCE_REGISTRY) - 1)) != NULL) {
		buf_add(out, text, (size_t)(at - text));
		n = run_length(at, (size_t)(end - at));
		unmap_run(at, n, ns, pairs, count, out);
		text = at + n;
	}
	buf_add(out, text, (size_t)(end - text));
}
