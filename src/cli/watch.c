#include "cli/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/text.h"

enum {
	POLL_MS = 250,
	LINE_MS = 2000,       /* between lines that are not on a terminal */
	RESTART_SECONDS = 30, /* a service that restarts is back by then */
	DIGEST_SHOWN = 12,
};

const json_t *
watch_list(const json_t *answer)
{
	const json_t *list = json_is_array(answer) ? answer : json_object_get(answer, "artifacts");

	return json_is_array(list) ? list : NULL;
}

static int
is_state(const json_t *artifact, const char *state)
{
	return strcmp(json_str(artifact, "state", ""), state) == 0;
}

void
watch_sum(const json_t *list, struct watch_sum *sum)
{
	json_t *artifact;
	size_t i;

	*sum = (struct watch_sum){ .count = json_array_size(list) };
	json_array_foreach(list, i, artifact)
	{
		sum->done += is_state(artifact, "done");
		sum->failed += is_state(artifact, "failed");
		sum->bytes += json_num(artifact, "bytes", 0);
	}
}

static int
moves(const json_t *artifact)
{
	return !is_state(artifact, "done") && !is_state(artifact, "failed");
}

/* "uploading 45% of 266.1 MiB", "exporting 12.0 MiB", "declared" */
static void
put_progress(const json_t *artifact, struct buf *out)
{
	json_int_t bytes = json_num(artifact, "bytes", 0), total = json_num(artifact, "total", 0);
	char size[TEXT_MAX];

	text_safe(out, json_str(artifact, "state", "?"));
	if (total > 0 && bytes >= 0 && bytes <= total)
		buf_printf(
		    out, " %d%% of %s", (int)((double)bytes * 100 / (double)total), text_size(total, size));
	else if (bytes > 0)
		buf_printf(out, " %s", text_size(bytes, size));
}

/* Of those on their way, the one that is being worked on says most. */
static const json_t *
most_telling(const json_t *list)
{
	static const char *const states[] = { "uploading", "exporting", "ready" };
	json_t *artifact;
	size_t i;

	for (size_t s = 0; s < sizeof states / sizeof states[0]; s++)
		json_array_foreach(list, i, artifact) if (is_state(artifact, states[s])) return artifact;
	json_array_foreach(list, i, artifact) if (moves(artifact)) return artifact;
	return NULL;
}

void
watch_line(const json_t *list, int64_t elapsed, int64_t rate, size_t width, struct buf *out)
{
	const json_t *artifact = most_telling(list);
	char size[TEXT_MAX];
	struct watch_sum sum;

	watch_sum(list, &sum);
	buf_printf(out, "[%" PRId64 ":%02d] %zu of %zu done", elapsed / 60, (int)(elapsed % 60), sum.done,
	    sum.count);
	if (sum.failed > 0)
		buf_printf(out, ", %zu failed", sum.failed);
	if (artifact != NULL) {
		buf_adds(out, ": ");
		put_progress(artifact, out);
		if (rate > 0)
			buf_printf(out, ", %s/s", text_size(rate, size));
		buf_adds(out, "  "); /* the name comes last: it is what a narrow terminal may cut */
		text_safe(out, json_str(artifact, "name", "?"));
	}
	if (width > 3 && buf_len(out) > width) {
		out->tail = out->head + width - 3;
		buf_adds(out, "...");
	}
}

static const char *
where(const json_t *artifact)
{
	return json_str(artifact, "url", json_str(artifact, "path", NULL));
}

static void
table_artifact(struct table *t, const json_t *artifact)
{
	json_int_t size = json_num(artifact, "size", json_num(artifact, "total", 0));
	char text[TEXT_MAX], digest[DIGEST_SHOWN + 1] = "";
	const char *cells[] = { json_str(artifact, "name", ""), json_str(artifact, "state", ""),
		size > 0 ? text_size(size, text) : "", digest, json_str(artifact, "image", "") };

	strncat(digest, json_str(artifact, "sha256", ""), DIGEST_SHOWN);
	table_row(t, cells);
	if (where(artifact) != NULL)
		table_note(t, "at", where(artifact));
	if (json_str(artifact, "error", NULL) != NULL)
		table_note(t, "error", json_str(artifact, "error", ""));
}

