#ifndef DOCKER_GLOB_H
#define DOCKER_GLOB_H

/*
 * Shell patterns as Go's path.Match reads them: '*' and '?' do not match '/', [a-z], [^a-z], '\' quotes.
 * Works in time of pattern times text: patterns come from tasks. Bytes, not characters.
 */
int glob_valid(const char *pattern);
int glob_match(const char *pattern, const char *text); /* 0 as well for what is not valid */

#endif
