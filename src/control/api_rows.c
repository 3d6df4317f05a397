#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "control/api.h"

static const struct api_row rows[] = {
#define X(name, method, path, body, answers, help) { API_##name, HTTP_##method, path, body, answers, help },
	API(X)
#undef X
};

const struct api_row *
api_rows(size_t *count)
{
	*count = sizeof rows / sizeof rows[0];
	return rows;
}

/* Length of one path segment of an id: taskIds are URL-safe base64, our own ids are a part of that. */
static size_t
segment(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '-')
		n++;
	return n;
}

/* Length of the id at s: a segment, or a segment, '/' and a number. */
static size_t
id_length(const char *s)
{
	size_t n = segment(s), digits = 0;

	if (n == 0 || s[n] != '/')
		return n;
	while (s[n + 1 + digits] >= '0' && s[n + 1 + digits] <= '9')
		digits++;
	if (digits == 0 || (s[n + 1 + digits] != '\0' && strchr("/?", s[n + 1 + digits]) == NULL))
		return n;
	return n + 1 + digits;
}

static int
path_fits(const char *pattern, const char *path, size_t len, char id[API_ID_MAX])
{
	const char *hole = strstr(pattern, "{id}"), *tail;
	size_t n, before;

	id[0] = '\0';
	if (hole == NULL)
		return strlen(pattern) == len && memcmp(pattern, path, len) == 0;
	before = (size_t)(hole - pattern);
	tail = hole + strlen("{id}");
	if (len < before || memcmp(pattern, path, before) != 0)
		return 0;
	n = id_length(path + before);
	if (n == 0 || n >= API_ID_MAX || before + n > len || strlen(tail) != len - before - n ||
	    memcmp(tail, path + before + n, strlen(tail)) != 0)
		return 0;
	memcpy(id, path + before, n);
	id[n] = '\0';
	return 1;
}

/* No row has this path and method: says whether another method would do. */
static int
refuse(const char *path, size_t len, struct err *e)
{
	char quoted[200], methods[64] = "", id[API_ID_MAX];

	log_quote(path, len, quoted, sizeof quoted);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (path_fits(rows[i].path, path, len, id)) {
			strcat(methods, methods[0] ? ", " : "");
			strcat(methods, http_method_name(rows[i].method));
		}
	if (methods[0] != '\0')
		return err_refuse(
		    e, 405, "control-method", "'%s' takes %s, not the method that was sent", quoted, methods);
	if (strncmp(path, "/v1.", 4) == 0 || strncmp(path, "/_ping", 6) == 0)
		return err_refuse(e, 404, "control-path",
		    "'%s': this is the control API of dind-proxy, not a Docker engine; a task's Docker "
		    "socket is "
		    "named in the answer to POST /v1/tasks",
		    quoted);
	return err_refuse(e, 404, "control-path",
	    "the control API has no '%s'; its calls are POST /v1/tasks, GET /v1/tasks/ID and others, see "
	    "docs/control-api.md",
	    quoted);
}

int
api_find(enum http_method method, const char *target, struct api_call *call, struct err *e)
{
	size_t len = strcspn(target, "?");

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].method != method || !path_fits(rows[i].path, target, len, call->id))
			continue;
		if (target[len] == '?')
			return err_refuse(e, 400, "control-query",
			    "%s %s takes no query: everything is in path and body", http_method_name(method),
			    rows[i].path);
		call->row = &rows[i];
		return 0;
	}
	return refuse(target, len, e);
}

void
api_doc(struct buf *out)
{
	buf_adds(out, "| call | body | answers | does |\n|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		buf_printf(out, "| `%s %s` | %s | %s | %s |\n", http_method_name(rows[i].method),
		    rows[i].path, rows[i].body ? "JSON" : "none", rows[i].answers, rows[i].help);
}
