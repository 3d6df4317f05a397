#include "task/provenance.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"
#define UNNAMED_BUILDER "urn:dind-proxy:builder"

/* "sha256:..." as a DigestSet; other text gives none. */
static json_t *
digest_of(const char *id)
{
	return id != NULL && strncmp(id, "sha256:", 7) == 0 ? json_pack("{s:s}", "sha256", id + 7) : NULL;
}

static void
add_descriptor(json_t *list, json_t *descriptor)
{
	if (descriptor != NULL)
		json_array_append_new(list, descriptor);
}

/* One resource: without a digest it says nothing. */
static json_t *
resource(const char *name, json_t *digest)
{
	return digest == NULL ? NULL : json_pack("{s:s,s:o}", "name", name, "digest", digest);
}

static json_t *
hashed(const char *name, const char *sha256)
{
	return sha256 == NULL ? NULL : resource(name, json_pack("{s:s}", "sha256", sha256));
}

/* A base image by its id; where registries know it, its digests there stand as annotations. */
static json_t *
base_image(const json_t *base)
{
	const json_t *digests = json_object_get(base, "digests");
	json_t *v = resource(json_str(base, "name", ""), digest_of(json_str(base, "id", NULL)));

	if (v != NULL && json_array_size(digests) > 0)
		json_object_set_new(v, "annotations", json_pack("{s:O}", "registryDigests", digests));
	return v;
}

/* What one build was made of; its own images are made by the builds that stand beside it. */
static void
add_materials(json_t *list, const json_t *build)
{
	const json_t *base;
	size_t i;

	add_descriptor(
	    list, hashed("build context", json_str(json_object_get(build, "context"), "sha256", NULL)));
	add_descriptor(
	    list, hashed("Dockerfile", json_str(json_object_get(build, "dockerfile"), "sha256", NULL)));
	json_array_foreach(json_object_get(build, "bases"), i,
	    base) if (!json_is_true(json_object_get(base, "own"))) add_descriptor(list, base_image(base));
}

static json_t *
materials(const json_t *record)
{
	json_t *list = json_array();
	const json_t *one;
	size_t i;

	add_materials(list, json_object_get(record, "build"));
	json_array_foreach(json_object_get(record, "ancestors"), i, one) add_materials(list, one);
	return list;
}

static json_t *
external(const json_t *record)
{
	const json_t *build = json_object_get(record, "build");
	const json_t *image = json_object_get(record, "image");
	json_t *v = json_pack("{s:O*,s:s,s:s}", "task", json_object_get(record, "builtBy"), "artifact",
	    json_str(record, "name", ""), "image", json_str(image, "name", ""));
	const json_t *path = json_object_get(json_object_get(build, "dockerfile"), "path");

	if (path != NULL)
		json_object_set(v, "dockerfile", (json_t *)(uintptr_t)path);
	for (const char *const *key = (const char *const[]){ "parameters", "names", NULL }; *key != NULL;
	     key++)
		if (json_object_get(build, *key) != NULL)
			json_object_set(v, *key, json_object_get(build, *key));
	return v;
}

/* What is known of it when it is signed. */
static json_t *
comparable(const json_t *record)
{
	json_t *copy = json_deep_copy(record);

	json_object_del(copy, "storageType");
	return copy;
}

static json_t *
internal(const json_t *record)
{
	return json_pack("{s:o}", "record", comparable(record));
}

static json_t *
byproducts(const json_t *record)
{
	const json_t *image = json_object_get(record, "image"), *one;
	json_t *list = json_array();
	size_t i;

	add_descriptor(list, resource("image", digest_of(json_str(image, "id", NULL))));
	add_descriptor(
	    list, hashed("image tarball", json_str(json_object_get(record, "tar"), "sha256", NULL)));
	json_array_foreach(json_object_get(image, "layers"), i, one)
	{
		char name[32];

		(void)snprintf(name, sizeof name, "layer %zu", i);
		add_descriptor(list, resource(name, digest_of(json_str(one, "diffId", NULL))));
	}
	return list;
}

/* The run, and in it the request that built: as the audit log numbers them. */
static char *
invocation_of(const json_t *by, const json_t *request)
{
	char *run = mem_printf("%s/%lld", json_str(by, "taskId", ""), (long long)json_num(by, "runId", 0));
	char *all;

	if (!json_is_object(request))
		return run;
	all = mem_printf("%s/conn/%lld/req/%lld", run, (long long)json_num(request, "conn", 0),
	    (long long)json_num(request, "req", 0));
	free(run);
	return all;
}

static json_t *
run_details(const json_t *record)
{
	const json_t *builder = json_object_get(record, "builder"), *by = json_object_get(record, "builtBy");
	const json_t *build = json_object_get(record, "build");
	char *invocation = invocation_of(by, json_object_get(build, "request"));
	json_t *v = json_pack("{s:{s:s,s:{s:s*,s:s*}},s:{s:s,s:s*,s:s*},s:o}", "builder", "id",
	    json_str(builder, "id", UNNAMED_BUILDER), "version", "dind-proxy",
	    json_str(builder, "version", NULL), "docker",
	    json_str(json_object_get(record, "engine"), "version", NULL), "metadata", "invocationId",
	    invocation, "startedOn", json_str(build, "started", NULL), "finishedOn",
	    json_str(build, "finished", NULL), "byproducts", byproducts(record));

	free(invocation);
	return v;
}

