#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include <jansson.h>

struct err;
struct owned;
struct policy;
struct settings;

/* What would become of a request: judged as one that came, nothing is sent. Pure. */
struct explain_ask {
	const struct policy *policy;
	const struct owned *owned;
	const char *method, *target; /* "POST", "/v1.41/build?t=app:1" */
	const json_t *headers;       /* object of strings, or NULL */
	const char *dockerfile;      /* judged, too, when a build is allowed; NULL: none */
};

/*
 * {"decision": "deny" | "allow" | "answer" | "observed", "rule", "status", "reason", "answer", "forwards":
 * [line], "observed": [{"rule", "reason"}]}, and with a Dockerfile "bases": [{"typed", "mapped", "own"}] and
 * "dockerfile" as the engine would read it. rule is that of the refusal, also when it is only observed. New
 * reference.
 */
json_t *explain_request(const struct explain_ask *a);

/*
 * A request of the audit log under another policy. decision is its first record, final the last decision (the
 * same, or a refusal that was found later), end its end record or NULL; given what the worker registered the
 * task with ({"policy", "limits"}), or NULL.
 */
struct replay_ask {
	const struct settings *settings;
	const json_t *decision, *final, *end, *given;
};

enum replay_kind {
	REPLAY_SAME = 0, /* judged again: the verdict is the same */
	REPLAY_CHANGED,
	REPLAY_STANDS, /* no policy decides this: what the task owned, the request's form, how much ran then
	                */
	REPLAY_BLIND,  /* what was recorded is not enough: cut, or redacted */
};

/* was and is: "allow", "deny build-memory"; why: the reason of a refusal, or what is missing. */
struct replay {
	enum replay_kind kind;
	char was[80], is[80], why[300];
};

void replay_judge(const struct replay_ask *a, struct replay *out);

#endif
