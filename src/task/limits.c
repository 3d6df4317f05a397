#include "task/limits.h"

#include "base/err.h"
#include "base/settings.h"
#include "task/task.h"

enum { BURST_SECONDS = 10 };

int
limits_connection(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e)
{
	if (t->now.connections >= t->max_connections)
		return err_refuse(e, 429, "limit-connections",
		    "the task has %u connections open: more at a time are not allowed (limits.connections)",
		    t->now.connections);
	if (h->connections >= s->host_connections)
		return err_refuse(e, 503, "limit-host-connections",
		    "all tasks of this host have %u connections open together: try again "
		    "(limits.hostConnections)",
		    h->connections);
	return 0;
}

int
limits_request(struct task *t, int64_t now, struct err *e)
{
	int64_t full = t->max_rate * BURST_SECONDS * 1000; /* in thousandths of a request */

	if (t->bucket_at == 0)
		t->bucket = full;
	else
		t->bucket += (now - t->bucket_at) * t->max_rate;
	t->bucket_at = now;
	if (t->bucket > full)
		t->bucket = full;
	if (t->bucket < 1000)
		return err_refuse(e, 429, "limit-request-rate",
		    "the task sends more than %lld requests per second (limits.requestRate): slow down",
		    (long long)t->max_rate);
	t->bucket -= 1000;
	return 0;
}

static int
disk_free(const struct settings *s, const struct host_use *h, struct err *e)
{
	if (s->disk_free > 0 && h->disk_free >= 0 && h->disk_free < s->disk_free)
		return err_refuse(e, 503, "limit-disk-free",
		    "the host's disk for images has %lld bytes left, builds need %lld (limits.diskFree): try "
		    "again later",
		    (long long)h->disk_free, (long long)s->disk_free);
	return 0;
}

static int
disk_bytes(const struct task *t, struct err *e)
{
	if (t->now.disk > t->max_disk)
		return err_refuse(e, 403, "limit-disk-bytes",
		    "the task's images take %lld bytes of disk, %lld are allowed (limits.diskBytes): remove "
		    "some (docker rmi)",
		    (long long)t->now.disk, (long long)t->max_disk);
	return 0;
}

/* What is the host's comes first: when the policy only observes what is the task's, it has been asked
 * already.
 */
int64_t
limits_wait(const struct task *t, int64_t now)
{
	int64_t have = t->bucket + (now - t->bucket_at) * t->max_rate;

	return t->bucket_at == 0 || have >= 1000 ? 0 : (1000 - have + t->max_rate - 1) / t->max_rate;
}

int
limits_disk(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e)
{
	return disk_free(s, h, e) < 0 ? -1 : disk_bytes(t, e);
}

int
limits_build(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e)
{
	if (h->builds >= s->host_builds)
		return err_refuse(e, 503, "limit-host-builds",
		    "%u builds are running on this host: try again when one is done (limits.hostBuilds)",
		    h->builds);
	if (disk_free(s, h, e) < 0)
		return -1;
	if (t->now.builds >= t->max_builds)
		return err_refuse(e, 429, "limit-builds",
		    "%u builds of the task are running: more at a time are not allowed (limits.builds)",
		    t->now.builds);
	return disk_bytes(t, e);
}

int
limits_saved(const struct task *t, uint64_t more, struct err *e)
{
	if (t->now.saved + more > (uint64_t)t->max_saved)
		return err_refuse(e, 403, "limit-saved-bytes",
		    "the task has saved %llu bytes of images, more than %lld in all are not allowed "
		    "(limits.savedBytes)",
		    (unsigned long long)t->now.saved, (long long)t->max_saved);
	return 0;
}
