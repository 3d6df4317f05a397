/* Reading what was found in a bucket: ranges of the object. */

#include <stdlib.h>

#include "base/mem.h"
#include "s3_private.h"

struct source_read {
	struct s3_call *call;
	struct source_range range;
	source_read_cb *cb;
	void *arg; /* of cb, begin and sink */
};

void
s3_read_cancel(struct source_read *r)
{
	s3_call_cancel(r->call);
	free(r);
}

static int
on_head(void *arg, const struct transfer_result *head)
{
	struct source_read *r = arg;

	return r->range.begin(r->arg, head);
}

static int
on_bytes(void *arg, const void *bytes, size_t len)
{
	struct source_read *r = arg;

	return r->range.sink(r->arg, bytes, len);
}

static void
on_end(void *arg, const struct s3_reply *reply)
{
	struct source_read *r = arg;
	source_read_cb *cb = r->cb;
	void *user = r->arg;
	struct err why = { 0 };
	enum source_end how = SOURCE_DONE;

	r->call = NULL;
	if (!reply->good)
		s3_judge_out(reply, &how, &why);
	if (!reply->good && reply->status == 404)
		why.rule = "service"; /* its record is there */
	s3_read_cancel(r);
	cb(user, how, 0, &why);
}

struct source_read *
s3_read(struct source *s, const struct source_range *range, source_read_cb *cb, void *arg)
{
	struct source_read *r = mem_new(sizeof *r);
	struct s3_ask ask = { .method = "GET",
		.key = ((struct s3_source *)s)->key,
		.tries = 1, /* whoever reads knows how far it came */
		.begin = on_head,
		.sink = on_bytes };
	char bytes[SOURCE_RANGE_MAX];
	size_t n = 0;

	*r = (struct source_read){ .range = *range, .cb = cb, .arg = arg };
	source_range_print(range, bytes);
	if (bytes[0] != '\0')
		ask.headers[n++] = (struct sigv4_pair){ "range", bytes };
	if (range->etag != NULL)
		ask.headers[n++] = (struct sigv4_pair){ "if-match", range->etag };
	r->call = s3_call_start((struct s3 *)s->home, &ask, on_end, r);
	return r;
}

const struct source_ops s3_source_ops = {
	.find = s3_find,
	.find_cancel = s3_find_cancel,
	.read = s3_read,
	.read_cancel = s3_read_cancel,
	.free = s3_source_free,
};
