#include "docker/reference.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

#define NS "abcdefghij234567klmn"
#define OTHER "zzzzzzzzzz234567klmn"
#define OWN "dind.invalid/" NS "/"
#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define C50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define C200 C50 C50 C50 C50

static const struct {
	const char *text;
	const char *canonical; /* NULL: refused */
	const char *familiar;
	const char *mapped; /* behind "dind.invalid/<ns>/" */
} names[] = {
	{ "app", "docker.io/library/app:latest", "app", "docker.io/library/app" },
	{ "app:1", "docker.io/library/app:1", "app:1", "docker.io/library/app:1" },
	{ "library/app:1", "docker.io/library/app:1", "app:1", "docker.io/library/app:1" },
	{ "docker.io/app:1", "docker.io/library/app:1", "app:1", "docker.io/library/app:1" },
	{ "index.docker.io/app:1", "docker.io/library/app:1", "app:1", "docker.io/library/app:1" },
	{ "index.docker.io/me/app", "docker.io/me/app:latest", "me/app", "docker.io/me/app" },
	{ "me/app:V1.0-rc_2", "docker.io/me/app:V1.0-rc_2", "me/app:V1.0-rc_2",
	    "docker.io/me/app:V1.0-rc_2" },
	{ "library/a/b", "docker.io/library/a/b:latest", "library/a/b", "docker.io/library/a/b" },
	{ "localhost/app", "localhost/app:latest", "localhost/app", "localhost/app" },
	{ "localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1", "localhost__5000/app:1" },
	{ "a:5000", "docker.io/library/a:5000", "a:5000", "docker.io/library/a:5000" },
	{ "quay.io/o/p/q:1", "quay.io/o/p/q:1", "quay.io/o/p/q:1", "quay.io/o/p/q:1" },
	{ "docker.io:443/app", "docker.io:443/app:latest", "docker.io:443/app", "docker.io__443/app" },
	{ "xn--n3h.example/app", "xn--n3h.example/app:latest", "xn--n3h.example/app", "xn--n3h.example/app" },
	{ "a--b.c", "docker.io/library/a--b.c:latest", "a--b.c", "docker.io/library/a--b.c" },
	{ "a__b/c_d/e---f", "docker.io/a__b/c_d/e---f:latest", "a__b/c_d/e---f", "docker.io/a__b/c_d/e---f" },
	{ "app:1/2", "app:1/2:latest", "app:1/2", "app__1/2" },
	{ "deadbeef", "docker.io/library/deadbeef:latest", "deadbeef", "docker.io/library/deadbeef" },
	{ "app@sha256:" HEX64, "docker.io/library/app@sha256:" HEX64, "app@sha256:" HEX64,
	    "docker.io/library/app" },
	{ "app:1@sha256:" HEX64, "docker.io/library/app:1@sha256:" HEX64, "app:1@sha256:" HEX64,
	    "docker.io/library/app:1" },
	{ "app:_-.", "docker.io/library/app:_-.", "app:_-.", "docker.io/library/app:_-." },
	{ "", NULL, NULL, NULL },
	{ " app", NULL, NULL, NULL },
	{ "app ", NULL, NULL, NULL },
	{ "app\n", NULL, NULL, NULL },
	{ "App", NULL, NULL, NULL },
	{ "Foo/bar", NULL, NULL, NULL },
	{ "Foo.example/bar", NULL, NULL, NULL },
	{ "app:", NULL, NULL, NULL },
	{ "app:-1", NULL, NULL, NULL },
	{ "app:.1", NULL, NULL, NULL },
	{ "app:1:2", NULL, NULL, NULL },
	{ "app@", NULL, NULL, NULL },
	{ "app@sha256:" HEX16, NULL, NULL, NULL },
	{ "app@sha256:" HEX64 "0", NULL, NULL, NULL },
	{ "app@md5:" HEX64, NULL, NULL, NULL },
	{ "app@sha256:" HEX64 ":1", NULL, NULL, NULL },
	{ HEX64, NULL, NULL, NULL },
	{ "/app", NULL, NULL, NULL },
	{ "app/", NULL, NULL, NULL },
	{ "a//b", NULL, NULL, NULL },
	{ "a/../b", NULL, NULL, NULL },
	{ "a/./b", NULL, NULL, NULL },
	{ "-app", NULL, NULL, NULL },
	{ "app-", NULL, NULL, NULL },
	{ "a___b", NULL, NULL, NULL },
	{ "a..b", NULL, NULL, NULL },
	{ "a._b", NULL, NULL, NULL },
	{ "localhost:/app", NULL, NULL, NULL },
	{ "localhost:x/app", NULL, NULL, NULL },
	{ "-a.example/app", NULL, NULL, NULL },
	{ "a.example./app", NULL, NULL, NULL },
	{ "[::1]:5000/app", NULL, NULL, NULL },
	{ "app,debian:12", NULL, NULL, NULL },
	{ "caf\xc3\xa9", NULL, NULL, NULL },
	{ "http://example.org/app", NULL, NULL, NULL },
	{ "dind.invalid/" OTHER "/docker.io/library/app:1", NULL, NULL, NULL },
	{ OWN "docker.io/library/app:1", NULL, NULL, NULL },
	{ "dind.invalid:443/x", NULL, NULL, NULL },
	{ "x.dind.invalid/x", NULL, NULL, NULL },
	{ "docker.io/dind.invalid/x", NULL, NULL, NULL },
	{ "dind.invalid", NULL, NULL, NULL },
	{ "DIND.invalid/x", NULL, NULL, NULL },
	{ C200 C50 C50, NULL, NULL, NULL },
	{ "a/" C200 C50, NULL, NULL, NULL },
	{ C200 C200 C200, NULL, NULL, NULL },
};

