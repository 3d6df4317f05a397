/* record.json: what export knows of an artifact, one row per field. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "task/spool.h"

enum kind { TEXT, HEX256, HEX512, IMAGE_ID, NAMESPACE, KIND };
enum { TEXT_MAX = 4096 };

struct text_field {
	const char *key;
	size_t offset;
	enum kind kind;
	enum { ALWAYS = 0, MAYBE, OF_AN_ARTIFACT, OF_AN_IMAGE, OF_A_WHOLE_IMAGE } wanted;
};

struct number_field {
	const char *key;
	size_t offset;
};

#define AT(field) offsetof(struct spool_record, field)

static const struct text_field texts[] = {
	{ "taskId", AT(task_id), TEXT, ALWAYS },
	{ "session", AT(session), NAMESPACE, ALWAYS },
	{ "name", AT(name), TEXT, ALWAYS },
	{ "expires", AT(expires), TEXT, MAYBE },
	{ "contentType", AT(content_type), TEXT, ALWAYS },
	{ "sha256", AT(sha256), HEX256, OF_AN_ARTIFACT },
	{ "sha512", AT(sha512), HEX512, OF_AN_ARTIFACT },
	{ "tarSha256", AT(tar_sha256), HEX256, OF_A_WHOLE_IMAGE },
	{ "imageId", AT(image_id), IMAGE_ID, OF_A_WHOLE_IMAGE },
	{ "kind", AT(kind), KIND, MAYBE },
	{ "image", AT(image), TEXT, OF_AN_IMAGE },
	{ "engine", AT(engine), TEXT, MAYBE },
	{ "version", AT(version), TEXT, MAYBE },
	{ "created", AT(created), TEXT, ALWAYS },
	{ "errorReason", AT(error_reason), TEXT, MAYBE },
	{ "errorMessage", AT(error_message), TEXT, MAYBE },
};
static const struct number_field numbers[] = {
	{ "size", AT(size) },
	{ "tarSize", AT(tar_size) },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static int
is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int
fits(const char *s, enum kind kind)
{
	switch (kind) {
	case HEX256:
		return is_hex(s, 64);
	case HEX512:
		return is_hex(s, 128);
	case IMAGE_ID:
		return reference_is_id(s);
	case NAMESPACE:
		return reference_is_ns(s);
	case KIND:
		return strcmp(s, "report") == 0 || strcmp(s, "provenance") == 0;
	case TEXT:
		break;
	}
	return *s != '\0' && strlen(s) <= TEXT_MAX;
}

static int
read_texts(struct spool_record *r, struct err *e)
{
	int error = json_object_get(r->json, "errorReason") != NULL;
	int image = json_object_get(r->json, "kind") == NULL;
	const int missing_is_bad[] = {
		[ALWAYS] = 1,
		[MAYBE] = 0,
		[OF_AN_ARTIFACT] = !error,
		[OF_AN_IMAGE] = image,
		[OF_A_WHOLE_IMAGE] = image && !error,
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *s = json_str(r->json, texts[i].key, NULL);

		if (s == NULL ? missing_is_bad[texts[i].wanted] : !fits(s, texts[i].kind))
			return err_set(e, EINVAL, "record.json: '%s' is missing or malformed", texts[i].key);
		*(const char **)(void *)((char *)r + texts[i].offset) = s;
	}
	return 0;
}

static int
read_evidence(struct spool_record *r, struct err *e)
{
	r->evidence = json_object_get(r->json, "evidence");
	if (r->evidence != NULL && !json_is_object(r->evidence))
		return err_set(e, EINVAL, "record.json: 'evidence' is malformed");
	return 0;
}

static int
read_numbers(struct spool_record *r, struct err *e)
{
	json_int_t run = json_num(r->json, "runId", -1);

	if (run < 0 || run > 1000000)
		return err_set(e, EINVAL, "record.json: 'runId' is missing or malformed");
	r->run_id = (unsigned)run;
	if ((r->error_reason == NULL) != (r->error_message == NULL))
		return err_set(e, EINVAL, "record.json: 'errorReason' and 'errorMessage' belong together");
	for (size_t i = 0; i < COUNT(numbers); i++) {
		json_int_t n = json_num(r->json, numbers[i].key, -1);

		if (n < 0)
			return err_set(
			    e, EINVAL, "record.json: '%s' is missing or malformed", numbers[i].key);
		*(uint64_t *)(void *)((char *)r + numbers[i].offset) = (uint64_t)n;
	}
	return 0;
}

static int
read_layers(struct spool_record *r, struct err *e)
{
	const json_t *list = json_object_get(r->json, "layers");
	const json_t *v;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > IMAGE_LAYERS_MAX)
		return err_set(e, EINVAL, "record.json: 'layers' is missing or malformed");
	json_array_foreach(list, i, v)
	{
		const char *id = json_str(v, "diffId", "");
		json_int_t n = json_num(v, "size", -1);

		if (!reference_is_id(id) || n < 0)
			return err_set(e, EINVAL, "record.json: layer %zu is malformed", i);
		memcpy(r->layers[i].diff_id, id, strlen(id) + 1);
		r->layers[i].size = (uint64_t)n;
	}
	r->layer_count = i;
	return 0;
}

int
spool_record_parse(struct spool_record *r, json_t *json, struct err *e)
{
	*r = (struct spool_record){ .json = json_incref(json) };
	if (!json_is_object(json)) {
		err_set(e, EINVAL, "record.json: not an object");
	} else if (read_texts(r, e) == 0 && read_numbers(r, e) == 0 && read_layers(r, e) == 0 &&
	           read_evidence(r, e) == 0) {
		return 0;
	}
	spool_record_done(r);
	return -1;
}

int
spool_read_record(
    const char *root, enum spool_state state, const char *id, struct spool_record *r, struct err *e)
{
	char *path = spool_path(root, state, id, "record.json"), want[SPOOL_ID_MAX];
	json_t *json = NULL;
	int rc = -1;

	*r = (struct spool_record){ 0 };
	if (path == NULL)
		return err_set(e, EINVAL, "not the id of an artifact in the spool");
	json = json_read(path, SPOOL_RECORD_MAX, e);
	if (json != NULL && spool_record_parse(r, json, e) == 0) {
		spool_make_id(r->session, r->name, want);
		rc = strcmp(want, id) == 0 ? 0 : err_set(e, EINVAL, "record.json is of artifact '%s'", want);
		if (rc < 0)
			spool_record_done(r);
	}
	if (rc < 0)
		err_wrap(e, "artifact '%s'", id);
	json_decref(json);
	free(path);
	return rc;
}

void
spool_record_done(struct spool_record *r)
{
	json_decref(r->json);
	*r = (struct spool_record){ 0 };
}

json_t *
spool_record_json(const struct spool_record *r)
{
	json_t *o = json_object(), *layers = json_array();

	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *s = *(const char *const *)(const void *)((const char *)r + texts[i].offset);

		if (s != NULL)
			json_object_set_new(o, texts[i].key, json_string(s));
	}
	json_object_set_new(o, "runId", json_integer(r->run_id));
	for (size_t i = 0; i < COUNT(numbers); i++)
		json_object_set_new(o, numbers[i].key,
		    json_integer((json_int_t) *
		                 (const uint64_t *)(const void *)((const char *)r + numbers[i].offset)));
	for (size_t i = 0; i < r->layer_count; i++)
		json_array_append_new(layers, json_pack("{s:s, s:I}", "diffId", r->layers[i].diff_id, "size",
		                                  (json_int_t)r->layers[i].size));
	json_object_set_new(o, "layers", layers);
	if (r->evidence != NULL)
		json_object_set(o, "evidence", (json_t *)(uintptr_t)r->evidence);
	return o;
}
