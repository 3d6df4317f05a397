#ifndef CONTROL_LIFE_PARTS_H
#define CONTROL_LIFE_PARTS_H

#include <stdint.h>

#include "control/life.h"
#include "io/child.h"
#include "policy/call.h"
#include "proxy/proxy.h"

struct child;
struct event;
struct fetch;
struct listener;
struct tasks;

/* Inside of control/life*.c: the running service. */

/* One declared artifact on its way from the engine to the spool. */
struct exporting {
	struct life *life;
	struct task *task;
	char *name;
	char id[REFERENCE_ID_MAX]; /* of the image, taken when the task finished */
	enum { EXPORT_QUEUED, EXPORT_CONNECTING, EXPORT_RUNNING, EXPORT_HANDED_OFF, EXPORT_FAILED } state;
	uint32_t ticket;
	struct child *child;
	uint64_t bytes, compressed;
	char *phase, *error, *rule;
	int report;      /* not of an image: the task's own page */
	int told;        /* the store was to hear why it failed */
	int64_t started; /* ms, of the wall clock */
	struct exporting *next;
};

/* A task that is being cleaned up: what is left is asked, then removed call by call. */
struct ending {
	struct life *life;
	char id[REFERENCE_NS_LEN + 1];
	struct task *task; /* NULL: it had no socket here, but perhaps a loaded image */
	struct fetch *fetch;
	struct event *again; /* the engine did not answer: try later */
	size_t call, call_count;
	struct call *calls[DECISION_CALLS_MAX];
	unsigned removed, failed, rounds;
	size_t found; /* in the last round: names and images that the engine still had */
	int looking;  /* after this round of calls the engine is asked again */
	int held;     /* loaded images were released, and are waited for */
	struct ending_waiter *waiters;
	struct ending *next;
};

struct ending_waiter {
	life_answer_cb *cb;
	void *arg;
	struct ending_waiter *next;
};

struct fetching;
struct layers;
struct leaving;
struct load_waiter;
struct loading;
struct reloading;

struct life {
	struct loop *loop;
	struct gate *gate;
	struct audit *audit;
	struct tasks *tasks;
	const struct settings *settings;
	struct settings *live; /* the same, for a reload; NULL: none */
	const char *config;
	struct policy *host; /* made of the settings alone */
	int64_t started;     /* ms */
	int statm;           /* /proc/self/statm, -1: not there */
	unsigned reloads_taken, reloads_refused;
	int64_t loaded; /* ms: when the settings were last taken */
	uint32_t load_ticket;
	struct reloading *reloads;
	int releasing; /* the gate still keeps the policies before */
	struct proxy proxy;
	char engine_version[64]; /* "" until the engine has said it */
	unsigned engine_api;     /* NN, 0 until known */
	unsigned engine_api_min; /* NN of the oldest that it speaks */
	unsigned version_age;    /* s since it was asked */
	struct fetch *version, *usage;
	unsigned usage_age;    /* s since images were last counted */
	uint64_t usage_builds; /* begun and over when images were last counted */
	struct event *tick;    /* asks for the version, sweeps the spool */
	struct exporting *exports;
	struct ending *endings;
	struct load_waiter *finders; /* whose content is not known yet */
	struct loading *loadings;
	struct leaving *leaving; /* loaded images that are being removed */
	int unused, unused_away; /* there are such; the engine did not answer when it was asked */
	struct fetching *fetchings;
	int fetch_notify;
	unsigned fetch_age; /* s since the spool was swept */
	struct event *fetch_news;
	struct layers *layers;
	unsigned loads, load_failures[3]; /* by enum load_fault */
	uint64_t load_fetched, load_saved;
};

/* An error as the control API tells it. */
void life_fail(life_answer_cb *cb, void *arg, const struct err *e);
void life_say(life_answer_cb *cb, void *arg, int status, json_t *answer); /* takes answer */

/* NN of the Docker API for our own calls: what every engine from 20.10 on speaks, or less if it is older. */
unsigned life_api(const struct life *l);

/* Fits a task's policy to what the engine speaks. */
void life_fit_api(const struct life *l, struct task *task);

/* A record that no session writes: event "task" or "image". Takes more. */
void life_record(struct life *l, const struct task *task, const char *event, const char *what, json_t *more);

/* life_task.c */
int task_announce(struct life *l, struct task *task, struct err *e); /* tells the gate */
int task_serve(struct life *l, struct task *task, struct err *e);    /* announces it, makes the socket */
void task_unserve(struct life *l, struct task *task); /* for good: nothing of its socket stays */
void task_leave(
    struct life *l, struct task *task); /* the service stops: a socket that systemd keeps is the next one's */

/* life_export.c */
void exports_start(struct life *l, struct task *task);
void exports_next(struct life *l);
void exports_drop(struct life *l, const struct task *task);

/* life_artifacts.c: array, new; with evidence: records and statements of what is sealed, too */
json_t *exports_json(const struct life *l, const struct task *task, int evidence);

/* life_report.c */
int report_must_wait(const struct exporting *x); /* for the task's other artifacts */
int report_begin(struct exporting *x, child_event_cb *on_event, child_end_cb *on_end, struct err *e);

/* life_end.c */
void end_start(struct life *l, const char *id, life_answer_cb *cb, void *arg);
void end_quiet(void *life, struct task *task); /* its builds are over in the engine, too */
void end_released(struct life *l, int away);   /* loaded images have gone, or the engine is away */
void end_stop(struct life *l);                 /* at shutdown */

/* life_left.c */
/*
 * What the engine has under the task's namespace, what of that it owns, and what its builds left; and what it
 * holds by a name that another task gave it. Number of both; owned_done() on left and held.
 */
size_t ending_left(const struct ending *n, const json_t *list, struct owned *left, struct owned *held);

/* life_reload.c */
void life_policies(struct life *l, unsigned version); /* of the settings as they are now */
json_t *life_policy_name(const struct policy *p);     /* {version, hash, mode} */
void reload_tick(struct life *l);
void reload_stop(struct life *l);

/* life_engine.c */
void engine_ask(void *life);      /* which engine is it? Tells l->proxy. */
void engine_tick(struct life *l); /* every second */

/* life_usage.c */
void usage_tick(struct life *l);

/* life_held.c */
/* Forgets the user; 1: end_released() tells when the engine has been rid of what nobody uses any more; -1:
 * try again. */
int held_release(struct life *l, const char *user, struct err *e);
void held_tidy(struct life *l); /* removes what nobody uses, soon */
void held_stop(struct life *l);

/* life_image.c, life_load.c, life_fetch.c, life_layers.c: before the process is confined; then every second;
 * at shutdown, in this order */
int fetchings_open(struct life *l, struct err *e);
void fetchings_tick(struct life *l);
void finders_stop(struct life *l);
void loadings_stop(struct life *l);
void layers_free(struct life *l);
void fetchings_close(struct life *l);

#endif
