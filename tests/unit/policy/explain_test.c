#include "policy/explain.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "policy/owned.h"
#include "policy/policy.h"
#include "tap.h"

#define NS "abcdefghijklmnopqrst"
#define ID "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct settings settings;

static json_t *
parse(const char *text)
{
	struct err e = { 0 };
	json_t *v = text == NULL ? NULL : json_parse(text, strlen(text), &e);

	if (text != NULL && v == NULL)
		printf("# %s: %s\n", e.text, text);
	return v;
}

/* ---- explained ---- */

static const struct {
	const char *method, *target, *dockerfile, *decision, *rule, *holds;
} asked[] = {
	{ "GET", "/v1.41/images/json", NULL, "allow", "image-list", "GET /v1.41/images/json" },
	{ "POST", "/v1.41/containers/create", NULL, "deny", "container-run", "docker run" },
	{ "POST", "/v1.41/build?t=app", NULL, "allow", "build", NS "%2Fdocker.io%2Flibrary%2Fapp%3Alatest" },
	{ "POST", "/v1.41/build", "FROM debian:12\nRUN true\n", "allow", "build",
	    "docker.io/library/debian:12" },
	{ "POST", "/v1.41/build?buildargs=%7B%22B%22%3A%22x%22%7D", "ARG B=debian\nFROM $B\n", "allow",
	    "build", "docker.io/library/x:latest" },
	{ "POST", "/v1.41/build", "FROM secret.example.com/x\n", "deny", "base-image", "secret.example.com" },
	{ "POST", "/v1.41/build", "FROM scratch\nADD http://x/ /\n", "deny", "add-url", "" },
	{ "GET", "/v1.41/images/../x", NULL, "deny", "target-path", "" },
	{ "GET", "/ HTTP/1.1\r\nX: y", NULL, "deny", "default-deny", "" },
};

static void
explained(void)
{
	struct policy *p = policy_new(&settings, 1);
	struct owned o;

	owned_init(&o, NS);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		json_t *headers = json_pack("{s:s}", "Transfer-Encoding", "chunked");
		json_t *answer = explain_request(&(struct explain_ask){ .policy = p,
		    .owned = &o,
		    .method = asked[i].method,
		    .target = asked[i].target,
		    .headers = strcmp(asked[i].method, "GET") == 0 ? NULL : headers,
		    .dockerfile = asked[i].dockerfile });
		char *text = json_text(answer, 1);

		is_str(json_str(answer, "decision", ""), asked[i].decision, asked[i].target);
		is_str(json_str(answer, "rule", ""), asked[i].rule, "by its rule");
		ok(text != NULL && strstr(text, asked[i].holds) != NULL, asked[i].holds);
		free(text);
		json_decref(answer);
		json_decref(headers);
	}
	owned_done(&o);
	policy_unref(p);
}

/* ---- replayed ---- */

#define RECORD(method, path, judged, rest)                                                                   \
	"{\"event\":\"decision\",\"id\":\"" NS "\",\"method\":\"" method "\",\"path\":\"" path               \
	"\",\"judged\":\"" judged "\"," rest "}"
#define BUILD(query, rest) RECORD("POST", "/v1.41/build", "/build", "\"query\":{" query "}," rest)
#define HAS(i, n, f) "\"has\":{\"images\":" #i ",\"names\":" #n ",\"fresh\":" #f "}"
#define ALLOW "\"decision\":\"allow\",\"rule\":\"build\""
#define DENY(rule) "\"decision\":\"deny\",\"rule\":\"" rule "\""

