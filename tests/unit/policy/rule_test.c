#include "policy/rule.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "policy/param.h"
#include "policy/policy.h"
#include "policy/route.h"
#include "tap.h"

static void
rows_are_whole(void)
{
	size_t count;
	const struct rule_row *rows = rule_rows(&count);
	struct buf doc = { 0 };

	for (size_t i = 0; i < count; i++) {
		ok(rows[i].observe != 0 && rows[i].why[0] != '\0', rows[i].name);
		ok(rule_find(rows[i].name) == &rows[i], "it stands once");
	}
	rule_doc(&doc);
	ok(strstr(buf_text(&doc), "| `limit-names` | **yes** | yes |") != NULL, "the table as a document");
	buf_done(&doc);
}

static void
tables_are_covered(void)
{
	size_t count;
	const struct route_row *routes = route_rows(&count);
	const struct param_row *params;

	for (size_t i = 0; i < count; i++)
		ok(rule_find(routes[i].rule) != NULL, routes[i].rule);
	params = param_rows(&count);
	for (size_t i = 0; i < count; i++)
		if (params[i].why[0] != '\0')
			ok(rule_find(params[i].rule) != NULL, params[i].rule);
}

static void
observing(void)
{
	static const struct {
		int status;
		const char *rule;
		int observed;
	} rows[] = {
		{ 403, "limit-names", 1 },
		{ 429, "limit-builds", 1 },
		{ 400, "build-memory", 0 }, /* a value that is wrong */
		{ 403, "base-image", 0 },   /* in part: base_resolve() knows which */
		{ 403, "build-network", 0 },
		{ 404, "not-owned", 0 },
		{ 403, "no-such-rule", 0 },
		{ 403, NULL, 0 },
	};
	struct settings s;
	struct policy p;

	settings_init(&s);
	policy_init(&p, &s);
	settings_done(&s);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { .status = rows[i].status, .rule = rows[i].rule };

		p.mode = POLICY_ENFORCE;
		is_int(rule_observed(&p, &e), 0, "enforced");
		p.mode = POLICY_OBSERVE;
		is_int(
		    rule_observed(&p, &e), rows[i].observed, rows[i].rule != NULL ? rows[i].rule : "no rule");
	}
	policy_done(&p);
}

int
main(void)
{
	rows_are_whole();
	tables_are_covered();
	observing();
	return tap_end();
}
