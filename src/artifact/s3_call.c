/* One request of S3: signed, judged by class, and made again when its class says that it may work. */

#include <errno.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "s3_private.h"

enum {
	SKEW_LEAST = 30 * 1000, /* ms: a clock that is nearer is not to blame for a 403 */
	RENEWALS = 3,           /* of one request */
	DATE_MAX = 64,
};

struct s3_call {
	struct s3 *home;
	const char *method;
	char *key; /* NULL: the bucket */
	struct sigv4_pair query[S3_QUERY_MAX], headers[S3_HEADERS_MAX];
	size_t query_count, header_count;
	const void *bytes;
	int fd;
	uint64_t offset, length;
	char sha256[HASH_HEX_MAX];
	unsigned reply_seconds, most, tries, renewals;
	unsigned generation; /* of the key and the clock that signed it */
	struct event *pause;
	struct transfer *transfer;
	int (*begin)(void *arg, const struct transfer_result *head);
	int (*sink)(void *arg, const void *bytes, size_t len);
	int seen; /* begin() was called: the answer is what was hoped for */
	s3_call_cb *cb;
	void *arg;
};

static size_t
copy_pairs(struct sigv4_pair *to, const struct sigv4_pair *from, size_t most)
{
	size_t n = 0;

	for (; n < most && from[n].name != NULL; n++)
		to[n] = (struct sigv4_pair){ mem_str(from[n].name), mem_str(from[n].value) };
	return n;
}

static void
free_pairs(struct sigv4_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((char *)(uintptr_t)pairs[i].name);
		free((char *)(uintptr_t)pairs[i].value);
	}
}

static void
call_free(struct s3_call *c)
{
	transfer_cancel(c->transfer);
	event_free(c->pause);
	free_pairs(c->query, c->query_count);
	free_pairs(c->headers, c->header_count);
	free(c->key);
	free(c);
}

void
s3_call_cancel(struct s3_call *c)
{
	if (c != NULL)
		call_free(c);
}

uint64_t
s3_call_sent(const struct s3_call *c)
{
	return c->transfer != NULL ? transfer_sent(c->transfer) : 0;
}

static void on_answer(void *arg, const struct transfer_result *t);

static int
on_head(void *arg, const struct transfer_result *head)
{
	struct s3_call *c = arg;

	c->seen = 1;
	return c->begin(c->arg, head);
}

static int
on_bytes(void *arg, const void *bytes, size_t len)
{
	struct s3_call *c = arg;

	return c->sink(c->arg, bytes, len);
}

static char *
sign(const struct s3_call *c, struct buf *headers)
{
	const struct s3 *s = c->home;
	struct sigv4_pair all[S3_HEADERS_MAX + 1];
	char *path = mem_printf("%s%s", s->place.root, c->key != NULL ? c->key : "");
	struct buf target = { 0 };
	char *url;

	memcpy(all, c->headers, c->header_count * sizeof all[0]);
	all[c->header_count] = (struct sigv4_pair){ "x-amz-content-sha256", c->sha256 };
	sigv4_sign(&(struct sigv4_request){ .method = c->method,
	               .host = s->place.host,
	               .path = path,
	               .query = c->query,
	               .query_count = c->query_count,
	               .headers = all,
	               .header_count = c->header_count + 1,
	               .payload_sha256 = c->sha256 },
	    &(struct sigv4_scope){ s->place.region, "s3", (stamp_now() + s->skew) / 1000 },
	    &(struct sigv4_key){ s->key.id, s->key.secret, s->key.token }, &target, headers);
	url = mem_printf("%s%s", s->place.base, buf_text(&target));
	buf_done(&target);
	free(path);
	return url;
}

static void
send_now(struct s3_call *c)
{
	struct buf headers = { 0 };
	char *url = sign(c, &headers);

	c->generation = c->home->generation;
	c->transfer = transfer_start(c->home->transfers,
	    &(struct transfer_ask){ .method = c->method,
	        .url = url,
	        .headers = buf_text(&headers),
	        .bytes = c->bytes,
	        .fd = c->fd,
	        .offset = c->offset,
	        .length = c->length,
	        .answer_max = S3_ANSWER_MAX,
	        .reply_seconds = c->reply_seconds,
	        .begin = c->sink != NULL ? on_head : NULL,
	        .sink = c->sink != NULL ? on_bytes : NULL },
	    on_answer, c);
	mem_wipe(headers.data, headers.cap); /* a token may stand in it */
	buf_done(&headers);
	free(url);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_now(arg);
}

