#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"

json_t *
json_parse(const void *text, size_t len, struct err *e)
{
	json_error_t je;
	json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);

	if (v == NULL) {
		for (char *p = je.text; *p != '\0'; p++)
			if (*p < 0x20 || *p > 0x7e)
				*p = '?'; /* jansson quotes the bytes near the error as they are */
		err_set(e, 0, "line %d, column %d: %s", je.line, je.column, je.text);
	}
	return v;
}

json_t *
json_read(const char *path, size_t max, struct err *e)
{
	struct buf b = { 0 };
	json_t *v = NULL;

	if (fs_read(path, max, &b, e) == 0) {
		v = json_parse(buf_ptr(&b), buf_len(&b), e);
		if (v == NULL)
			err_wrap(e, "'%s'", path);
	}
	buf_done(&b);
	return v;
}

char *
json_text(const json_t *value, int ascii)
{
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | (ascii ? JSON_ENSURE_ASCII : 0));
}

int
json_write(const char *path, const json_t *value, mode_t mode, struct err *e)
{
	char *text = json_text(value, 0);
	struct buf b = { 0 };
	int rc;

	if (text == NULL)
		return err_set(e, 0, "cannot print JSON for '%s'", path);
	buf_adds(&b, text);
	buf_adds(&b, "\n");
	rc = fs_replace(path, buf_ptr(&b), buf_len(&b), mode, e);
	mem_wipe(text, strlen(text)); /* it may be credentials; buf wipes itself */
	free(text);
	buf_done(&b);
	return rc;
}

const char *
json_str(const json_t *object, const char *key, const char *fallback)
{
	const json_t *v = json_object_get(object, key);

	return json_is_string(v) ? json_string_value(v) : fallback;
}

json_int_t
json_num(const json_t *object, const char *key, json_int_t fallback)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}
