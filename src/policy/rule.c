#include "policy/rule.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/policy.h"

static const char unread[] = "what is not understood completely cannot be judged, nor written anew";
static const char no_route[] =
    "would give the task containers, networks, or what is the host's or another task's";
static const char no_param[] = "the engine would be told to do what no policy allows";
static const char names[] = "names and ids of others do not exist for a task";
static const char wrong[] = "the request is wrong as it stands: the engine would refuse it, too";
static const char network[] = "reaches a network that the operator did not give";
static const char tarball[] = "the tarball is not the image that it should be";
static const char cap[] = "takes more of memory or processor, and nothing that is another's";
static const char own_count[] = "more of its own, at most as many as the setting could say (10000)";
static const char host_bound[] = "bounds the host as a whole";
static const char guard[] = "keeps the proxy itself alive: memory, connections, time";
static const char engine[] = "not a judgement: nothing could be done";

/* clang-format off */
#define NO(name, why) { name, RULE_ENFORCED, 0, why },
#define YES(name, why) { name, RULE_OBSERVED, 0, why },
#define NO_AGAIN(name, why) { name, RULE_ENFORCED, 1, why },
#define YES_AGAIN(name, why) { name, RULE_OBSERVED, 1, why },
#define PART_AGAIN(name, why) { name, RULE_IN_PART, 1, why },

static const struct rule_row rows[] = {
	/* caps of a policy and counts of a task */
	YES_AGAIN("build-memory", cap)
	YES_AGAIN("build-cpu", cap)
	YES_AGAIN("build-shm", cap)
	YES_AGAIN("build-hosts", "adds lines to /etc/hosts of the task's own RUN steps; it gives no network that was not there")
	PART_AGAIN("base-image", "only images of docker.io/library, which are public: another image of the host may hold secrets, "
	    "one of another task is never within reach")
	YES_AGAIN("limit-images", own_count)
	YES_AGAIN("limit-names", own_count)
	YES_AGAIN("limit-request-names", "longer work for the same answer, at most 32 names")
	YES("limit-builds", "limits.hostBuilds still bounds all tasks together")
	YES("limit-saved-bytes", "reads its own images once more; nothing is kept")
	YES("limit-disk-bytes", "limits.diskFree still keeps the engine's disk from filling up")
	NO("limit-disk-free", host_bound)
	NO("limit-host-builds", host_bound)
	NO("limit-host-connections", host_bound)
	NO("limit-connections", guard)
	NO("limit-request-rate", guard)
	NO("limit-head-time", guard)
	NO("limit-stall-time", guard)
	NO("limit-build-time", "a build that never ends would stay for ever")
	NO("limit-context-bytes", "the engine unpacks it before its disk can be looked at")
	NO("limit-context-entries", guard)
	NO("limit-dockerfile-bytes", guard)
	NO("limit-image-bytes", guard)
	/* what a policy may open */
	NO("add-url", "the engine fetches it from the host's network: metadata services, internal hosts")
	NO_AGAIN("build-network", network)
	NO_AGAIN("build-pull", network)
	NO("build-remote", network)
	NO("build-registry", network)
	NO_AGAIN("build-cgroup", "would leave the cgroup that bounds it")
	NO("api-version", "the tables were not made for that version")
	/* parameters of a build */
	NO("build-buildkit", no_param)
	NO("build-security", no_param)
	NO("build-isolation", no_param)
	NO("build-platform", no_param)
	NO("build-squash", no_param)
	NO("build-ulimits", "a wrong value, or one that no table knows")
	NO("build-rm", wrong)
	NO("build-quiet", wrong)
	NO("build-args", unread)
	NO("build-labels", unread)
	NO("build-target", unread)
	NO("build-dockerfile", unread)
	NO("build-cache", unread)
	NO("dockerfile", unread)
	NO("workdir-proc", "RUN steps would see the engine's own files")
	NO("context", unread)
	NO("base-image-missing", engine)
	NO("task-finished", "the images are being exported")
	/* names and images */
	NO("not-owned", names)
	NO("image-name", names)
	NO("reference", names)
	NO("name-like-id", names)
	NO("name-digest", names)
	NO("image-list", unread)
	NO("list-filter", unread)
	NO("image-tag", unread)
	NO("image-save", unread)
	NO("image-inspect", unread)
	NO("image-history", unread)
	NO("image-remove", names)
	NO("image-manifests", no_param)
	NO("image-platform", no_param)
	NO("image-config", tarball)
	NO("image-contents", tarball)
	NO("image-duplicate", tarball)
	NO("image-id", tarball)
	NO("image-layer", tarball)
	NO("image-layers", tarball)
	NO("image-link", tarball)
	NO("image-manifest", tarball)
	NO("image-member", tarball)
	NO("image-members", tarball)
	NO("image-metadata", tarball)
	NO("image-names", tarball)
	/* routes */
	NO("default-deny", no_route)
	NO("image-search", network)
	NO("image-pull", network)
	NO("image-load", no_route)
	NO("image-prune", no_route)
	NO("image-push", network)
	NO("container-inspect", no_route)
	NO("container-run", no_route)
	NO("container-list", no_route)
	NO("container-exec", no_route)
	NO("container-attach", no_route)
	NO("container", no_route)
	NO("container-commit", no_route)
	NO("network-inspect", no_route)
	NO("network", no_route)
	NO("volume", no_route)
	NO("buildkit", no_route)
	NO("build-prune", no_route)
	NO("login", network)
	NO("events", no_route)
	NO("system-df", no_route)
	NO("swarm", no_route)
	NO("plugin", no_route)
	NO("registry", network)
	NO("debug", no_route)
	NO("podman", no_route)
	NO("ping", unread)
	NO("version", unread)
	NO("info", unread)
	NO("build", unread)
	/* requests as such */
	NO("query-unknown", unread)
	NO("query-duplicate", unread)
	NO("form-body", "the engine would read parameters from it that nobody judged")
	NO("body", unread)
	NO("body-size", guard)
	NO("body-cut", wrong)
	NO("request-size", guard)
	NO("upgrade", "what follows would not be a request")
	NO("target-path", unread)
	NO("target-query", unread)
	NO("target-size", unread)
	NO("target-version", unread)
	NO("http-chunk", unread)
	NO("http-content-length", unread)
	NO("http-expect", unread)
	NO("http-field", unread)
	NO("http-field-twice", unread)
	NO("http-folding", unread)
	NO("http-framing", unread)
	NO("http-head-size", unread)
	NO("http-host", unread)
	NO("http-line-end", unread)
	NO("http-method", unread)
	NO("http-request-line", unread)
	NO("http-status-line", unread)
	NO("http-syntax", unread)
	NO("http-target", unread)
	NO("http-target-size", unread)
	NO("http-trailer", unread)
	NO("http-transfer-encoding", unread)
	NO("http-version", unread)
	NO("http2-preface", unread)
	/* nothing could be done */
	NO("engine", engine)
	NO("engine-untested", "what this engine makes of a Dockerfile or of a parameter was never compared with what is judged")
	NO("audit", "what is not recorded is not done")
	NO("state", engine)
	NO("gate", "the second judgement is never the one that lets through")
	NO("call", "the second judgement is never the one that lets through")
	NO("call-param", "the second judgement is never the one that lets through")
	NO("call-name", "the second judgement is never the one that lets through")
	NO("call-namespace", "the second judgement is never the one that lets through")
	NO("service-stopping", engine)
	NO("policy-replaced", "no policy is there any more by which the request was judged")
};
/* clang-format on */

