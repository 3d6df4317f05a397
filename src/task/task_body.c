#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "docker/reference.h"
#include "task/scope.h"
#include "task_private.h"

enum {
	ID_MAX = 100,
	RUN_MAX = 1000,
	ARTIFACTS_MAX = 100,
	CREDENTIALS_MAX = 16,
	QUOTE_MAX = 100, /* of a wrong value in an error */
};

static const char rule[] = "task-body";

/* "'runId' must be an integer from 0 to 1000, not \"x\"" */
static int
wrong(struct err *e, const char *where, const char *key, const char *want, const json_t *got)
{
	char *text = got != NULL ? json_text(got, 1) : NULL;

	if (text != NULL && strlen(text) > QUOTE_MAX)
		memcpy(text + QUOTE_MAX - 3, "...", 4);
	err_refuse(e, 400, rule, "'%s%s' must be %s%s%s", where, key, want,
	    text != NULL ? ", not " : "; it is missing", text != NULL ? text : "");
	free(text);
	return -1;
}

/* Every key of the object must be one of the words. */
static int
known_keys(const json_t *object, const char *where, const char *const *words, struct err *e)
{
	char list[200] = "", quoted[QUOTE_MAX];
	const char *key;
	json_t *value;

	for (size_t i = 0; words[i] != NULL; i++) {
		strncat(list, i > 0 ? ", " : "", sizeof list - strlen(list) - 1);
		strncat(list, words[i], sizeof list - strlen(list) - 1);
	}
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		size_t i = 0;

		while (words[i] != NULL && strcmp(words[i], key) != 0)
			i++;
		if (words[i] == NULL)
			return err_refuse(e, 400, rule, "unknown key '%s%s'; expected %s", where,
			    log_quote(key, strlen(key), quoted, sizeof quoted), list);
	}
	return 0;
}

static int
is_task_id(const char *s)
{
	static const char any[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t n = s != NULL ? strspn(s, any) : 0;

	return n >= 1 && n <= ID_MAX && s[n] == '\0';
}

static int
is_absent(const json_t *v)
{
	return v == NULL || json_is_null(v);
}

int
body_key(const json_t *body, const char **task_id, unsigned *run_id, int *enabled, struct err *e)
{
	static const char *const keys[] = { "taskId", "runId", "payload", "scopes", "expires", "limits",
		"policy", "credentials", NULL };
	const json_t *id = json_object_get(body, "taskId"), *run = json_object_get(body, "runId");
	const json_t *payload = json_object_get(body, "payload"), *features, *dind;

	if (!json_is_object(body))
		return err_refuse(
		    e, 400, rule, "the body must be a JSON object with taskId, runId and payload");
	if (known_keys(body, "", keys, e) < 0)
		return -1;
	if (!is_task_id(json_string_value(id)))
		return wrong(e, "", "taskId", "1 to 100 letters, digits, '_' and '-'", id);
	if (!json_is_integer(run) || json_integer_value(run) < 0 || json_integer_value(run) > RUN_MAX)
		return wrong(e, "", "runId", "an integer from 0 to 1000", run);
	if (!json_is_object(payload))
		return wrong(e, "", "payload", "an object", payload);
	features = json_object_get(payload, "features");
	if (!is_absent(features) && !json_is_object(features))
		return wrong(e, "payload.", "features", "an object", features);
	dind = json_object_get(features, "dind");
	if (!is_absent(dind) && !json_is_boolean(dind))
		return wrong(e, "payload.features.", "dind", "true or false", dind);
	*task_id = json_string_value(id);
	*run_id = (unsigned)json_integer_value(run);
	*enabled = json_is_true(dind);
	return 0;
}

json_t *
body_keep(const json_t *body)
{
	static const char *const keys[] = { "taskId", "runId", "scopes", "expires", "limits", "policy" };
	const json_t *dind = json_object_get(json_object_get(body, "payload"), "dind");
	json_t *kept = json_object();

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		json_t *v = json_object_get(body, keys[i]);

		if (!is_absent(v))
			json_object_set_new(kept, keys[i], json_deep_copy(v));
	}
	if (!is_absent(dind))
		json_object_set_new(kept, "dind", json_deep_copy(dind));
	return kept;
}

static int
take_time(const json_t *v, const char *where, int64_t *seconds, struct err *e)
{
	int64_t ms;

	*seconds = 0;
	if (is_absent(v))
		return 0;
	if (!json_is_string(v) || stamp_parse(json_string_value(v), &ms) < 0 || ms <= 0)
		return wrong(e, where, "expires", "a time such as \"2027-01-01T00:00:00Z\" (RFC 3339)", v);
	*seconds = ms / 1000;
	return 0;
}

