#ifndef POLICY_PARAM_H
#define POLICY_PARAM_H

#include <stddef.h>
#include <stdint.h>

#include "policy/call.h"

/*
 * The parameter table: every query parameter of every route, API 1.24 to 1.52. What has no row is refused.
 * The rows are in src/policy/param.c; docs/policy.md is generated from them.
 */
enum param {
	PARAM_NONE = 0,
	PARAM_NAME, /* {name} in the path: an own mapped name or an own id; for BASE_INSPECT a base image */
	/* build */
	PARAM_T,
	PARAM_DOCKERFILE,
	PARAM_BUILDARGS,
	PARAM_LABELS,
	PARAM_TARGET,
	PARAM_CACHEFROM,
	PARAM_NETWORKMODE,
	PARAM_EXTRAHOSTS,
	PARAM_NOCACHE,
	PARAM_PULL,
	PARAM_Q,
	PARAM_RM,
	PARAM_FORCERM,
	PARAM_MEMORY,
	PARAM_MEMSWAP,
	PARAM_CPUSHARES,
	PARAM_CPUPERIOD,
	PARAM_CPUQUOTA,
	PARAM_CPUSETCPUS,
	PARAM_CPUSETMEMS,
	PARAM_CGROUPPARENT,
	PARAM_SHMSIZE,
	PARAM_ULIMITS,
	PARAM_SECURITYOPT,
	PARAM_ISOLATION,
	PARAM_PLATFORM,
	PARAM_SQUASH,
	PARAM_REMOTE,
	PARAM_SESSION,
	PARAM_BUILDID,
	PARAM_OUTPUTS,
	PARAM_VERSION,
	/* tag */
	PARAM_REPO,
	PARAM_TAG,
	PARAM_FORCE,
	/* save */
	PARAM_NAMES,
	/* list */
	PARAM_ALL,
	PARAM_FILTERS,
	PARAM_DIGESTS,
	PARAM_SHARED_SIZE,
	PARAM_MANIFESTS,
	PARAM_FILTER,   /* before API 1.41 */
	PARAM_ONLY_IDS, /* docker-py; the engine has forgotten it */
	/* remove */
	PARAM_NOPRUNE,
	/* pull */
	PARAM_FROMIMAGE,
	/* load */
	PARAM_QUIET,
	/* values of headers, not of the query */
	PARAM_REGISTRY_CONFIG, /* X-Registry-Config, only when the policy passes it */
	PARAM_COUNT
};

/*
 * How a value is read and printed. Reading gives the one text that is sent, or "" for the engine's
 * default, which is never sent; what has been read reads to itself.
 */
enum param_kind {
	KIND_BOOL = 1,  /* the engine's reading: "", 0, false, no, none are false (any case) */
	KIND_INT,       /* 0 | [1-9][0-9]* */
	KIND_TEXT,      /* text without control characters, capped */
	KIND_NAME,      /* own name, mapped, or own id */
	KIND_NEW_NAME,  /* a name that the task gives: mapped, tag explicit */
	KIND_JSON_MAP,  /* object of strings (buildargs: or null) */
	KIND_JSON_LIST, /* array of strings */
	KIND_PATH,      /* relative path in the context */
	KIND_WORD,      /* letters, digits, '_', '.', '-' */
	KIND_CPUS,      /* list of numbers and ranges: 0-3,7 */
	KIND_HOST,      /* name:address */
	KIND_ULIMITS,   /* array of {"Name", "Soft", "Hard"} */
	KIND_REGISTRY,  /* base64url of {"host": {"username", "password", ...}} */
};

enum param_action {
	ACTION_DENY = 0, /* refused unless it is empty or the engine's default */
	ACTION_ALLOW,    /* printed anew as it was read */
	ACTION_CAP,      /* allowed up to the policy's value */
	ACTION_FORCE,    /* the task's value is read (a wrong one is refused), ours is sent */
	ACTION_REWRITE,  /* mapped into the namespace */
	ACTION_IGNORE,   /* harmless: read, dropped */
	ACTION_LOCAL,    /* meant for us: read here, not sent */
};

struct param_row {
	enum param id;
	const char *key; /* as in the query; header values: the header's name */
	enum route route;
	enum param_kind kind;
	enum param_action action;
	int repeat;          /* may stand more than once */
	size_t max;          /* bytes of a value, or the largest number of a KIND_INT */
	unsigned since;      /* NN of the API that brought it, for docs */
	const char *rule;    /* rule name of refusals, "build-network" */
	const char *neutral; /* a word that means the engine's default, or NULL */
	const char *forced;  /* what is always sent, or NULL */
	const char *why;     /* one sentence, for docs and refusals */
};

const struct param_row *param_rows(size_t *count);

/* The row of a query key on a route, or NULL: PARAM_NAME and header values have none. */
const struct param_row *param_by_key(enum route route, const char *key);
const struct param_row *param_by_id(enum route route, enum param id);

#endif
