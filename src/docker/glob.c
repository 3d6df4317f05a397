#include "glob.h"

#include <stddef.h>

/* One byte of a class, quoted or not; NULL at a premature end. */
static const char *
class_byte(const char *p, unsigned char *byte)
{
	if (*p == '\\')
		p++;
	else if (*p == '-' || *p == ']')
		return NULL;
	*byte = (unsigned char)*p;
	return *p == '\0' ? NULL : p + 1;
}

/* p stands behind '['. Returns what is behind ']', NULL when malformed; *hit says whether c is in it. */
static const char *
class_match(const char *p, unsigned char c, int *hit)
{
	int negated = *p == '^', in = 0, ranges = 0;

	p += negated;
	while (*p != ']' || ranges == 0) {
		unsigned char low, high;

		p = class_byte(p, &low);
		high = low;
		if (p != NULL && *p == '-')
			p = class_byte(p + 1, &high);
		if (p == NULL)
			return NULL;
		in |= low <= c && c <= high;
		ranges++;
	}
	*hit = in != negated && c != '/';
	return p + 1;
}

/* Matches one element (not a star) against c. Returns the pattern behind it, NULL when malformed. */
static const char *
element(const char *p, unsigned char c, int *hit)
{
	if (*p == '[')
		return class_match(p + 1, c, hit);
	if (*p == '?') {
		*hit = c != '/';
		return p + 1;
	}
	if (*p == '\\')
		p++;
	*hit = (unsigned char)*p == c;
	return *p == '\0' ? NULL : p + 1;
}

int
glob_valid(const char *p)
{
	int hit;

	while (p != NULL && *p != '\0')
		p = *p == '*' ? p + 1 : element(p, 0, &hit);
	return p != NULL;
}

/*
 * The last star takes as little as it can, and one byte more after each mismatch. Earlier stars need no
 * second try: none may pass a '/', so what follows one matches best where it matches first.
 */
int
glob_match(const char *p, const char *t)
{
	const char *star = NULL, *from = NULL, *next;
	int hit;

	if (!glob_valid(p))
		return 0;
	for (;;) {
		if (*p == '*') {
			star = ++p;
			from = t;
			continue;
		}
		if (*t == '\0' && *p == '\0')
			return 1;
		next = *p != '\0' && *t != '\0' ? element(p, (unsigned char)*t, &hit) : NULL;
		if (next != NULL && hit) {
			p = next;
			t++;
		} else if (star != NULL && *from != '\0' && *from != '/') {
			t = ++from;
			p = star;
		} else {
			return 0;
		}
	}
}
