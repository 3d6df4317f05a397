#include "check.h"

#include <string.h>

#include "base/err.h"
#include "policy/policy.h"
#include "show.h"
#include "value.h"

int
check_refuse(const struct param_row *row, struct err *e)
{
	return err_refuse(e, 403, row->rule, "%s: %s", row->key, row->why);
}

static int
above(const struct param_row *row, int64_t cap, struct err *e)
{
	return err_refuse(e, 403, row->rule, "%s: at most %lld is allowed", row->key, (long long)cap);
}

static int
check_pull(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	(void)value;
	return p->pull ? 0 : check_refuse(row, e);
}

static int
check_hosts(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	(void)value;
	return p->extra_hosts ? 0 : check_refuse(row, e);
}

static int
check_registry(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	(void)value;
	return p->registry_auth ? 0 : check_refuse(row, e);
}

/* No network at all is always less than what the operator gives. */
static int
check_network(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	if (!policy_network_ok(p->network))
		return err_refuse(
		    e, 403, row->rule, "the operator's policy.network is not one that builds may use");
	if (strcmp(value, "none") == 0 || strcmp(value, p->network) == 0)
		return 0;
	return err_refuse(e, 403, row->rule, "%s '%s': %s", row->key, show(value).text, row->why);
}

static int
check_cgroup(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	return strcmp(value, p->cgroup_parent) == 0 ? 0 : check_refuse(row, e);
}

static int
check_memory(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	return p->memory == 0 || value_number(value) <= p->memory ? 0 : above(row, p->memory, e);
}

/* memswap is memory and swap together; the engine's own default is twice the memory. */
static int
check_memswap(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	int64_t cap = p->memory > INT64_MAX / 2 ? INT64_MAX : p->memory * 2;

	return p->memory == 0 || value_number(value) <= cap ? 0 : above(row, cap, e);
}

static int
check_shm(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	return value_number(value) <= p->shm_size ? 0 : above(row, p->shm_size, e);
}

static const struct {
	enum param id;
	int (*check)(const struct param_row *row, const char *value, const struct policy *p, struct err *e);
} checks[] = {
	{ PARAM_PULL, check_pull },
	{ PARAM_EXTRAHOSTS, check_hosts },
	{ PARAM_REGISTRY_CONFIG, check_registry },
	{ PARAM_NETWORKMODE, check_network },
	{ PARAM_CGROUPPARENT, check_cgroup },
	{ PARAM_MEMORY, check_memory },
	{ PARAM_MEMSWAP, check_memswap },
	{ PARAM_SHMSIZE, check_shm },
};

int
check_value(const struct param_row *row, const char *value, const struct policy *p, struct err *e)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
		if (checks[i].id == row->id)
			return checks[i].check(row, value, p, e);
	return 0;
}

static int64_t
number_of(const struct call *c, enum param param, int64_t fallback)
{
	const char *value = call_get(c, param);

	return value != NULL ? value_number(value) : fallback;
}

int
check_build(const struct call *c, const struct policy *p, struct err *e)
{
	const struct param_row *quota = param_by_id(ROUTE_BUILD, PARAM_CPUQUOTA);
	int64_t cap = p->cpus * number_of(c, PARAM_CPUPERIOD, CPU_PERIOD);

	if (p->cpus > 0 && number_of(c, PARAM_CPUQUOTA, 0) > cap)
		return above(quota, cap, e);
	return 0;
}
