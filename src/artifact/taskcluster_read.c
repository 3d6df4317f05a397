/* Reading what was found: ranges of a pre-signed URL. */

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "taskcluster_private.h"

struct source_read {
	struct transfer *transfer;
	struct source_range range;
	int seen;
	source_read_cb *cb;
	void *arg; /* of cb, begin and sink */
};

struct tc_source *
tc_source_new(struct taskcluster *home)
{
	struct tc_source *s = mem_new(sizeof *s);

	s->source.home = &home->store;
	s->source.size = -1;
	return s;
}

void
tc_source_free(struct source *source)
{
	struct tc_source *s = (struct tc_source *)source;

	source_done(source);
	if (s->url != NULL)
		mem_wipe(s->url, strlen(s->url));
	free(s->url);
	free(s);
}

void
tc_read_cancel(struct source_read *r)
{
	transfer_cancel(r->transfer);
	free(r);
}

static int
on_head(void *arg, const struct transfer_result *head)
{
	struct source_read *r = arg;

	r->seen = 1;
	return r->range.begin(r->arg, head);
}

static int
on_bytes(void *arg, const void *bytes, size_t len)
{
	struct source_read *r = arg;

	return r->range.sink(r->arg, bytes, len);
}

static void
on_end(void *arg, const struct transfer_result *t)
{
	struct source_read *r = arg;
	source_read_cb *cb = r->cb;
	void *user = r->arg;
	struct err why = { 0 };
	enum source_end how = tc_judge_read(t, r->seen, &why);
	char value[64];
	int64_t after = t->end == TRANSFER_ANSWERED && transfer_header(t, "Retry-After", value, sizeof value)
	                    ? retry_after(value, stamp_now())
	                    : 0;

	r->transfer = NULL;
	tc_read_cancel(r);
	cb(user, how, after, &why);
}

struct source_read *
tc_read(struct source *s, const struct source_range *range, source_read_cb *cb, void *arg)
{
	struct taskcluster *home = (struct taskcluster *)s->home;
	struct source_read *r = mem_new(sizeof *r);
	struct buf headers = { 0 };
	char bytes[SOURCE_RANGE_MAX];

	*r = (struct source_read){ .range = *range, .cb = cb, .arg = arg };
	source_range_print(range, bytes);
	if (bytes[0] != '\0')
		buf_printf(&headers, "Range: %s\n", bytes);
	if (range->etag != NULL)
		buf_printf(&headers, "If-Match: %s\n", range->etag);
	r->transfer = transfer_start(home->transfers,
	    &(struct transfer_ask){ .method = "GET",
	        .url = ((struct tc_source *)s)->url,
	        .headers = buf_text(&headers),
	        .answer_max = TC_ANSWER_MAX,
	        .begin = on_head,
	        .sink = on_bytes },
	    on_end, r);
	buf_done(&headers);
	return r;
}

const struct source_ops tc_source_ops = {
	.find = tc_find,
	.find_cancel = tc_find_cancel,
	.read = tc_read,
	.read_cancel = tc_read_cancel,
	.free = tc_source_free,
};
