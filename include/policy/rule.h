#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <stddef.h>

struct buf;
struct err;
struct policy;

/*
 * The names of all rules by which a task's request can be refused, one row each, and what becomes of a
 * refusal when the policy observes (policy.mode "observe"): only what is harmless is let through. Harmless is
 * what gives the task nothing of the host or of another task, no name that is not its own, no way that the
 * proxy would not understand, and what the host's own limits still bound. Pure.
 */
enum rule_observe {
	RULE_ENFORCED = 1, /* refused in every mode */
	RULE_OBSERVED,     /* let through and recorded */
	RULE_IN_PART,      /* let through as far as `why` says */
};

struct rule_row {
	const char *name;
	enum rule_observe observe; /* 0: the row lacks its answer; tests/lint/rules fails */
	int replayed; /* follows from policy and request alone, as far as the log has them: policy/explain.h
	               */
	const char *why; /* why it is, or is not, harmless to let through */
};

const struct rule_row *rule_rows(size_t *count);
const struct rule_row *rule_find(const char *name);

/* Its place in the table; the one behind the last for a name that is not in it. Below RULE_ROOM. */
enum { RULE_ROOM = 192 };
size_t rule_index(const char *name);

/* Is this refusal let through by a policy that observes? (RULE_OBSERVED only.) */
int rule_observed(const struct policy *p, const struct err *e);

/* All rows as Markdown, for docs/policy-life.md. */
void rule_doc(struct buf *out);

#endif
