/* One request of Taskcluster's API: signed, judged, and made again only with another clock or other
 * credentials. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artifact/hawk.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "taskcluster_private.h"

enum {
	NONCE_LEN = 8,
	SKEW_LEAST = 60 * 1000, /* ms: a clock that is nearer is not to blame for a 401 */
	DATE_MAX = 64,
	MESSAGE_MAX = 280,
};

static const char type_of_body[] = "application/json";

struct tc_call {
	struct taskcluster *home;
	const char *method;
	char *url, *text; /* of the body, NULL = none */
	char *task_dir, *key_file, *scope;
	const struct tc_key *key;
	int open;          /* without credentials it is asked as nobody: what is public is for all */
	char mark[65];     /* of the credentials that were used last; "" = none yet */
	char refusal[480]; /* what they were answered */
	int64_t until;     /* ms: while it waits for fresh ones */
	unsigned refused;  /* how often */
	int reset;         /* the clock, once */
	struct event *turn;
	struct transfer *transfer;
	tc_call_cb *cb;
	void *arg;
};

static void
call_free(struct tc_call *c)
{
	transfer_cancel(c->transfer);
	event_free(c->turn);
	if (c->text != NULL)
		mem_wipe(c->text, strlen(c->text));
	free(c->text);
	free(c->url);
	free(c->task_dir);
	free(c->key_file);
	free(c->scope);
	free(c);
}

void
tc_call_cancel(struct tc_call *c)
{
	if (c != NULL)
		call_free(c);
}

static void
arm(struct tc_call *c, int64_t ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (c->turn == NULL || evtimer_add(c->turn, &t) < 0)
		abort();
}

/* c is gone. */
static void
reply(struct tc_call *c, const struct tc_reply *r)
{
	tc_call_cb *cb = c->cb;
	void *arg = c->arg;

	c->transfer = NULL;
	call_free(c);
	cb(arg, r);
}

static void
give_up(struct tc_call *c, const struct err *why)
{
	struct tc_reply r = { .class = RETRY_FATAL, .why = *why };

	r.why.rule = TC_BY_WORKER;
	reply(c, &r);
}

static void
make_nonce(char out[NONCE_LEN + 1])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t dice[NONCE_LEN];

	evutil_secure_rng_get_bytes(dice, sizeof dice);
	for (size_t i = 0; i < NONCE_LEN; i++)
		out[i] = letters[dice[i] % 64];
	out[NONCE_LEN] = '\0';
}

static int
sign(struct tc_call *c, const struct tc_key *k, struct buf *headers, struct err *e)
{
	char nonce[NONCE_LEN + 1], *ext = NULL;
	struct hawk_request q = { .method = c->method,
		.url = c->url,
		.content_type = c->text != NULL ? type_of_body : NULL,
		.body = c->text,
		.length = c->text != NULL ? strlen(c->text) : 0,
		.time = (stamp_now() + c->home->skew) / 1000,
		.nonce = nonce };
	int rc;

	make_nonce(nonce);
	if (k->certificate != NULL || c->scope != NULL)
		ext = hawk_ext(k->certificate, c->scope);
	rc = hawk_sign(&q, &(struct hawk_key){ k->id, k->secret, ext }, headers, e);
	free(ext);
	return rc;
}

static void on_answer(void *arg, const struct transfer_result *t);

/* k NULL: as nobody. */
static void
send_as(struct tc_call *c, const struct tc_key *k)
{
	struct buf headers = { 0 };
	struct err e = { 0 };

	if (k != NULL && sign(c, k, &headers, &e) < 0) {
		buf_done(&headers);
		give_up(c, &e);
		return;
	}
	if (c->text != NULL)
		buf_printf(&headers, "Content-Type: %s\n", type_of_body);
	c->transfer = transfer_start(c->home->transfers,
	    &(struct transfer_ask){ .method = c->method,
	        .url = c->url,
	        .headers = buf_text(&headers),
	        .bytes = c->text,
	        .length = c->text != NULL ? strlen(c->text) : 0,
	        .answer_max = TC_ANSWER_MAX },
	    on_answer, c);
	mem_wipe(headers.data, headers.tail);
	buf_done(&headers);
}

/* The task's credentials are not there, or not fresh: another look later, or the end of it. */
static void
wait_more(struct tc_call *c, const struct err *unread)
{
	int64_t now = stamp_now();
	struct err e = { 0 };

	if (access(c->task_dir, F_OK) < 0 && errno == ENOENT) {
		err_set(&e, 0, "the task has ended, and its credentials went with it: %s",
		    c->refusal[0] != '\0' ? c->refusal : "its artifacts must be through before");
		give_up(c, &e);
		return;
	}
	if (c->until == 0)
		c->until = now + c->home->patience;
	if (now < c->until) {
		arm(c, c->home->poll);
		return;
	}
	err_set(&e, 0,
	    "%s; the worker has sent no fresh credentials (PUT /v1/tasks/ID/credentials) within %lld s",
	    c->refusal[0] != '\0'    ? c->refusal
	    : unread->code == ENOENT ? "the task was registered without credentials"
	                             : unread->text,
	    (long long)c->home->patience / 1000);
	give_up(c, &e);
}

