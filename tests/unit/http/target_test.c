#include "http/target.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/print.h"
#include "tap.h"

/* An exact copy, so that ASan sees a read behind the NUL. */
static int
parse(struct target *t, const char *raw, struct err *e)
{
	char *c = strdup(raw);
	int rc = target_parse(t, c, e);

	free(c);
	return rc;
}

static const struct {
	const char *raw;
	unsigned api;
	const char *path;
	const char *query; /* as [key=value] */
} good[] = {
	{ "/_ping", 0, "/_ping", "" },
	{ "/", 0, "/", "" },
	{ "/version", 0, "/version", "" },
	{ "/v", 0, "/v", "" },
	{ "/v1.41/version", 41, "/version", "" },
	{ "/v1.12/version", 12, "/version", "" },
	{ "/v1.99/version", 99, "/version", "" },
	{ "/vx/y", 0, "/vx/y", "" },
	{ "/x/v1.41/y", 0, "/x/v1.41/y", "" },
	{ "/v1.41/images/127.0.0.1:5000/cap/push?tag=a", 41, "/images/127.0.0.1:5000/cap/push", "[tag=a]" },
	{ "/v1.44/images/moby/buildkit:buildx-stable-1/json", 44,
	    "/images/moby/buildkit:buildx-stable-1/json", "" },
	{ "/images/a@sha256:00/json", 0, "/images/a@sha256:00/json", "" },
	{ "/images/a__b.c~d-e/.../..f/.g", 0, "/images/a__b.c~d-e/.../..f/.g", "" },
	{ "/x?", 0, "/x", "" },
	{ "/x?a", 0, "/x", "[a=]" },
	{ "/x?a=", 0, "/x", "[a=]" },
	{ "/x?a=b=c==", 0, "/x", "[a=b=c==]" },
	{ "/x?a=1&b=2&a=3", 0, "/x", "[a=1][b=2][a=3]" },
	{ "/x?A=1&a=2", 0, "/x", "[A=1][a=2]" },
	{ "/x?a=%7B%22k%22%3A+%5B%22%3b%23%25%26%3d%2B%22%5D%7d", 0, "/x", "[a={\"k\": [\";#%&=+\"]}]" },
	{ "/x?netw%6frkmode=h%6fst", 0, "/x", "[networkmode=host]" },
	{ "/x?a={\"k\":[\"v\",'*']}&b=/?@:!$(),|\\^`<>", 0, "/x",
	    "[a={\"k\":[\"v\",'*']}][b=/?@:!$(),|\\^`<>]" },
	{ "/x?a=%C3%A4%E2%82%AC%F0%9F%90%B3%f4%8f%bf%bf%ee%80%80", 0, "/x",
	    "[a=ä€🐳\xf4\x8f\xbf\xbf\xee\x80\x80]" },
	{ "/x?a=%01%0a%7f", 0, "/x", "[a=\x01\n\x7f]" },
	{ "/x?%20=1", 0, "/x", "[ =1]" },
	{ "/containers/json?x=/_ping", 0, "/containers/json", "[x=/_ping]" },
	{ "/build?nocache=1%23&networkmode=host", 0, "/build", "[nocache=1#][networkmode=host]" },
};

static char *
query_text(const struct target *t)
{
	static char text[4096];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < t->count; i++)
		n += (size_t)snprintf(
		    text + n, sizeof text - n, "[%s=%s]", t->query[i].key, t->query[i].value);
	return text;
}

/* What was understood, printed anew, is understood the same. */
static void
check_again(const struct target *t)
{
	char *before = strdup(query_text(t));
	struct target again;
	struct buf b = { 0 };
	struct err e;

	if (t->api != 0)
		buf_printf(&b, "/v1.%u", t->api);
	http_print_path(&b, t->path, strlen(t->path));
	for (size_t i = 0; i < t->count; i++)
		http_print_pair(&b, t->query[i].key, t->query[i].value, strlen(t->query[i].value));
	if (is_int(parse(&again, buf_text(&b), &e), 0, "what we print parses")) {
		is_int(again.api, t->api, "same api");
		is_str(again.path, t->path, "same path");
		is_str(query_text(&again), before, "same query");
		target_done(&again);
	}
	buf_done(&b);
	free(before);
}

static void
check_good(size_t row)
{
	struct target t;
	struct err e;

	if (!is_int(parse(&t, good[row].raw, &e), 0, good[row].raw)) {
		printf("# %s\n", e.text);
		return;
	}
	is_int(t.api, good[row].api, "api");
	is_str(t.path, good[row].path, "path");
	is_str(query_text(&t), good[row].query, "query");
	check_again(&t);
	target_done(&t);
}