json_t *
provenance_statement(const json_t *record)
{
	return json_pack("{s:s,s:[{s:s,s:{s:s,s:s}}],s:s,s:{s:{s:s,s:o,s:o,s:o},s:o}}", "_type",
	    STATEMENT_TYPE, "subject", "name", json_str(record, "name", ""), "digest", "sha256",
	    json_str(record, "sha256", ""), "sha512", json_str(record, "sha512", ""), "predicateType",
	    PREDICATE_TYPE, "predicate", "buildDefinition", "buildType", PROVENANCE_BUILD_TYPE,
	    "externalParameters", external(record), "internalParameters", internal(record),
	    "resolvedDependencies", materials(record), "runDetails", run_details(record));
}

char *
provenance_text(const json_t *statement)
{
	return json_text(statement, 0);
}

const json_t *
provenance_record(const json_t *statement, struct err *e)
{
	const json_t *definition =
	    json_object_get(json_object_get(statement, "predicate"), "buildDefinition");
	const json_t *record = json_object_get(json_object_get(definition, "internalParameters"), "record");
	const struct {
		const char *key, *is, *wanted;
	} words[] = {
		{ "_type", json_str(statement, "_type", ""), STATEMENT_TYPE },
		{ "predicateType", json_str(statement, "predicateType", ""), PREDICATE_TYPE },
		{ "buildType", json_str(definition, "buildType", ""), PROVENANCE_BUILD_TYPE },
	};
	char quoted[200];

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].is, words[i].wanted) != 0) {
			err_set(e, EINVAL, "the statement's '%s' is '%s', expected '%s'", words[i].key,
			    log_quote(words[i].is, strlen(words[i].is), quoted, sizeof quoted),
			    words[i].wanted);
			return NULL;
		}
	if (!json_is_object(record))
		err_set(e, EINVAL, "the statement holds no record of an artifact");
	return json_is_object(record) ? record : NULL;
}

enum { WHERE_MAX = 160, DEPTH_MAX = 32 };

static int
tell(const char *where, const json_t *signed_one, const json_t *other, struct err *e)
{
	char *a = signed_one != NULL ? json_text(signed_one, 1) : mem_str("nothing");
	char *b = other != NULL ? json_text(other, 1) : mem_str("nothing");
	char path[WHERE_MAX * 2];

	(void)log_quote(where, strlen(where), path, sizeof path);
	err_set(e, EBADMSG, "'%s' differs: the statement says %.90s, the record %.90s", path, a, b);
	free(a);
	free(b);
	return -1;
}

static int same(const char *where, const json_t *a, const json_t *b, int depth, struct err *e);

static int
same_member(const char *where, const char *key, const json_t *a, const json_t *b, int depth, struct err *e)
{
	char inner[WHERE_MAX];

	(void)snprintf(inner, sizeof inner, "%s%s%s", where, where[0] ? "." : "", key);
	return same(inner, a, b, depth + 1, e);
}

static int
same_objects(const char *where, const json_t *a, const json_t *b, int depth, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)a, key,
	    v) if (same_member(where, key, v, json_object_get(b, key), depth, e) < 0) return -1;
	json_object_foreach((json_t *)(uintptr_t)b, key,
	    v) if (json_object_get(a, key) == NULL) return same_member(where, key, NULL, v, depth, e);
	return 0;
}

static int
same_lists(const char *where, const json_t *a, const json_t *b, int depth, struct err *e)
{
	size_t n = json_array_size(a) > json_array_size(b) ? json_array_size(a) : json_array_size(b);

	for (size_t i = 0; i < n; i++) {
		char index[24];

		(void)snprintf(index, sizeof index, "%zu", i);
		if (same_member(where, index, json_array_get(a, i), json_array_get(b, i), depth, e) < 0)
			return -1;
	}
	return 0;
}

/* The first difference is told. */
static int
same(const char *where, const json_t *a, const json_t *b, int depth, struct err *e)
{
	if (a != NULL && b != NULL && depth < DEPTH_MAX) {
		if (json_is_object(a) && json_is_object(b))
			return same_objects(where, a, b, depth, e);
		if (json_is_array(a) && json_is_array(b))
			return same_lists(where, a, b, depth, e);
	}
	return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b) ? 0 : tell(where, a, b, e);
}

int
provenance_compare(const json_t *statement, const json_t *record, struct err *e)
{
	const json_t *inside = provenance_record(statement, e);
	json_t *mine = provenance_statement(record), *compared = comparable(record);
	int rc = inside == NULL ? -1 : same("", inside, compared, 0, e);

	if (rc == 0) /* all else is made of it */
		rc = same("", statement, mine, 0, e);
	json_decref(compared);
	json_decref(mine);
	return rc;
}
