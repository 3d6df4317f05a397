#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "check.h"
#include "names.h"
#include "policy/call.h"
#include "policy/param.h"
#include "policy/policy.h"
#include "policy/route.h"
#include "policy/rule.h"
#include "show.h"
#include "value.h"

/*
 * The second line of defence, which the gate runs on what the front sent: nothing of decide()'s way to a
 * call is trusted, only the call itself is looked at.
 */
static int
refuse(struct err *e, const char *rule, const char *what, const char *value)
{
	return err_refuse(e, 403, rule, "call refused: %s '%s'", what, show(value).text);
}

/* A whole id, or a name in the caller's namespace. */
static int
is_own(const struct call *c, const char *value)
{
	return reference_is_id(value) || names_in(c->ns, value, 0);
}

/* A base image, spelled canonically, that a pattern allows. */
static int
is_base(const struct policy *p, const char *value)
{
	char canonical[REFERENCE_MAX];
	struct reference r;
	struct err e;

	if (reference_parse(&r, value, &e) < 0)
		return 0;
	reference_canonical(&r, canonical);
	if (strcmp(canonical, value) != 0)
		return 0;
	return base_allowed(p, &r) || base_observed(p, &r);
}

/* A repository of the namespace without its tag: what `docker save app` asks for. */
static int
is_repository(const struct call *c, const char *value)
{
	char name[REFERENCE_MAX];

	if (strlen(value) + sizeof(":latest") > sizeof(name) || names_tag(value) != NULL)
		return 0;
	strcpy(name, value);
	strcat(name, ":latest");
	return names_in(c->ns, name, 0);
}

static int
check_name(const struct call *c, const char *value, const struct policy *p)
{
	switch (c->route) {
	case ROUTE_BASE_INSPECT:
		return is_own(c, value) || is_base(p, value);
	case ROUTE_IMAGE_REMOVE: /* never by id: it would take the names of others */
		return names_in(c->ns, value, 0) || names_in(c->ns, value, 1);
	default:
		return is_own(c, value);
	}
}

/* repo and tag together are one name of the namespace, or the temporary name of the very image. */
static int
check_new(const struct call *c)
{
	const char *repo = call_get(c, PARAM_REPO), *tag = call_get(c, PARAM_TAG);
	const char *source = call_get(c, PARAM_NAME);
	char name[REFERENCE_MAX + 8], repository[REFERENCE_MAX], removed[REFERENCE_MAX];

	if (repo == NULL || tag == NULL || strlen(repo) + 1 + strlen(tag) >= REFERENCE_MAX ||
	    names_tag(repo) != NULL)
		return 0;
	strcpy(name, repo);
	strcat(name, ":");
	strcat(name, tag);
	if (names_in(c->ns, name, 0))
		return strcmp(c->ns, CALL_NS_IMAGE) != 0; /* those come from loads only */
	if (!reference_is_id(source) || !names_in(c->ns, name, 1))
		return 0;
	names_removed(c->ns, source, repository, removed);
	return strcmp(removed, name) == 0;
}

static int
check_cachefrom(const struct call *c, const char *value)
{
	struct err ignored;
	json_t *list = json_parse(value, strlen(value), &ignored), *v;
	int good = json_array_size(list) > 0; /* with an empty list the engine uses everybody's cache */
	size_t i;

	json_array_foreach(list, i, v)
	{
		good &= json_is_string(v) && is_own(c, json_string_value(v));
	}
	json_decref(list);
	return good;
}

/* The label of the task, and of no other. */
static int
check_labels(const struct call *c, const char *value, const struct policy *p)
{
	struct err ignored;
	json_t *map = json_parse(value, strlen(value), &ignored);
	int good = p->label[0] == '\0' || strcmp(json_str(map, p->label, ""), c->ns) == 0;

	json_decref(map);
	return good;
}

/* Values that hold names of images, or of the task. */
static int
check_names(const struct call *c, enum param param, const char *value, const struct policy *p)
{
	switch (param) {
	case PARAM_NAME:
		return check_name(c, value, p);
	case PARAM_NAMES:
		return is_own(c, value) || is_repository(c, value);
	case PARAM_T:
		return names_in(c->ns, value, 0);
	case PARAM_CACHEFROM:
		return check_cachefrom(c, value);
	case PARAM_LABELS:
		return check_labels(c, value, p);
	case PARAM_FROMIMAGE:
		return p->pull && is_base(p, value);
	case PARAM_REPO:
	case PARAM_TAG:
		return check_new(c);
	default:
		return 1;
	}
}

/* What leaves is what reading it again gives: no other spelling of a value gets past. */
static int
check_printed(const struct param_row *row, const char *value, struct err *e)
{
	struct buf again = { 0 };
	int rc = value_read(row, value, &again, e);

	/* a forced word may be the engine's default as well ("version=1"): it does not read to itself */
	if (rc == 0 && strcmp(buf_text(&again), value) != 0 &&
	    (row->forced == NULL || strcmp(row->forced, value) != 0))
		rc = refuse(e, row->rule, row->key, "not in its one spelling");
	buf_done(&again);
	return rc;
}

static int
is_sent(const struct param_row *row)
{
	return row->action == ACTION_ALLOW || row->action == ACTION_CAP || row->action == ACTION_FORCE ||
	       row->action == ACTION_REWRITE;
}