static void
test_names(void)
{
	struct reference r, back;
	struct err e;
	char out[REFERENCE_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		err_clear(&e);
		if (names[i].canonical == NULL) {
			ok(reference_parse(&r, names[i].text, &e) < 0 && e.status == 400 &&
			        strcmp(e.rule, "reference") == 0 && e.text[0] != '\0',
			    names[i].text);
			continue;
		}
		is_int(reference_parse(&r, names[i].text, &e), 0, names[i].text);
		reference_canonical(&r, out);
		is_str(out, names[i].canonical, "canonical");
		reference_familiar(&r, out);
		is_str(out, names[i].familiar, "familiar");
		is_int(reference_map(&r, NS, out, &e), 0, "mapped");
		ok(strncmp(out, OWN, strlen(OWN)) == 0, "below the namespace");
		is_str(out + strlen(OWN), names[i].mapped, "mapped");
		is_int(reference_unmap(&back, out, NS), 0, "and back");
		ok(strcmp(r.domain, back.domain) == 0 && strcmp(r.path, back.path) == 0 &&
		        strcmp(r.tag, back.tag) == 0 && back.digest[0] == '\0',
		    "to the same, without the digest");
		ok(reference_unmap(&back, out, OTHER) < 0, "but not for another namespace");
	}
}

static void
test_repository(void)
{
	struct reference r;
	struct err e;
	char out[REFERENCE_MAX];

	reference_parse(&r, "app:1@sha256:" HEX64, &e);
	reference_repository(&r, out);
	is_str(out, "docker.io/library/app", "repository");
}

static void
test_length(void)
{
	struct reference r;
	struct err e;
	char out[REFERENCE_MAX];
	static const char longest[] = "me/" C200; /* 34 + 10 + 203 = 247 */

	is_int(reference_parse(&r, longest, &e), 0, "a long name");
	is_int(reference_map(&r, NS, out, &e), 0, "fits below the namespace");
	is_int(reference_parse(&r, "me/" C200 "123456789", &e), 0, "the engine would take a longer one");
	ok(reference_map(&r, NS, out, &e) < 0 && e.status == 400, "which does not fit below the namespace");
}

