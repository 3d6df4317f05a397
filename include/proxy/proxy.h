#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "http/head.h"
#include "http/target.h"
#include "policy/decide.h"
#include "policy/rule.h"
#include "task/limits.h"

struct audit;
struct err;
struct gate;
struct loop;
struct session;
struct settings;
struct task;
struct wake;

/* The engine's last answer to a question that no task's state changes: kept.c. */
struct kept {
	int64_t at; /* ms, monotonic: when the engine was asked; 0 = none */
	unsigned api;
	struct buf body;
};

enum engine_verdict {
	ENGINE_UNKNOWN = 0,
	ENGINE_TESTED,
	ENGINE_REFUSED, /* never tested: it gets no build */
};

/*
 * The data road: one session for each client connection of a task's socket. What all sessions share is here.
 * The service owns everything that it points to.
 */
/* Since the start, for metrics. */
struct figures {
	struct histogram requests[ROUTE_COUNT]; /* that were allowed */
	struct histogram builds[2];             /* [1]: an image was made */
	uint64_t bytes_in, bytes_out, saved;
	uint64_t refused[RULE_ROOM], observed[RULE_ROOM]; /* by rule_index() */
};

struct proxy {
	struct loop *loop;
	struct gate *gate;
	struct audit *audit;
	const struct settings *settings;
	const char *engine;               /* its version, "" until it is known */
	enum engine_verdict engine_state; /* may it be given builds? Unknown again after a call that failed */
	char engine_why[512];             /* as struct err has it */
	void (*ask_engine)(void *arg);    /* a build waits for proxy_engine() */
	void *ask_engine_arg;
	int engine_zstd; /* the engine reads zstd contexts itself (20.10 does not) */
	struct session *sessions;
	struct wake *wakes; /* builds that were given up and still end in the engine */
	void (*on_quiet)(void *arg, struct task *task); /* the last of a task's wakes is over; may be NULL */
	void *on_quiet_arg;
	struct kept kept_ping, kept_version;
	uint64_t last_conn;
	struct host_use use; /* of all tasks, now; disk_free is looked at by the life of tasks */
	struct figures figures;
	/* since the start, for metrics */
	uint64_t requests, builds, failures;
};

/* A new client connection of the task; takes fd. Over the task's limit it gets a clear answer and is closed.
 */
void proxy_accept(struct proxy *p, struct task *task, int fd);

/* The engine has told what it is, or could not be asked (UNKNOWN with e): builds that wait for it go on, or
 * end. why is for REFUSED and UNKNOWN. */
void proxy_engine(struct proxy *p, enum engine_verdict v, const struct err *why);

/* Ends every session of the task at once; `why` is what the audit says. Its builds may outlive that for a
 * moment: proxy_waking(). */
void proxy_close_task(struct proxy *p, const struct task *task, const char *why);

/* Ends the task's builds that may not go on: each is told e in its output. */
void proxy_stop_builds(struct proxy *p, const struct task *task, const struct err *e);

/* The service stops: each request of the task that can still be told why is told e, builds in their output.
 */
void proxy_stop_requests(struct proxy *p, const struct task *task, const struct err *e);

/* Builds of the task that were given up and have not ended in the engine yet; on_quiet tells when it is none.
 */
unsigned proxy_waking(const struct proxy *p, const struct task *task);

/* Waits for none of them any more. */
void proxy_stop_waking(struct proxy *p);

/* Gives back what all sessions shared. */
void proxy_done(struct proxy *p);

/* Has any request under way been judged by another version of the policy than this? */
int proxy_judged_before(const struct proxy *p, unsigned version);

/* Sessions that have a request under way (of one task, or of all with NULL). */
unsigned proxy_busy(const struct proxy *p, const struct task *task);

#endif
