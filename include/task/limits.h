#ifndef TASK_LIMITS_H
#define TASK_LIMITS_H

#include <stdint.h>

struct err;
struct settings;
struct task;

/*
 * Limits that need counting: each refusal is status 429 or 403, has a rule of its own ("limit-..."), and
 * names the setting. What belongs to one request's size is policy's; what belongs to time is the session's.
 */

/* What all tasks of the host use now. */
struct host_use {
	unsigned connections, builds;
	int64_t disk_free; /* bytes of engine.dataRoot, -1 = not known */
};

/* One more connection? */
int
limits_connection(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e);

/* One more request at this time (ms, monotonic)? A bucket of ten seconds' worth that fills at
 * limits.requestRate. */
int limits_request(struct task *t, int64_t now, struct err *e);

/* Until there is room for one more request: ms, 0 = now. */
int64_t limits_wait(const struct task *t, int64_t now);

/* One more build? The host's limits are asked first, then the task's own. */
int limits_build(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e);

/* May a build that is running go on? Disk only. */
int limits_disk(const struct task *t, const struct settings *s, const struct host_use *h, struct err *e);

/* May `more` bytes be saved on top of what was saved? */
int limits_saved(const struct task *t, uint64_t more, struct err *e);

#endif
