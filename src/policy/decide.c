#include "policy/decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "check.h"
#include "judge.h"
#include "policy/rule.h"
#include "show.h"
#include "value.h"

/* What becomes of each route that is allowed. */
static const struct {
	int (*judge)(struct judge *j, struct err *e);
	enum answer_kind kind;
	enum body_use body;
} routes[ROUTE_COUNT] = {
	[ROUTE_PING] = { NULL, ANSWER_PING, BODY_REFUSED },
	[ROUTE_VERSION] = { NULL, ANSWER_VERSION, BODY_REFUSED },
	[ROUTE_BUILD] = { judge_build, ANSWER_OUTPUT, BODY_CONTEXT },
	[ROUTE_IMAGE_LIST] = { judge_list, ANSWER_LIST, BODY_REFUSED },
	[ROUTE_IMAGE_INSPECT] = { judge_named, ANSWER_INSPECT, BODY_REFUSED },
	[ROUTE_IMAGE_HISTORY] = { judge_named, ANSWER_HISTORY, BODY_REFUSED },
	[ROUTE_IMAGE_TAG] = { judge_tag, ANSWER_TAG, BODY_DROPPED },
	[ROUTE_IMAGE_REMOVE] = { judge_remove, ANSWER_REMOVE, BODY_REFUSED },
	[ROUTE_IMAGE_SAVE] = { judge_save, ANSWER_SAVE, BODY_REFUSED },
};

/* The version that is spoken. Older ones (12 to 23, skopeo's 22) get the oldest that all engines speak: what
 * is allowed here did not change there. */
static int
choose_api(const struct policy *p, unsigned asked, unsigned *api, struct err *e)
{
	unsigned want = asked != 0 ? asked : p->api_usual;

	if (asked > p->api_max)
		return err_refuse(e, 400, "api-version",
		    "client version 1.%u is too new. Maximum supported API version is 1.%u", asked,
		    p->api_max);
	if (want > p->api_max)
		want = p->api_max;
	*api = want < p->api_min ? p->api_min : want;
	return 0;
}

static int
is_form(const char *type)
{
	static const char urlencoded[] = "application/x-www-form-urlencoded";
	size_t n;

	type += strspn(type, " \t");
	n = strcspn(type, "; \t");
	return (n == sizeof(urlencoded) - 1 && strncasecmp(type, urlencoded, n) == 0) ||
	       strncasecmp(type, "multipart/", 10) == 0;
}

/* The engine reads parameters from such a body and prefers them to the query (threats.md, finding 1). */
static int
check_form(const struct judge *j, enum body_use use, struct err *e)
{
	const char *type = http_field(j->head, "content-type");
	int empty = j->head->framing != HTTP_BODY_CHUNKED && j->head->length == 0;

	if (type == NULL || !is_form(type) || (use == BODY_DROPPED && empty))
		return 0;
	return err_refuse(e, 400, "form-body", "Content-Type '%s': %s", show(type).text,
	    use == BODY_CONTEXT ? "the body of a build is a tar, application/x-tar"
	                        : "parameters stand in the query, not in a form");
}

static int
check_body(const struct judge *j, enum body_use use, struct err *e)
{
	const struct http_head *h = j->head;

	if (h->upgrade)
		return err_refuse(
		    e, 400, "upgrade", "Upgrade: this route is plain HTTP/1.1, nothing is upgraded here");
	if (use == BODY_REFUSED && (h->framing == HTTP_BODY_CHUNKED || h->length > 0))
		return err_refuse(e, 400, "body",
		    "a %s request has no body: Content-Length must be 0 or absent", h->method_name);
	return use == BODY_REFUSED ? 0 : check_form(j, use, e);
}

/* Every key has a row, and stands once unless its row says otherwise. */
static int
check_keys(const struct judge *j, struct err *e)
{
	for (size_t i = 0; i < j->target->count; i++) {
		const char *key = j->target->query[i].key;
		const struct param_row *row = param_by_key(j->d->route, key);

		if (row == NULL)
			return err_refuse(e, 400, "query-unknown",
			    "parameter '%s' is not known to this route, so it is refused", show(key).text);
		if (!row->repeat && target_times(j->target, key) > 1)
			return err_refuse(e, 400, "query-duplicate",
			    "%s: stands more than once, and which one counts is not clear", key);
	}
	return 0;
}

int
decision_let(struct decision *d, const struct policy *p, struct err *e)
{
	int known = 0;

	if (!rule_observed(p, e))
		return 0;
	for (size_t i = 0; !known && i < d->observed_count; i++)
		known = strcmp(d->observed[i].rule, e->rule) == 0;
	if (!known && d->observed_count < DECISION_OBSERVED_MAX) {
		struct observed *o = &d->observed[d->observed_count++];

		o->rule = e->rule;
		snprintf(o->reason, sizeof(o->reason), "%.*s", (int)sizeof(o->reason) - 1, e->text);
	}
	err_clear(e);
	return 1;
}

