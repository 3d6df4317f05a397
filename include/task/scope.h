#ifndef TASK_SCOPE_H
#define TASK_SCOPE_H

#include <jansson.h>

struct err;
struct settings;

/*
 * Does a task hold the scope that the operator asks for (task.scope, or task.scope ":" task.pool)? By
 * Taskcluster's rule: a scope satisfies itself, and one that ends in '*' satisfies all that begin with what
 * stands before; a star anywhere else is an ordinary character. "assume:" scopes are roles, which only the
 * deployment can expand: the worker does that before (auth.expandScopes). Pure.
 */
int scope_satisfies(const char *held, const char *needed);

/* -1 with status 403, rule "task-scope"; 0 when the settings ask for none. scopes may be NULL: the task holds
 * none. */
int scope_check(const struct settings *s, const json_t *scopes, struct err *e);

#endif
