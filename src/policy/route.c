#include "policy/route.h"

#include <string.h>

#define OWN_IMAGES "builds, tags, saves, lists and removes the task's own images, and nothing else"
#define NO_BUILDKIT                                                                                          \
	"BuildKit is not available on this socket: set DOCKER_BUILDKIT=0 and use 'docker build' or 'docker " \
	"compose build', which then use the classic builder; 'docker buildx' cannot"

/*
 * The first row that fits is taken. {name} is greedy in the engine's router, so the last segment and the
 * method decide: /images/json is the list, /images/json/json is the image "json" (threats.md A.5.1).
 */
/* clang-format off */
#define ALLOW(rule, method, path, id, client) \
	{ rule, HTTP_##method, path, VERDICT_ALLOW, ROUTE_##id, 0, "", client },
#define ANSWER(rule, method, path, id, status, reason, client) \
	{ rule, HTTP_##method, path, VERDICT_ANSWER, ROUTE_##id, status, reason, client },
#define DENY(rule, method, path, reason, client) \
	{ rule, HTTP_##method, path, VERDICT_DENY, ROUTE_DENY, 403, reason, client },

static const struct route_row rows[] = {
	ALLOW("ping", GET, "/_ping", PING, "every client, first")
	ALLOW("ping", HEAD, "/_ping", PING, "every client, first")
	ALLOW("version", GET, "/version", VERSION, "docker version")
	ANSWER("info", GET, "/info", INFO, 200, "a view of the task's own, made here", "docker info")
	ALLOW("build", POST, "/build", BUILD, "docker build")
	ALLOW("image-list", GET, "/images/json", IMAGE_LIST, "docker images")
	ALLOW("image-save", GET, "/images/get", IMAGE_SAVE, "docker save")
	DENY("image-search", GET, "/images/search", "search is not available on this socket: it " OWN_IMAGES, "docker search")
	DENY("image-pull", POST, "/images/create",
	    "pull and import are not available on this socket: a build finds its base images on the host, or pulls "
	    "them if the operator lets it", "docker pull, docker import")
	DENY("image-load", POST, "/images/load",
	    "load is not available on this socket: it could replace any image of the host; build FROM a base image, or "
	    "let a later task use this task's image artifact", "docker load")
	DENY("image-prune", POST, "/images/prune",
	    "prune is not available on this socket: remove images by name (docker rmi); all of the task's images are "
	    "removed when it ends", "docker image prune")
	ALLOW("image-inspect", GET, "/images/{name}/json", IMAGE_INSPECT, "docker inspect")
	ALLOW("image-history", GET, "/images/{name}/history", IMAGE_HISTORY, "docker history")
	ALLOW("image-save", GET, "/images/{name}/get", IMAGE_SAVE, "docker-py, curl")
	ALLOW("image-tag", POST, "/images/{name}/tag", IMAGE_TAG, "docker tag")
	DENY("image-push", POST, "/images/{name}/push",
	    "push is not available on this socket: save the image (docker save), or declare it as an artifact of the "
	    "task, which uploads it", "docker push")
	ALLOW("image-remove", DELETE, "/images/{name}", IMAGE_REMOVE, "docker rmi")
	ANSWER("container-inspect", GET, "/containers/{name}/json", CONTAINER_INSPECT, 404,
	    "there are no containers; docker inspect then asks for the image", "docker inspect")
	ANSWER("container-inspect", HEAD, "/containers/{name}/json", CONTAINER_INSPECT, 404,
	    "there are no containers", "")
	DENY("container-run", POST, "/containers/create",
	    "docker run is not available on this socket: it " OWN_IMAGES "; run the finished image in a later task "
	    "(image: {\"type\": \"task-image\", ...}), or use RUN in the Dockerfile", "docker run, docker create")
	DENY("container-list", GET, "/containers/json", "there are no containers on this socket: it " OWN_IMAGES, "docker ps")
	DENY("container-exec", NONE, "/exec/*", "exec is not available on this socket: it " OWN_IMAGES, "docker exec")
	DENY("container-exec", POST, "/containers/{name}/exec", "exec is not available on this socket: it " OWN_IMAGES, "docker exec")
	DENY("container-attach", NONE, "/containers/{name}/attach", "attach is not available on this socket: it " OWN_IMAGES, "docker attach")
	DENY("container", NONE, "/containers/*", "containers are not available on this socket: it " OWN_IMAGES, "docker start, stop, logs, cp, ...")
	DENY("container-commit", POST, "/commit",
	    "commit is not available on this socket: there are no containers; build with a Dockerfile", "docker commit")
	ANSWER("network-inspect", GET, "/networks/{name}", NETWORK_INSPECT, 404,
	    "there are no networks; docker-compose goes on after this", "docker network inspect")
	DENY("network", NONE, "/networks", "networks are not available on this socket: it " OWN_IMAGES, "docker network ls")
	DENY("network", NONE, "/networks/*", "networks are not available on this socket: it " OWN_IMAGES, "docker network ...")
	DENY("volume", NONE, "/volumes", "volumes are not available on this socket: it " OWN_IMAGES, "docker volume ls")
	DENY("volume", NONE, "/volumes/*", "volumes are not available on this socket: it " OWN_IMAGES, "docker volume ...")
	DENY("buildkit", NONE, "/session", NO_BUILDKIT, "DOCKER_BUILDKIT=1 docker build")
	DENY("buildkit", NONE, "/grpc", NO_BUILDKIT, "docker buildx build")
	DENY("build-prune", POST, "/build/prune",
	    "the build cache is kept by the engine for all tasks and cannot be pruned from here", "docker builder prune")
	DENY("buildkit", POST, "/build/cancel", NO_BUILDKIT, "Ctrl-C of a BuildKit build")
	DENY("login", POST, "/auth",
	    "login is not available on this socket: registries are not reached from here; credentials for base images "
	    "are sent with each build if the operator passes them on", "docker login")
	DENY("events", GET, "/events", "events are not available on this socket: they tell of all tasks of the host", "docker events")
	DENY("system-df", GET, "/system/df", "disk usage is not available on this socket: it tells of all tasks of the host", "docker system df")
	DENY("swarm", NONE, "/swarm", "swarm is not available on this socket: it " OWN_IMAGES, "docker swarm")
	DENY("swarm", NONE, "/swarm/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker swarm")
	DENY("swarm", NONE, "/nodes", "swarm is not available on this socket: it " OWN_IMAGES, "docker node ls")
	DENY("swarm", NONE, "/nodes/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker node")
	DENY("swarm", NONE, "/services", "swarm is not available on this socket: it " OWN_IMAGES, "docker service ls")
	DENY("swarm", NONE, "/services/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker service")
	DENY("swarm", NONE, "/tasks", "swarm is not available on this socket: it " OWN_IMAGES, "docker stack ps")
	DENY("swarm", NONE, "/tasks/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker stack ps")
	DENY("swarm", NONE, "/secrets", "swarm is not available on this socket: it " OWN_IMAGES, "docker secret ls")
	DENY("swarm", NONE, "/secrets/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker secret")
	DENY("swarm", NONE, "/configs", "swarm is not available on this socket: it " OWN_IMAGES, "docker config ls")
	DENY("swarm", NONE, "/configs/*", "swarm is not available on this socket: it " OWN_IMAGES, "docker config")
	DENY("plugin", NONE, "/plugins", "plugins are not available on this socket: it " OWN_IMAGES, "docker plugin ls")
	DENY("plugin", NONE, "/plugins/*", "plugins are not available on this socket: it " OWN_IMAGES, "docker plugin")
	DENY("registry", NONE, "/distribution/*",
	    "the engine asks no registry for this socket", "docker manifest inspect")
	DENY("debug", NONE, "/debug/*", "the engine's debug pages are not available on this socket", "")
	DENY("podman", NONE, "/libpod/*",
	    "this socket speaks the Docker API, not podman's own: use docker, docker-py or curl", "podman --remote")
};

/* What dind-proxy itself asks the engine: no task reaches these rows. */
static const struct route_row ours[] = {
	ALLOW("base-inspect", GET, "/images/{name}/json", BASE_INSPECT, "")
	ALLOW("base-pull", POST, "/images/create", BASE_PULL, "")
	ALLOW("own-load", POST, "/images/load", IMAGE_LOAD, "")
	ALLOW("sweep-list", GET, "/images/json", SWEEP_LIST, "")
};
/* clang-format on */

enum { ROW_COUNT = sizeof(rows) / sizeof(*rows), OURS_COUNT = sizeof(ours) / sizeof(*ours) };

/*
 * Does path fit the pattern? The length of what stands for {name} or "*" is in *len, where it begins in *at;
 * neither may be empty.
 */
static int
fits(const char *pattern, const char *path, size_t *at, size_t *len)
{
	size_t before = strcspn(pattern, "{*"), n = strlen(path), after;
	const char *tail;

	*at = before;
	*len = 0;
	if (pattern[before] == '\0')
		return strcmp(pattern, path) == 0;
	tail = pattern[before] == '{' ? strchr(pattern, '}') + 1 : "";
	after = strlen(tail);
	if (n <= before + after || strncmp(pattern, path, before) != 0 || strcmp(path + n - after, tail) != 0)
		return 0;
	*len = n - before - after;
	return 1;
}

const struct route_row *
route_rows(size_t *count)
{
	*count = ROW_COUNT;
	return rows;
}

const struct route_row *
route_find(enum http_method method, const char *path, char *name, size_t size)
{
	name[0] = '\0';
	for (size_t i = 0; i < ROW_COUNT; i++) {
		size_t at, len;

		if ((rows[i].method != HTTP_NONE && rows[i].method != method) ||
		    !fits(rows[i].path, path, &at, &len))
			continue;
		if (len < size && strchr(rows[i].path, '{') != NULL) {
			memcpy(name, path + at, len);
			name[len] = '\0';
		}
		return &rows[i];
	}
	return NULL;
}

const struct route_row *
route_by_id(enum route route)
{
	for (size_t i = 0; i < ROW_COUNT && route != ROUTE_DENY; i++)
		if (rows[i].route == route)
			return &rows[i];
	for (size_t i = 0; i < OURS_COUNT; i++)
		if (ours[i].route == route)
			return &ours[i];
	return NULL;
}
