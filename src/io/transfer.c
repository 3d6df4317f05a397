/* One transfer: what libcurl is told, what its callbacks bring, how it ended. */

#include "io/transfer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "transfer_private.h"

enum {
	HEAD_MAX = 64 * 1024,
	SURPLUS_MAX = 1024 * 1024, /* of an error's page, read and thrown away so that its status counts */
	UPLOAD_BUFFER = 128 * 1024,
	LEAST_RATE = 1024, /* bytes a second */
};

static size_t
on_read(char *out, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	uint64_t left = t->length - t->at;
	size_t room = size * count, want = left < room ? (size_t)left : room;
	ssize_t n;

	if (t->bytes != NULL) {
		memcpy(out, t->bytes + t->at, want);
		t->at += want;
		return want;
	}
	if (want == 0)
		return 0;
	while ((n = pread(t->fd, out, want, (off_t)(t->offset + t->at))) < 0 && errno == EINTR)
		;
	if (n <= 0) {
		t->read_errno = n < 0 ? errno : EIO; /* shorter than it was */
		return CURL_READFUNC_ABORT;
	}
	t->at += (uint64_t)n;
	return (size_t)n;
}

/*
 * libcurl would send a request again by itself when a kept-alive connection ends without an answer. Whether
 * to do that is for others to judge: only what has not begun to be sent may go out on another connection.
 */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
	const struct transfer *t = arg;

	return origin == SEEK_SET && offset == 0 && t->at == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * count;

	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		buf_clear(&t->head); /* the head before it was a 1xx */
		t->head_whole = 0;
	}
	t->head_whole |= line[0] == '\n' || (len >= 2 && line[0] == '\r' && line[1] == '\n');
	if (buf_len(&t->head) + len > HEAD_MAX) {
		t->excess = 1;
		return 0;
	}
	buf_add(&t->head, line, len);
	return len;
}

static unsigned
status_of(const struct transfer *t)
{
	long status = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status > 0 && status < 1000 ? (unsigned)status : 0;
}

static size_t
keep(struct transfer *t, unsigned status, const char *bytes, size_t len)
{
	size_t room = t->answer_max > buf_len(&t->body) ? t->answer_max - buf_len(&t->body) : 0;

	if (len > room && (status < 300 || t->received > t->answer_max + SURPLUS_MAX)) {
		t->excess = 1;
		return 0;
	}
	buf_add(&t->body, bytes, len < room ? len : room);
	return len;
}

/* -1: whoever asked does not want what follows this head. */
static int
begin(struct transfer *t, unsigned status)
{
	const struct transfer_result head = { .status = status, .head = buf_text(&t->head) };

	if (t->begun || t->begin == NULL)
		return 0;
	t->begun = 1;
	t->excess = t->begin(t->arg, &head) != 0;
	return t->excess ? -1 : 0;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	unsigned status = status_of(t);
	size_t len = size * count;

	t->received += len;
	if (t->sink == NULL || (status != 200 && status != 206))
		return keep(t, status, bytes, len);
	if (begin(t, status) < 0)
		return 0;
	if (len > 0 && t->sink(t->arg, bytes, len) != 0) {
		t->excess = 1;
		return 0;
	}
	return len;
}

#define SET(option, value) (void)curl_easy_setopt(t->easy, CURLOPT_##option, (value))

static void
set_headers(struct transfer *t, const char *lines)
{
	t->headers =
	    curl_slist_append(NULL, "Expect:"); /* a round trip for nothing; some stores never answer */
	while (lines != NULL && *lines != '\0') {
		size_t n = strcspn(lines, "\n");
		char *line = mem_strn(lines, n);

		t->headers = curl_slist_append(t->headers, line);
		mem_wipe(line, n);
		free(line);
		lines += n + (lines[n] == '\n');
	}
	SET(HTTPHEADER, t->headers);
}

static void
set_request(struct transfer *t, const struct transfer_ask *ask)
{
	if (strcmp(ask->method, "PUT") == 0 || strcmp(ask->method, "POST") == 0) {
		SET(UPLOAD, 1L);
		SET(INFILESIZE_LARGE, (curl_off_t)ask->length);
		SET(CUSTOMREQUEST, ask->method);
		if (ask->method[1] == 'O') /* see on_seek(): there may be no body to seek in */
			SET(FRESH_CONNECT, 1L);
	} else if (strcmp(ask->method, "HEAD") == 0) {
		SET(NOBODY, 1L);
	} else if (strcmp(ask->method, "GET") != 0) {
		SET(CUSTOMREQUEST, ask->method);
	}
	SET(URL, ask->url);
	set_headers(t, ask->headers);
}

