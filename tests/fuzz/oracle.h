#ifndef ORACLE_H
#define ORACLE_H

/*
 * What may leave the proxy, written down a second time and without the tables: a printed request head must be
 * one of these, with names of the one namespace only. Anything else ends the process.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "http/head.h"
#include "http/target.h"

static inline void
must(int fact)
{
	if (!fact)
		abort();
}

static const struct {
	const char *method, *before, *after, *keys;
} oracle_lines[] = {
	{ "GET", "/_ping", NULL, "" },
	{ "GET", "/version", NULL, "" },
	{ "POST", "/build", NULL,
	    " t dockerfile buildargs labels target cachefrom nocache networkmode extrahosts rm forcerm "
	    "version memory memswap cpushares cpuperiod cpuquota cpusetcpus cpusetmems cgroupparent shmsize "
	    "ulimits " },
	{ "GET", "/images/json", NULL, " all " },
	{ "GET", "/images/get", NULL, " names " },
	{ "POST", "/images/load", NULL, " quiet " },
	{ "POST", "/images/create", NULL, " fromImage " },
	{ "GET", "/images/", "/json", "" },
	{ "GET", "/images/", "/history", "" },
	{ "POST", "/images/", "/tag", " repo tag " },
	{ "DELETE", "/images/", "", " noprune " },
};

/* A whole id, a name of the namespace with a tag (or without, for a save), or of a loaded image. */
static inline int
oracle_mine(const char *ns, const char *name, int base)
{
	static const char loaded[] = "dind.invalid/image/";
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "dind.invalid/%s/", ns);
	must(strlen(name) < 400 && strstr(name, "/..") == NULL && strstr(name, "//") == NULL);
	if (strncmp(name, "sha256:", 7) == 0)
		return strspn(name + 7, "0123456789abcdef") == 64 && name[71] == '\0';
	if (strlen(ns) == 20 && strncmp(name, prefix, 34) == 0)
		return strstr(name + 10, "dind.invalid") == NULL && strchr(name, '@') == NULL;
	if (strncmp(name, loaded, sizeof(loaded) - 1) == 0)
		return strspn(name + sizeof(loaded) - 1, "0123456789abcdef") == 32;
	return base && strncmp(name, "docker.io/library/", 18) == 0;
}

static inline void
oracle_pair(const char *ns, const char *key, const char *value, const char *network)
{
	must(value[0] != '\0');
	if (strcmp(key, "t") == 0 || strcmp(key, "names") == 0 || strcmp(key, "repo") == 0)
		must(oracle_mine(ns, value, 0) && strncmp(value, "dind.invalid/image/", 19) != 0);
	if (strcmp(key, "fromImage") == 0)
		must(strncmp(value, "docker.io/library/", 18) == 0 && strchr(value + 18, ':') != NULL);
	if (strcmp(key, "networkmode") == 0)
		must(strcmp(value, "none") == 0 || strcmp(value, network) == 0);
	if (strcmp(key, "rm") == 0 || strcmp(key, "forcerm") == 0 || strcmp(key, "version") == 0)
		must(strcmp(value, "1") == 0);
	if (strcmp(key, "dockerfile") == 0)
		must(value[0] != '/' && strncmp(value, "../", 3) != 0 && strstr(value, "/../") == NULL);
	if (strcmp(key, "cachefrom") == 0) {
		struct err e;
		json_t *list = json_parse(value, strlen(value), &e), *v;
		size_t i;

		must(json_array_size(list) > 0);
		json_array_foreach(list, i, v)
		{
			must(json_is_string(v) && oracle_mine(ns, json_string_value(v), 0));
		}
		json_decref(list);
	}
}

static inline void
oracle_fields(const struct http_head *h)
{
	static const char *const known[] = { "host", "user-agent", "connection", "content-type",
		"content-length", "transfer-encoding", "x-registry-auth" };

	for (size_t i = 0; i < h->count; i++) {
		int good = 0;

		for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++)
			good |= strcmp(h->fields[i].name, known[k]) == 0;
		must(good);
	}
	must(http_field(h, "content-type") == NULL ||
	     strcmp(http_field(h, "content-type"), "application/x-tar") == 0);
	must(strcmp(http_field(h, "connection"), "close") == 0);
	must(h->framing == HTTP_BODY_CHUNKED || h->length == 0);
}

/* The one line that fits: fixed paths first, as the engine's router does. */
static inline size_t
oracle_line(const struct http_head *h, const char *path, char name[1024])
{
	for (size_t i = 0; i < sizeof(oracle_lines) / sizeof(*oracle_lines); i++) {
		const char *before = oracle_lines[i].before, *after = oracle_lines[i].after;
		size_t n = strlen(path), b = strlen(before), a = after != NULL ? strlen(after) : 0;

		name[0] = '\0';
		if (strcmp(h->method_name, oracle_lines[i].method) != 0 || strncmp(path, before, b) != 0)
			continue;
		if (after == NULL && n == b)
			return i;
		if (after == NULL || n <= a + b || n - a - b > 1000 || strcmp(path + n - a, after) != 0)
			continue;
		memcpy(name, path + b, n - a - b);
		name[n - a - b] = '\0';
		return i;
	}
	abort();
}

/* The tag of an id's temporary name: repo and tag, together, for the very image. */
static inline void
oracle_tag(const char *ns, const struct target *t, const char *name)
{
	const char *repo = target_get(t, "repo");
	char removed[64];
	int n = snprintf(removed, sizeof(removed), "dind.invalid/%s/removed/", ns);

	must(repo != NULL && target_get(t, "tag") != NULL);
	if (strncmp(repo, removed, (size_t)n) == 0)
		must(strncmp(name, "sha256:", 7) == 0 && strcmp(repo + n, name + 7) == 0);
}

static inline void
oracle_head(struct buf *head, const char *ns, const char *network)
{
	struct http_head h;
	struct target t;
	struct err e;
	char name[1024], key[64];
	size_t used, line;

	must(http_request_parse(&h, buf_ptr(head), buf_len(head), &used, &e) == 0 && used == buf_len(head));
	oracle_fields(&h);
	must(target_parse(&t, h.target, &e) == 0);
	line = oracle_line(&h, t.path, name);
	if (name[0] != '\0')
		must(oracle_mine(
		    ns, name, strcmp(oracle_lines[line].before, "/images/") == 0 && h.method == HTTP_GET));
	if (h.method == HTTP_DELETE)
		must(strncmp(name, "dind.invalid/", 13) == 0);
	for (size_t i = 0; i < t.count; i++) {
		must(snprintf(key, sizeof(key), " %s ", t.query[i].key) < (int)sizeof(key));
		must(strstr(oracle_lines[line].keys, key) != NULL);
		must(target_times(&t, t.query[i].key) == 1 || strcmp(key, " t ") == 0 ||
		     strcmp(key, " names ") == 0 || strcmp(key, " extrahosts ") == 0);
		oracle_pair(ns, t.query[i].key, t.query[i].value, network);
	}
	if (strcmp(oracle_lines[line].before, "/build") == 0) {
		must(target_get(&t, "rm") && target_get(&t, "forcerm") && target_get(&t, "version"));
		must(target_get(&t, "nocache") || target_get(&t, "cachefrom"));
	}
	if (oracle_lines[line].after != NULL && strcmp(oracle_lines[line].after, "/tag") == 0)
		oracle_tag(ns, &t, name);
	target_done(&t);
	http_head_done(&h);
}

#endif
