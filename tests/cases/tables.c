#include "tables.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/param.h"

enum { PARAMS_MAX = 256, ROUTES_MAX = 256 };

static int allowed[PARAMS_MAX], refused[PARAMS_MAX]; /* by row of the parameter table */
static int as_its_row[ROUTES_MAX], not_so[ROUTES_MAX];

static void
note_params(const struct http_head *head, const struct target *target, const struct decision *d)
{
	size_t count;
	const struct param_row *rows = param_rows(&count);
	int denied = d->verdict == VERDICT_DENY;

	assert(count <= PARAMS_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *key = rows[i].key;
		int there = rows[i].id == PARAM_REGISTRY_CONFIG
		                ? http_field(head, "x-registry-config") != NULL
		                : target_times(target, key) > 0;

		if (rows[i].route != d->route || !there)
			continue;
		allowed[i] += !denied;
		refused[i] += denied && strstr(d->reason, key) != NULL;
	}
}

void
tables_note(const struct http_head *head, const struct target *target, const struct decision *d)
{
	size_t count;
	char name[REFERENCE_MAX];
	const struct route_row *rows = route_rows(&count);
	const struct route_row *row = route_find(head->method, target->path, name, sizeof(name));

	assert(count <= ROUTES_MAX);
	note_params(head, target, d);
	if (row == NULL)
		return;
	if (row->verdict == d->verdict || d->verdict != VERDICT_DENY)
		as_its_row[row - rows]++;
	else
		not_so[row - rows]++;
}

static int
lint_param(const struct param_row *row, size_t i, char text[TABLES_TEXT])
{
	snprintf(text, TABLES_TEXT, "tables: '%s' of %s has a row that is allowed, and one that is refused",
	    row->key, route_by_id(row->route)->rule);
	return row->why[0] == '\0' || (allowed[i] > 0 && refused[i] > 0); /* no words: our own calls */
}

static int
lint_route(const struct route_row *row, size_t i, char text[TABLES_TEXT])
{
	snprintf(text, TABLES_TEXT, "tables: %s %s has its rows", row->rule, row->path);
	return as_its_row[i] > 0 && (row->verdict == VERDICT_DENY || not_so[i] > 0);
}

int
tables_lint(size_t at, char text[TABLES_TEXT])
{
	size_t params, routes;
	const struct param_row *param = param_rows(&params);
	const struct route_row *route = route_rows(&routes);

	if (at < params)
		return lint_param(&param[at], at, text);
	at -= params;
	return at < routes ? lint_route(&route[at], at, text) : -1;
}
