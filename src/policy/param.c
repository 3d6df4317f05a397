#include "policy/param.h"

#include <string.h>

/*
 * One row per parameter. The order is the order of judgement: what explains most comes first (a BuildKit
 * client sends remote, session, buildid and version=2; version has the best words). max of a text bounds what
 * is kept; whatever the engine would take beyond is not missed.
 */
#define KIB(n) ((size_t)(n)*1024)
#define ANY_SIZE ((size_t)INT64_MAX)

static const char no_buildkit[] =
    "BuildKit is not available on this socket: set DOCKER_BUILDKIT=0 to use the classic builder";
static const char limits_why[] = "what a RUN step may use is bounded by the operator";
static const char own_why[] =
    "names are private to the task: only its own exist, under dind.invalid/<task>/ in the engine";

/* clang-format off */
#define ROW(id, key, route, kind, action, repeat, max, since, rule, neutral, forced, why) \
	{ PARAM_##id, key, ROUTE_##route, KIND_##kind, ACTION_##action, repeat, max, since, rule, neutral, forced, why },

static const struct param_row rows[] = {
	/* build */
	ROW(VERSION, "version", BUILD, TEXT, FORCE, 0, 16, 38, "build-buildkit", "1", "1", no_buildkit)
	ROW(SESSION, "session", BUILD, TEXT, DENY, 0, 4096, 39, "build-buildkit", NULL, NULL, no_buildkit)
	ROW(BUILDID, "buildid", BUILD, TEXT, DENY, 0, 4096, 39, "build-buildkit", NULL, NULL, no_buildkit)
	ROW(OUTPUTS, "outputs", BUILD, JSON_LIST, DENY, 0, KIB(16), 40, "build-buildkit", NULL, NULL, no_buildkit)
	ROW(REMOTE, "remote", BUILD, TEXT, DENY, 0, KIB(8), 24, "build-remote", NULL, NULL,
	    "the engine would fetch it from the host's network: send the context as the body")
	ROW(T, "t", BUILD, NEW_NAME, REWRITE, 1, REFERENCE_MAX, 24, "image-name", NULL, NULL, own_why)
	ROW(DOCKERFILE, "dockerfile", BUILD, PATH, ALLOW, 0, 1024, 24, "build-dockerfile", NULL, NULL,
	    "a path inside the context")
	ROW(BUILDARGS, "buildargs", BUILD, JSON_MAP, ALLOW, 0, KIB(48), 24, "build-args", NULL, NULL,
	    "printed anew; BUILDKIT_* arguments are dropped: they mean nothing to the classic builder")
	ROW(LABELS, "labels", BUILD, JSON_MAP, REWRITE, 0, KIB(48), 24, "build-labels", NULL, NULL,
	    "printed anew, with one more that names the task (policy.label), which a task does not set itself")
	ROW(TARGET, "target", BUILD, WORD, ALLOW, 0, 128, 29, "build-target", NULL, NULL, "a stage of the Dockerfile")
	ROW(CACHEFROM, "cachefrom", BUILD, JSON_LIST, REWRITE, 0, KIB(32), 25, "build-cache", NULL, NULL,
	    "always sent as the task's own images (policy.cache): no step comes from another task's build")
	ROW(NOCACHE, "nocache", BUILD, BOOL, ALLOW, 0, 16, 24, "build-cache", NULL, NULL,
	    "also sent when the policy or the task has no cache")
	ROW(PULL, "pull", BUILD, BOOL, LOCAL, 0, 16, 24, "build-pull", NULL, NULL,
	    "the engine would ask a registry for every base image, which the operator does not allow "
	    "(policy.pull): leave --pull out, bases that are on the host are used")
	ROW(NETWORKMODE, "networkmode", BUILD, TEXT, FORCE, 0, 256, 24, "build-network", "default", NULL,
	    "the operator names the network of RUN steps (policy.network): leave --network out, or ask for none")
	ROW(EXTRAHOSTS, "extrahosts", BUILD, HOST, CAP, 1, 300, 26, "build-hosts", NULL, NULL,
	    "--add-host is only possible where the operator allows it (policy.extraHosts)")
	ROW(Q, "q", BUILD, BOOL, LOCAL, 0, 16, 24, "build-quiet", NULL, NULL,
	    "done here: the engine's own quiet mode hides the image id")
	ROW(RM, "rm", BUILD, BOOL, FORCE, 0, 16, 24, "build-rm", NULL, "1", "no container is left behind")
	ROW(FORCERM, "forcerm", BUILD, BOOL, FORCE, 0, 16, 24, "build-rm", NULL, "1", "no container is left behind")
	ROW(MEMORY, "memory", BUILD, INT, CAP, 0, ANY_SIZE, 24, "build-memory", NULL, NULL, limits_why)
	ROW(MEMSWAP, "memswap", BUILD, INT, CAP, 0, ANY_SIZE, 24, "build-memory", NULL, NULL, limits_why)
	ROW(CPUSHARES, "cpushares", BUILD, INT, ALLOW, 0, 1024, 24, "build-cpu", NULL, NULL,
	    "a build may lower its weight, 1024 is the normal one")
	ROW(CPUPERIOD, "cpuperiod", BUILD, INT, ALLOW, 0, 1000000, 24, "build-cpu", NULL, NULL, limits_why)
	ROW(CPUQUOTA, "cpuquota", BUILD, INT, CAP, 0, ANY_SIZE, 24, "build-cpu", NULL, NULL, limits_why)
	ROW(CPUSETCPUS, "cpusetcpus", BUILD, CPUS, ALLOW, 0, 256, 24, "build-cpu", NULL, NULL, "which CPUs RUN steps use")
	ROW(CPUSETMEMS, "cpusetmems", BUILD, CPUS, ALLOW, 0, 256, 24, "build-cpu", NULL, NULL, "which memory nodes RUN steps use")
	ROW(CGROUPPARENT, "cgroupparent", BUILD, TEXT, FORCE, 0, 1024, 24, "build-cgroup", NULL, NULL,
	    "the operator names the cgroup of RUN steps: leave --cgroup-parent out")
	ROW(SHMSIZE, "shmsize", BUILD, INT, CAP, 0, ANY_SIZE, 24, "build-shm", NULL, NULL, limits_why)
	ROW(ULIMITS, "ulimits", BUILD, ULIMITS, ALLOW, 0, KIB(4), 24, "build-ulimits", NULL, NULL, limits_why)
	ROW(SECURITYOPT, "securityopt", BUILD, TEXT, DENY, 1, 1024, 24, "build-security", NULL, NULL,
	    "the classic builder has no --security-opt")
	ROW(ISOLATION, "isolation", BUILD, TEXT, DENY, 0, 64, 24, "build-isolation", "default", NULL,
	    "there is no other isolation than the default")
	ROW(PLATFORM, "platform", BUILD, TEXT, DENY, 0, 256, 32, "build-platform", NULL, NULL,
	    "images are built for the host's own platform: leave --platform and DOCKER_DEFAULT_PLATFORM out")
	ROW(SQUASH, "squash", BUILD, BOOL, DENY, 0, 16, 25, "build-squash", NULL, NULL,
	    "--squash is an experiment of the engine: use a multi-stage build")
	/* tag */
	ROW(REPO, "repo", IMAGE_TAG, NEW_NAME, REWRITE, 0, REFERENCE_MAX, 24, "image-name", NULL, NULL, own_why)
	ROW(TAG, "tag", IMAGE_TAG, WORD, REWRITE, 0, 128, 24, "image-name", NULL, NULL, "latest when there is none")
	ROW(FORCE, "force", IMAGE_TAG, BOOL, IGNORE, 0, 16, 24, "image-tag", NULL, NULL, "tags always move")
	/* save */
	ROW(NAMES, "names", IMAGE_SAVE, NAME, REWRITE, 1, REFERENCE_MAX, 24, "image-name", NULL, NULL, own_why)
	ROW(PLATFORM, "platform", IMAGE_SAVE, TEXT, DENY, 0, 1024, 48, "image-platform", NULL, NULL,
	    "images have one platform, the host's: leave --platform out")
	/* list */
	ROW(ALL, "all", IMAGE_LIST, BOOL, ALLOW, 0, 16, 24, "image-list", NULL, NULL, "intermediate images, too; own ones only")
	ROW(FILTERS, "filters", IMAGE_LIST, TEXT, LOCAL, 0, KIB(16), 24, "image-list", NULL, NULL,
	    "a JSON object, evaluated here on the own list")
	ROW(FILTER, "filter", IMAGE_LIST, TEXT, LOCAL, 0, 1024, 24, "image-list", NULL, NULL, "the old spelling of a reference filter")
	ROW(DIGESTS, "digests", IMAGE_LIST, BOOL, IGNORE, 0, 16, 24, "image-list", NULL, NULL, "own images have no digests")
	ROW(SHARED_SIZE, "shared-size", IMAGE_LIST, BOOL, IGNORE, 0, 16, 42, "image-list", NULL, NULL, "would count other tasks' images")
	ROW(MANIFESTS, "manifests", IMAGE_LIST, BOOL, DENY, 0, 16, 47, "image-manifests", NULL, NULL,
	    "images have one manifest: leave --tree out")
	ROW(ONLY_IDS, "only_ids", IMAGE_LIST, BOOL, IGNORE, 0, 16, 24, "image-list", NULL, NULL, "docker-py sends it, no engine reads it")
	/* inspect, history */
	ROW(MANIFESTS, "manifests", IMAGE_INSPECT, BOOL, DENY, 0, 16, 48, "image-manifests", NULL, NULL, "images have one manifest")
	ROW(PLATFORM, "platform", IMAGE_INSPECT, TEXT, DENY, 0, 1024, 49, "image-platform", NULL, NULL,
	    "images have one platform, the host's: leave --platform out")
	ROW(PLATFORM, "platform", IMAGE_HISTORY, TEXT, DENY, 0, 1024, 48, "image-platform", NULL, NULL,
	    "images have one platform, the host's: leave --platform out")
	/* remove */
	ROW(FORCE, "force", IMAGE_REMOVE, BOOL, LOCAL, 0, 16, 24, "image-remove", NULL, NULL,
	    "several names of one image go together; never sent: it would take other tasks' names")
	ROW(NOPRUNE, "noprune", IMAGE_REMOVE, BOOL, ALLOW, 0, 16, 24, "image-remove", NULL, NULL,
	    "also sent when the cache is shared between tasks")
	ROW(PLATFORM, "platforms", IMAGE_REMOVE, TEXT, DENY, 1, 1024, 50, "image-platform", NULL, NULL,
	    "images have one platform, the host's: leave --platform out")
	/* header values */
	ROW(REGISTRY_CONFIG, "X-Registry-Config", BUILD, REGISTRY, LOCAL, 0, KIB(24), 24, "build-registry", NULL, NULL,
	    "credentials for base images: a pull by the proxy gets those of its own registry, if the operator lets it (policy.pull, policy.registryAuth); never sent with a build")
	/* our own calls */
	ROW(ALL, "all", SWEEP_LIST, BOOL, FORCE, 0, 16, 24, "sweep-list", NULL, "1", "")
	ROW(FROMIMAGE, "fromImage", BASE_PULL, TEXT, REWRITE, 0, REFERENCE_MAX, 24, "base-pull", NULL, NULL, "")
	ROW(REGISTRY_CONFIG, "X-Registry-Config", BASE_PULL, REGISTRY, CAP, 0, KIB(24), 24, "build-registry", NULL, NULL, "")
	ROW(QUIET, "quiet", IMAGE_LOAD, BOOL, FORCE, 0, 16, 24, "image-load", NULL, "1", "")
};
/* clang-format on */

enum { ROW_COUNT = sizeof(rows) / sizeof(*rows) };

/* {name} of the path: not a key of the query, the same row for every route that has one. */
static const struct param_row name_row = { PARAM_NAME, "name", ROUTE_DENY, KIND_NAME, ACTION_REWRITE, 0,
	REFERENCE_MAX, 24, "image-name", NULL, NULL, own_why };

const struct param_row *
param_rows(size_t *count)
{
	*count = ROW_COUNT;
	return rows;
}

const struct param_row *
param_by_key(enum route route, const char *key)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].route == route && rows[i].id != PARAM_REGISTRY_CONFIG &&
		    strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

const struct param_row *
param_by_id(enum route route, enum param id)
{
	if (id == PARAM_NAME)
		return &name_row;
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].route == route && rows[i].id == id)
			return &rows[i];
	return NULL;
}
