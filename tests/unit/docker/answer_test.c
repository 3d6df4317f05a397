#include "docker/answer.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

#define NS "abcdefghijklmnop2345"
#define MINE "dind.invalid/" NS "/docker.io/library/"
#define OTHER "dind.invalid/zbcdefghijklmnop2345/docker.io/library/"
#define HEX48 "000000000000000000000000000000000000000000000000"
#define ID(c16) "sha256:" c16 HEX48
#define ID_A ID("aaaaaaaaaaaaaaaa")
#define ID_B ID("aaaabbbbbbbbbbbb")
#define ID_X ID("ffffffffffffffff")

static int
owns(const void *arg, const char *id)
{
	return strstr(arg, id) != NULL;
}

static const struct answer_view view = { NS, owns, ID_A " " ID_B };

static json_t *
parse(const char *text)
{
	json_error_t e;
	json_t *v = json_loads(text, JSON_DECODE_ANY, &e);

	if (v == NULL)
		printf("# %s: %s\n", e.text, text);
	return v;
}

static void
check(json_t *v, const char *want, const char *name)
{
	char *text = json_text(v, 0);

	is_str(text, want, name);
	free(text);
	json_decref(v);
}

static const struct row {
	const char *name;
	void (*call)(json_t *answer, const struct answer_view *view);
	const char *in, *out;
} rows[] = {
	{ "error: own name", answer_error,
	    "{\"message\":\"no such image: " MINE "nope:1: No such image: " MINE "nope:1\"}",
	    "{\"message\":\"no such image: nope:1: No such image: nope:1\"}" },
	{ "error: a stranger's", answer_error, "{\"message\":\"conflict: " OTHER "a:1\"}",
	    "{\"message\":\"conflict: (hidden)\"}" },
	{ "error: of another shape", answer_error, "[\"" MINE "a\"]", "[\"a\"]" },
	{ "inspect", answer_inspect,
	    "{\"Id\":\"" ID_A "\",\"RepoTags\":[\"" MINE "app:1\",\"app:1\",\"" OTHER
	    "app:1\",7],\"RepoDigests\":[\"" MINE "app@" ID_B "\",\"app@" ID_B "\"],\"Parent\":\"" ID_X
	    "\",\"Config\":{\"Image\":\"" MINE "base:2\",\"Cmd\":null},\"GraphDriver\":{\"Data\":{"
	    "\"LowerDir\":\"/var/lib\"},\"Name\":\"overlay2\"}}",
	    "{\"Id\":\"" ID_A "\",\"RepoTags\":[\"app:1\"],\"RepoDigests\":[\"app@" ID_B
	    "\"],\"Parent\":\"\",\"Config\":{\"Image\":\"base:2\",\"Cmd\":null},\"GraphDriver\":{\"Data\":"
	    "null,"
	    "\"Name\":\"overlay2\"}}" },
	{ "inspect: podman and the containerd store leave members out", answer_inspect,
	    "{\"Id\":\"" ID_A "\",\"RepoTags\":null}", "{\"Id\":\"" ID_A "\",\"RepoTags\":null}" },
	{ "inspect: not an object", answer_inspect, "[]", "[]" },
	{ "history", answer_history,
	    "[{\"Comment\":\"\",\"CreatedBy\":\"FROM " MINE "b\",\"Id\":\"" ID_A
	    "\",\"Size\":0,\"Tags\":[\"" MINE "a:1\",\"host:1\"]},{\"Id\":\"" ID_X
	    "\",\"Tags\":[\"host:1\"]},{\"Id\":\"<missing>\",\"Tags\":null}]",
	    "[{\"Comment\":\"\",\"CreatedBy\":\"FROM b\",\"Id\":\"" ID_A
	    "\",\"Size\":0,\"Tags\":[\"a:1\"]},{\"Id\":\"<missing>\",\"Tags\":null},{\"Id\":\"<missing>\","
	    "\"Tags\":"
	    "null}]" },
	{ "remove", answer_remove,
	    "[{\"Untagged\":\"" MINE "a:1\"},{\"Untagged\":\"" MINE "a@" ID_A
	    "\"},{\"Untagged\":\"host:1\"},{\"Untagged\":\"" OTHER "a:1\"},{\"Deleted\":\"" ID_A "\"}]",
	    "[{\"Untagged\":\"a:1\"},{\"Untagged\":\"a@" ID_A "\"},{\"Deleted\":\"" ID_A "\"}]" },
	{ "remove: not an array", answer_remove, "{\"Untagged\":7}", "{\"Untagged\":7}" },
};

