/* Reading ranges of an artifact: goes on where it was cut, as long as the bytes are the same. */

#include <event2/util.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fetch_private.h"

enum { RENEWALS = 3 /* of the URL, without a byte between them */ };

static void on_pause_over(evutil_socket_t fd, short what, void *arg);

void
pull_init(struct pull *p, struct fetcher *home, struct source *source)
{
	*p = (struct pull){ .home = home, .source = source, .size = source->size };
	if (source->etag != NULL)
		(void)snprintf(p->etag, sizeof p->etag, "%s", source->etag);
	p->pause = evtimer_new(home->base, on_pause_over, p);
	if (p->pause == NULL)
		abort();
}

void
pull_stop(struct pull *p)
{
	source_read_cancel(p->source, p->read);
	p->read = NULL;
	if (p->pause != NULL)
		(void)event_del(p->pause);
}

void
pull_done(struct pull *p)
{
	if (p->pause == NULL)
		return;
	pull_stop(p);
	event_free(p->pause);
	p->pause = NULL;
}

static void
end(struct pull *p, enum source_end how, const struct err *why)
{
	struct err e = *why;

	p->cb(p->arg, how, &e);
}

/* "bytes 5-9/10" */
int
pull_parse_range(const char *text, uint64_t *from, uint64_t *to, uint64_t *total)
{
	static const char digits[] = "0123456789";
	uint64_t *const out[] = { from, to, total };
	static const char behind[] = "-/";

	if (strncmp(text, "bytes ", 6) != 0)
		return -1;
	text += 6;
	for (size_t i = 0; i < 3; i++) {
		size_t n = strspn(text, digits);

		if (n < 1 || n > 18 || text[n] != behind[i]) /* the NUL of behind[] ends it */
			return -1;
		*out[i] = strtoull(text, NULL, 10);
		text += n + 1;
	}
	return *from <= *to && *to < *total ? 0 : -1;
}

/* --- the head of an answer */

static int
wrong(struct pull *p, const char *what)
{
	err_refuse(
	    &p->why, 502, "service", "the store's answer to a request for bytes is not good: %s", what);
	return -1;
}

/* Offset and length in the artifact of what is still missing; length 0: to the end. */
static void
missing(const struct pull *p, uint64_t *offset, uint64_t *length)
{
	*offset = p->at;
	*length = 0;
	if (p->ranges != NULL) {
		*offset += p->ranges[p->range].offset;
		*length = p->ranges[p->range].size - p->at;
	}
}

static int
check_part(struct pull *p, const struct transfer_result *head)
{
	uint64_t offset, length, from, to, total;
	char text[128];

	missing(p, &offset, &length);
	if (!transfer_header(head, "Content-Range", text, sizeof text) ||
	    pull_parse_range(text, &from, &to, &total) < 0)
		return wrong(p, "206 without a good Content-Range");
	if (from != offset || (length > 0 && to - from + 1 != length) || (length == 0 && to + 1 != total))
		return wrong(p, "206 with other bytes than those that were asked for");
	if (p->size >= 0 && (uint64_t)p->size != total)
		return wrong(p, "the artifact has another size than before");
	p->size = (int64_t)total;
	p->parts = 1;
	return 0;
}

/* The store has no parts for us: what was asked from the middle comes from the beginning. */
static int
check_all(struct pull *p, const struct transfer_result *head)
{
	char text[32];
	int64_t size = -1;

	if (p->ranges != NULL) {
		p->whole = 1;
		return -1;
	}
	if (transfer_header(head, "Content-Length", text, sizeof text) &&
	    strspn(text, "0123456789") == strlen(text) && strlen(text) <= 18)
		size = strtoll(text, NULL, 10);
	if (size >= 0 && p->size >= 0 && size != p->size)
		return wrong(p, "the artifact has another size than before");
	if (size >= 0)
		p->size = size;
	if (p->at > 0 && keep_restart(p->keep, p->keep->encoded, NULL, &p->why) < 0)
		return -1;
	p->at = 0;
	return 0;
}

/* Bytes that are said to be the same must be; a page that stands in for them has no such word. */
static int
check_etag(struct pull *p, const struct transfer_result *head)
{
	char etag[sizeof p->etag];

	(void)transfer_header(head, "ETag", etag, sizeof etag);
	if (p->etag[0] == '\0' && etag[0] == '"')
		memcpy(p->etag, etag, sizeof p->etag);
	if (p->etag[0] == '\0' || strcmp(p->etag, etag) == 0)
		return 0;
	return wrong(p, "the artifact was replaced while it was fetched (another ETag)");
}

static int
check_encoding(struct pull *p, const struct transfer_result *head)
{
	char text[64], quoted[80];
	int encoded;

	(void)transfer_header(head, "Content-Encoding", text, sizeof text);
	encoded = strcmp(text, "gzip") == 0;
	if (!encoded && text[0] != '\0' && strcmp(text, "identity") != 0) {
		err_refuse(&p->why, 502, "task",
		    "the artifact has the Content-Encoding '%s'; expected gzip or none",
		    log_quote(text, strlen(text), quoted, sizeof quoted));
		return -1;
	}
	if (p->keep == NULL || encoded == p->keep->encoded) {
		p->encoded = encoded;
		return 0;
	}
	if (p->at > 0 || p->ranges != NULL)
		return wrong(p, "the artifact has another Content-Encoding than before");
	p->encoded = encoded;
	return keep_restart(p->keep, encoded, NULL, &p->why);
}

