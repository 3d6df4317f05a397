#include "task/evidence.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "tap.h"
#include "task/provenance.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID "sha256:" HEX64

/* A record as an export seals it. */
static struct spool_record
sealed(json_t *evidence)
{
	struct spool_record r = { .task_id = "abcTASK",
		.run_id = 3,
		.session = "abcdefghijklmnopqrst",
		.name = "public/image.tar.zst",
		.content_type = "application/zstd",
		.sha256 = HEX64,
		.sha512 = HEX64 HEX64,
		.size = 1000,
		.tar_sha256 = HEX64,
		.tar_size = 5000,
		.image_id = ID,
		.image = "app:1",
		.engine = "26.1.5",
		.version = "1.2",
		.created = "2026-11-23T22:00:00.000Z",
		.evidence = evidence,
		.layer_count = 1 };

	memcpy(r.layers[0].diff_id, ID, sizeof ID);
	r.layers[0].size = 4096;
	return r;
}

static json_t *
facts(void)
{
	return json_pack(
	    "{s:{s:s,s:s,s:{s:s,s:s},s:{s:s},s:{s:s},s:[{s:s,s:s,s:b,s:[s]},{s:s,s:s,s:b}],s:{s:i,s:i}}}",
	    "build", "started", "2026-11-23T21:00:00.000Z", "finished", "2026-11-23T21:01:00.000Z",
	    "dockerfile", "path", "Dockerfile", "sha256", HEX64, "context", "sha256", HEX64, "parameters",
	    "target", "final", "bases", "name", "busybox:1", "id", ID, "own", 0, "digests", ID, "name",
	    "mine:1", "id", ID, "own", 1, "request", "conn", 7, "req", 2);
}

static json_t *
artifact(json_t *build)
{
	json_t *evidence = evidence_make("https://ci.test/workers", build, 1), *v;
	struct spool_record r = sealed(evidence);

	v = evidence_artifact(&r, NULL);
	json_decref(evidence);
	return v;
}

static const char *
text_at(const json_t *v, const char *path)
{
	char copy[200], *save = NULL;

	(void)snprintf(copy, sizeof copy, "%s", path);
	for (char *key = strtok_r(copy, "/", &save); key != NULL; key = strtok_r(NULL, "/", &save))
		v = json_is_array(v) ? json_array_get(v, strtoul(key, NULL, 10)) : json_object_get(v, key);
	return json_string_value(v);
}

static void
test_artifact(void)
{
	json_t *evidence = evidence_make("urn:x", facts(), 1),
	       *result = json_pack("{s:s}", "storageType", "s3"), *v;
	struct spool_record r = sealed(evidence), e = sealed(NULL);

	v = evidence_artifact(&r, result);
	is_str(text_at(v, "kind"), "artifact", "kind");
	is_str(text_at(v, "storageType"), "s3", "the store's word");
	is_str(text_at(v, "image/id"), ID, "image");
	is_str(text_at(v, "image/layers/0/diffId"), ID, "layers");
	is_str(text_at(v, "builder/id"), "urn:x", "builder");
	is_str(text_at(v, "build/context/sha256"), HEX64, "build");
	ok(json_object_get(v, "buildUnknown") == NULL, "its build is known");
	ok(evidence_wants_upload(&r) && !evidence_wants_upload(&e), "whether the statement is an artifact");
	json_decref(v);
	v = evidence_artifact(&e, NULL);
	ok(json_is_null(json_object_get(v, "build")) && text_at(v, "buildUnknown") != NULL,
	    "nothing is invented");
	json_decref(v);
	e.error_reason = "file-missing-on-worker";
	ok(evidence_artifact(&e, NULL) == NULL, "no artifact, no evidence");
	json_decref(evidence);
	json_decref(result);
}

static void
test_load(void)
{
	json_t *a = json_pack("{s:s,s:i,s:s,s:s,s:i}", "taskId", "maker", "runId", 1, "name", "public/i.tar",
	    "sha256", HEX64, "size", 9);
	struct evidence_load l = { "runner", 0, a, ID, "dind.invalid/image/x:latest", NULL, "26", "1",
		"urn:x" };
	json_t *load = evidence_load(&l), *all, *v;
	struct err e = { 0 };

	is_str(text_at(load, "imageArtifactHash"), ID, "imageArtifactHash");
	is_str(text_at(load, "imageHash"), ID, "imageHash");
	is_str(text_at(load, "loadedFor/taskId"), "runner", "for whom");
	is_int(json_num(load, "runId", -1), 1, "of which run");
	all = json_pack("{s:[O],s:[o],s:[{s:s,s:s}]}", "loads", load, "artifacts", artifact(facts()),
	    "uploads", "name", "public/image.tar.zst", "sha256", HEX64);
	v = evidence_chain_of_trust(all, NULL, &e);
	is_str(text_at(v, "environment/imageArtifactHash"), ID, "the only load is the task's image");
	is_str(
	    json_str(json_object_get(json_object_get(v, "artifacts"), "public/image.tar.zst"), "sha256", ""),
	    HEX64, "artifacts as in chain-of-trust.json");
	json_decref(v);
	v = evidence_chain_of_trust(all, "public/i.tar", &e);
	ok(v != NULL, "by its path");
	json_decref(v);
	ok(evidence_chain_of_trust(all, "public/x.tar", &e) == NULL, "a path that nothing was loaded from");
	is_str(e.text, "no image was loaded from 'public/x.tar' for this task", "says so");
	json_array_append(json_object_get(all, "loads"), load);
	ok(evidence_chain_of_trust(all, NULL, &e) == NULL, "two loads");
	json_array_clear(json_object_get(all, "loads"));
	v = evidence_chain_of_trust(all, NULL, &e);
	ok(v != NULL && json_object_get(v, "environment") == NULL, "none");
	json_decref(v);
	json_decref(all);
	json_decref(load);
	json_decref(a);
}

