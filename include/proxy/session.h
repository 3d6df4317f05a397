#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include <sys/socket.h>

#include "base/buf.h"
#include "docker/context.h"
#include "http/body.h"
#include "io/pump.h"
#include "proxy/elements.h"
#include "proxy/proxy.h"

struct event;
struct fetch;
struct stream;

/*
 * Inside of the proxy floor: one client connection and the request it is at.
 *
 * A session is a step loop. Callbacks bring facts (bytes came, a connection was made) and call
 * session_step(); only step functions decide what is next. session_close() may be called twice and from
 * anywhere: it silences the callbacks, writes the record, and leaves the free to the top of the loop. A
 * session has at most one engine connection at a time, and they die together; only that of a build lives on
 * for a moment (wake.h).
 */
#define SESSION_STATES(X)                                                                                    \
	X(HEAD, "waiting for a request", step_head)                                                          \
	X(DRAIN, "reading a body that is not needed", step_drain)                                            \
	X(UPLOAD, "sending the build context", step_upload)                                                  \
	X(ANSWER, "waiting for the engine's answer", step_answer)                                            \
	X(COLLECT, "reading the engine's answer", step_collect)                                              \
	X(RELAY, "relaying the engine's answer", step_relay)                                                 \
	X(LINGER, "letting the client read its refusal", step_linger)

enum session_state {
#define X(state, text, step) SESSION_##state,
	SESSION_STATES(X)
#undef X
	    SESSION_CLOSED
};

enum step {
	STEP_WAIT = 0, /* needs an event */
	STEP_AGAIN,    /* the state has moved */
	STEP_END,      /* closed */
};

/* What the request may add to what the task owns: counted at its admission, given back at its end. */
struct claim {
	struct task *task; /* NULL: nothing is claimed */
	long images, names;
};

/* What only a build needs. */
struct building {
	struct task *task;
	struct claim claim;
	struct dockerfile_facts facts;
	struct base_ask bases;
	size_t pair_count;
	struct reference_pair pairs[DOCKERFILE_BASES_MAX];
	size_t next_base; /* to be looked up */
	int pulled;       /* it has been pulled: once is enough */
	size_t foreign_count;
	char foreign[DOCKERFILE_BASES_MAX][REFERENCE_ID_MAX]; /* ids of base images, which no step makes */
	int waits;                                            /* for what the engine is: proxy_engine() */
	int resolving, resolved; /* the Dockerfile is known; its base images are */
	struct fetch *fetch;
	struct filter *context, *output; /* borrowed from the pumps */
	int failed;                      /* it ended in an error that its client was told */
	char made[REFERENCE_ID_MAX];     /* the image that it ended in, "" = none */
	int64_t started;                 /* ms, of the wall clock */
	json_t *bases_known;             /* facts.c: of each base that was asked for */
	json_t *known;                   /* and of the whole build, once its context has ended */
};

/* One request. */
struct exchange {
	uint64_t number; /* on this connection */
	int64_t started; /* ms, monotonic */
	struct http_head head;
	struct target target;
	struct policy *policy; /* the one that judges it, from its first word to its last; a reference */
	struct decision d;
	int decided;
	int body_ended; /* the request's body was read to its end */
	struct body drain;
	uint64_t drained;
	struct pump up, down;
	struct building *build;
	struct claim claim; /* of a tag */
	size_t call;        /* index of the call under way */
	uint32_t ticket;    /* of the gate, 0 = none */
	struct http_head answer;
	int answered; /* the engine's answer head is in `answer` */
	struct body walk;
	struct buf body;
	struct elements list; /* take set: the answer is a list that is read element by element */
	json_t *merged;       /* answers of several calls, or the kept elements of a list */
	int head_sent;        /* the client has seen a head: no error can be told any more */
	int keep_alive;
	unsigned status, engine_status;
	uint64_t sent;  /* bytes of an answer that was not relayed */
	uint64_t saved; /* bytes of a save that the task's count has */
	const char *close_why;
	int silent; /* one of a flood: its end is not recorded */
	int kept;   /* answered with the engine's last words: kept.c */
};

struct session {
	struct proxy *proxy;
	struct task *task;
	struct session *next, **at;
	uint64_t conn;
	struct ucred peer;
	enum session_state state;
	struct stream *client, *engine;
	struct exchange *x; /* NULL between requests */
	uint64_t requests;
	struct event *timer;
	int64_t since;  /* ms: start of what the timer watches */
	uint64_t moved; /* bytes that had moved at `since` */
	uint64_t lingered;
	int stepping;
	int head_begun;     /* the first byte of a head is here: its time runs */
	int64_t held_since; /* ms: since when a request waits for room in its task's rate; 0 = none does */
	int64_t hold;       /* ms until it is looked at again */
	int turn_over; /* a request that came right behind another one waits for the next turn of the loop */
};

void session_step(struct session *s);
void session_close(struct session *s, const char *why);
enum step session_go(struct session *s, enum session_state state);
int64_t now_ms(void);

/* request.c */
enum step step_head(struct session *s);
enum step step_drain(struct session *s);

/* context.c: the build context, and the base images that its Dockerfile names */
void context_start(struct session *s);
enum step step_upload(struct session *s);

/* answer.c: what the engine says */
void engine_call(struct session *s); /* asks the gate for the connection of call x->call */
enum step step_answer(struct session *s);
enum step step_collect(struct session *s);
enum step answer_again(struct session *s); /* with what was kept */
enum step step_relay(struct session *s);
void build_stop(struct session *s, const struct err *e); /* from outside of a step */

/* kept.c: answers that the engine gave a moment ago */
int kept_fits(struct session *s);
const struct buf *kept_body(struct session *s); /* only when it fits */
void kept_take(struct session *s);              /* the engine's whole answer is in x->body */
void kept_forget(struct proxy *p);              /* the engine does not answer */
void kept_done(struct proxy *p);

/* reply.c: what we say */
enum step reply_refuse(struct session *s, const struct err *e);
enum step reply_json(struct session *s, unsigned status, const char *json, const char *extra);
enum step reply_done(struct session *s); /* the answer is complete: next request, linger or close */
enum step step_linger(struct session *s);

/* record.c: the audit */
int record_decision(struct session *s, struct err *e);
void record_observed(struct session *s, const struct err *e); /* found then, and let through */
void record_refusal(struct session *s, const struct err *e);  /* found while the body passed */
void record_end(struct session *s, const char *why);

void claim_take(struct claim *c, struct task *task, size_t images, size_t names); /* instead of what it has */
void claim_done(struct claim *c);

/* figures.c */
void figures_refused(struct proxy *p, struct task *task, const char *rule);
void figures_observed(struct session *s, const char *rule);
void figures_ended(struct session *s);

/* build.c: what a build leaves, whether its client still listens or not */
struct filter *building_output(struct building *b, struct task *task, int quiet);
void building_record(struct building *b, struct task *task, char *const *names, size_t count);
void building_free(struct proxy *p, struct task *task, struct building *b);

/* facts.c: what is known of a build before the engine makes it, for evidence of what it makes */
void facts_base(struct building *b, const char *ns, const json_t *inspect); /* of the base that is next */
void facts_known(struct session *s); /* the context and all bases are known: b->known is made */
void facts_keep(struct building *b, struct task *task, const char *id); /* the build has made this image */

/* exchange.c */
void exchange_drop_engine(struct session *s); /* a build that the engine is at work on is cancelled: wake.h */
struct exchange *exchange_new(struct session *s);
void exchange_free(struct session *s);

#endif