static void
send_request(struct tc_call *c)
{
	struct err e = { 0 };
	struct tc_key k;

	if (c->key != NULL) {
		send_as(c, c->key);
		return;
	}
	if (tc_key_read(&k, c->key_file, &e) < 0 && e.code == ENOENT && c->open && c->mark[0] == '\0') {
		send_as(c, NULL);
		return;
	}
	if (k.id == NULL || strcmp(k.mark, c->mark) == 0) {
		tc_key_done(&k);
		wait_more(c, &e);
		return;
	}
	memcpy(c->mark, k.mark, sizeof c->mark);
	send_as(c, &k);
	tc_key_done(&k);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_request(arg);
}

/* An error's text by the API: {"code", "message"}; the rest of it repeats what was sent. */
static void
explain(const struct transfer_result *t, const json_t *json, struct err *e)
{
	const char *code = json_str(json, "code", ""), *message = json_str(json, "message", "");
	char quoted[MESSAGE_MAX], word[64];

	(void)log_quote(message, strcspn(message, "\n"), quoted, sizeof quoted);
	(void)log_quote(code, strlen(code), word, sizeof word);
	if (t->end != TRANSFER_ANSWERED)
		*e = t->why;
	else if (t->status >= 300 && t->status < 400)
		err_set(e, 0, "status %u: redirects are not followed", t->status);
	else if (code[0] != '\0' || message[0] != '\0')
		err_set(e, 0, "status %u %s: %s", t->status, word, quoted);
	else
		err_set(e, 0, "status %u without %s", t->status, t->status < 300 ? "JSON" : "a reason");
}

/* 1: our clock was wrong, and is corrected by the answer's. */
static int
reset_clock(struct tc_call *c, const struct transfer_result *t)
{
	char value[DATE_MAX];
	int64_t now = stamp_now(), date, off;

	if (c->reset || !transfer_header(t, "Date", value, sizeof value) || (date = retry_date(value)) < 0)
		return 0;
	off = date - (now + c->home->skew);
	if (off > -SKEW_LEAST && off < SKEW_LEAST)
		return 0;
	c->home->skew = date - now;
	c->reset = 1;
	return 1;
}

static void
keep_refusal(struct tc_call *c, const struct err *why)
{
	char age[80] = "";
	struct err ignored = { 0 };
	struct tc_key k;

	if (tc_key_read(&k, c->key_file, &ignored) == 0 && strcmp(k.mark, c->mark) == 0)
		tc_key_age(&k, stamp_now() + c->home->skew, age, sizeof age);
	tc_key_done(&k);
	(void)snprintf(
	    c->refusal, sizeof c->refusal, "the task's credentials were refused (%.300s%s)", why->text, age);
}

/* 1: the request is or will be made again. */
static int
renew(struct tc_call *c, const struct transfer_result *t, const struct err *why)
{
	if (t->end != TRANSFER_ANSWERED || t->status != 401)
		return 0;
	if (reset_clock(c, t)) {
		c->mark[0] = '\0';
		arm(c, 0);
		return 1;
	}
	if (c->key != NULL || c->mark[0] == '\0')
		return 0;
	keep_refusal(c, why);
	if (c->refused++ > 0) {
		struct err e = { 0 };

		err_set(&e, 0, "%s, and so were those that the worker sent since", c->refusal);
		give_up(c, &e);
		return 1;
	}
	arm(c, 0);
	return 1;
}

/* A page of something between us and the service is none of its answers, whatever its status. */
static int
is_good(const struct transfer_result *t, const json_t *json)
{
	return t->end == TRANSFER_ANSWERED && t->status >= 200 && t->status < 300 &&
	       (t->status == 204 || json != NULL);
}

static void
on_answer(void *arg, const struct transfer_result *t)
{
	struct tc_call *c = arg;
	struct tc_reply r = { .status = t->status };
	struct err ignored = { 0 };
	char value[DATE_MAX];
	json_t *json = t->end == TRANSFER_ANSWERED && buf_len(t->body) > 0
	                   ? json_parse(buf_ptr(t->body), buf_len(t->body), &ignored)
	                   : NULL;

	c->transfer = NULL;
	r.json = json_is_object(json) ? json : NULL;
	r.good = is_good(t, r.json);
	if (!r.good) {
		r.class = retry_judge(t->end, t->status, NULL);
		if (transfer_header(t, "Retry-After", value, sizeof value))
			r.after = retry_after(value, stamp_now());
		explain(t, r.json, &r.why);
	}
	if (r.good || !renew(c, t, &r.why))
		reply(c, &r);
	json_decref(json);
}

struct tc_call *
tc_call_start(struct taskcluster *home, const struct tc_ask *ask, tc_call_cb *cb, void *arg)
{
	struct tc_call *c = mem_new(sizeof *c);

	*c = (struct tc_call){ .home = home, .method = ask->method, .key = ask->key, .cb = cb, .arg = arg };
	c->url = mem_printf("%s/api/%s", home->root, ask->path);
	c->text = ask->body != NULL ? json_text(ask->body, 1) : NULL;
	if (ask->key == NULL) {
		c->open = ask->keys != NULL;
		c->task_dir = c->open ? mem_str(ask->keys) : mem_printf("%s/%s", home->tasks, ask->session);
		c->key_file = mem_printf("%s/credentials.json", c->task_dir);
		c->scope = mem_str(ask->scope);
	}
	c->turn = evtimer_new(home->base, on_turn, c);
	arm(c, 0);
	return c;
}
