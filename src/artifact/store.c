#include "artifact/store.h"

#include <errno.h>
#include <string.h>

#include "artifact/local.h"
#include "artifact/s3.h"
#include "artifact/taskcluster.h"
#include "base/err.h"
#include "base/settings.h"

static const struct {
	const char *type;
	struct store *(*open)(struct event_base *base, const struct settings *s, struct err *e);
} kinds[] = {
	{ "local", local_store_new },
	{ "s3", s3_store_new },
	{ "taskcluster", taskcluster_store_new },
};

struct store *
store_open(struct event_base *base, const struct settings *s, struct err *e)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].type, s->store_type) == 0)
			return kinds[i].open(base, s, e);
	err_set(e, EINVAL, "there is no store of type '%s'", s->store_type);
	return NULL;
}

void
store_free(struct store *s)
{
	if (s != NULL)
		s->ops->free(s);
}

struct store_job *
store_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg)
{
	return s->ops->put(s, item, cb, arg);
}

uint64_t
store_sent(const struct store *s, const struct store_job *job)
{
	return s->ops->sent(job);
}

void
store_cancel(struct store *s, struct store_job *job)
{
	s->ops->cancel(job);
}

int
store_sweep(struct store *s, struct err *e)
{
	return s->ops->sweep(s, e);
}

void
store_describe(const struct store *s, struct buf *out)
{
	s->ops->describe(s, out);
}

enum store_end
store_judge(int code)
{
	/* what stays as it is however often it is tried */
	static const int final[] = { EBADMSG, EEXIST, EISDIR, ENOTDIR, EINVAL, ELOOP, ENAMETOOLONG, EFBIG };

	for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
		if (final[i] == code)
			return STORE_FAILED;
	return code == 0 ? STORE_FAILED : STORE_AGAIN;
}