static const struct {
	const char *raw, *rule;
	const char *says; /* part of the text */
} bad[] = {
	/* spellings of the version, threats.md A.5.1 */
	{ "/v01.41/containers/json", "target-version", "/v1.NN/" },
	{ "/v1.041/containers/json", "target-version", "/v1.NN/" },
	{ "/v1.41.0/containers/json", "target-version", "/v1.NN/" },
	{ "/v1.41./containers/json", "target-version", "/v1.NN/" },
	{ "/V1.41/containers/json", "target-version", "/V1.41/" },
	{ "/v1.11/_ping", "target-version", "12 to 99" },
	{ "/v1.05/_ping", "target-version", "12 to 99" },
	{ "/v1.00/_ping", "target-version", "12 to 99" },
	{ "/v1.5/_ping", "target-version", "/v1.NN/" },
	{ "/v1.100/_ping", "target-version", "/v1.NN/" },
	{ "/v1/_ping", "target-version", "/v1.NN/" },
	{ "/v./_ping", "target-version", "/v1.NN/" },
	{ "/v.../_ping", "target-version", "/v1.NN/" },
	{ "/v1..41/_ping", "target-version", "/v1.NN/" },
	{ "/v0.0/images/json", "target-version", "/v1.NN/" },
	{ "/v2.41/_ping", "target-version", "/v1.NN/" },
	{ "/v2/", "target-path", "end" },
	{ "/v5.8.6/libpod/_ping", "target-version", "/v5.8.6/" },
	{ "/v1.41", "target-version", "/v1.NN/" },
	{ "/v1.41?a=b", "target-version", "/v1.NN/" },
	{ "/v1.41x/_ping", "target-version", "/v1.NN/" },
	{ "/v1.41/v1.41/containers/json", "target-version", "two versions" },
	{ "/v1.41/v1/containers/json", "target-version", "two versions" },
	/* paths that the engine cleans, decodes or cuts */
	{ "", "target-path", "start with '/'" },
	{ "*", "target-path", "start with '/'" },
	{ "?a=b", "target-path", "start with '/'" },
	{ "http://x/containers/json", "target-path", "start with '/'" },
	{ "//", "target-path", "empty segment" },
	{ "//images/json", "target-path", "empty segment" },
	{ "/v1.41//images/json", "target-path", "empty segment" },
	{ "/v1.41/", "target-path", "end" },
	{ "///x/containers/json", "target-path", "empty segment" },
	{ "/./containers/json", "target-path", "'.'" },
	{ "/images/../containers/json", "target-path", "'..'" },
	{ "/v1.41/images/task-abc/../../containers/json", "target-path", "'..'" },
	{ "/images/..", "target-path", "'..'" },
	{ "/images/.", "target-path", "'.'" },
	{ "/..", "target-path", "'..'" },
	{ "/images/json/", "target-path", "end" },
	{ "/v1.41/images/json//", "target-path", "empty segment" },
	{ "/images/%2e%2e/containers/json", "target-path", "'%'" },
	{ "/containers%2fjson", "target-path", "'%'" },
	{ "/v1.41/images/task-abc%2Fapp:1/json", "target-path", "'%'" },
	{ "/%76%31.41/images/json", "target-path", "'%'" },
	{ "/containers/json%20", "target-path", "'%'" },
	{ "/images/%00/json", "target-path", "'%'" },
	{ "/%1b%5b2J%1b%5b31m/containers/json", "target-path", "'%'" },
	{ "/images/%zz", "target-path", "'%'" },
	{ "/images/json;x", "target-path", "';'" },
	{ "/_ping#", "target-path", "'#'" },
	{ "/_ping#?a=b", "target-path", "'#'" },
	{ "/images/a b/json", "target-path", "' '" },
	{ "/images/\xff/json", "target-path", "\\xff" },
	{ "/images/a\\b/json", "target-path", "\\x5c" },
	{ "/images/a\"b", "target-path", "\\x22" },
	{ "/images/a*", "target-path", "'*'" },
	{ "/images/a=b", "target-path", "'='" },
	{ "/images/a+b", "target-path", "'+'" },
	{ "/images/a&b", "target-path", "'&'" },
	{ "/images/a\rb", "target-path", "\\x0d" },
	/* queries, threats.md A.5.5 */
	{ "/build?nocache=1#&networkmode=host", "target-query", "%23" },
	{ "/build?networkmode=none;x&networkmode=host", "target-query", "%3B" },
	{ "/build?a b", "target-query", "%20" },
	{ "/build?a=\xc3\xa4", "target-query", "%C3" },
	{ "/build?a=\n", "target-query", "%0A" },
	{ "/build?a=\x7f", "target-query", "%7F" },
	{ "/build?networkmode=host%00", "target-query", "NUL" },
	{ "/build?a%00=b", "target-query", "NUL" },
	{ "/build?a=%", "target-query", "two hexadecimal" },
	{ "/build?a=%4", "target-query", "two hexadecimal" },
	{ "/build?a=%zz", "target-query", "two hexadecimal" },
	{ "/build?a=%4g", "target-query", "two hexadecimal" },
	{ "/build?%=b", "target-query", "two hexadecimal" },
	{ "/build?a=%u0041", "target-query", "two hexadecimal" },
	{ "/build?a=%4&2=b", "target-query", "two hexadecimal" },
	{ "/build?networkmode=host&", "target-query", "without a name" },
	{ "/build?&networkmode=host", "target-query", "without a name" },
	{ "/build?a=b&&c=d", "target-query", "without a name" },
	{ "/build?=", "target-query", "without a name" },
	{ "/build?=b", "target-query", "without a name" },
	{ "/build?&", "target-query", "without a name" },
	{ "/build?a=%ff", "target-query", "UTF-8" },
	{ "/build?a=%c3", "target-query", "UTF-8" },
	{ "/build?a=%c3x", "target-query", "UTF-8" },
	{ "/build?a=%c0%af", "target-query", "UTF-8" },
	{ "/build?a=%e0%80%af", "target-query", "UTF-8" },
	{ "/build?a=%ed%a0%80", "target-query", "UTF-8" },
	{ "/build?a=%f4%90%80%80", "target-query", "UTF-8" },
	{ "/build?a=%f0%9f%90", "target-query", "UTF-8" },
	{ "/build?%80=b", "target-query", "UTF-8" },
};

