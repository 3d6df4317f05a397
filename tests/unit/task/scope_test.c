#include "task/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/settings.h"
#include "tap.h"

#define DIND "docker-worker:feature:dind"

static const struct {
	const char *held, *needed;
	int good;
} pairs[] = {
	{ DIND, DIND, 1 },
	{ "*", DIND, 1 },
	{ "docker-worker:*", DIND, 1 },
	{ "docker-worker:feature:dind*", DIND, 1 },
	{ "docker-worker:feature:dind:*", DIND, 0 },
	{ "docker-worker:feature:din", DIND, 0 },
	{ "docker-worker:*:dind", DIND, 0 },
	{ "docker-worker:feature:dind*x", DIND, 0 },
	{ "docker-worker:feature:dind:pool/a", DIND, 0 },
	{ "Docker-worker:feature:dind", DIND, 0 },
	{ "assume:" DIND, DIND, 0 },
	{ "", DIND, 0 },
	{ DIND, DIND "*", 0 },
	{ DIND "**", DIND "*", 1 },
};

static const struct {
	const char *name, *scope, *pool, *scopes;
	int good;
} rows[] = {
	{ "nothing is asked for", "", "", NULL, 1 },
	{ "no scopes at all", DIND, "", NULL, 0 },
	{ "none of them", DIND, "", "[\"a\", \"b*\"]", 0 },
	{ "the last of them", DIND, "", "[\"a\", \"docker-worker:feature:*\"]", 1 },
	{ "for all pools", DIND, "proj/ci", "[\"" DIND "\"]", 1 },
	{ "for this pool", DIND, "proj/ci", "[\"" DIND ":proj/ci\"]", 1 },
	{ "for the pools of this project", DIND, "proj/ci", "[\"" DIND ":proj/*\"]", 1 },
	{ "for another pool", DIND, "proj/ci", "[\"" DIND ":proj/other\"]", 0 },
	{ "for a pool, but this host names none", DIND, "", "[\"" DIND ":proj/ci\"]", 0 },
	{ "something that is no string", DIND, "", "[3, null]", 0 },
};

static void
checked(size_t i)
{
	json_t *scopes = rows[i].scopes == NULL ? NULL : json_loads(rows[i].scopes, 0, NULL);
	struct settings s;
	struct err e = { 0 };

	settings_init(&s);
	free(s.task_scope);
	free(s.task_pool);
	s.task_scope = mem_str(rows[i].scope);
	s.task_pool = mem_str(rows[i].pool);
	is_int(scope_check(&s, scopes, &e), rows[i].good ? 0 : -1, rows[i].name);
	if (!rows[i].good)
		ok(e.status == 403 && strstr(e.text, DIND) != NULL, e.text);
	settings_done(&s);
	json_decref(scopes);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		is_int(scope_satisfies(pairs[i].held, pairs[i].needed), pairs[i].good, pairs[i].held);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		checked(i);
	return tap_end();
}
