#include "policy/doc.h"

#include <string.h>

#include "base/buf.h"
#include "policy/param.h"
#include "policy/route.h"

static const char *
method_of(const struct route_row *row)
{
	return row->method == HTTP_NONE ? "any" : http_method_name(row->method);
}

void
policy_doc_routes(struct buf *out)
{
	static const char *const becomes[] = { [VERDICT_DENY] = "",
		[VERDICT_ALLOW] = "judged, rewritten, sent to the engine",
		[VERDICT_ANSWER] = "answered by the proxy" };
	size_t count;
	const struct route_row *rows = route_rows(&count);

	buf_adds(out, "| rule | request | clients | what happens |\n|---|---|---|---|\n");
	for (size_t i = 0; i < count; i++) {
		const struct route_row *r = &rows[i];

		if (r->verdict == VERDICT_DENY)
			continue;
		buf_printf(out, "| `%s` | `%s %s` | %s | %s", r->rule, method_of(r), r->path, r->client,
		    becomes[r->verdict]);
		if (r->verdict == VERDICT_ANSWER)
			buf_printf(out, ", %d: %s", r->status, r->reason);
		buf_adds(out, " |\n");
	}
}

static const char *
what_happens(const struct param_row *r)
{
	switch (r->action) {
	case ACTION_DENY:
		return "refused unless empty or the default";
	case ACTION_ALLOW:
		return "passed, printed anew";
	case ACTION_CAP:
		return "passed as far as the policy allows";
	case ACTION_FORCE:
		return "always the operator's";
	case ACTION_REWRITE:
		return "rewritten";
	case ACTION_IGNORE:
		return "read and dropped";
	case ACTION_LOCAL:
		return "done by the proxy";
	}
	return "";
}

void
policy_doc_params(struct buf *out)
{
	size_t count;
	const struct param_row *rows = param_rows(&count);

	buf_adds(out, "| route | parameter | API | what happens | rule | why |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < count; i++) {
		const struct param_row *r = &rows[i];

		if (r->why[0] == '\0') /* our own calls */
			continue;
		buf_printf(out, "| `%s` | `%s` | 1.%u | %s", route_by_id(r->route)->rule, r->key, r->since,
		    what_happens(r));
		if (r->forced != NULL)
			buf_printf(out, " (`%s`)", r->forced);
		buf_printf(out, " | `%s` | %s |\n", r->rule, r->why);
	}
}

void
policy_doc_refusals(struct buf *out)
{
	size_t count;
	const struct route_row *rows = route_rows(&count);

	buf_adds(out, "| rule | request | clients | what the client reads |\n|---|---|---|---|\n");
	for (size_t i = 0; i < count; i++)
		if (rows[i].verdict == VERDICT_DENY)
			buf_printf(out, "| `%s` | `%s %s` | %s | %s |\n", rows[i].rule, method_of(&rows[i]),
			    rows[i].path, rows[i].client, rows[i].reason);
	buf_adds(out, "| `default-deny` | everything else | | the request and what this socket is for |\n");
}