static void
set_rules(struct transfer *t)
{
	SET(PROTOCOLS_STR, "http,https");
	SET(FOLLOWLOCATION, 0L);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(PATH_AS_IS, 1L);
	SET(NOSIGNAL, 1L);
	SET(TCP_KEEPALIVE, 1L);
	SET(UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
	SET(USERAGENT, "dind-proxy/" DIND_VERSION);
	SET(ERRORBUFFER, t->error);
	SET(PRIVATE, t);
	SET(READFUNCTION, on_read);
	SET(READDATA, t);
	SET(SEEKFUNCTION, on_seek);
	SET(SEEKDATA, t);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, t);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, t);
}

static char *
host_of(const char *url)
{
	const char *start = strstr(url, "://");

	start = start == NULL ? url : start + 3;
	return mem_strn(start, strcspn(start, "/?#"));
}

struct transfer *
transfer_start(struct transfers *all, const struct transfer_ask *ask, transfer_cb *cb, void *arg)
{
	struct transfer *t = mem_new(sizeof *t);

	*t = (struct transfer){ .home = all,
		.easy = curl_easy_init(),
		.cb = cb,
		.arg = arg,
		.host = host_of(ask->url),
		.bytes = ask->bytes,
		.fd = ask->fd,
		.offset = ask->offset,
		.length = ask->length,
		.answer_max = ask->answer_max,
		.begin = ask->begin,
		.sink = ask->sink,
		.socket = CURL_SOCKET_BAD,
		.reply_ms = ask->reply_seconds > 0 ? (int64_t)ask->reply_seconds * 1000 : all->reply_ms };
	if (t->easy == NULL)
		abort();
	set_rules(t);
	set_request(t, ask);
	t->phase_since = t->mark_since = transfer_clock();
	transfer_enter(t);
	return t;
}

static void
transfer_free(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	buf_done(&t->head);
	buf_done(&t->body);
	free(t->host);
	free(t);
}

void
transfer_cancel(struct transfer *t)
{
	if (t == NULL)
		return;
	transfer_leave(t);
	transfer_free(t);
}

/* What the peer's kernel has acknowledged: ours takes megabytes at once, and says nothing of where they are.
 */
uint64_t
transfer_sent(const struct transfer *t)
{
	curl_off_t given = 0;
	int queued = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &given);
	if (given > 0 && t->socket != CURL_SOCKET_BAD && ioctl(t->socket, SIOCOUTQ, &queued) < 0)
		queued = 0;
	return given > queued ? (uint64_t)(given - queued) : 0;
}

uint64_t
transfer_received(const struct transfer *t)
{
	return t->received;
}

static enum transfer_phase
phase_of(const struct transfer *t, uint64_t sent)
{
	curl_off_t begun = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
	if (begun == 0)
		return PHASE_CONNECT; /* libcurl's own time limit */
	if (buf_len(&t->head) > 0)
		return PHASE_RECEIVE;
	return sent < t->length ? PHASE_SEND : PHASE_REPLY;
}

static void
stalled(struct transfer *t, const char *what, int64_t ms)
{
	t->over = 1;
	t->ended = TRANSFER_STALLED;
	(void)snprintf(t->error, sizeof t->error, "%s for %lld s", what, (long long)(ms + 500) / 1000);
}

void
transfer_watch(struct transfer *t, int64_t now)
{
	uint64_t sent = transfer_sent(t), moved = sent + t->received + buf_len(&t->head);
	enum transfer_phase phase = phase_of(t, sent);
	int64_t limit = t->home->stall_ms;

	if (phase != t->phase) {
		t->phase = phase;
		t->phase_since = t->mark_since = now;
		t->mark = moved;
	} else if (phase == PHASE_REPLY && now - t->phase_since > t->reply_ms) {
		stalled(t, "no answer", t->reply_ms);
	} else if (phase == PHASE_SEND || phase == PHASE_RECEIVE) {
		if (moved - t->mark >= (uint64_t)(LEAST_RATE * limit / 1000)) {
			t->mark = moved;
			t->mark_since = now;
		} else if (now - t->mark_since > limit) {
			stalled(t,
			    phase == PHASE_SEND ? "it takes less than 1 KiB/s" : "it sends less than 1 KiB/s",
			    limit);
		}
	}
}

