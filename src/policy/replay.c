/*
 * Requests of the audit log, judged again. The log has no build-arg values, no Dockerfile and no list of what
 * the task owned: what is judged again is what a policy says about what the log does have. Names that the
 * task used and was not refused for are taken as its own; how many images and names it had is on record.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "docker/reference.h"
#include "http/print.h"
#include "policy/decide.h"
#include "policy/explain.h"
#include "policy/rule.h"

enum { CUT_AT = 256, KEY_CUT_AT = 64, OWN_MAX = 20000 };

static int
is_word(const json_t *v, const char *key, const char *word)
{
	return strcmp(json_str(v, key, ""), word) == 0;
}

static int
blind(struct replay *out, const char *why)
{
	out->kind = REPLAY_BLIND;
	(void)snprintf(out->why, sizeof(out->why), "%s", why);
	return -1;
}

/* "allow", "deny RULE", "observed RULE" */
static void
verdict(const char *decision, const char *rule, char out[80])
{
	int named = strcmp(decision, "deny") == 0 || strcmp(decision, "observed") == 0;

	(void)snprintf(out, 80, "%.12s%s%.60s", decision, named ? " " : "", named ? rule : "");
}

/* ---- the request again ---- */

static int
ends_cut(const char *s, size_t at)
{
	size_t n = strlen(s);

	return n >= at && strcmp(s + n - 3, "...") == 0;
}

/* Build-args and labels: their names are what the log has. */
static char *
names_only(const json_t *map)
{
	const char *key;
	json_t *v, *out = json_object();
	char *text;

	json_object_foreach((json_t *)(uintptr_t)map, key, v) if (strcmp(key, "...") != 0)
	    json_object_set_new(out, key, json_string(""));
	text = json_text(out, 0);
	json_decref(out);
	return text;
}

static int
add_pair(struct buf *b, const char *key, const json_t *v, struct replay *out)
{
	char *made = json_is_object(v) ? names_only(v) : NULL;
	const char *text = made != NULL ? made : json_string_value(v);

	if (text == NULL || ends_cut(key, KEY_CUT_AT) ||
	    (made == NULL && (ends_cut(text, CUT_AT) || strstr(text, "(redacted)") != NULL))) {
		free(made);
		return blind(out, "the record of its query is cut or redacted");
	}
	http_print_pair(b, key, text, strlen(text));
	free(made);
	return 0;
}

static int
make_target(struct buf *b, const json_t *record, struct replay *out)
{
	const char *path = json_str(record, "path", NULL), *key;
	json_t *query = json_object_get(record, "query"), *v, *one;
	size_t i;

	if (path == NULL || strchr(path, '\\') != NULL || !json_is_object(query) ||
	    json_is_true(json_object_get(record, "cut")))
		return blind(out, "the record of its target is cut or escaped");
	buf_adds(b, path);
	json_object_foreach(query, key, v)
	{
		if (!json_is_array(v) && add_pair(b, key, v, out) < 0)
			return -1;
		json_array_foreach(v, i, one) if (add_pair(b, key, one, out) < 0) return -1;
	}
	return 0;
}

/* ---- what the task had ---- */

static void
fake_id(unsigned n, char id[REFERENCE_ID_MAX])
{
	(void)snprintf(id, REFERENCE_ID_MAX, "sha256:%064x", n + 1);
}

static void
own_name(struct owned *o, const char *text, const char *id)
{
	char name[REFERENCE_MAX];
	struct reference r;
	struct err ignored = { 0 };

	if (reference_parse(&r, text, &ignored) < 0)
		return;
	if (r.tag[0] == '\0')
		(void)snprintf(r.tag, sizeof(r.tag), "latest");
	reference_canonical(&r, name);
	owned_name(o, name, id);
}

/* Of the names typed: those that it gave (t, repo) come last, and were its own already but for `fresh`. */
static void
own_typed(struct owned *o, const json_t *record, const char *id)
{
	const json_t *typed = json_object_get(json_object_get(record, "names"), "before");
	const json_t *mapped = json_object_get(json_object_get(record, "names"), "after"), *v;
	size_t count = json_array_size(typed), gives = 0, i;
	size_t fresh = (size_t)json_num(json_object_get(record, "has"), "fresh", 0);
	const char *tag = json_str(json_object_get(record, "query"), "tag", "");

	if (is_word(record, "judged", "/build"))
		gives = count;
	else if (json_object_get(json_object_get(record, "query"), "repo") != NULL)
		gives = 1;
	json_array_foreach(mapped, i, v) if (reference_is_id(json_string_value(v)))
	    owned_learn(o, json_string_value(v));
	json_array_foreach(typed, i, v)
	{
		int given = i >= count - gives;
		char *text;

		if (!json_is_string(v) || (given && i - (count - gives) + fresh >= gives))
			continue;
		text = mem_printf(
		    "%s%s%s", json_string_value(v), given && tag[0] != '\0' ? ":" : "", given ? tag : "");
		own_name(o, text, id);
		free(text);
	}
}