static const struct {
	const char *in, *out;
} versions[] = {
	{ "{\"ApiVersion\":\"1.51\",\"MinAPIVersion\":\"1.24\"}",
	    "{\"ApiVersion\":\"1.47\",\"MinAPIVersion\":\"1.24\"}" },
	{ "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}",
	    "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.21\"}" },
	{ "{\"ApiVersion\":\"2.0\"}", "{\"ApiVersion\":\"1.21\"}" },
	{ "{\"ApiVersion\":\"1.99999999999999999999\"}", "{\"ApiVersion\":\"1.47\"}" },
	{ "{\"ApiVersion\":7,\"Version\":\"28\"}", "{\"ApiVersion\":7,\"Version\":\"28\"}" },
	{ "{\"Components\":[{\"Name\":\"Engine\",\"Details\":{\"ApiVersion\":\"1.51\",\"MinAPIVersion\":\"1."
	  "12\"}},"
	  "{\"Name\":\"runc\"}]}",
	    "{\"Components\":[{\"Name\":\"Engine\",\"Details\":{\"ApiVersion\":\"1.47\",\"MinAPIVersion\":"
	    "\"1.21\"}},"
	    "{\"Name\":\"runc\"}]}" },
	{ "[]", "[]" },
};

static const struct {
	const char *in, *out; /* NULL: left out */
} elements[] = {
	{ "{\"Id\":\"" ID_A "\",\"Labels\":{\"x\":\"y\"},\"ParentId\":\"" ID_X
	  "\",\"RepoDigests\":null,\"RepoTags\":[\"cap:b\",\"" MINE "app:1\"],\"Size\":6}",
	    "{\"Id\":\"" ID_A "\",\"Labels\":{\"x\":\"y\"},\"ParentId\":\"\",\"RepoDigests\":null,"
	    "\"RepoTags\":[\"app:1\"],\"Size\":6}" },
	{ "{\"Id\":\"" ID_A "\",\"RepoDigests\":null,\"RepoTags\":[\"cap:b\"]}",
	    "{\"Id\":\"" ID_A "\",\"RepoDigests\":[\"<none>@<none>\"],\"RepoTags\":[\"<none>:<none>\"]}" },
	{ "{\"Id\":\"" ID_A "\",\"RepoDigests\":[\"<none>@<none>\"],\"RepoTags\":[\"<none>:<none>\"]}",
	    "{\"Id\":\"" ID_A "\",\"RepoDigests\":[\"<none>@<none>\"],\"RepoTags\":[\"<none>:<none>\"]}" },
	{ "{\"Id\":\"" ID_X "\",\"RepoTags\":[\"" MINE "app:1\"]}", NULL },
	{ "{\"RepoTags\":[\"" MINE "app:1\"]}", NULL },
	{ "{\"Id\":7}", NULL },
	{ "7", NULL },
};

#define IMAGE(id, created, tags, labels)                                                                     \
	"{\"Id\":\"" id "\",\"Created\":" created ",\"RepoTags\":[" tags                                     \
	"],\"RepoDigests\":[],\"Labels\":" labels "}"
static const char own_list[] = "[" IMAGE(ID_A, "300", "\"app:1\",\"app:2\"", "{\"k\":\"v\"}") "," IMAGE(ID_B,
    "200", "\"reg.example:5000/ns/x:v2\"",
    "{\"k\":\"w\",\"l\":\"\"}") "," IMAGE(ID_X, "100", "\"<none>:<none>\"", "null") "]";

