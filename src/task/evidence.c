#include "task/evidence.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

json_t *
evidence_make(const char *builder, json_t *build, int provenance)
{
	json_object_set_new(build, "builder", json_string(builder));
	json_object_set_new(build, "provenance", json_boolean(provenance));
	return build;
}

int
evidence_wants_upload(const struct spool_record *r)
{
	return json_is_true(json_object_get(r->evidence, "provenance"));
}

static json_t *
layers_json(const struct spool_record *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->layer_count; i++)
		json_array_append_new(list, json_pack("{s:s,s:I}", "diffId", r->layers[i].diff_id, "size",
		                                (json_int_t)r->layers[i].size));
	return list;
}

/* The build as the export was told of it; a record without one says that, too. */
static void
add_build(json_t *out, const json_t *evidence)
{
	static const char *const keys[] = { "build", "buildUnknown", "ancestors" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (json_object_get(evidence, keys[i]) != NULL)
			json_object_set(out, keys[i], json_object_get(evidence, keys[i]));
	if (json_object_get(out, "build") != NULL)
		return;
	json_object_set_new(out, "build", json_null());
	json_object_set_new(out, "buildUnknown", json_string("the export was told of no build"));
}

json_t *
evidence_artifact(const struct spool_record *r, const json_t *result)
{
	json_t *out;

	if (r->error_reason != NULL || r->kind != NULL)
		return NULL;
	out = json_pack("{s:i,s:s,s:s,s:s,s:s*,s:I,s:s,s:s,s:s,s:s*}", "version", EVIDENCE_VERSION, "kind",
	    "artifact", "name", r->name, "contentType", r->content_type, "storageType",
	    json_str(result, "storageType", NULL), "size", (json_int_t)r->size, "sha256", r->sha256, "sha512",
	    r->sha512, "created", r->created, "expires", r->expires);
	json_object_set_new(
	    out, "tar", json_pack("{s:s,s:I}", "sha256", r->tar_sha256, "size", (json_int_t)r->tar_size));
	json_object_set_new(out, "image",
	    json_pack("{s:s,s:s,s:o}", "id", r->image_id, "name", r->image, "layers", layers_json(r)));
	json_object_set_new(
	    out, "builtBy", json_pack("{s:s,s:i}", "taskId", r->task_id, "runId", (int)r->run_id));
	json_object_set_new(out, "builder",
	    json_pack("{s:s*,s:s,s:s*}", "id", json_str(r->evidence, "builder", NULL), "name", "dind-proxy",
	        "version", r->version));
	json_object_set_new(out, "engine", json_pack("{s:s*}", "version", r->engine));
	add_build(out, r->evidence);
	return out;
}

json_t *
evidence_load(const struct evidence_load *l)
{
	const json_t *a = l->artifact;
	const char *sha256 = json_str(a, "sha256", NULL);
	json_t *out = json_pack("{s:i,s:s,s:s*,s:s*,s:s*,s:s*,s:s*}", "version", EVIDENCE_VERSION, "kind",
	    "load", "taskId", json_str(a, "taskId", NULL), "name", json_str(a, "name", NULL), "sha256",
	    sha256, "sha512", json_str(a, "sha512", NULL), "storageType", json_str(a, "storageType", NULL));

	if (json_object_get(a, "runId") != NULL)
		json_object_set(out, "runId", json_object_get(a, "runId"));
	if (json_object_get(a, "size") != NULL)
		json_object_set(out, "size", json_object_get(a, "size"));
	json_object_set_new(out, "imageHash", json_string(l->image_id));
	if (sha256 != NULL)
		json_object_set_new(out, "imageArtifactHash", json_sprintf("sha256:%s", sha256));
	json_object_set_new(out, "localName", json_string(l->local_name));
	json_object_set_new(
	    out, "loadedFor", json_pack("{s:s,s:i}", "taskId", l->for_task_id, "runId", (int)l->for_run_id));
	if (l->loaded != NULL)
		json_object_set_new(out, "loaded", json_string(l->loaded));
	json_object_set_new(out, "engine", json_pack("{s:s*}", "version", l->engine));
	json_object_set_new(out, "builder",
	    json_pack("{s:s*,s:s,s:s*}", "id", l->builder, "name", "dind-proxy", "version", l->version));
	return out;
}

/* The load that the task runs in. 0 with NULL when nothing was loaded. */
static int
find_load(const json_t *loads, const char *path, const json_t **out, struct err *e)
{
	char quoted[200];
	const json_t *one;
	size_t i;

	*out = NULL;
	if (path == NULL && json_array_size(loads) > 1)
		return err_set(e, EINVAL,
		    "%zu images were loaded for this task: name the artifact whose image it runs in",
		    json_array_size(loads));
	json_array_foreach(
	    loads, i, one) if (path == NULL || strcmp(json_str(one, "name", ""), path) == 0) *out = one;
	if (path == NULL || *out != NULL)
		return 0;
	return err_set(e, ENOENT, "no image was loaded from '%s' for this task",
	    log_quote(path, strlen(path), quoted, sizeof quoted));
}

json_t *
evidence_chain_of_trust(const json_t *evidence, const char *path, struct err *e)
{
	const json_t *uploads = json_object_get(evidence, "uploads"), *one, *load;
	const json_t *loads = json_object_get(evidence, "loads");
	json_t *out = json_object(), *hashes = json_object();
	size_t i;

	if (find_load(loads, path, &load, e) < 0) {
		json_decref(out);
		json_decref(hashes);
		return NULL;
	}
	if (load != NULL)
		json_object_set_new(out, "environment",
		    json_pack("{s:s,s:s*}", "imageHash", json_str(load, "imageHash", ""), "imageArtifactHash",
		        json_str(load, "imageArtifactHash", NULL)));
	json_array_foreach(uploads, i, one) json_object_set_new(
	    hashes, json_str(one, "name", ""), json_pack("{s:s}", "sha256", json_str(one, "sha256", "")));
	json_object_set_new(out, "artifacts", hashes);
	json_object_set_new(out, "dindProxy",
	    json_pack("{s:O?,s:O?}", "artifacts", json_object_get(evidence, "artifacts"), "loads", loads));
	return out;
}

enum form { TEXT, HEX256, HEX512, IMAGE_ID, NUMBER, OBJECT, LIST };

/* What others rely on. */
static const struct {
	const char *in, *key;
	enum form form;
} wanted[] = {
	{ NULL, "name", TEXT },
	{ NULL, "contentType", TEXT },
	{ NULL, "size", NUMBER },
	{ NULL, "sha256", HEX256 },
	{ NULL, "sha512", HEX512 },
	{ NULL, "created", TEXT },
	{ NULL, "tar", OBJECT },
	{ "tar", "sha256", HEX256 },
	{ "tar", "size", NUMBER },
	{ NULL, "image", OBJECT },
	{ "image", "id", IMAGE_ID },
	{ "image", "name", TEXT },
	{ "image", "layers", LIST },
	{ NULL, "builtBy", OBJECT },
	{ "builtBy", "taskId", TEXT },
	{ "builtBy", "runId", NUMBER },
	{ NULL, "builder", OBJECT },
};

static const char *const form_words[] = {
	[TEXT] = "text",
	[HEX256] = "64 lower hex digits",
	[HEX512] = "128 lower hex digits",
	[IMAGE_ID] = "\"sha256:\" and 64 lower hex digits",
	[NUMBER] = "a number from 0",
	[OBJECT] = "an object",
	[LIST] = "a list of {\"diffId\", \"size\"}",
};

static int
is_hex(const json_t *v, size_t len)
{
	const char *s = json_string_value(v);

	return s != NULL && strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int
is_layers(const json_t *v)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > IMAGE_LAYERS_MAX)
		return 0;
	json_array_foreach(v, i,
	    one) if (!reference_is_id(json_str(one, "diffId", "")) || json_num(one, "size", -1) < 0) return 0;
	return 1;
}

