#include "artifact/s3.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "s3_private.h"

static void
describe(const struct store *store, struct buf *out)
{
	const struct s3 *s = (const struct s3 *)store;

	buf_printf(out, "S3 bucket %s at %s, region %s%s%s", s->place.bucket, s->place.base, s->place.region,
	    s->place.prefix[0] != '\0' ? ", prefix " : "", s->place.prefix);
}

static void
free_store(struct store *store)
{
	struct s3 *s = (struct s3 *)store;

	s3_clean_cancel(s->sweep);
	transfers_free(s->transfers);
	s3_place_done(&s->place);
	s3_key_done(&s->key);
	free(s);
}

static const struct store_ops ops = {
	.type = "s3",
	.put = s3_put,
	.sent = s3_put_sent,
	.cancel = s3_put_cancel,
	.out = &s3_source_ops,
	.sweep = s3_sweep,
	.describe = describe,
	.free = free_store,
};

/* Signatures are of no use to a listener, but images and session tokens are. */
static void
warn_plain(const struct s3_place *p)
{
	static const char *const near[] = { "http://127.", "http://localhost", "http://[::1]" };

	if (strncmp(p->base, "http://", 7) != 0)
		return;
	for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
		if (strncmp(p->base, near[i], strlen(near[i])) == 0)
			return;
	log_warn("s3", "%s is not encrypted: images and session tokens pass in the clear", p->base);
}

struct store *
s3_store_new(struct event_base *base, const struct settings *settings, struct err *e)
{
	struct s3 *s = mem_new(sizeof *s);

	s->store.ops = &ops;
	s->base = base;
	s->key_file = settings->s3_credentials;
	s->pace = retry_pace;
	if (s3_place_init(&s->place, settings, e) < 0 || s3_key_read(&s->key, s->key_file, e) < 0) {
		s3_place_done(&s->place);
		free(s);
		return NULL;
	}
	warn_plain(&s->place);
	s->transfers = transfers_new(base);
	return &s->store;
}