int
judge_let(struct judge *j, int rc, struct err *e)
{
	return rc == 0 || decision_let(j->d, j->policy, e) ? 0 : -1;
}

static int
judge_value(struct judge *j, const struct param_row *row, const char *value, struct err *e)
{
	if (value[0] == '\0')
		return 0;
	switch (row->action) {
	case ACTION_DENY:
		return check_refuse(row, e);
	case ACTION_ALLOW:
	case ACTION_CAP:
		if (judge_let(j, check_value(row, value, j->policy, e), e) < 0)
			return -1;
		return call_add(j->call, row->id, value, e);
	case ACTION_FORCE:
	case ACTION_REWRITE:
	case ACTION_LOCAL:
		if (j->value[row->id] == NULL)
			j->value[row->id] = mem_str(value);
		return 0;
	case ACTION_IGNORE:
		return 0;
	}
	return check_refuse(row, e);
}

static int
judge_row(struct judge *j, const struct param_row *row, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < j->target->count && rc == 0; i++) {
		struct buf value = { 0 };

		if (strcmp(j->target->query[i].key, row->key) != 0)
			continue;
		rc = value_read(row, j->target->query[i].value, &value, e);
		if (rc == 0)
			rc = judge_value(j, row, buf_text(&value), e);
		buf_done(&value);
	}
	return rc;
}