static int
check_one(const struct call *c, size_t at, const struct policy *p, struct err *e)
{
	enum param id = c->values[at].param;
	const char *value = c->text + c->values[at].off;
	const struct param_row *row = param_by_id(c->route, id);
	int path = strchr(route_by_id(c->route)->path, '{') != NULL;

	if (row == NULL || !is_sent(row) || (id == PARAM_NAME && !path))
		return refuse(e, "call-param", "a parameter that this route does not send", "");
	if (!row->repeat && call_get(c, id) != value)
		return refuse(e, "call-param", "given twice", row->key);
	if (value[0] == '\0' || (row->forced != NULL && strcmp(value, row->forced) != 0))
		return refuse(e, row->rule, row->key, value);
	if (check_printed(row, value, e) < 0 || (check_value(row, value, p, e) < 0 && !rule_observed(p, e)))
		return -1;
	return check_names(c, id, value, p) ? 0 : refuse(e, "call-name", row->key, value);
}

/* What must be there, for every route that sends it. */
static int
check_present(const struct call *c, const struct policy *p, struct err *e)
{
	int cached = call_get(c, PARAM_NOCACHE) != NULL ||
	             (p->cache == CACHE_PRIVATE && call_get(c, PARAM_CACHEFROM) != NULL);
	const struct {
		enum route route;
		enum param param;
		int there;
	} needs[] = {
		{ ROUTE_BUILD, PARAM_VERSION, 0 },
		{ ROUTE_BUILD, PARAM_RM, 0 },
		{ ROUTE_BUILD, PARAM_FORCERM, 0 },
		{ ROUTE_BUILD, PARAM_LABELS, p->label[0] == '\0' },
		{ ROUTE_BUILD, PARAM_NETWORKMODE, p->network[0] == '\0' },
		{ ROUTE_BUILD, PARAM_CGROUPPARENT, p->cgroup_parent[0] == '\0' },
		{ ROUTE_BUILD, PARAM_MEMORY, p->memory == 0 },
		{ ROUTE_BUILD, PARAM_CPUQUOTA, p->cpus == 0 },
		{ ROUTE_BUILD, PARAM_NOCACHE, p->cache == CACHE_SHARED || cached },
		{ ROUTE_IMAGE_INSPECT, PARAM_NAME, 0 },
		{ ROUTE_IMAGE_HISTORY, PARAM_NAME, 0 },
		{ ROUTE_IMAGE_REMOVE, PARAM_NAME, 0 },
		{ ROUTE_BASE_INSPECT, PARAM_NAME, 0 },
		{ ROUTE_BASE_PULL, PARAM_FROMIMAGE, 0 },
		{ ROUTE_IMAGE_TAG, PARAM_NAME, 0 },
		{ ROUTE_IMAGE_TAG, PARAM_REPO, 0 },
		{ ROUTE_IMAGE_TAG, PARAM_TAG, 0 },
		{ ROUTE_IMAGE_SAVE, PARAM_NAMES, 0 },
		{ ROUTE_IMAGE_LOAD, PARAM_QUIET, 0 },
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++)
		if (needs[i].route == c->route && !needs[i].there && call_get(c, needs[i].param) == NULL)
			return refuse(e, "call-param", "missing",
			    needs[i].param == PARAM_NAME ? "name"
			                                 : param_by_id(c->route, needs[i].param)->key);
	return 0;
}

/* Who may make a call of this route: a task, the keeper of loaded images, or the service itself. */
static int
check_ns(const struct call *c, struct err *e)
{
	enum route r = c->route;
	int open = r == ROUTE_PING || r == ROUTE_VERSION || r == ROUTE_IMAGE_LOAD || r == ROUTE_SWEEP_LIST ||
	           r == ROUTE_BASE_INSPECT;
	int kept = r == ROUTE_IMAGE_INSPECT || r == ROUTE_IMAGE_REMOVE;

	if (reference_is_ns(c->ns))
		return 0;
	if (strcmp(c->ns, CALL_NS_IMAGE) == 0 && (open || kept))
		return 0;
	if (c->ns[0] == '\0' && open)
		return 0;
	return refuse(e, "call-namespace", "this route is not for namespace", c->ns);
}

static int
check_api(const struct call *c, const struct policy *p, struct err *e)
{
	if (c->api == 0 && (c->route == ROUTE_PING || c->route == ROUTE_VERSION))
		return 0;
	if (c->api >= p->api_min && c->api <= p->api_max)
		return 0;
	return err_refuse(e, 403, "api-version", "call refused: API version 1.%u is not from 1.%u to 1.%u",
	    c->api, p->api_min, p->api_max);
}

int
call_check(const struct call *c, const struct policy *p, struct err *e)
{
	const struct route_row *row = route_by_id(c->route);

	if (row == NULL || row->verdict != VERDICT_ALLOW)
		return refuse(e, "default-deny", "this route does not reach the engine", "");
	if (check_ns(c, e) < 0 || check_api(c, p, e) < 0 || check_present(c, p, e) < 0)
		return -1;
	for (size_t i = 0; i < c->count; i++)
		if (check_one(c, i, p, e) < 0)
			return -1;
	if (c->route == ROUTE_BUILD && check_build(c, p, e) < 0 && !rule_observed(p, e))
		return -1;
	return 0;
}