/* Members that others rely on: missing, and of a wrong form. */
static const char *const relied[] = { "name", "contentType", "size", "sha256", "sha512", "created", "tar",
	"image", "builtBy", "builder", "kind", "version" };

static void
test_read(void)
{
	json_t *good = artifact(facts()), *copy, *out, *evidence = evidence_make("urn:x", facts(), 0),
	       *stored;
	struct spool_record r = sealed(evidence);
	struct err e = { 0 };

	is_int(evidence_read(good, &out, &e), 0, "what we made can be read");
	ok(json_equal(good, out), "and is the same");
	json_decref(out);
	for (size_t i = 0; i < sizeof relied / sizeof relied[0]; i++) {
		copy = json_deep_copy(good);
		json_object_set_new(copy, relied[i], json_real(1.5));
		is_int(evidence_read(copy, &out, &e), -1, relied[i]);
		ok(out == NULL && e.text[0] != '\0', e.text);
		json_object_del(copy, relied[i]);
		is_int(evidence_read(copy, &out, &e), -1, "missing");
		json_decref(copy);
	}
	stored = spool_record_json(&r);
	is_int(evidence_read(stored, &out, &e), 0, "a record as stores keep it");
	is_str(text_at(out, "build/parameters/target"), "final", "with its build");
	json_decref(out);
	json_decref(stored);
	json_decref(evidence);
	json_decref(good);
	copy = json_array();
	is_int(evidence_read(copy, &out, &e), -1, "a list");
	json_decref(copy);
}

static void
test_statement(void)
{
	json_t *record = artifact(facts()), *s = provenance_statement(record), *other;
	struct err e = { 0 };

	is_str(text_at(s, "_type"), "https://in-toto.io/Statement/v1", "_type");
	is_str(text_at(s, "predicateType"), "https://slsa.dev/provenance/v1", "predicateType");
	is_str(text_at(s, "subject/0/name"), "public/image.tar.zst", "subject");
	is_str(text_at(s, "subject/0/digest/sha256"), HEX64, "its digest");
	is_str(text_at(s, "predicate/buildDefinition/externalParameters/dockerfile"), "Dockerfile",
	    "parameters");
	is_int(
	    json_array_size(json_object_get(
	        json_object_get(json_object_get(s, "predicate"), "buildDefinition"), "resolvedDependencies")),
	    3, "context, Dockerfile and one foreign base");
	is_str(text_at(s, "predicate/buildDefinition/resolvedDependencies/2/annotations/registryDigests/0"),
	    ID, "what registries call the base");
	is_str(
	    text_at(s, "predicate/runDetails/metadata/invocationId"), "abcTASK/3/conn/7/req/2", "invocation");
	is_str(text_at(s, "predicate/runDetails/builder/id"), "https://ci.test/workers", "builder");
	is_int(provenance_compare(s, record, &e), 0, "is about its record");
	ok(provenance_record(s, &e) != NULL, "holds it");
	json_object_set_new(record, "storageType", json_string("s3"));
	is_int(provenance_compare(s, record, &e), 0, "also when it knows its storage type");
	json_object_set_new(record, "size", json_integer(1001));
	is_int(provenance_compare(s, record, &e), -1, "not about another");
	is_str(e.text, "'size' differs: the statement says 1000, the record 1001", "says what differs");
	json_decref(record);
	record = artifact(facts());
	json_object_set_new(record, "more", json_true());
	is_int(provenance_compare(s, record, &e), -1, "a member more");
	ok(strstr(e.text, "'more' differs: the statement says nothing, the record true") != NULL, e.text);
	json_decref(record);
	other = artifact(json_pack("{s:n,s:s}", "build", "buildUnknown", "lost"));
	is_int(provenance_compare(s, other, &e), -1, "an unknown build");
	json_decref(s);
	s = provenance_statement(other);
	ok(s != NULL && text_at(s, "predicate/runDetails/metadata/startedOn") == NULL,
	    "states no times of one");
	is_int(provenance_compare(s, other, &e), 0, "compares");
	json_object_set_new(json_object_get(s, "predicate"), "more", json_true());
	is_int(provenance_compare(s, other, &e), -1, "a statement that says more than its record");
	is_str(e.text, "'predicate.more' differs: the statement says true, the record nothing", "says what");
	json_object_set_new(s, "_type", json_string("\x1b[2J"));
	ok(provenance_record(s, &e) == NULL, "another type");
	ok(strchr(e.text, '\x1b') == NULL, e.text);
	json_decref(s);
	json_decref(other);
}

int
main(void)
{
	test_artifact();
	test_load();
	test_read();
	test_statement();
	return tap_end();
}
