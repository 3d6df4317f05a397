#ifndef POLICY_JUDGE_H
#define POLICY_JUDGE_H

#include "policy/decide.h"
#include "policy/param.h"

struct err;

/* A request while it is judged. Internal to this floor. */
struct judge {
	const struct policy *policy;
	const struct owned *owned;
	const struct http_head *head;
	const struct target *target;
	char name[REFERENCE_MAX]; /* {name} of the path */
	struct decision *d;
	struct call *call;        /* d->calls[0] */
	char *value[PARAM_COUNT]; /* as read, first of each key, for what is not simply passed on; heap */
};

/* What the routes do beyond their rows; -1 with status and rule. */
int judge_build(struct judge *j, struct err *e);
int judge_named(struct judge *j, struct err *e); /* inspect, history */
int judge_tag(struct judge *j, struct err *e);
int judge_save(struct judge *j, struct err *e);
int judge_list(struct judge *j, struct err *e);
int judge_remove(struct judge *j, struct err *e);

/* Records a canonical name in d->names; 0 when it is there already, else 1. */
int judge_note(struct judge *j, const char *name);

/* Counts d->new_names. Would they pass policy.names? -1 (403, "limit-names") when they would. */
int judge_name_limit(struct judge *j, struct err *e);

/* limits.requestNames for this many names in the parameter `key`. */
int judge_request_names(struct judge *j, const char *key, size_t count, struct err *e);

/* rc of a check; 0 as well when what it refused is only observed: decision_let(). */
int judge_let(struct judge *j, int rc, struct err *e);

/* The own view of GET /info, JSON, heap. */
char *info_text(const struct owned *o);

#endif
