#ifndef TABLES_H
#define TABLES_H

#include <stddef.h>

struct decision;
struct http_head;
struct target;

/* Which rows of the route and parameter tables have the cases shown? */
void tables_note(const struct http_head *head, const struct target *target, const struct decision *d);

enum { TABLES_TEXT = 256 };

/*
 * Check number `at`, from 0: 1 good, 0 not, -1 when there are no more. For every parameter that a request was
 * allowed with it, and that one was refused because of it; for every route that a request was decided as its
 * row says, and, if it is open, that one was refused.
 */
int tables_lint(size_t at, char text[TABLES_TEXT]);

#endif