struct s3_call *
s3_call_start(struct s3 *home, const struct s3_ask *ask, s3_call_cb *cb, void *arg)
{
	struct s3_call *c = mem_new(sizeof *c);

	*c = (struct s3_call){ .home = home,
		.method = ask->method,
		.key = mem_str(ask->key),
		.bytes = ask->bytes,
		.fd = ask->fd,
		.offset = ask->offset,
		.length = ask->length,
		.reply_seconds = ask->reply_seconds,
		.most = ask->tries > 0 ? ask->tries : home->pace.tries,
		.begin = ask->begin,
		.sink = ask->sink,
		.cb = cb,
		.arg = arg };
	c->query_count = copy_pairs(c->query, ask->query, S3_QUERY_MAX);
	c->header_count = copy_pairs(c->headers, ask->headers, S3_HEADERS_MAX);
	if (ask->sha256 != NULL)
		(void)snprintf(c->sha256, sizeof c->sha256, "%s", ask->sha256);
	else
		hash_once(HASH_SHA256, ask->bytes, (size_t)ask->length, c->sha256);
	c->pause = evtimer_new(home->base, on_pause_over, c);
	if (c->pause == NULL)
		abort();
	send_now(c);
	return c;
}

/* --- how it was answered */

/* What an operator can do about it. */
static const char *
hint(const char *code, unsigned status)
{
	static const struct {
		const char *code, *text;
	} hints[] = {
		{ "InvalidAccessKeyId", "the store does not know the accessKeyId of store.s3.credentials" },
		{ "SignatureDoesNotMatch", "the secretAccessKey of store.s3.credentials is not that of its "
		                           "accessKeyId" },
		{ "AccessDenied",
		    "the key of store.s3.credentials may not do this (docs/stores.md says what it must)" },
		{ "ExpiredToken", "the sessionToken of store.s3.credentials has expired" },
		{ "InvalidToken", "the sessionToken of store.s3.credentials is not good" },
		{ "NoSuchBucket", "there is no such bucket: store.s3.bucket, store.s3.endpoint" },
		{ "AuthorizationHeaderMalformed", "store.s3.region may be wrong" },
		{ "RequestTimeTooSkewed", "the clock of this host is wrong" },
		{ "NotImplemented", "the store lacks something that is needed" },
	};

	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (strcmp(hints[i].code, code) == 0)
			return hints[i].text;
	if (status >= 300 && status < 400)
		return "a redirect is not followed: store.s3.endpoint and store.s3.region must be the "
		       "bucket's own";
	return NULL;
}

/* "GET s3://bucket/key (part 3)"; never the rest of the query. */
static void
name_request(const struct s3_call *c, char *out, size_t size)
{
	char part[32] = "";

	for (size_t i = 0; i < c->query_count; i++)
		if (strcmp(c->query[i].name, "partNumber") == 0)
			(void)snprintf(part, sizeof part, " (part %.8s)", c->query[i].value);
	(void)snprintf(out, size, "%s s3://%s/%s%s", c->method, c->home->place.bucket,
	    c->key != NULL ? c->key : "", part);
}

/* ` "InvalidKey: what the store says" (request 12)`, as far as it says anything. */
static void
quote_error(const struct s3_error *error, char *out, size_t size)
{
	char code[80], message[200], request[100];

	(void)log_quote(error->code, strlen(error->code), code, sizeof code);
	(void)log_quote(error->message, strlen(error->message), message, sizeof message);
	(void)log_quote(error->request, strlen(error->request), request, sizeof request);
	(void)snprintf(out, size, "%s%s%s%s%s%s%s", *code ? " " : "", code, *message ? " \"" : "", message,
	    *message ? "\"" : "", *request ? ", request " : "", request);
}

static void
explain(const struct s3_call *c, const struct transfer_result *t, const struct s3_error *error, struct err *e)
{
	char what[160], said[420];
	const char *advice;

	name_request(c, what, sizeof what);
	if (t->end != TRANSFER_ANSWERED) {
		*e = t->why;
		(void)err_wrap(e, "%s", what);
		return;
	}
	quote_error(error, said, sizeof said);
	advice = hint(error->code, t->status);
	err_set(e, 0, "%s: status %u%s%s%s", what, t->status, said, advice != NULL ? ": " : "",
	    advice != NULL ? advice : "");
}

/* c is gone. */
static void
reply(struct s3_call *c, const struct s3_reply *r)
{
	s3_call_cb *cb = c->cb;
	void *arg = c->arg;

	c->transfer = NULL;
	call_free(c);
	cb(arg, r);
}