static const struct {
	const char *name;
	const char *familiar; /* NULL: not a name of this namespace */
} unmaps[] = {
	{ OWN "docker.io/library/app@sha256:" HEX64, "app@sha256:" HEX64 },
	{ OWN "localhost__5000/app", "localhost:5000/app" },
	{ OWN "docker.io/me/a__b", "me/a__b" },
	{ OWN "foo/bar", NULL },
	{ OWN "docker.io/app", NULL },
	{ OWN "index.docker.io/library/app", NULL },
	{ OWN "docker.io__x/app", NULL },
	{ OWN "docker.io/library/app:", NULL },
	{ OWN "docker.io/library/app@sha256:12", NULL },
	{ OWN "docker.io/library/app:1 ", NULL },
	{ OWN, NULL },
	{ OWN "app", NULL },
	{ "dind.invalid/" NS, NULL },
	{ "dind.invalid/" NS "x/docker.io/library/app", NULL },
	{ "dind.invalid/x" NS "/docker.io/library/app", NULL },
	{ "x/" OWN "docker.io/library/app", NULL },
	{ "dind.invalid/" OTHER "/docker.io/library/app", NULL },
	{ "docker.io/library/app", NULL },
	{ "<none>:<none>", NULL },
	{ "", NULL },
};

static void
test_unmap(void)
{
	struct reference r;
	char out[REFERENCE_MAX];

	for (size_t i = 0; i < sizeof(unmaps) / sizeof(unmaps[0]); i++) {
		int rc = reference_unmap(&r, unmaps[i].name, NS);

		is_int(rc, unmaps[i].familiar != NULL ? 0 : -1, unmaps[i].name);
		if (rc == 0 && unmaps[i].familiar != NULL) {
			reference_familiar(&r, out);
			is_str(out, unmaps[i].familiar, unmaps[i].name);
		}
	}
	ok(reference_unmap(&r, "dind.invalid/short/docker.io/library/app", "short") < 0,
	    "a namespace of another shape owns nothing");
}

static const struct {
	const char *name, *pattern;
	int match;
} matches[] = {
	{ "debian:12", "docker.io/library/*", 1 },
	{ "debian", "docker.io/library/*", 1 },
	{ "debian@sha256:" HEX64, "docker.io/library/*", 1 },
	{ "debian:12", "docker.io/library/debian", 1 },
	{ "debian:12", "docker.io/library/debian:12", 1 },
	{ "debian:13", "docker.io/library/debian:12", 0 },
	{ "debian:12.evil", "docker.io/library/debian:12", 0 },
	{ "debian:12-slim", "docker.io/library/debian:12*", 1 },
	{ "debian", "docker.io/library/debian:latest", 1 },
	{ "debian", "docker.io/library/debian:12", 0 },
	{ "debian:12@sha256:" HEX64, "docker.io/library/debian:12", 0 },
	{ "debian:12@sha256:" HEX64, "docker.io/library/debian:12@sha256:" HEX64, 1 },
	{ "debian@sha256:" HEX64, "docker.io/library/debian:latest@*", 0 },
	{ "debian@sha256:" HEX64, "docker.io/library/debian@sha256:*", 1 },
	{ "debian@sha256:" HEX64, "docker.io/library/debian@sha256:1*", 0 },
	{ "debian", "docker.io/library/debian@*", 0 },
	{ "me/app", "docker.io/library/*", 0 },
	{ "library/a/b", "docker.io/library/*", 0 },
	{ "library/a/b", "docker.io/library/**", 1 },
	{ "quay.io/a/b", "quay.io/**", 1 },
	{ "quay.io/a/b", "quay.io/*", 0 },
	{ "quay.io/a/b", "quay.io/*/*", 1 },
	{ "quay.io/a/b", "**", 1 },
	{ "quay.io/a/b", "**/b", 1 },
	{ "quay.io/a/b", "*", 0 },
	{ "quay.io/a/b", "", 0 },
	{ "localhost:5000/a:1", "localhost:5000/*", 1 },
	{ "localhost:5001/a:1", "localhost:5000/*", 0 },
	{ "localhost:5000/a:1", "localhost:5000/a:2", 0 },
	{ "localhost:5000/a:1", "localhost:*/a", 1 },
	{ "debian1", "docker.io/library/debian?", 1 },
	{ "debian", "docker.io/library/debian?", 0 },
	{ "library/d/x", "docker.io/library/d?x", 0 },
	{ "evil.example/docker.io/library/x", "docker.io/library/*", 0 },
	{ "docker.io.evil.example/library/x", "docker.io/library/*", 0 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
	    "**a**a**a**a**a**a**a**a**a**a**a**a**a**a**a**a**c", 0 },
};