void
watch_table(const json_t *list, FILE *f)
{
	static const char *const heads[] = { "ARTIFACT", "STATE", ">SIZE", "SHA256", "IMAGE" };
	struct table *t = table_new(heads, sizeof heads / sizeof heads[0]);
	json_t *artifact;
	size_t i;

	json_array_foreach(list, i, artifact) table_artifact(t, artifact);
	table_print(t, f);
	if (json_array_size(list) == 0)
		fputs("no artifacts are declared\n", f);
	table_free(t);
}

int
watch_result(const json_t *list, struct err *e)
{
	struct watch_sum sum;
	struct buf text = { 0 };
	json_t *artifact;
	size_t i;

	watch_sum(list, &sum);
	if (sum.failed == 0)
		return 0;
	json_array_foreach(list, i, artifact)
	{
		if (!is_state(artifact, "failed"))
			continue;
		buf_adds(&text, buf_len(&text) > 0 ? "; " : "");
		text_safe(&text, json_str(artifact, "name", "?"));
		buf_adds(&text, ": ");
		text_safe(&text, json_str(artifact, "error", "no reason was given"));
	}
	err_set(e, 0, "%zu of %zu artifacts failed: %s", sum.failed, sum.count, buf_text(&text));
	buf_done(&text);
	return -1;
}

/* ---- waiting ---- */

struct show {
	FILE *f;
	int terminal;
	int64_t began, printed;               /* ms */
	int64_t rate_since, rate_bytes, rate; /* of the last second or more */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t
terminal_width(FILE *f)
{
	struct winsize w;

	/* the last column stays free: a full line would wrap on some terminals */
	return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col - 1u : 79;
}

static void
measure(struct show *s, const json_t *list, int64_t now)
{
	struct watch_sum sum;

	watch_sum(list, &sum);
	if (now - s->rate_since < 1000)
		return;
	s->rate = s->rate_since > 0 ? (sum.bytes - s->rate_bytes) * 1000 / (now - s->rate_since) : 0;
	s->rate_since = now;
	s->rate_bytes = sum.bytes;
}

static void
show(struct show *s, const json_t *list)
{
	struct buf line = { 0 };
	int64_t now = now_ms();

	measure(s, list, now);
	if (!s->terminal && s->printed > 0 && now - s->printed < LINE_MS)
		return;
	watch_line(list, (now - s->began) / 1000, s->rate, s->terminal ? terminal_width(s->f) : 0, &line);
	fprintf(s->f, s->terminal ? "\r\x1b[K%s" : "%s\n", buf_text(&line));
	fflush(s->f);
	s->printed = now;
	buf_done(&line);
}

static void
show_end(struct show *s)
{
	if (s->terminal && s->printed > 0)
		fputs("\r\x1b[K", s->f); /* the table stands where the line was */
	fflush(s->f);
}

/* Is it worth another try? Only when no answer came, and not for ever. */
static int
may_be_back(const struct err *e, int64_t lost_since)
{
	return e->status == 0 && (e->code == ENOENT || e->code == ECONNREFUSED || e->code == ECONNRESET) &&
	       lost_since > 0 && now_ms() - lost_since < (int64_t)RESTART_SECONDS * 1000;
}

static int
ended(const json_t *answer)
{
	struct watch_sum sum;

	watch_sum(watch_list(answer), &sum);
	return sum.done + sum.failed == sum.count;
}

int
watch_wait(struct client *k, const char *path, long timeout, FILE *progress, json_t **answer, struct err *e)
{
	struct show s = { .f = progress, .terminal = isatty(fileno(progress)), .began = now_ms() };
	int64_t lost = 0, met = 0;
	int rc;

	for (*answer = NULL;;) {
		json_t *next;

		rc = client_call(k, "GET", path, NULL, &next, e);
		if (rc == 0) {
			json_decref(*answer);
			*answer = next;
			lost = 0;
			met = 1;
			if (ended(next))
				break;
			show(&s, watch_list(next));
		} else {
			lost = lost == 0 && met ? now_ms() : lost;
			if (!may_be_back(e, lost))
				break;
		}
		if (timeout > 0 && now_ms() - s.began >= timeout * 1000) {
			rc = err_set(
			    e, ETIMEDOUT, "not all artifacts were done after %ld s; they go on", timeout);
			break;
		}
		usleep(POLL_MS * 1000);
	}
	show_end(&s);
	return rc;
}
