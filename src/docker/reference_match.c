#include "docker/reference.h"

#include <string.h>

/*
 * Does all of text match the pattern? One bit per position of text says "the pattern read so far
 * can end here", so no pattern costs more than its length times the length of the text.
 */
static int
glob(const char *pattern, size_t pattern_len, const char *text)
{
	size_t len = strlen(text);
	char at[REFERENCE_MAX + 1] = { 1 }, next[REFERENCE_MAX + 1];

	for (size_t p = 0; p < pattern_len; p++) {
		int star = pattern[p] == '*', deep = star && p + 1 < pattern_len && pattern[p + 1] == '*';

		memset(next, 0, len + 1);
		for (size_t i = 0; i <= len; i++) {
			if (star && (at[i] || (i > 0 && next[i - 1] && (deep || text[i - 1] != '/'))))
				next[i] = 1;
			else if (!star && i > 0 && at[i - 1] &&
			         (pattern[p] == text[i - 1] || (pattern[p] == '?' && text[i - 1] != '/')))
				next[i] = 1;
		}
		memcpy(at, next, len + 1);
		p += (size_t)deep;
	}
	return at[len];
}

int
reference_match(const struct reference *r, const char *pattern)
{
	size_t name = strcspn(pattern, "@"), digest = name, tag;
	char repository[REFERENCE_MAX];
	const char *slash = memrchr(pattern, '/', name), *colon;
	size_t last = slash != NULL ? (size_t)(slash - pattern) : 0;

	colon = memchr(pattern + last, ':', name - last); /* before the last '/' it is a registry's port */
	if (colon != NULL)
		name = (size_t)(colon - pattern);
	tag = digest - name;
	reference_repository(r, repository);
	if (!glob(pattern, name, repository))
		return 0;
	if (pattern[digest] == '@' &&
	    !(r->digest[0] != '\0' && glob(pattern + digest + 1, strlen(pattern + digest + 1), r->digest)))
		return 0;
	if (tag == 0)
		return 1;
	/* the engine takes "name:tag@digest" by its digest alone, so a tag proves nothing beside one */
	if (r->digest[0] != '\0' && pattern[digest] != '@')
		return 0;
	return glob(colon + 1, tag - 1, r->tag[0] != '\0' || r->digest[0] != '\0' ? r->tag : "latest");
}
