#include "task/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"

int
scope_satisfies(const char *held, const char *needed)
{
	size_t n = strlen(held);

	if (n > 0 && held[n - 1] == '*')
		return strncmp(held, needed, n - 1) == 0;
	return strcmp(held, needed) == 0;
}

static int
any_satisfies(const json_t *scopes, const char *needed)
{
	const json_t *v;
	size_t i;

	json_array_foreach(
	    scopes, i, v) if (json_is_string(v) && scope_satisfies(json_string_value(v), needed)) return 1;
	return 0;
}

int
scope_check(const struct settings *s, const json_t *scopes, struct err *e)
{
	char *pooled = s->task_pool[0] != '\0' ? mem_printf("%s:%s", s->task_scope, s->task_pool) : NULL;
	int rc = 0;

	if (s->task_scope[0] != '\0' && !any_satisfies(scopes, s->task_scope) &&
	    (pooled == NULL || !any_satisfies(scopes, pooled)))
		rc = err_refuse(e, 403, "task-scope",
		    "payload.features.dind needs the scope '%.200s'%s%.200s%s in task.scopes (roles must be "
		    "expanded)",
		    s->task_scope, pooled != NULL ? " or '" : "", pooled != NULL ? pooled : "",
		    pooled != NULL ? "'" : "");
	free(pooled);
	return rc;
}