static int
on_head(void *arg, const struct transfer_result *head)
{
	struct pull *p = arg;
	int rc = check_etag(p, head);

	if (rc == 0)
		rc = head->status == 206 ? check_part(p, head) : check_all(p, head);
	if (rc == 0)
		rc = check_encoding(p, head);
	p->stopped = rc < 0;
	return rc;
}

static int
on_bytes(void *arg, const void *bytes, size_t len)
{
	struct pull *p = arg;
	uint64_t offset, length;

	missing(p, &offset, &length);
	p->fetched += len;
	if (p->ranges != NULL && len > length)
		p->stopped = wrong(p, "more bytes than were asked for") < 0;
	else if (p->keep == NULL)
		buf_add(p->into, bytes, len); /* a range that was asked for is of the size that it has */
	else
		p->stopped = keep_add(p->keep, bytes, len, &p->why) < 0;
	p->at += len;
	return p->stopped;
}

/* --- what comes of a try */

void
pull_pause(struct event *timer, unsigned tries, unsigned most, int64_t after, const struct err *why)
{
	struct timeval t;
	uint32_t dice;
	int64_t ms;

	evutil_secure_rng_get_bytes(&dice, sizeof dice);
	ms = retry_pause(&retry_pace, tries, after, dice);
	log_info("fetch", "try %u of %u, the next in %lld ms: %s", tries, most, (long long)ms, why->text);
	t = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	if (evtimer_add(timer, &t) < 0)
		abort();
}

/* What cannot be said to be the same bytes begins anew. */
static int
stay_or_restart(struct pull *p)
{
	if (p->etag[0] != '\0' || p->at == 0)
		return 0;
	if (p->ranges != NULL) {
		p->whole = 1;
		return -1;
	}
	p->at = 0;
	return keep_restart(p->keep, p->keep->encoded, NULL, &p->why);
}

static void
again(struct pull *p, int64_t after, const struct err *why)
{
	static const struct err nothing;

	if (p->fetched > p->moved)
		p->tries = p->renewals = 0;
	p->moved = p->fetched;
	p->tries++;
	if (p->tries >= p->home->pace.tries) {
		struct err e = *why;

		(void)err_wrap(&e, "given up after %u tries", p->tries);
		end(p, SOURCE_FAILED, &e);
	} else if (stay_or_restart(p) < 0) {
		end(p, p->whole ? SOURCE_DONE : SOURCE_FAILED, p->whole ? &nothing : &p->why);
	} else {
		pull_pause(p->pause, p->tries, p->home->pace.tries, after, why);
	}
}

static void
expired(struct pull *p, const struct err *why)
{
	if (p->fetched > p->moved)
		p->renewals = 0;
	p->moved = p->fetched;
	if (p->renewals++ < RENEWALS)
		end(p, SOURCE_EXPIRED, why);
	else
		end(p, SOURCE_FAILED, why);
}

static void read_next(struct pull *p);

/* A range is through, or the connection only looked as if it were. */
static void
advance(struct pull *p)
{
	struct err e = { 0 };

	if (p->ranges == NULL ? p->size >= 0 && p->at < (uint64_t)p->size
	                      : p->at < p->ranges[p->range].size) {
		err_refuse(&e, 503, "service", "the answer ended early");
		again(p, 0, &e);
		return;
	}
	p->range++;
	p->at = 0;
	if (p->ranges != NULL && p->range < p->range_count)
		read_next(p);
	else
		end(p, SOURCE_DONE, &e);
}

static void
on_read(void *arg, enum source_end how, int64_t after, const struct err *why)
{
	struct pull *p = arg;

	p->read = NULL;
	if (p->stopped)
		end(p, p->whole ? SOURCE_DONE : SOURCE_FAILED, &p->why);
	else if (how == SOURCE_DONE)
		advance(p);
	else if (how == SOURCE_AGAIN)
		again(p, after, why);
	else if (how == SOURCE_EXPIRED)
		expired(p, why);
	else if (how == SOURCE_CHANGED) {
		(void)wrong(p, "the artifact was replaced while it was fetched");
		end(p, SOURCE_FAILED, &p->why);
	} else {
		end(p, SOURCE_FAILED, why);
	}
}

static void
read_next(struct pull *p)
{
	struct source_range r = { .begin = on_head, .sink = on_bytes };

	missing(p, &r.offset, &r.length);
	if (p->etag[0] != '\0')
		r.etag = p->etag;
	p->stopped = 0;
	p->read = source_read(p->source, &r, on_read, p);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_next(arg);
}

void
pull_start(struct pull *p)
{
	p->range = 0;
	p->at = 0;
	p->whole = 0;
	read_next(p);
}

void
pull_renewed(struct pull *p, struct source *source)
{
	p->source = source;
	read_next(p);
}
