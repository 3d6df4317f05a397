#include "artifact/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

enum { INDEX_MAX = 240 /* a file's name, less ".json" and what is put before it while it is written */ };

struct source_find *
source_find(struct store *s, const struct source_want *w, source_found_cb *cb, void *arg)
{
	return s->ops->out->find(s, w, cb, arg);
}

void
source_find_cancel(struct store *s, struct source_find *f)
{
	if (f != NULL)
		s->ops->out->find_cancel(f);
}

struct source_read *
source_read(struct source *s, const struct source_range *r, source_read_cb *cb, void *arg)
{
	return s->home->ops->out->read(s, r, cb, arg);
}

void
source_read_cancel(struct source *s, struct source_read *r)
{
	if (r != NULL)
		s->home->ops->out->read_cancel(r);
}

void
source_free(struct source *s)
{
	if (s != NULL)
		s->home->ops->out->free(s);
}

void
source_done(struct source *s)
{
	free(s->task_id);
	free(s->content);
	free(s->sha256);
	free(s->sha512);
	free(s->image_id);
	free(s->etag);
	free(s->path);
}

void
source_range_print(const struct source_range *r, char out[SOURCE_RANGE_MAX])
{
	unsigned long long first = r->offset;

	if (r->length > 0)
		(void)snprintf(out, SOURCE_RANGE_MAX, "bytes=%llu-%llu", first, first + r->length - 1);
	else if (r->offset > 0)
		(void)snprintf(out, SOURCE_RANGE_MAX, "bytes=%llu-", first);
	else
		out[0] = '\0';
}

int
source_check_index(const char *index, struct err *e)
{
	static const char any[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_!~*'()%.";
	size_t n = strspn(index, any);
	char quoted[100];

	if (n > 0 && n <= INDEX_MAX && index[n] == '\0' && index[0] != '.' && index[n - 1] != '.' &&
	    strstr(index, "..") == NULL)
		return 0;
	return err_refuse(e, 400, "task",
	    "'%s' is not a namespace of the index: words of letters, digits and -_!~*'()%% with dots between "
	    "them, at most %d bytes",
	    log_quote(index, strlen(index), quoted, sizeof quoted), INDEX_MAX);
}

int
source_read_index(struct source_place *p, const void *text, size_t len, struct err *e)
{
	struct err unread;
	json_t *v = json_parse(text, len, &unread);
	const char *task_id = json_str(v, "taskId", NULL);

	*p = (struct source_place){ mem_str(task_id), json_num(v, "runId", -1) };
	json_decref(v);
	if (task_id != NULL)
		return 0;
	return err_refuse(e, 502, "service", "the entry in the store's index is not {\"taskId\", \"runId\"}");
}