enum { ROW_COUNT = sizeof(rows) / sizeof(*rows) };

const struct rule_row *
rule_rows(size_t *count)
{
	*count = ROW_COUNT;
	return rows;
}

_Static_assert(
    (int)ROW_COUNT < (int)RULE_ROOM, "RULE_ROOM holds an entry for each rule, and one for all others");

size_t
rule_index(const char *name)
{
	size_t i = 0;

	while (i < ROW_COUNT && strcmp(rows[i].name, name) != 0)
		i++;
	return i;
}

const struct rule_row *
rule_find(const char *name)
{
	size_t i = rule_index(name);

	return i < ROW_COUNT ? &rows[i] : NULL;
}

int
rule_observed(const struct policy *p, const struct err *e)
{
	const struct rule_row *row = e->rule != NULL ? rule_find(e->rule) : NULL;

	/* 400 is a value that is wrong, not one that is too much */
	return p->mode == POLICY_OBSERVE && (e->status == 403 || e->status == 429) && row != NULL &&
	       row->observe == RULE_OBSERVED;
}

void
rule_doc(struct buf *out)
{
	static const char *const words[] = {
		[0] = "?", [RULE_ENFORCED] = "no", [RULE_OBSERVED] = "**yes**", [RULE_IN_PART] = "**in part**"
	};

	buf_adds(out, "| rule | observed | replayed | why it is, or is not, harmless |\n|---|---|---|---|\n");
	for (size_t i = 0; i < ROW_COUNT; i++)
		buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, words[rows[i].observe],
		    rows[i].replayed ? "yes" : "", rows[i].why);
}
