/*
 * A request target. What parses must be canonical, and must mean the same when
 * we print it ourselves.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/print.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(x)                                                                                              \
	do {                                                                                                 \
		if (!(x))                                                                                    \
			abort();                                                                             \
	} while (0)

static void
check_canonical(const struct target *t)
{
	size_t n = strlen(t->path);

	must(t->path[0] == '/' && (n == 1 || t->path[n - 1] != '/'));
	must(strstr(t->path, "//") == NULL && strstr(t->path, "/./") == NULL &&
	     strstr(t->path, "/../") == NULL);
	must(strpbrk(t->path, "%?#;\\ \"'<>{}|^`") == NULL);
	must(t->api == 0 || (t->api >= 12 && t->api <= 99));
	must(t->count <= TARGET_PAIRS_MAX);
	for (size_t i = 0; i < t->count; i++) {
		must(t->query[i].key[0] != '\0');
		must(target_get(t, t->query[i].key) != NULL && target_times(t, t->query[i].key) > 0);
	}
}

static void
print(struct buf *b, const struct target *t)
{
	if (t->api != 0)
		buf_printf(b, "/v1.%u", t->api);
	http_print_path(b, t->path, strlen(t->path));
	for (size_t i = 0; i < t->count; i++)
		http_print_pair(b, t->query[i].key, t->query[i].value, strlen(t->query[i].value));
}

static void
check_same(const struct target *a, const struct target *b)
{
	must(a->api == b->api && a->count == b->count && strcmp(a->path, b->path) == 0);
	for (size_t i = 0; i < a->count; i++) {
		must(strcmp(a->query[i].key, b->query[i].key) == 0);
		must(strcmp(a->query[i].value, b->query[i].value) == 0);
	}
}

static void
check(const char *raw)
{
	struct target t, again;
	struct buf b = { 0 };
	struct err e = { 0 };

	if (target_parse(&t, raw, &e) < 0) {
		must(e.status == 400 && e.rule != NULL && e.text[0] != '\0' && t.path == NULL);
		return;
	}
	check_canonical(&t);
	print(&b, &t);
	if (buf_len(&b) <= TARGET_MAX) { /* escapes may make it longer than what came */
		must(target_parse(&again, buf_text(&b), &e) == 0);
		check_same(&t, &again);
		target_done(&again);
	}
	buf_done(&b);
	target_done(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *raw = malloc(size + 1);

	must(raw != NULL);
	if (size > 0)
		memcpy(raw, data, size);
	raw[size] = '\0';
	check(raw);
	free(raw);
	return 0;
}