static void
test_match(void)
{
	struct reference r;
	struct err e;
	char label[800];

	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		snprintf(label, sizeof(label), "%s ~ %s", matches[i].name, matches[i].pattern);
		is_int(reference_parse(&r, matches[i].name, &e), 0, matches[i].name);
		is_int(reference_match(&r, matches[i].pattern), matches[i].match, label);
	}
}

static const struct {
	const char *text;
	int like, id;
} ids[] = {
	{ "a", 1, 0 },
	{ "sha256:a3", 1, 0 },
	{ HEX64, 1, 0 },
	{ "sha256:" HEX64, 1, 1 },
	{ "sha256:" HEX64 "0", 0, 0 },
	{ HEX64 "0", 0, 0 },
	{ "sha256:", 0, 0 },
	{ "", 0, 0 },
	{ "A3", 0, 0 },
	{ "deadbeef", 1, 0 },
	{ "app", 0, 0 },
	{ "SHA256:" HEX64, 0, 0 },
	{ "sha256:" HEX16, 1, 0 },
};

static void
test_ids(void)
{
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		is_int(reference_looks_like_id(ids[i].text), ids[i].like, ids[i].text);
		is_int(reference_is_id(ids[i].text), ids[i].id, ids[i].text);
	}
	ok(reference_is_ns(NS), "a namespace");
	ok(!reference_is_ns(NS "a"), "too long");
	ok(!reference_is_ns("abcdefghij234567klm"), "too short");
	ok(!reference_is_ns("Abcdefghij234567klmn"), "upper case");
	ok(!reference_is_ns("0bcdefghij234567klmn"), "no zero in base32");
}

static const struct reference_pair pairs[] = {
	{ OWN "docker.io/library/base:1", "${BASE}" },
	{ OWN "quay.io/a/b", "quay.io/a/b" },
};

static const struct {
	const char *text, *want;
} texts[] = {
	{ "", "" },
	{ "nothing here", "nothing here" },
	{ "Step 1/2 : FROM " OWN "docker.io/library/base:1 AS x", "Step 1/2 : FROM ${BASE} AS x" },
	{ "No such image: " OWN "docker.io/library/app:1", "No such image: app:1" },
	{ OWN "docker.io/library/app:1: not found", "app:1: not found" },
	{ "for " OWN "docker.io/library/app, repository", "for app, repository" },
	{ "for " OWN "docker.io/library/base:1.", "for ${BASE}." },
	{ "\"" OWN "localhost__5000/app:1\"", "\"localhost:5000/app:1\"" },
	{ "--from=" OWN "docker.io/library/base:1: x", "--from=${BASE}: x" },
	{ OWN "docker.io/library/app@sha256:" HEX64, "app@sha256:" HEX64 },
	{ OWN "quay.io/a/b:latest", "quay.io/a/b:latest" },
	{ "x dind.invalid/" OTHER "/docker.io/library/app:1 y", "x (hidden) y" },
	{ OWN "docker.io/library/app " OWN "docker.io/library/c", "app c" },
	{ "Get \"https://dind.invalid/v2/\": no such host", "Get \"https://(hidden)\": no such host" },
	{ "lookup dind.invalid on 10.0.0.1:53", "lookup (hidden) on 10.0.0.1:53" },
	{ OWN "docker.io/app", "(hidden)" },
	{ OWN "docker.io/library/app:::::", "(hidden)" },
	{ "dind.invali", "dind.invali" },
	{ "dind.invalid", "(hidden)" },
	{ "dind.invalid/" C200 C200 C200 " x", "(hidden) x" },
};

static void
test_text(void)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		buf_clear(&out);
		reference_unmap_text(texts[i].text, strlen(texts[i].text), NS, pairs, 2, &out);
		is_str(buf_text(&out), texts[i].want, texts[i].text);
	}
	buf_clear(&out);
	reference_unmap_text(
	    "a\0b " OWN "docker.io/library/app\0c", 4 + strlen(OWN) + 21 + 2, NS, NULL, 0, &out);
	ok(buf_len(&out) == 9 && memcmp(buf_ptr(&out), "a\0b app\0c", 9) == 0, "a NUL is a byte like others");
	buf_done(&out);
}

int
main(void)
{
	test_names();
	test_repository();
	test_length();
	test_unmap();
	test_match();
	test_ids();
	test_text();
	return tap_end();
}