static int
fits(const json_t *v, enum form form)
{
	switch (form) {
	case TEXT:
		return json_is_string(v) && json_string_length(v) > 0;
	case HEX256:
		return is_hex(v, 64);
	case HEX512:
		return is_hex(v, 128);
	case IMAGE_ID:
		return json_is_string(v) && reference_is_id(json_string_value(v));
	case NUMBER:
		return json_is_integer(v) && json_integer_value(v) >= 0;
	case OBJECT:
		return json_is_object(v);
	case LIST:
		return is_layers(v);
	}
	return 0;
}

static int
check(const json_t *record, struct err *e)
{
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		const char *in = wanted[i].in;
		const json_t *v =
		    json_object_get(in != NULL ? json_object_get(record, in) : record, wanted[i].key);

		if (!fits(v, wanted[i].form))
			return err_set(e, EINVAL, "the record's '%s%s%s' is %s: expected %s", in ? in : "",
			    in ? "." : "", wanted[i].key, v == NULL ? "missing" : "malformed",
			    form_words[wanted[i].form]);
	}
	return 0;
}

int
evidence_read(json_t *from, json_t **out, struct err *e)
{
	struct spool_record r;
	int rc;

	*out = NULL;
	if (!json_is_object(from))
		return err_set(e, EINVAL, "the record is no JSON object");
	if (json_object_get(from, "kind") == NULL && json_object_get(from, "session") != NULL) {
		if (spool_record_parse(&r, from, e) < 0)
			return -1;
		*out = evidence_artifact(&r, NULL);
		spool_record_done(&r);
		return *out != NULL ? 0 : err_set(e, EINVAL, "the record says why there is no artifact");
	}
	if (json_num(from, "version", 0) != EVIDENCE_VERSION ||
	    strcmp(json_str(from, "kind", ""), "artifact") != 0)
		return err_set(e, EINVAL,
		    "the record is not one of an artifact, version %d: it has no \"kind\": \"artifact\"",
		    EVIDENCE_VERSION);
	rc = check(from, e);
	*out = rc == 0 ? json_incref(from) : NULL;
	return rc;
}
