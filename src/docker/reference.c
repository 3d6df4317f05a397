#include "docker/reference.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char hex[] = "0123456789abcdef";
static const char tag_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

enum {
	NAME_MAX_LEN = 255, /* the engine's limit for domain and path together, without the tag */
	TAG_MAX_LEN = 128,
	HEX_LEN = 64,
};

static int
refuse(struct err *e, const char *text, const char *why)
{
	char quoted[160];

	return err_refuse(e, 400, "reference", "invalid reference format: '%s' %s",
	    log_quote(text, strnlen(text, REFERENCE_MAX), quoted, sizeof(quoted)), why);
}

/* The scanners return how many bytes at s belong to the thing, 0 when it is not there. */
static size_t
scan_separator(const char *s)
{
	if (*s == '.')
		return 1;
	if (*s == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

static size_t
scan_component(const char *s)
{
	size_t n = strspn(s, lower), sep, more;

	while (n > 0 && (sep = scan_separator(s + n)) > 0 && (more = strspn(s + n + sep, lower)) > 0)
		n += sep + more;
	return n;
}

static size_t
scan_path(const char *s)
{
	size_t n = scan_component(s), more;

	while (n > 0 && s[n] == '/' && (more = scan_component(s + n + 1)) > 0)
		n += 1 + more;
	return n;
}

static size_t
scan_label(const char *s)
{
	size_t n = strspn(s, lower), dashes, more;

	while (n > 0 && (dashes = strspn(s + n, "-")) > 0 && (more = strspn(s + n + dashes, lower)) > 0)
		n += dashes + more;
	return n;
}

static size_t
scan_domain(const char *s)
{
	size_t n = scan_label(s), more;

	while (n > 0 && s[n] == '.' && (more = scan_label(s + n + 1)) > 0)
		n += 1 + more;
	if (n > 0 && s[n] == ':' && (more = strspn(s + n + 1, "0123456789")) > 0)
		n += 1 + more;
	return n;
}

static size_t
scan_tag(const char *s)
{
	size_t n = *s != '.' && *s != '-' ? strspn(s, tag_characters) : 0;

	return n <= TAG_MAX_LEN ? n : 0;
}

static void
copy(char *out, const char *from, size_t len)
{
	memcpy(out, from, len);
	out[len] = '\0';
}

/*
 * The first component is a registry when it has a '.' or ':' or is "localhost"; else all
 * of it is a path at docker.io, under library/ when it has only one component.
 */
static const char *
split_domain(struct reference *r, const char *text)
{
	size_t first = strcspn(text, "/"), n;

	strcpy(r->domain, "docker.io");
	if (text[first] == '\0' || (memchr(text, '.', first) == NULL && memchr(text, ':', first) == NULL &&
	                               !(first == 9 && memcmp(text, "localhost", 9) == 0)))
		return text;
	n = scan_domain(text);
	if (n != first || n >= sizeof(r->domain))
		return NULL;
	copy(r->domain, text, n);
	if (strcmp(r->domain, "index.docker.io") == 0)
		strcpy(r->domain, "docker.io");
	return text + first + 1;
}

static int
parse_path(struct reference *r, const char **rest)
{
	const char *prefix = "", *s = *rest;
	size_t n = scan_path(s), before;

	if (strcmp(r->domain, "docker.io") == 0 && memchr(s, '/', n) == NULL && s[n] != '/')
		prefix = "library/";
	before = strlen(prefix);
	if (n == 0 || strlen(r->domain) + 1 + before + n > NAME_MAX_LEN)
		return -1;
	memcpy(r->path, prefix, before);
	copy(r->path + before, s, n);
	*rest = s + n;
	return 0;
}

int
reference_parse(struct reference *r, const char *text, struct err *e)
{
	const char *s;
	size_t n;

	memset(r, 0, sizeof(*r));
	if (strnlen(text, REFERENCE_MAX) >= REFERENCE_MAX)
		return refuse(e, text, "is too long");
	if (strspn(text, hex) == HEX_LEN && text[HEX_LEN] == '\0')
		return refuse(e, text, "is an image id, not a name");
	if (strcasestr(text, REFERENCE_REGISTRY) != NULL)
		return refuse(e, text, "names the reserved registry");
	s = split_domain(r, text);
	if (s == NULL)
		return refuse(e, text, "has no valid registry: lower-case host[:port] is expected");
	if (parse_path(r, &s) < 0)
		return refuse(
		    e, text, "has no valid name: lower-case [host/]name[:tag] of at most 255 is expected");
	if (*s == ':') {
		n = scan_tag(s + 1);
		if (n == 0)
			return refuse(e, text, "has no valid tag");
		copy(r->tag, s + 1, n);
		s += 1 + n;
	}
	if (*s == '@' && reference_is_id(s + 1)) {
		strcpy(r->digest, s + 1);
		s += strlen(s);
	}
	if (*s != '\0')
		return refuse(e, text, "is not of the form [host/]name[:tag][@sha256:digest]");
	return 0;
}

static void
print(char out[REFERENCE_MAX], const char *domain, const char *path, const char *tag, const char *digest)
{
	int n = snprintf(out, REFERENCE_MAX, "%s%s%s%s%s%s%s", domain, domain[0] != '\0' ? "/" : "", path,
	    tag[0] != '\0' ? ":" : "", tag, digest[0] != '\0' ? "@" : "", digest);

	assert(n > 0 && n < REFERENCE_MAX); /* what reference_parse() accepts is at most 455 long */
}

void
reference_canonical(const struct reference *r, char out[REFERENCE_MAX])
{
	int latest = r->tag[0] == '\0' && r->digest[0] == '\0';

	print(out, r->domain, r->path, latest ? "latest" : r->tag, r->digest);
}

void
reference_repository(const struct reference *r, char out[REFERENCE_MAX])
{
	print(out, r->domain, r->path, "", "");
}

void
reference_familiar(const struct reference *r, char out[REFERENCE_MAX])
{
	const char *domain = r->domain, *path = r->path;

	if (strcmp(domain, "docker.io") == 0) {
		domain = "";
		if (strncmp(path, "library/", 8) == 0 && strchr(path + 8, '/') == NULL)
			path += 8;
	}
	print(out, domain, path, r->tag, r->digest);
}

int
reference_looks_like_id(const char *text)
{
	size_t n;

	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	n = strspn(text, hex);
	return n >= 1 && n <= HEX_LEN && text[n] == '\0';
}

int
reference_is_id(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, hex) == HEX_LEN &&
	       text[7 + HEX_LEN] == '\0';
}

int
reference_is_ns(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz234567") == REFERENCE_NS_LEN &&
	       text[REFERENCE_NS_LEN] == '\0';
}

void
reference_chain(char chain[REFERENCE_ID_MAX], const char *diff_id)
{
	char text[2 * REFERENCE_ID_MAX], digest[HASH_HEX_MAX];

	(void)snprintf(text, sizeof text, "%s %s", chain, diff_id);
	hash_once(HASH_SHA256, text, strlen(text), digest);
	if (chain[0] == '\0')
		(void)snprintf(chain, REFERENCE_ID_MAX, "%s", diff_id);
	else
		(void)snprintf(chain, REFERENCE_ID_MAX, "sha256:%.64s", digest);
}
