#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy/param.h"

struct err;
struct policy;
struct reference;

/* What a policy says to a value that was read, for decide() and call_check() alike. Internal to this floor.
 */

/* 0, or -1 with status 403, the row's rule and a sentence that says what is allowed. value is not empty. */
int check_value(const struct param_row *row, const char *value, const struct policy *p, struct err *e);

/* The same for what only a whole call shows: CPU quota and period, and swap and memory, together. */
int check_build(const struct call *c, const struct policy *p, struct err *e);

/* "403: key: why": how a row refuses. */
int check_refuse(const struct param_row *row, struct err *e);

/* May a task build on this image: by a pattern of the policy; or because the policy only observes? */
int base_allowed(const struct policy *p, const struct reference *r);
int base_observed(const struct policy *p, const struct reference *r);

enum { CPU_PERIOD = 100000 }; /* the kernel's own, when a call names none */

#endif