static void
own_again(struct owned *o, const json_t *record)
{
	const json_t *has = json_object_get(record, "has");
	size_t images = (size_t)json_num(has, "images", 0), names = (size_t)json_num(has, "names", 0);
	char id[REFERENCE_ID_MAX];
	const char *of = json_string_value(json_array_get(json_object_get(record, "ids"), 0));

	owned_init(o, reference_is_ns(json_str(record, "id", "")) ? json_str(record, "id", "")
	                                                          : "aaaaaaaaaaaaaaaaaaaa");
	fake_id(0, id);
	own_typed(o, record, of != NULL && reference_is_id(of) ? of : id);
	for (unsigned n = 1; o->count < images && n < OWN_MAX; n++) {
		fake_id(n, id);
		owned_learn(o, id);
	}
	for (unsigned n = 0; o->count > 0 && owned_names(o) < names && n < OWN_MAX; n++) {
		char *name = mem_printf("docker.io/library/replay:%u", n);

		owned_name(o, name, o->images[o->count - 1].id);
		free(name);
	}
}

/* ---- the policy ---- */

static void
narrow(const json_t *limits, const char *key, size_t *field)
{
	json_int_t n = json_num(limits, key, 0);

	if (n > 0 && (size_t)n < *field)
		*field = (size_t)n;
}

static struct policy *
policy_for(const struct replay_ask *a, struct replay *out)
{
	struct policy *p = policy_new(a->settings, 1);
	const json_t *limits = json_object_get(a->given, "limits");
	struct err e = { 0 };

	narrow(limits, "images", &p->images);
	narrow(limits, "names", &p->names);
	if (policy_override(p, json_object_get(a->given, "policy"), &e) == 0)
		return p;
	blind(out, "the policy that its task was registered with is not understood");
	policy_unref(p);
	return NULL;
}

/* ---- the verdict again ---- */

static void
set(struct replay *out, const json_t *answer)
{
	verdict(json_str(answer, "decision", "?"), json_str(answer, "rule", "?"), out->is);
	(void)snprintf(out->why, sizeof(out->why), "%s", json_str(answer, "reason", ""));
}

static void
on_observed(void *arg, const struct err *why)
{
	struct replay *out = arg;

	if (strncmp(out->is, "observed", 8) != 0) {
		verdict("observed", why->rule, out->is);
		(void)snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, why->text);
	}
}

static void
judge_base(const struct policy *p, const struct owned *o, const char *word, struct replay *out)
{
	struct base_ask ask = { .policy = p, .owned = o, .observed = on_observed, .arg = out };
	char mapped[REFERENCE_MAX];
	struct err e = { 0 };
	int own;

	if (strncmp(out->is, "deny", 4) == 0 || base_resolve(&ask, word, mapped, &own, &e) == 0)
		return;
	verdict("deny", e.rule, out->is);
	(void)snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, e.text);
}

/* The images that its Dockerfile named, as far as it was read, and the one that was refused. */
static void
judge_bases(const struct replay_ask *a, const struct policy *p, const struct owned *o, struct replay *out)
{
	const char *refused = json_str(a->final, "base", NULL);
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(a->end, "bases"), i, v) if (json_is_string(v))
	    judge_base(p, o, json_string_value(v), out);
	if (refused != NULL)
		judge_base(p, o, refused, out);
}

static int
judge_again(const struct replay_ask *a, const struct policy *p, struct replay *out)
{
	int build = is_word(a->decision, "judged", "/build");
	json_t *headers = build ? json_pack("{s:s,s:s}", "Content-Type", "application/x-tar",
	                              "Transfer-Encoding", "chunked")
	                        : NULL;
	struct buf target = { 0 };
	struct owned o;
	json_t *answer;
	int rc = make_target(&target, a->decision, out);

	own_again(&o, a->decision);
	if (rc == 0) {
		answer = explain_request(&(struct explain_ask){ .policy = p,
		    .owned = &o,
		    .method = json_str(a->decision, "method", "GET"),
		    .target = buf_text(&target),
		    .headers = headers });
		set(out, answer);
		json_decref(answer);
		judge_bases(a, p, &o, out);
	}
	owned_done(&o);
	buf_done(&target);
	json_decref(headers);
	return rc;
}

/* Is a policy what decides this? */
static int
is_policys(const json_t *record)
{
	const struct rule_row *row;

	if (is_word(record, "decision", "allow"))
		return 1;
	row = rule_find(json_str(record, "rule", ""));
	return row != NULL && row->replayed;
}

void
replay_judge(const struct replay_ask *a, struct replay *out)
{
	struct policy *p;

	memset(out, 0, sizeof(*out));
	verdict(json_str(a->final, "decision", "?"), json_str(a->final, "rule", "?"), out->was);
	if (!is_policys(a->final)) {
		out->kind = REPLAY_STANDS;
		return;
	}
	p = policy_for(a, out);
	if (p != NULL && judge_again(a, p, out) == 0)
		out->kind = strcmp(out->was, out->is) == 0 ? REPLAY_SAME : REPLAY_CHANGED;
	policy_unref(p);
}
