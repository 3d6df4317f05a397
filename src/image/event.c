#include "image/event.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

enum { PROGRESS_EVERY = 1000 };

static void
put(json_t *line)
{
	char *text = json_text(line, 1), *whole;
	struct err e;

	json_decref(line);
	whole = mem_printf("%s\n", text != NULL ? text : "{\"event\":\"error\",\"message\":\"not UTF-8\"}");
	if (fs_write_all(STDOUT_FILENO, whole, strlen(whole), &e) < 0)
		exit(1); /* there is nobody to tell */
	free(whole);
	free(text);
}

static int64_t
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
event_progress(struct event_progress *p, const char *phase, uint64_t bytes, uint64_t compressed)
{
	int64_t t = now();

	if (p->phase != NULL && strcmp(p->phase, phase) == 0 && t - p->last < PROGRESS_EVERY)
		return;
	p->phase = phase;
	p->last = t;
	put(json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "phase", phase, "bytes", (json_int_t)bytes,
	    "compressed", (json_int_t)compressed));
}

void
event_done(json_t *fields)
{
	json_t *line = json_pack("{s:s}", "event", "done");

	json_object_update(line, fields);
	json_decref(fields);
	put(line);
}

void
event_error(const struct err *e)
{
	put(json_pack("{s:s, s:i, s:s?, s:s}", "event", "error", "status", e->status ? e->status : 500,
	    "rule", e->rule, "message", e->text));
}
