#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "value.h"

/*
 * The ulimits of RUN steps. What a build may set, and how high: not nice, rtprio and rttime (they take CPU
 * time from others), not an unlimited amount (-1) of anything.
 */
static const struct {
	const char *name;
	json_int_t max;
} limits[] = {
	{ "core", INT64_MAX },
	{ "cpu", INT64_MAX },
	{ "data", INT64_MAX },
	{ "fsize", INT64_MAX },
	{ "locks", 65536 },
	{ "memlock", 64 * 1024 * 1024 },
	{ "msgqueue", 819200 },    /* the kernel's default */
	{ "nofile", 1024 * 1024 }, /* fs.nr_open's default */
	{ "nproc", 1024 * 1024 },
	{ "rss", INT64_MAX },
	{ "sigpending", 1024 * 1024 },
	{ "stack", INT64_MAX },
};

static json_int_t
highest(const char *name)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (strcmp(limits[i].name, name) == 0)
			return limits[i].max;
	return -1;
}

/* The engine matches keys in any case, the last one wins: here they are spelled as clients spell them. */
static json_t *
read_one(const json_t *v)
{
	const char *name = json_str(v, "Name", "");
	json_int_t soft = json_num(v, "Soft", -1), hard = json_num(v, "Hard", -1), max = highest(name);

	if (json_object_size(v) != 3 || soft < 0 || hard < soft || hard > max)
		return NULL;
	return json_pack("{s:s, s:I, s:I}", "Name", name, "Hard", hard, "Soft", soft);
}

static json_t *
read_all(const json_t *list)
{
	json_t *out = json_array();

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *one = read_one(json_array_get(list, i));

		if (one == NULL || i > sizeof(limits) / sizeof(*limits)) {
			json_decref(one);
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, one);
	}
	return out;
}

int
ulimits_read(const char *text, struct buf *out)
{
	struct err ignored;
	json_t *list, *mine;
	char *printed;

	if (text[0] == '\0' || strcmp(text, "null") == 0)
		return 0;
	list = json_parse(text, strlen(text), &ignored);
	mine = json_is_array(list) ? read_all(list) : NULL;
	json_decref(list);
	if (mine == NULL)
		return -1;
	if (json_array_size(mine) > 0) {
		printed = json_text(mine, 0);
		buf_adds(out, printed);
		free(printed);
	}
	json_decref(mine);
	return 0;
}