static int
take_limit(const json_t *limits, const char *key, int64_t host, int stored, int64_t *out, struct err *e)
{
	const json_t *v = json_object_get(limits, key);
	char *want;

	*out = host;
	if (v == NULL)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= 1 && (stored || json_integer_value(v) <= host)) {
		if (json_integer_value(v) < host)
			*out = json_integer_value(v);
		return 0;
	}
	want = mem_printf("an integer from 1 to %lld, the host's own limit", (long long)host);
	wrong(e, "limits.", key, want, v);
	free(want);
	return -1;
}

static int
take_limits(struct task *t, const json_t *limits, int stored, struct err *e)
{
	static const char *const keys[] = { "connections", "builds", "buildTime", "contextBytes", "images",
		"names", "requestRate", "savedBytes", "diskBytes", NULL };
	const struct settings *s = t->home->settings;
	int64_t images, names;

	if (limits != NULL && !json_is_object(limits))
		return wrong(e, "", "limits", "an object", limits);
	if (known_keys(limits, "limits.", keys, e) < 0 ||
	    take_limit(limits, "connections", s->connections, stored, &t->max_connections, e) < 0 ||
	    take_limit(limits, "builds", s->builds, stored, &t->max_builds, e) < 0 ||
	    take_limit(limits, "buildTime", s->build_time, stored, &t->build_time, e) < 0 ||
	    take_limit(limits, "contextBytes", s->context_bytes, stored, &t->policy->context_bytes, e) < 0 ||
	    take_limit(limits, "requestRate", s->request_rate, stored, &t->max_rate, e) < 0 ||
	    take_limit(limits, "savedBytes", s->saved_bytes, stored, &t->max_saved, e) < 0 ||
	    take_limit(limits, "diskBytes", s->disk_bytes, stored, &t->max_disk, e) < 0 ||
	    take_limit(limits, "images", s->images, stored, &images, e) < 0 ||
	    take_limit(limits, "names", s->names, stored, &names, e) < 0)
		return -1;
	t->policy->images = (size_t)images;
	t->policy->names = (size_t)names;
	return 0;
}

static int
take_policy(struct task *t, const json_t *policy, struct err *e)
{
	if (policy == NULL)
		return 0;
	if (!json_is_object(policy))
		return wrong(e, "", "policy", "an object", policy);
	return policy_override(t->policy, policy, e);
}

/* What the host allows, with what the worker gave laid over it. */
static int
take_allowed(struct task *t, const json_t *policy, const json_t *limits, int stored, struct err *e)
{
	policy_unref(t->policy);
	t->policy = policy_new(t->home->settings, t->home->version);
	if (take_policy(t, policy, e) < 0 || take_limits(t, limits, stored, e) < 0)
		return -1;
	policy_seal(t->policy);
	return 0;
}

void
body_apply_settings(struct task *t)
{
	struct err e = { 0 };
	int rc = take_allowed(t, t->policy_given, t->limits_given, 1, &e);

	assert(rc == 0); /* it was taken before; what is stored is clamped, not refused */
	(void)rc;
}

static int
check_scopes(const json_t *scopes, struct err *e)
{
	const json_t *v;
	size_t i;

	if (scopes == NULL)
		return 0;
	if (!json_is_array(scopes))
		return wrong(e, "", "scopes", "an array of strings", scopes);
	json_array_foreach(scopes, i, v)
	{
		if (!json_is_string(v))
			return wrong(e, "", "scopes", "an array of strings", scopes);
	}
	return 0;
}

/* Whether the signed statement becomes an artifact: where nothing is signed none can. */
static int
take_provenance(
    const struct task *t, const char *name, const json_t *given, const char *where, int stored, struct err *e)
{
	const struct settings *s = t->home->settings;
	int wanted = given != NULL ? json_is_true(given) : s->evidence_upload != 0;

	if (given != NULL && !json_is_boolean(given))
		return wrong(e, where, "provenance", "true or false", given);
	if (!wanted || stored) /* of one that was accepted once, the uploader knows whether it can */
		return 0;
	if (given != NULL && s->evidence_key[0] == '\0')
		return wrong(e, where, "provenance", "false: this host signs nothing (evidence.key)", given);
	return task_check_provenance(name, e) < 0 ? err_wrap(e, "payload.dind.artifacts") : 0;
}

/* What an artifact is of: an image, or the task itself. */
static int
take_subject(const struct task *t, const char *name, const json_t *given, const char *where, int stored,
    json_t *entry, struct err *e)
{
	const json_t *image = json_object_get(given, "image"), *report = json_object_get(given, "report");
	json_t *provenance = json_object_get(given, "provenance");
	struct reference ref;

	if (report != NULL && !json_is_true(report))
		return wrong(e, where, "report", "true, or be left out", report);
	if (report != NULL && (image != NULL || provenance != NULL))
		return wrong(e, where, image != NULL ? "image" : "provenance", "left out beside 'report'",
		    image != NULL ? image : provenance);
	if ((report != NULL ? task_check_report(name, e) : task_check_artifact(name, e)) < 0)
		return err_wrap(e, "payload.dind.artifacts");
	if (report != NULL) {
		json_object_set_new(entry, "report", json_true());
		return 0;
	}
	if (!json_is_string(image))
		return wrong(e, where, "image", "the name of an image, such as \"app:1\"", image);
	if (reference_parse(&ref, json_string_value(image), e) < 0)
		return err_wrap(e, "%simage", where);
	json_object_set_new(entry, "image", json_string(json_string_value(image)));
	if (provenance != NULL)
		json_object_set(entry, "provenance", provenance);
	return take_provenance(t, name, provenance, where, stored, e);
}