/* keep: which of a, b, x stay; or the error's text with its status. */
static const struct {
	const char *filters, *keep;
	int status;
	const char *tags; /* of the first, NULL = not looked at */
} filters[] = {
	{ NULL, "abx", 0, NULL },
	{ "", "abx", 0, NULL },
	{ "{}", "abx", 0, NULL },
	{ "null", "abx", 0, NULL },
	{ "{\"reference\":{\"app\":true}}", "a", 0, "[\"app:1\",\"app:2\"]" },
	{ "{\"reference\":[\"app:2\"]}", "a", 0, "[\"app:2\"]" },
	{ "{\"reference\":[\"*:2\"]}", "a", 0, "[\"app:2\"]" },
	{ "{\"reference\":[\"*\"]}", "a", 0, NULL },
	{ "{\"reference\":[\"*/*/*\"]}", "b", 0, NULL },
	{ "{\"reference\":[\"a?p\",\"reg*/ns/[a-x]:v2\"]}", "ab", 0, NULL },
	{ "{\"reference\":[\"nope\"]}", "", 0, NULL },
	{ "{\"reference\":[\"[a\"]}", "syntax error in pattern", 400, NULL },
	{ "{\"dangling\":{\"true\":true}}", "x", 0, NULL },
	{ "{\"dangling\":[\"1\"]}", "x", 0, NULL },
	{ "{\"dangling\":[\"false\"]}", "ab", 0, NULL },
	{ "{\"dangling\":[\"maybe\"]}", "invalid filter 'dangling'", 400, NULL },
	{ "{\"label\":[\"k\"]}", "ab", 0, NULL },
	{ "{\"label\":[\"k=v\"]}", "a", 0, NULL },
	{ "{\"label\":[\"k\",\"l=\"]}", "b", 0, NULL },
	{ "{\"label\":[\"m\"]}", "", 0, NULL },
	{ "{\"before\":[\"app:1\"]}", "bx", 0, NULL },
	{ "{\"before\":[\"app\"]}", "No such image: app", 404, NULL },
	{ "{\"since\":[\"reg.example:5000/ns/x:v2\"]}", "a", 0, NULL },
	{ "{\"since\":[\"aaaab\"]}", "a", 0, NULL },
	{ "{\"since\":[\"" ID_X "\"]}", "ab", 0, NULL },
	{ "{\"since\":[\"aaaa\"]}", "No such image: aaaa", 404, NULL },
	{ "{\"since\":[\"nope\"]}", "No such image: nope", 404, NULL },
	{ "{\"before\":[\"app:1\"],\"since\":[\"" ID_X "\"]}", "b", 0, NULL },
	{ "{\"before\":[\"app:1\",\"aaaab\"]}", "x", 0, NULL },
	{ "{\"reference\":[\"app\"],\"label\":[\"k=v\"],\"dangling\":[\"false\"]}", "a", 0, NULL },
	{ "{\"reference\":[]}", "abx", 0, NULL },
	{ "{\"until\":[\"1h\"]}", "invalid filter 'until'", 400, NULL },
	{ "{\"a\\nb\":[\"1h\"]}", "invalid filter 'a\\x0ab'", 400, NULL },
	{ "[]", "filters is not of the form {\"name\": {\"value\": true}}", 400, NULL },
	{ "{\"label\":7}", "filters is not of the form {\"name\": {\"value\": true}}", 400, NULL },
	{ "{\"label\":[7]}", "filters is not of the form {\"name\": {\"value\": true}}", 400, NULL },
	{ "x", "filters is not of the form {\"name\": {\"value\": true}}", 400, NULL },
};

static void
letters(const json_t *list, char *out)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		const char *id = json_str(v, "Id", "");

		*out++ = strcmp(id, ID_A) == 0 ? 'a' : strcmp(id, ID_B) == 0 ? 'b' : 'x';
	}
	*out = '\0';
}

static void
test_filters(void)
{
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		json_t *list = parse(own_list);
		const char *name = filters[i].filters ? filters[i].filters : "(none)";
		struct err e = { 0 };
		int rc = answer_list_filter(list, filters[i].filters, &e);
		char got[8];

		letters(list, got);
		is_int(rc, filters[i].status ? -1 : 0, name);
		is_int(e.status, filters[i].status, "status");
		is_str(rc < 0 ? e.text : got, filters[i].keep, "what stays, or why not");
		if (filters[i].tags != NULL)
			check(json_incref(json_object_get(json_array_get(list, 0), "RepoTags")),
			    filters[i].tags, "names that match");
		json_decref(list);
	}
}

/* Stars that make a naive matcher take for ever; many values. */
static void
test_filter_costs(void)
{
	char *stars = mem_printf("{\"reference\":[\"%s\"]}",
	    "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");
	json_t *list = json_pack("[{s:s,s:[s]}]", "Id", ID_A, "RepoTags",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	json_t *many = json_object(), *values = json_array();
	struct err e = { 0 };
	char *text;

	is_int(answer_list_filter(list, stars, &e), 0, "many stars");
	is_int(json_array_size(list), 0, "do not match, and say so at once");
	for (int i = 0; i < 65; i++)
		json_array_append_new(values, json_sprintf("v%d", i));
	json_object_set_new(many, "label", values);
	text = json_text(many, 0);
	is_int(answer_list_filter(list, text, &e), -1, "65 values");
	is_str(e.text, "more than 64 values in filters", "are too many");
	free(text);
	free(stars);
	json_decref(many);
	json_decref(list);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *v = parse(rows[i].in);

		rows[i].call(v, &view);
		check(v, rows[i].out, rows[i].name);
	}
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		json_t *v = parse(versions[i].in);

		answer_version(v, 21, 47);
		check(v, versions[i].out, versions[i].in);
	}
	for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
		json_t *v = parse(elements[i].in);

		is_int(answer_list_element(v, &view), elements[i].out != NULL, elements[i].in);
		if (elements[i].out != NULL)
			check(json_incref(v), elements[i].out, "as the task sees it");
		json_decref(v);
	}
	test_filters();
	test_filter_costs();
	return tap_end();
}
