#include "artifact/taskcluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/hawk.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/settings.h"
#include "taskcluster_private.h"

enum {
	POLL_MS = 1000,
	PATIENCE_MS = 300 * 1000, /* the queue itself takes credentials for 5 minutes behind their end */
};

static void
describe(const struct store *s, struct buf *out)
{
	const struct taskcluster *t = (const struct taskcluster *)s;

	buf_printf(out, "Taskcluster %s, storage type %s", t->root, t->storage_type);
}

/* Nothing of ours is left there: artifacts expire by themselves. */
static int
sweep(struct store *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

static void
free_store(struct store *s)
{
	struct taskcluster *t = (struct taskcluster *)s;

	transfers_free(t->transfers);
	free(t->root);
	free(t->tasks);
	free(t);
}

static const struct store_ops ops = {
	.type = "taskcluster",
	.errors = 1,
	.put = tc_put,
	.sent = tc_sent,
	.cancel = tc_cancel,
	.out = &tc_source_ops,
	.sweep = sweep,
	.describe = describe,
	.free = free_store,
};

/* Without its last slash; heap. NULL when no request could be made of it. */
static char *
read_root(const char *url, struct err *e)
{
	struct hawk_request probe = { .method = "GET", .nonce = "n" };
	size_t len = strlen(url);
	struct buf out = { 0 };
	char *root, *full;
	int rc;

	while (len > 0 && url[len - 1] == '/')
		len--;
	root = mem_strn(url, len);
	full = mem_printf("%s/api", root);
	probe.url = full;
	rc = strpbrk(root, "?#") != NULL ? -1
	                                 : hawk_sign(&probe, &(struct hawk_key){ "x", "x", NULL }, &out, e);
	buf_done(&out);
	free(full);
	if (rc == 0)
		return root;
	free(root);
	err_set(e, EINVAL, "store.taskcluster.rootUrl must be a URL such as \"https://tc.example.com\"%s",
	    url[0] == '\0' ? "; it is not set" : "");
	return NULL;
}

struct store *
taskcluster_store_new(struct event_base *base, const struct settings *s, struct err *e)
{
	char *root = read_root(s->taskcluster_root, e), *tasks = mem_printf("%s/tasks", s->state_dir);
	struct taskcluster *t;

	/* it must be there before this process gives up to look anywhere else */
	if (root == NULL || fs_mkdirs(tasks, 0700, e) < 0) {
		free(root);
		free(tasks);
		return NULL;
	}
	t = mem_new(sizeof *t);
	*t = (struct taskcluster){ .store = { &ops },
		.base = base,
		.transfers = transfers_new(base),
		.root = root,
		.tasks = tasks,
		.storage_type = s->taskcluster_storage,
		.poll = POLL_MS,
		.patience = PATIENCE_MS };
	return &t->store;
}