/* What is not here is a connection that broke off. */
static const struct {
	CURLcode code;
	enum transfer_end end;
} ends[] = {
	{ CURLE_OK, TRANSFER_ANSWERED },
	{ CURLE_COULDNT_RESOLVE_PROXY, TRANSFER_UNREACHABLE },
	{ CURLE_COULDNT_RESOLVE_HOST, TRANSFER_UNREACHABLE },
	{ CURLE_COULDNT_CONNECT, TRANSFER_UNREACHABLE },
	{ CURLE_OPERATION_TIMEDOUT, TRANSFER_UNREACHABLE }, /* its connect; the other times are ours */
	{ CURLE_PEER_FAILED_VERIFICATION, TRANSFER_UNTRUSTED },
	{ CURLE_SSL_CACERT_BADFILE, TRANSFER_UNTRUSTED },
	{ CURLE_SSL_ISSUER_ERROR, TRANSFER_UNTRUSTED },
	{ CURLE_URL_MALFORMAT, TRANSFER_IMPOSSIBLE },
	{ CURLE_UNSUPPORTED_PROTOCOL, TRANSFER_IMPOSSIBLE },
	{ CURLE_FAILED_INIT, TRANSFER_IMPOSSIBLE },
	{ CURLE_OUT_OF_MEMORY, TRANSFER_IMPOSSIBLE },
	{ CURLE_NOT_BUILT_IN, TRANSFER_IMPOSSIBLE },
};

static const char *const end_names[] = {
	[TRANSFER_IMPOSSIBLE] = "cannot send a request to",
	[TRANSFER_ANSWERED] = "answered by",
	[TRANSFER_UNREACHABLE] = "cannot reach",
	[TRANSFER_UNTRUSTED] = "no trust in the certificate of",
	[TRANSFER_CUT] = "the connection was cut by",
	[TRANSFER_STALLED] = "too slow:",
	[TRANSFER_EXCESS] = "too long an answer from",
};

const char *
transfer_end_name(enum transfer_end end)
{
	return end_names[end];
}

static enum transfer_end
judge(const struct transfer *t, CURLcode code)
{
	if (t->over)
		return t->ended;
	if (t->excess)
		return TRANSFER_EXCESS;
	if (t->read_errno != 0)
		return TRANSFER_IMPOSSIBLE;
	if (code == CURLE_UNSUPPORTED_PROTOCOL && phase_of(t, 0) != PHASE_CONNECT)
		return TRANSFER_CUT; /* what it spoke was not HTTP */
	if (code == CURLE_OK && !t->head_whole)
		return TRANSFER_CUT; /* libcurl takes the end of the connection for the end of a head */
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (ends[i].code == code)
			return ends[i].end;
	return TRANSFER_CUT;
}

static void
explain(const struct transfer *t, CURLcode code, enum transfer_end end, struct err *e)
{
	const char *text = t->error[0] != '\0' ? t->error
	                   : code == CURLE_OK  ? "within the head of its answer"
	                                       : curl_easy_strerror(code);
	char quoted[CURL_ERROR_SIZE];

	if (end == TRANSFER_ANSWERED)
		return;
	if (t->read_errno != 0)
		err_set(e, t->read_errno, "cannot read what is to be sent: %m");
	else if (end == TRANSFER_EXCESS)
		err_set(e, 0, "%s %s", end_names[end], t->host);
	else
		err_set(e, 0, "%s %s: %s", end_names[end], t->host,
		    log_quote(text, strlen(text), quoted, sizeof quoted));
}

void
transfer_finish(struct transfer *t, CURLcode code)
{
	struct transfer_result r = {
		.status = status_of(t), .sent = transfer_sent(t), .received = t->received
	};

	if (code == CURLE_OK && !t->over && t->sink != NULL && (r.status == 200 || r.status == 206))
		(void)begin(t, r.status); /* an empty body */
	r.end = judge(t, code);
	transfer_leave(t);
	explain(t, code, r.end, &r.why);
	r.head = buf_text(&t->head);
	r.body = &t->body;
	t->cb(t->arg, &r);
	transfer_free(t);
}

int
transfer_header(const struct transfer_result *r, const char *name, char *out, size_t size)
{
	size_t want = strlen(name);

	out[0] = '\0';
	for (const char *line = r->head; *line != '\0';) {
		size_t n = strcspn(line, "\r\n");

		if (n > want && line[want] == ':' && strncasecmp(line, name, want) == 0) {
			const char *value = line + want + 1, *end = line + n;

			for (; value < end && (*value == ' ' || *value == '\t'); value++)
				;
			for (; end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
				;
			if ((size_t)(end - value) >= size)
				return 0;
			memcpy(out, value, (size_t)(end - value));
			out[end - value] = '\0';
			return 1;
		}
		line += n;
		line += strspn(line, "\r\n");
	}
	return 0;
}