/* One member of payload.dind.artifacts, into t->artifacts. */
static int
take_artifact(struct task *t, const char *name, const json_t *given, int stored, struct err *e)
{
	static const char *const keys[] = { "image", "report", "expires", "provenance", NULL };
	char where[160], quoted[QUOTE_MAX], until[STAMP_MAX];
	int64_t expires;
	json_t *entry;
	int rc;

	(void)snprintf(where, sizeof where, "payload.dind.artifacts['%s'].",
	    log_quote(name, strlen(name), quoted, sizeof quoted));
	if (!json_is_object(given))
		return wrong(
		    e, "payload.dind.artifacts.", quoted, "an object such as {\"image\": \"app:1\"}", given);
	if (known_keys(given, where, keys, e) < 0)
		return -1;
	if (take_time(json_object_get(given, "expires"), where, &expires, e) < 0)
		return -1;
	if (expires != 0 && !stored && expires * 1000 <= stamp_now())
		return wrong(e, where, "expires", "a time to come", json_object_get(given, "expires"));
	if (t->expires != 0 && (expires == 0 || expires > t->expires))
		expires =
		    t->expires; /* an artifact never outlives its task (taskcluster.md: 400 from the queue) */
	entry = json_object();
	rc = take_subject(t, name, given, where, stored, entry, e);
	stamp_print(expires * 1000, until);
	if (expires != 0)
		json_object_set_new(entry, "expires", json_string(until));
	if (rc == 0)
		json_object_set(t->artifacts, name, entry);
	json_decref(entry);
	return rc;
}

static int
take_dind(struct task *t, const json_t *dind, int stored, struct err *e)
{
	static const char *const keys[] = { "artifacts", NULL };
	const json_t *artifacts = json_object_get(dind, "artifacts");
	const char *name;
	json_t *v;

	t->artifacts = json_object();
	if (dind != NULL && !json_is_object(dind))
		return wrong(e, "payload.", "dind", "an object", dind);
	if (known_keys(dind, "payload.dind.", keys, e) < 0)
		return -1;
	if (is_absent(artifacts))
		return 0;
	if (!json_is_object(artifacts) || json_object_size(artifacts) > ARTIFACTS_MAX)
		return wrong(e, "payload.dind.", "artifacts",
		    "an object of at most 100 artifacts, such as {\"public/image.tar.zst\": {\"image\": "
		    "\"app:1\"}}",
		    artifacts);
	json_object_foreach((json_t *)(uintptr_t)artifacts, name, v)
	{
		if (take_artifact(t, name, v, stored, e) < 0)
			return -1;
	}
	return 0;
}

int
body_apply(struct task *t, const json_t *kept, int stored, struct err *e)
{
	t->task_id = mem_str(json_str(kept, "taskId", ""));
	t->run_id = (unsigned)json_num(kept, "runId", 0);
	t->registered = json_incref((json_t *)(uintptr_t)kept);
	t->policy_given = json_incref(json_object_get(kept, "policy"));
	t->limits_given = json_incref(json_object_get(kept, "limits"));
	if (check_scopes(json_object_get(kept, "scopes"), e) < 0 ||
	    (!stored && scope_check(t->home->settings, json_object_get(kept, "scopes"), e) < 0) ||
	    take_time(json_object_get(kept, "expires"), "", &t->expires, e) < 0 ||
	    take_allowed(t, t->policy_given, t->limits_given, stored, e) < 0 ||
	    take_dind(t, json_object_get(kept, "dind"), stored, e) < 0)
		return -1;
	return 0;
}

/* Never quotes a value: these are secrets. */
int
body_check_credentials(const json_t *credentials, struct err *e)
{
	const char *key;
	json_t *v;

	if (!json_is_object(credentials) || json_object_size(credentials) > CREDENTIALS_MAX)
		return err_refuse(e, 400, rule,
		    "'credentials' must be an object of strings: clientId, accessToken and, if there is one, "
		    "certificate");
	json_object_foreach((json_t *)(uintptr_t)credentials, key, v)
	{
		if (!json_is_string(v))
			return err_refuse(e, 400, rule, "'credentials' must hold strings only");
	}
	return 0;
}