/* --- a new signature: has anything changed since the last one? */

static int
read_clock(struct s3 *s, const struct transfer_result *t)
{
	char text[DATE_MAX];
	int64_t date = transfer_header(t, "date", text, sizeof text) ? retry_date(text) : -1, skew, off;

	if (date < 0)
		return 0;
	skew = date - stamp_now();
	off = skew - s->skew;
	if (off > -SKEW_LEAST && off < SKEW_LEAST)
		return 0;
	log_warn("s3", "the store's clock is %lld s ahead of this host's: requests are signed by the store's",
	    (long long)(skew / 1000));
	s->skew = skew;
	return 1;
}

static int
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int
read_key(struct s3 *s)
{
	struct s3_key fresh;
	struct err e = { 0 };

	if (s3_key_read(&fresh, s->key_file, &e) < 0) {
		log_warn("s3", "the credentials cannot be read anew: %s", e.text);
		return 0;
	}
	if (same(fresh.id, s->key.id) && same(fresh.secret, s->key.secret) &&
	    same(fresh.token, s->key.token)) {
		s3_key_done(&fresh);
		return 0;
	}
	s3_key_done(&s->key);
	s->key = fresh;
	log_info("s3", "other credentials were read from %s", s->key_file);
	return 1;
}

static int
renew(struct s3_call *c, const struct transfer_result *t)
{
	struct s3 *s = c->home;

	if (c->renewals++ >= RENEWALS)
		return 0;
	if (c->generation == s->generation && read_clock(s, t) + read_key(s) > 0)
		s->generation++;
	return c->generation != s->generation; /* by this answer, or by that to another request */
}

/* The store has other bytes than were signed. Were they changed on the way, or have they changed here? */
static int
is_still_here(const struct s3_call *c, const char *code, struct err *e)
{
	char now[HASH_HEX_MAX];

	if (c->bytes != NULL || c->length == 0 ||
	    (strcmp(code, "BadDigest") != 0 && strcmp(code, "XAmzContentSHA256Mismatch") != 0))
		return 1;
	if (s3_hash_range(c->fd, c->offset, c->length, now, e) < 0)
		return 0;
	if (strcmp(now, c->sha256) == 0)
		return 1;
	err_set(e, EBADMSG, "damaged in the spool: it is not what was read before");
	return 0;
}

static void
pause_then_send(struct s3_call *c, const struct transfer_result *t, const struct err *why)
{
	char after[DATE_MAX];
	int64_t asked = 0, ms;
	struct timeval pause;
	uint32_t dice;

	if (t->end == TRANSFER_ANSWERED && transfer_header(t, "retry-after", after, sizeof after))
		asked = retry_after(after, stamp_now());
	evutil_secure_rng_get_bytes(&dice, sizeof dice);
	ms = retry_pause(&c->home->pace, c->tries, asked, dice);
	log_info("s3", "try %u of %u, the next in %lld ms: %s", c->tries, c->most, (long long)ms, why->text);
	pause = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	if (evtimer_add(c->pause, &pause) < 0)
		abort();
}

static void
on_answer(void *arg, const struct transfer_result *t)
{
	struct s3_call *c = arg;
	struct s3_error error = { 0 };
	int wrong = t->end == TRANSFER_ANSWERED &&
	            s3_error_read(buf_text(t->body), buf_len(t->body), &error); /* also with status 200 */
	struct s3_reply r = { .status = t->status, .code = error.code, .result = t };

	c->transfer = NULL;
	c->tries++;
	r.tries = c->tries;
	r.good = t->end == TRANSFER_ANSWERED && t->status >= 200 && t->status < 300 && !wrong;
	r.good |= t->end == TRANSFER_EXCESS && c->seen;
	if (r.good) {
		reply(c, &r);
		return;
	}
	explain(c, t, &error, &r.why);
	r.class = retry_judge(t->end, t->status, error.code);
	if (r.class == RETRY_FATAL && t->status == 403 && error.code[0] == '\0')
		r.class = RETRY_RENEW; /* the answer to a HEAD does not say why */
	if (r.class == RETRY_RENEW && renew(c, t)) {
		send_now(c);
		return;
	}
	if (r.class == RETRY_RENEW || (r.class == RETRY_AGAIN && !is_still_here(c, error.code, &r.why)))
		r.class = RETRY_FATAL;
	if (r.class == RETRY_AGAIN && c->tries < c->most)
		pause_then_send(c, t, &r.why);
	else
		reply(c, &r);
}