static int
judge_query(struct judge *j, struct err *e)
{
	size_t count;
	const struct param_row *rows = param_rows(&count);

	if (check_keys(j, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (rows[i].route == j->d->route && rows[i].id != PARAM_REGISTRY_CONFIG &&
		    judge_row(j, &rows[i], e) < 0)
			return -1;
	return 0;
}

/* A call has room for 96 KiB of text and mostly uses little: the room is lent to one decision after the
 * other. */
static struct call *spare;

/* What goes to the engine. */
static int
judge_call(struct judge *j, struct err *e)
{
	struct decision *d = j->d;

	if (check_body(j, routes[d->route].body, e) < 0 ||
	    choose_api(j->policy, j->target->api, &d->api, e) < 0)
		return -1;
	d->calls[0] = j->call = spare != NULL ? spare : mem_grow(NULL, 1, sizeof(*j->call));
	spare = NULL;
	d->call_count = 1;
	call_start(j->call, d->route, j->owned->ns, d->api);
	if (judge_query(j, e) < 0)
		return -1;
	return routes[d->route].judge != NULL ? routes[d->route].judge(j, e) : 0;
}

/* What is answered here: nothing is forwarded, so its query does not matter. */
static int
judge_answer(struct judge *j, const struct route_row *row, struct err *e)
{
	char *message = NULL;
	json_t *body;

	if (check_body(j, BODY_REFUSED, e) < 0 || choose_api(j->policy, j->target->api, &j->d->api, e) < 0)
		return -1;
	j->d->status = row->status;
	if (row->route == ROUTE_INFO) {
		j->d->answer = info_text(j->owned);
		return 0;
	}
	message = row->route == ROUTE_NETWORK_INSPECT
	              ? mem_printf("network %s not found", j->name)
	              : mem_printf("No such container: %s (there are none on this "
	                           "socket: it builds, tags and saves images)",
	                    j->name);
	body = json_pack("{s:s}", "message", message);
	j->d->answer = body != NULL ? json_text(body, 0) : NULL;
	json_decref(body);
	free(message);
	return 0;
}

/*
 * buildx takes a refused /grpc for an engine without BuildKit and pulls a builder of its own: the refusal of
 * this pull is the only one that its user reads (docker-api.md 0.6).
 */
static const struct route_row *
row_of_buildx(struct judge *j, const struct route_row *row)
{
	const char *image = target_get(j->target, "fromImage");

	if (strcmp(row->rule, "image-pull") != 0 || image == NULL || strstr(image, "moby/buildkit") == NULL)
		return row;
	return route_find(HTTP_POST, "/grpc", j->name, sizeof(j->name));
}

static int
judge_row_of_route(struct judge *j, const struct route_row *row, struct err *e)
{
	struct decision *d = j->d;

	if (row == NULL)
		return err_refuse(e, 403, "default-deny",
		    "%s %s is not available on this socket: it builds, tags, saves, lists and removes the "
		    "task's "
		    "own images",
		    show(j->head->method_name).text, show(j->target->path).text);
	row = row_of_buildx(j, row);
	d->rule = row->rule;
	d->route = row->route;
	if (row->verdict == VERDICT_DENY)
		return err_refuse(e, row->status, row->rule, "%s", row->reason);
	if (strchr(row->path, '{') != NULL && j->name[0] == '\0')
		return err_refuse(e, 400, "reference", "the image name in the path is too long");
	d->kind = routes[d->route].kind;
	if (row->verdict == VERDICT_ANSWER ? judge_answer(j, row, e) : judge_call(j, e))
		return -1;
	d->body = routes[d->route].body;
	if (d->verdict == VERDICT_DENY) /* a removal may have decided to answer */
		d->verdict = row->verdict;
	return 0;
}

/* Registry credentials and build-args. */
static void
drop_calls(struct decision *d)
{
	for (size_t i = 0; i < d->call_count; i++) {
		mem_wipe(d->calls[i]->text, d->calls[i]->text_len);
		free(d->calls[i]);
		d->calls[i] = NULL;
	}
	d->call_count = 0;
	if (d->registry != NULL)
		mem_wipe(d->registry, strlen(d->registry));
	free(d->registry);
	d->registry = NULL;
}

/* 404 and 409 repeat the engine's own words: clients and people know them. */
static void
deny(struct decision *d, const struct err *e)
{
	d->verdict = VERDICT_DENY;
	d->rule = e->rule != NULL ? e->rule : "default-deny";
	d->status = e->status != 0 ? e->status : 403;
	d->plain = d->status == 404 || d->status == 409 || strcmp(d->rule, "api-version") == 0;
	d->body = BODY_REFUSED;
	d->forget = 0;
	d->observed_count = 0;
	snprintf(d->reason, sizeof(d->reason), "%s", e->text);
	drop_calls(d);
}

/* Each call gets as much memory as it uses: a build keeps it for long. */
static void
shrink_calls(struct decision *d)
{
	for (size_t i = 0; i < d->call_count; i++) {
		struct call *roomy = d->calls[i];
		size_t size = call_size(roomy);

		d->calls[i] = mem_grow(NULL, 1, size);
		memcpy(d->calls[i], roomy, size);
		mem_wipe(roomy->text, roomy->text_len);
		if (spare == NULL)
			spare = roomy;
		else
			free(roomy);
	}
}

void
decide(const struct policy *p, const struct owned *o, const struct http_head *head,
    const struct target *target, struct decision *d)
{
	struct judge j = { .policy = p, .owned = o, .head = head, .target = target, .d = d };
	struct err e = { 0 };

	memset(d, 0, sizeof(*d));
	d->rule = "default-deny";
	if (judge_row_of_route(&j, route_find(head->method, target->path, j.name, sizeof(j.name)), &e) < 0)
		deny(d, &e);
	for (size_t i = 0; i < d->call_count; i++)
		d->calls[i]->policy = (uint16_t)p->version;
	shrink_calls(d);
	for (size_t i = 0; i < PARAM_COUNT; i++)
		free(j.value[i]);
}

void
decision_done(struct decision *d)
{
	drop_calls(d);
	for (size_t i = 0; i < d->name_count; i++)
		free(d->names[i]);
	free(d->names);
	free(d->answer);
	free(d->filters);
	memset(d, 0, sizeof(*d));
	d->rule = "default-deny";
}

int
judge_note(struct judge *j, const char *name)
{
	struct decision *d = j->d;

	for (size_t i = 0; i < d->name_count; i++)
		if (strcmp(d->names[i], name) == 0)
			return 0;
	d->names = mem_grow(d->names, d->name_count + 1, sizeof(*d->names));
	d->names[d->name_count++] = mem_str(name);
	return 1;
}

int
judge_name_limit(struct judge *j, struct err *e)
{
	size_t fresh = 0, have = owned_names(j->owned) + j->owned->claimed_names;

	for (size_t i = 0; i < j->d->name_count; i++)
		fresh += owned_by_name(j->owned, j->d->names[i]) == NULL;
	j->d->new_names = fresh;
	if (fresh == 0 || have + fresh <= j->policy->names)
		return 0;
	err_refuse(e, 403, "limit-names",
	    "the task has %zu names, builds under way counted, and may have %zu (limits.names): remove some "
	    "(docker rmi)",
	    have, j->policy->names);
	return have + fresh <= POLICY_COUNT_MAX ? judge_let(j, -1, e) : -1;
}

int
judge_request_names(struct judge *j, const char *key, size_t count, struct err *e)
{
	if (count <= j->policy->request_names)
		return 0;
	err_refuse(e, 403, "limit-request-names",
	    "%s: at most %zu names in one request (limits.requestNames)", key, j->policy->request_names);
	return count <= POLICY_REQUEST_NAMES_MAX ? judge_let(j, -1, e) : -1;
}
