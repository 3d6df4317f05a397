/* The tables agree with themselves, and all of them is in the documents. */

#include "policy/param.h"

#include "base/buf.h"
#include "policy/doc.h"
#include "policy/route.h"
#include "tap.h"

static void
rows(void)
{
	size_t count;
	const struct param_row *all = param_rows(&count);

	for (size_t i = 0; i < count; i++) {
		const struct param_row *r = &all[i];

		ok(route_by_id(r->route) != NULL && r->kind != 0 && r->rule != NULL && r->max > 0 &&
		        r->id < PARAM_COUNT,
		    r->key);
		ok(param_by_id(r->route, r->id) == r, "is found by its id");
		if (r->id != PARAM_REGISTRY_CONFIG)
			ok(param_by_key(r->route, r->key) == r, "and by its key");
	}
	ok(param_by_key(ROUTE_BUILD, "T") == NULL, "keys are case-sensitive");
	ok(param_by_key(ROUTE_BUILD, "name") == NULL && param_by_key(ROUTE_IMAGE_INSPECT, "name") == NULL,
	    "the name in the path is not a key");
	ok(param_by_key(ROUTE_BUILD, "X-Registry-Config") == NULL, "nor is a header");
	ok(param_by_key(ROUTE_IMAGE_TAG, "t") == NULL, "a key belongs to its route");
	ok(param_by_id(ROUTE_IMAGE_INSPECT, PARAM_NAME) != NULL, "every route knows the name in the path");
}

static int
has(struct buf *b, const char *text)
{
	return strstr(buf_text(b), text) != NULL;
}

static void
documents(void)
{
	size_t count;
	const struct param_row *params = param_rows(&count);
	const struct route_row *routes;
	struct buf open = { 0 }, closed = { 0 }, keys = { 0 };
	char text[300];

	policy_doc_routes(&open);
	policy_doc_refusals(&closed);
	policy_doc_params(&keys);
	for (size_t i = 0; i < count; i++) {
		snprintf(
		    text, sizeof(text), "| `%s` | `%s` |", route_by_id(params[i].route)->rule, params[i].key);
		ok(params[i].why[0] == '\0' || has(&keys, text), text);
	}
	routes = route_rows(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), " %s` |", routes[i].path);
		ok(has(routes[i].verdict == VERDICT_DENY ? &closed : &open, text), text);
	}
	ok(has(&closed, "default-deny"), "and the rule for everything else");
	ok(!has(&open, "sweep") && !has(&open, "base-inspect"), "our own calls are nobody's to make");
	buf_done(&open);
	buf_done(&closed);
	buf_done(&keys);
}

int
main(void)
{
	rows();
	documents();
	return tap_end();
}
