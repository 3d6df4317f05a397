#include "task/limits.h"

#include "base/err.h"
#include "base/settings.h"
#include "tap.h"
#include "task/task.h"

/* Each limit exactly at it, and just over it. The row's numbers are what is in use before the question. */
enum ask { CONNECTION, BUILD, DISK, SAVED, SAVED_ONE };

static const struct {
	const char *name;
	enum ask ask;
	struct task_counts now;
	struct host_use host;
	int status; /* 0: fine */
	const char *rule, *setting;
} rows[] = {
	{ "the last connection", CONNECTION, { .connections = 3 }, { .connections = 8 }, 0, NULL, NULL },
	{ "one connection too many", CONNECTION, { .connections = 4 }, { .connections = 8 }, 429,
	    "limit-connections", "limits.connections" },
	{ "the host's last connection", CONNECTION, { .connections = 0 }, { .connections = 9 }, 0, NULL,
	    NULL },
	{ "one connection too many on the host", CONNECTION, { .connections = 0 }, { .connections = 10 }, 503,
	    "limit-host-connections", "limits.hostConnections" },
	{ "the last build", BUILD, { .builds = 1 }, { .builds = 2, .disk_free = -1 }, 0, NULL, NULL },
	{ "one build too many", BUILD, { .builds = 2 }, { .builds = 2, .disk_free = -1 }, 429, "limit-builds",
	    "limits.builds" },
	{ "the host's last build", BUILD, { .builds = 0 }, { .builds = 4, .disk_free = -1 }, 0, NULL, NULL },
	{ "one build too many on the host", BUILD, { .builds = 0 }, { .builds = 5, .disk_free = -1 }, 503,
	    "limit-host-builds", "limits.hostBuilds" },
	{ "all of the disk", DISK, { .disk = 1000 }, { .disk_free = -1 }, 0, NULL, NULL },
	{ "a byte of disk too much", DISK, { .disk = 1001 }, { .disk_free = -1 }, 403, "limit-disk-bytes",
	    "limits.diskBytes" },
	{ "a build asks for the disk, too", BUILD, { .disk = 1001 }, { .disk_free = -1 }, 403,
	    "limit-disk-bytes", "limits.diskBytes" },
	{ "just enough free space", DISK, { .disk = 0 }, { .disk_free = 500 }, 0, NULL, NULL },
	{ "a byte too little free space", DISK, { .disk = 0 }, { .disk_free = 499 }, 503, "limit-disk-free",
	    "limits.diskFree" },
	{ "free space that nobody knows", DISK, { .disk = 0 }, { .disk_free = -1 }, 0, NULL, NULL },
	{ "all that may be saved", SAVED, { .saved = 2000 }, { 0 }, 0, NULL, NULL },
	{ "a saved byte too much", SAVED, { .saved = 2001 }, { 0 }, 403, "limit-saved-bytes",
	    "limits.savedBytes" },
	{ "room for one more byte", SAVED_ONE, { .saved = 1999 }, { 0 }, 0, NULL, NULL },
	{ "no room for one more byte", SAVED_ONE, { .saved = 2000 }, { 0 }, 403, "limit-saved-bytes",
	    "limits.savedBytes" },
};

static int
answer(size_t i, const struct settings *s, struct err *e)
{
	struct task t = { .max_connections = 4, .max_builds = 2, .max_disk = 1000, .max_saved = 2000 };

	t.now = rows[i].now;
	switch (rows[i].ask) {
	case CONNECTION:
		return limits_connection(&t, s, &rows[i].host, e);
	case BUILD:
		return limits_build(&t, s, &rows[i].host, e);
	case DISK:
		return limits_disk(&t, s, &rows[i].host, e);
	case SAVED:
		return limits_saved(&t, 0, e);
	case SAVED_ONE:
		return limits_saved(&t, 1, e);
	}
	return -1;
}

static void
test_rows(void)
{
	const struct settings s = { .host_connections = 10, .host_builds = 5, .disk_free = 500 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e = { 0 };
		int rc = answer(i, &s, &e);

		is_int(rc, rows[i].status == 0 ? 0 : -1, rows[i].name);
		if (rc == 0)
			continue;
		is_int(e.status, rows[i].status, "its status");
		is_str(e.rule, rows[i].rule, "its rule");
		ok(rows[i].setting != NULL && strstr(e.text, rows[i].setting) != NULL,
		    "it names the setting");
	}
}

static void
test_no_watch(void)
{
	const struct settings s = { .disk_free = 0 };
	const struct host_use h = { .disk_free = 0 };
	const struct task t = { .max_disk = 1 };
	struct err e = { 0 };

	is_int(limits_disk(&t, &s, &h, &e), 0, "limits.diskFree 0: never, also with a full disk");
}

/* How many of many requests at one time are taken. */
static int
burst(struct task *t, int64_t now, struct err *e)
{
	int n = 0;

	while (n < 1000 && limits_request(t, now, e) == 0)
		n++;
	return n;
}

static void
test_rate(void)
{
	struct task t = { .max_rate = 3 };
	struct err e = { 0 };

	is_int(burst(&t, 50000, &e), 30, "ten seconds' worth at once, and no more");
	is_int(e.status, 429, "status");
	is_str(e.rule, "limit-request-rate", "rule");
	ok(strstr(e.text, "limits.requestRate") != NULL, "it names the setting");
	is_int(burst(&t, 50333, &e), 0, "not yet room for one");
	is_int(burst(&t, 50334, &e), 1, "room for one: what is asked too early is not lost time");
	is_int(burst(&t, 51334, &e), 3, "a second later: one second's worth");
	is_int(burst(&t, 51334 + 10000, &e), 30, "ten seconds later: full again");
	is_int(burst(&t, 51334 + 1000000, &e), 30, "much later: not more than full");
	is_int(burst(&t, 51334 + 1000000, &e), 0, "and empty again");
}

int
main(void)
{
	test_rows();
	test_no_watch();
	test_rate();
	return tap_end();
}