static const struct {
	const char *name, *settings, *record, *final, *end, *given;
	enum replay_kind kind;
	const char *is;
} rows[] = {
	{ "an allowed build stays so", "{}", BUILD("\"t\":\"app\",\"labels\":{\"x\":\"(redacted)\"}", ALLOW),
	    NULL, NULL, NULL, REPLAY_SAME, "allow" },
	{ "a cap that comes", "{\"policy\":{\"memory\":\"1MiB\"}}", BUILD("\"memory\":\"2000000\"", ALLOW),
	    NULL, NULL, NULL, REPLAY_CHANGED, "deny build-memory" },
	{ "a cap that goes", "{}", BUILD("\"memory\":\"2000000\"", DENY("build-memory")), NULL, NULL, NULL,
	    REPLAY_CHANGED, "allow" },
	{ "a cap that is only observed", "{\"policy\":{\"memory\":\"1MiB\",\"mode\":\"observe\"}}",
	    BUILD("\"memory\":\"2000000\"", ALLOW), NULL, NULL, NULL, REPLAY_CHANGED,
	    "observed build-memory" },
	{ "the task's own word", "{\"policy\":{\"memory\":\"1MiB\"}}", BUILD("\"memory\":\"2000000\"", ALLOW),
	    NULL, NULL, "{\"policy\":{\"memory\":0}}", REPLAY_SAME, "allow" },
	{ "a base image of the end record", "{\"policy\":{\"baseImages\":[\"docker.io/library/alpine\"]}}",
	    BUILD("", ALLOW), NULL, "{\"bases\":[\"docker.io/library/debian:12\"]}", NULL, REPLAY_CHANGED,
	    "deny base-image" },
	{ "a base image that was refused", "{\"policy\":{\"baseImages\":[\"x.example.com/*\"]}}",
	    BUILD("", ALLOW),
	    "{\"decision\":\"deny\",\"rule\":\"base-image\",\"base\":\"x.example.com/y:1\"}",
	    "{\"bases\":[]}", NULL, REPLAY_CHANGED, "allow" },
	{ "images that it had", "{\"limits\":{\"images\":3}}", BUILD("", HAS(3, 0, 0) "," ALLOW), NULL, NULL,
	    NULL, REPLAY_CHANGED, "deny limit-images" },
	{ "names that it had", "{\"limits\":{\"names\":3}}",
	    BUILD("\"t\":\"a\"", "\"names\":{\"before\":[\"a\"],\"after\":[]}," HAS(2, 3, 1) "," ALLOW), NULL,
	    NULL, NULL, REPLAY_CHANGED, "deny limit-names" },
	{ "a name that it had already", "{\"limits\":{\"names\":3}}",
	    BUILD("\"t\":\"a\"", "\"names\":{\"before\":[\"a\"],\"after\":[]}," HAS(2, 3, 0) "," ALLOW), NULL,
	    NULL, NULL, REPLAY_SAME, "allow" },
	{ "a tag of an image by its name", "{}",
	    RECORD("POST", "/v1.41/images/a/tag", "/images/a/tag",
	        "\"query\":{\"repo\":\"b\",\"tag\":\"1\"},\"names\":{\"before\":[\"a\",\"b\"],\"after\":[]},"
	        "\"ids\":[\"" ID "\"]," HAS(1, 1, 1) ",\"decision\":\"allow\",\"rule\":\"image-tag\""),
	    NULL, NULL, NULL, REPLAY_SAME, "allow" },
	{ "an image by its id", "{}",
	    RECORD("GET", "/v1.41/images/aaaaaaaa/json", "/images/aaaaaaaa/json",
	        "\"query\":{},\"names\":{\"before\":[\"aaaaaaaa\"],\"after\":[\"" ID
	        "\"]},\"decision\":\"allow\",\"rule\":\"image-inspect\""),
	    NULL, NULL, NULL, REPLAY_SAME, "allow" },
	{ "all tags of a name", "{}",
	    RECORD("GET", "/v1.41/images/get", "/images/get",
	        "\"query\":{\"names\":[\"a\",\"b:1\"]},\"names\":{\"before\":[\"a\",\"b:1\"],\"after\":[]},"
	        "\"decision\":\"allow\",\"rule\":\"image-save\""),
	    NULL, NULL, NULL, REPLAY_SAME, "allow" },
	{ "what was not owned stands", "{}",
	    RECORD("GET", "/v1.41/images/a/json", "/images/a/json", "\"query\":{}," DENY("not-owned")), NULL,
	    NULL, NULL, REPLAY_STANDS, "" },
	{ "how much ran then stands", "{}", BUILD("", DENY("limit-builds")), NULL, NULL, NULL, REPLAY_STANDS,
	    "" },
	{ "a cut record", "{}", BUILD("", "\"cut\":true," ALLOW), NULL, NULL, NULL, REPLAY_BLIND, "" },
	{ "a redacted value", "{}", BUILD("\"remote\":\"http://(redacted)@x/\"", DENY("build-pull")), NULL,
	    NULL, NULL, REPLAY_BLIND, "" },
	{ "an escaped path", "{}", RECORD("GET", "/v1.41/images/\\\\x22/json", "/x", "\"query\":{}," ALLOW),
	    NULL, NULL, NULL, REPLAY_BLIND, "" },
	{ "no record at all", "{}", "{}", NULL, NULL, NULL, REPLAY_STANDS, "" },
};

static void
replayed(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *record = parse(rows[i].record), *final = parse(rows[i].final),
		       *end = parse(rows[i].end);
		json_t *given = parse(rows[i].given);
		struct settings s;
		struct err e = { 0 };
		struct replay out;

		is_int(
		    settings_parse(&s, "c", rows[i].settings, strlen(rows[i].settings), &e), 0, rows[i].name);
		replay_judge(&(struct replay_ask){ .settings = &s,
		                 .decision = record,
		                 .final = final != NULL ? final : record,
		                 .end = end,
		                 .given = given },
		    &out);
		is_int((int)out.kind, (int)rows[i].kind, out.why);
		is_str(out.is, rows[i].is, "the verdict");
		settings_done(&s);
		json_decref(record);
		json_decref(final);
		json_decref(end);
		json_decref(given);
	}
}

int
main(void)
{
	settings_init(&settings);
	explained();
	replayed();
	settings_done(&settings);
	return tap_end();
}
