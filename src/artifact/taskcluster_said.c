/* What queue and object service say of an artifact that is looked for. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "taskcluster_private.h"

int64_t
tc_find_run(const json_t *status, struct err *e)
{
	const json_t *runs = json_object_get(json_object_get(status, "status"), "runs");
	size_t count = json_array_size(runs);
	int64_t run = count == 0 ? -1 : json_num(json_array_get(runs, count - 1), "runId", -1);

	if (count == 0)
		return err_refuse(e, 404, TC_BY_TASK, "the task has no run yet, and so no artifact");
	if (run < 0 || run > INT32_MAX)
		return err_refuse(e, 502, TC_BY_SERVICE, "the task's last run has no runId");
	return run;
}

static int
refuse_kind(const json_t *content, const char *kind, struct err *e)
{
	char a[64], b[300];
	const char *reason = json_str(content, "reason", ""), *message = json_str(content, "message", "");

	if (strcmp(kind, "error") == 0)
		return err_refuse(e, 424, TC_BY_TASK, "the artifact is an error: %s: %s",
		    log_quote(reason, strlen(reason), a, sizeof a),
		    log_quote(message, strlen(message), b, sizeof b));
	if (strcmp(kind, "reference") == 0)
		return err_refuse(e, 400, TC_BY_TASK,
		    "the artifact is a reference: a task's own URL is not fetched from the host's network");
	return err_refuse(e, 400, TC_BY_TASK, "the artifact is of storage type '%s'; expected s3 or object",
	    log_quote(kind, strlen(kind), a, sizeof a));
}

static int
take_url(struct tc_source *s, const char *url, struct err *e)
{
	struct taskcluster *home = (struct taskcluster *)s->source.home;

	if (tc_data_url(home->root, url, e) < 0)
		return -1;
	free(s->url);
	s->url = mem_str(url);
	return 0;
}

int
tc_find_content(struct tc_source *s, const json_t *content, char **name, struct tc_key *key, struct err *e)
{
	const char *kind = json_str(content, "storageType", "");

	if (strcmp(kind, "s3") == 0)
		return take_url(s, json_str(content, "url", ""), e) < 0 ? -1 : 1;
	if (strcmp(kind, "object") != 0)
		return refuse_kind(content, kind, e);
	if (json_str(content, "name", NULL) == NULL)
		return err_set(e, EPROTO, "an artifact of storage type object without a name");
	*name = mem_str(json_str(content, "name", NULL));
	return tc_key_parse(key, json_object_get(content, "credentials"), e);
}

static char *
take_hash(const json_t *hashes, const char *kind, size_t len)
{
	const char *hex = json_str(hashes, kind, "");

	return strspn(hex, "0123456789abcdef") == len && hex[len] == '\0' ? mem_str(hex) : NULL;
}

/* Hashes of other kinds are passed over, as the official clients do; none that is known is no good. */
int
tc_find_download(struct tc_source *s, const json_t *download, struct err *e)
{
	const json_t *hashes = json_object_get(download, "hashes");

	if (strcmp(json_str(download, "method", ""), "getUrl") != 0)
		return err_set(e, EPROTO, "the object service offers no download by URL");
	if (take_url(s, json_str(download, "url", ""), e) < 0)
		return -1;
	s->source.sha256 = take_hash(hashes, "sha256", 64);
	s->source.sha512 = take_hash(hashes, "sha512", 128);
	if (s->source.sha256 == NULL && s->source.sha512 == NULL)
		return err_refuse(e, 502, TC_BY_TASK,
		    "the object has neither a sha256 nor a sha512: whoever uploaded it has not said what it "
		    "is");
	return 0;
}
