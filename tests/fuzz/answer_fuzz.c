/* Small answers: nothing of another task's namespace comes out of them; and the filters of a list. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/answer.h"

#define NS "abcdefghijklmnop2345"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
owns(const void *arg, const char *id)
{
	(void)arg;
	return reference_is_id(id) && id[7] < '8';
}

static void
version(json_t *v, const struct answer_view *view)
{
	(void)view;
	answer_version(v, 24, 51);
}

static void
element(json_t *v, const struct answer_view *view)
{
	(void)answer_list_element(v, view);
}

static void (*const calls[])(json_t *, const struct answer_view *) = { answer_error, answer_inspect,
	answer_history, answer_remove, version, element };

static void
answer(unsigned which, const uint8_t *data, size_t size)
{
	const struct answer_view view = { NS, owns, NULL };
	struct err e;
	json_t *v = json_parse(data, size, &e);
	char *text;

	if (v != NULL)
		calls[which](v, &view);
	text = v == NULL ? NULL : json_text(v, 0);
	free(text);
	json_decref(v);
}

/* "filters NUL list" */
static void
filter(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\0', size);
	size_t len = end == NULL ? size : (size_t)(end - data);
	char *filters = mem_strn((const char *)data, len);
	struct err e = { 0 };
	json_t *list = end == NULL ? NULL : json_parse(end + 1, size - len - 1, &e);

	if (json_is_array(list) && answer_list_filter(list, filters, &e) < 0 && e.status == 0)
		abort();
	json_decref(list);
	free(filters);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] % 7 < 6)
		answer(data[0] % 7, data + 1, size - 1);
	else
		filter(data + 1, size - 1);
	return 0;
}