static void
check_bad(size_t row)
{
	struct target t;
	struct err e = { 0 };

	if (!is_int(parse(&t, bad[row].raw, &e), -1, bad[row].raw)) {
		target_done(&t);
		return;
	}
	is_int(e.status, 400, "status");
	is_str(e.rule, bad[row].rule, "rule");
	if (!ok(strstr(e.text, bad[row].says) != NULL, bad[row].says))
		printf("# %s\n", e.text);
	ok(t.path == NULL && t.query == NULL, "nothing is kept");
}

static void
check_sizes(void)
{
	struct buf b = { 0 };
	struct target t;
	struct err e = { 0 };

	buf_adds(&b, "/x");
	for (int i = 0; i < TARGET_PAIRS_MAX; i++)
		http_print_pair(&b, "names", "a", 1);
	if (is_int(parse(&t, buf_text(&b), &e), 0, "256 pairs")) {
		is_int(target_times(&t, "names"), 256, "all of them");
		target_done(&t);
	}
	http_print_pair(&b, "names", "a", 1);
	is_int(parse(&t, buf_text(&b), &e), -1, "257 pairs");
	ok(strstr(e.text, "257") != NULL && strstr(e.text, "256") != NULL, e.text);
	buf_clear(&b);
	buf_adds(&b, "/x?a=");
	while (buf_len(&b) < TARGET_MAX)
		buf_adds(&b, "y");
	if (is_int(parse(&t, buf_text(&b), &e), 0, "the longest target"))
		target_done(&t);
	buf_adds(&b, "y");
	is_int(parse(&t, buf_text(&b), &e), -1, "too long a target");
	is_str(e.rule, "target-size", "its rule");
	buf_done(&b);
}

static void
check_get(void)
{
	struct target t;
	struct err e;

	parse(&t, "/x?a=1&b&a=2&A=3", &e);
	is_str(target_get(&t, "a"), "1", "the first value");
	is_str(target_get(&t, "b"), "", "no '=' is an empty value");
	is_str(target_get(&t, "c"), NULL, "no such key");
	is_int(target_times(&t, "a"), 2, "twice");
	is_int(target_times(&t, "c"), 0, "never");
	target_done(&t);
	target_done(&t);
	is_int(parse(&t, "/build?buildargs=S3CR3T%zz", &e), -1, "a secret value");
	ok(strstr(e.text, "S3CR3T") == NULL && strstr(e.text, "buildargs") != NULL, e.text);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		check_good(i);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check_bad(i);
	check_sizes();
	check_get();
	return tap_end();
}
