/* Which row a request finds: the engine's router, last segment and method first. */

#include "policy/route.h"

#include "docker/reference.h"
#include "tap.h"

static const struct {
	enum http_method method;
	const char *path, *rule, *name;
} rows[] = {
	{ HTTP_GET, "/images/json", "image-list", "" },
	{ HTTP_GET, "/images/json/json", "image-inspect", "json" },
	{ HTTP_GET, "/images/get", "image-save", "" },
	{ HTTP_GET, "/images/get/get", "image-save", "get" },
	{ HTTP_GET, "/images/get/json", "image-inspect", "get" },
	{ HTTP_GET, "/images/x/get/json", "image-inspect", "x/get" },
	{ HTTP_GET, "/images/x/json/get", "image-save", "x/json" },
	{ HTTP_GET, "/images/a/b/c:1/history", "image-history", "a/b/c:1" },
	{ HTTP_GET, "/images/x/tag", NULL, "" },
	{ HTTP_POST, "/images/x/tag", "image-tag", "x" },
	{ HTTP_POST, "/images/create", "image-pull", "" },
	{ HTTP_POST, "/images/create/tag", "image-tag", "create" },
	{ HTTP_POST, "/images/a/push", "image-push", "a" },
	{ HTTP_DELETE, "/images/json", "image-remove", "json" },
	{ HTTP_DELETE, "/images/a/json", "image-remove", "a/json" },
	{ HTTP_DELETE, "/images/", NULL, "" },
	{ HTTP_DELETE, "/images", NULL, "" },
	{ HTTP_HEAD, "/_ping", "ping", "" },
	{ HTTP_POST, "/_ping", NULL, "" },
	{ HTTP_NONE, "/_ping", NULL, "" },
	{ HTTP_NONE, "/session", "buildkit", "" },
	{ HTTP_GET, "/sessions", NULL, "" },
	{ HTTP_GET, "/containers/json", "container-list", "" },
	{ HTTP_GET, "/containers/a/json", "container-inspect", "a" },
	{ HTTP_PUT, "/containers/a/archive", "container", "" },
	{ HTTP_GET, "/containers/", NULL, "" },
	{ HTTP_GET, "/build", NULL, "" },
	{ HTTP_POST, "/build", "build", "" },
	{ HTTP_POST, "/build/", NULL, "" },
	{ HTTP_GET, "/networks/x", "network-inspect", "x" },
	{ HTTP_GET, "", NULL, "" },
};

/* A row behind one that takes all of its requests would never be reached. */
static void
no_row_is_dead(void)
{
	size_t count;
	const struct route_row *all = route_rows(&count);

	for (size_t i = 0; i < count; i++) {
		char path[256], name[REFERENCE_MAX];
		const char *hole = strpbrk(all[i].path, "{*");
		int n = (int)(hole != NULL ? hole - all[i].path : (int)strlen(all[i].path));

		snprintf(path, sizeof(path), "%.*s%s%s", n, all[i].path, hole != NULL ? "some" : "",
		    hole != NULL && *hole == '{' ? strchr(hole, '}') + 1 : "");
		ok(route_find(all[i].method, path, name, sizeof(name)) == &all[i], path);
	}
}

int
main(void)
{
	char name[REFERENCE_MAX], tiny[4];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct route_row *r = route_find(rows[i].method, rows[i].path, name, sizeof(name));

		is_str(r != NULL ? r->rule : NULL, rows[i].rule, rows[i].path);
		is_str(name, rows[i].name, rows[i].path);
	}
	ok(route_find(HTTP_GET, "/images/abcd/json", tiny, sizeof(tiny)) != NULL && tiny[0] == '\0',
	    "a name that does not fit is empty, not cut");
	no_row_is_dead();
	is_str(route_by_id(ROUTE_PING)->path, "/_ping", "a route's own row");
	is_int(route_by_id(ROUTE_PING)->method, HTTP_GET, "the engine is asked with GET");
	is_str(route_by_id(ROUTE_IMAGE_SAVE)->path, "/images/get", "one spelling of a save");
	is_str(route_by_id(ROUTE_IMAGE_LOAD)->path, "/images/load", "routes of our own have rows");
	ok(route_by_id(ROUTE_DENY) == NULL, "and a refusal has none");
	return tap_end();
}
