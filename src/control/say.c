#include "say.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "http/print.h"

static void
put(struct buf *tx, unsigned minor, int keep, unsigned status, const char *type, const char *text)
{
	http_print_response(tx, minor, status, HTTP_BODY_COUNTED, strlen(text), type, keep, NULL);
	buf_adds(tx, text);
}

void
say_json(struct buf *tx, unsigned minor, int keep, unsigned status, const json_t *value)
{
	char *text = value == NULL ? NULL : json_text(value, 0);
	struct buf line = { 0 };

	if (status == 204)
		http_print_response(tx, minor, status, HTTP_BODY_NONE, 0, NULL, keep, NULL);
	else {
		buf_printf(&line, "%s\n", text != NULL ? text : "{}");
		put(tx, minor, keep, status, "application/json", buf_text(&line));
	}
	buf_done(&line);
	free(text);
}

/* A text that was cut inside a character is no JSON string: then its bytes are quoted. */
static json_t *
message(const char *text)
{
	char quoted[1024];
	json_t *s = json_string(text);

	return s != NULL ? s : json_string(log_quote(text, strlen(text), quoted, sizeof quoted));
}

void
say_error(struct buf *tx, unsigned minor, int keep, const struct err *e)
{
	json_t *value = json_pack("{s:o}", "message", message(e->text));

	if (e->rule != NULL)
		json_object_set_new(value, "rule", json_string(e->rule));
	say_json(tx, minor, keep, e->status != 0 ? (unsigned)e->status : 500, value);
	json_decref(value);
}

void
say_text(struct buf *tx, unsigned minor, int keep, const char *text)
{
	put(tx, minor, keep, 200, "text/plain; version=0.0.4", text);
}
