/* The figures behind the rows: one function each. They stand apart from the rows, so that dindctl prints
 * those without carrying the service with it. */

#include "control/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/stamp.h"
#include "base/version.h"
#include "control/life_parts.h"
#include "life_loading.h"
#include "policy/route.h"
#include "policy/rule.h"
#include "task/task.h"

/* Sums over the tasks that are registered now. */
struct sums {
	unsigned tasks, connections, builds;
	uint64_t images, names;
	int64_t disk;
};

struct printing {
	struct life *life;
	const char *name;
	struct sums sums;
	struct buf *out;
};

static void
put(const struct printing *p, const char *labels, long long value)
{
	buf_printf(p->out, "%s%s %lld\n", p->name, labels, value);
}

static void
put_labelled(const struct printing *p, const char *label, const char *word, unsigned long long value)
{
	buf_printf(p->out, "%s{%s=\"%s\"} %llu\n", p->name, label, word, value);
}

/* Of the engine's words only what is harmless in a label. */
static void
put_word(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++)
		buf_printf(out, "%c", *s > ' ' && *s < 0x7f && *s != '"' && *s != '\\' ? *s : '?');
}

#define NUMBER(id, value)                                                                                    \
	static void print_##id(const struct printing *p)                                                     \
	{                                                                                                    \
		put(p, "", (long long)(value));                                                              \
	}

NUMBER(TASKS, p->sums.tasks)
NUMBER(CONNECTIONS, p->sums.connections)
NUMBER(BUILDS_RUNNING, p->sums.builds)
NUMBER(REQUESTS, p->life->proxy.requests)
NUMBER(FAILURES, p->life->proxy.failures)
NUMBER(SAVED, p->life->proxy.figures.saved)
NUMBER(IMAGES, p->sums.images)
NUMBER(NAMES, p->sums.names)
NUMBER(IMAGES_BYTES, p->sums.disk)
NUMBER(IMAGE_LOADS, p->life->loads)
NUMBER(LOAD_FETCHED, p->life->load_fetched)
NUMBER(LOAD_SAVED, p->life->load_saved)

static void
print_LOAD_FAILURES(const struct printing *p)
{
	for (size_t i = 0; i < sizeof p->life->load_failures / sizeof p->life->load_failures[0]; i++)
		put_labelled(p, "fault", load_fault_word((enum load_fault)i), p->life->load_failures[i]);
}
NUMBER(POLICY_LOADED, p->life->loaded / 1000)
NUMBER(STARTED, p->life->started / 1000)

static void
print_DISK_FREE(const struct printing *p)
{
	if (p->life->proxy.use.disk_free >= 0)
		put(p, "", (long long)p->life->proxy.use.disk_free);
}

static void
print_REQUEST_SECONDS(const struct printing *p)
{
	for (int i = 1; i < ROUTE_COUNT; i++) {
		const struct route_row *row = route_by_id((enum route)i);
		const struct histogram *h = &p->life->proxy.figures.requests[i];
		char labels[64];

		if (row == NULL || h->count == 0)
			continue;
		(void)snprintf(labels, sizeof labels, "route=\"%.40s\"", row->rule);
		histogram_print(h, p->name, labels, p->out);
	}
}

static void
by_rule(const struct printing *p, const uint64_t *counts)
{
	size_t count;
	const struct rule_row *rows = rule_rows(&count);

	for (size_t i = 0; i < count; i++)
		if (counts[i] > 0)
			put_labelled(p, "rule", rows[i].name, counts[i]);
	if (counts[count] > 0)
		put_labelled(p, "rule", "other", counts[count]);
}

static void
print_REFUSED(const struct printing *p)
{
	by_rule(p, p->life->proxy.figures.refused);
}

static void
print_OBSERVED(const struct printing *p)
{
	by_rule(p, p->life->proxy.figures.observed);
}

static void
print_BUILDS(const struct printing *p)
{
	put_labelled(p, "result", "built", p->life->proxy.figures.builds[1].count);
	put_labelled(p, "result", "failed", p->life->proxy.figures.builds[0].count);
}

static void
print_BUILD_SECONDS(const struct printing *p)
{
	histogram_print(&p->life->proxy.figures.builds[1], p->name, "result=\"built\"", p->out);
	histogram_print(&p->life->proxy.figures.builds[0], p->name, "result=\"failed\"", p->out);
}

static void
print_BYTES(const struct printing *p)
{
	put_labelled(p, "direction", "in", p->life->proxy.figures.bytes_in);
	put_labelled(p, "direction", "out", p->life->proxy.figures.bytes_out);
}

static void
print_ARTIFACTS(const struct printing *p)
{
	static const struct {
		const char *word;
		unsigned states;
	} words[] = {
		{ "queued", 1U << EXPORT_QUEUED },
		{ "exporting", 1U << EXPORT_CONNECTING | 1U << EXPORT_RUNNING },
		{ "handed_off", 1U << EXPORT_HANDED_OFF },
		{ "failed", 1U << EXPORT_FAILED },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		unsigned n = 0;

		for (const struct exporting *x = p->life->exports; x != NULL; x = x->next)
			n += (words[i].states >> x->state) & 1;
		put_labelled(p, "state", words[i].word, n);
	}
}

static void
print_POLICY(const struct printing *p)
{
	const struct policy *h = p->life->host;

	buf_printf(p->out, "%s{version=\"%u\",hash=\"%s\",mode=\"%s\"} 1\n", p->name, h->version, h->hash,
	    policy_mode_name(h->mode));
}

static void
print_RELOADS(const struct printing *p)
{
	put_labelled(p, "result", "taken", p->life->reloads_taken);
	put_labelled(p, "result", "refused", p->life->reloads_refused);
}

static void
print_ENGINE(const struct printing *p)
{
	if (p->life->engine_api == 0)
		return;
	buf_printf(p->out, "%s{version=\"", p->name);
	put_word(p->out, p->life->engine_version);
	buf_printf(p->out, "\",api=\"1.%u\"} 1\n", p->life->engine_api);
}

static void
print_BUILD_INFO(const struct printing *p)
{
	put_labelled(p, "version", DIND_VERSION, 1);
}

static void
print_CPU(const struct printing *p)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0)
		buf_printf(p->out, "%s %.3f\n", p->name, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

/* The file was opened before the process gave up the right to. -1: not known. */
static long long
memory_of(const struct life *l)
{
	char text[128] = "";
	long long pages;

	if (l->statm < 0 || pread(l->statm, text, sizeof text - 1, 0) <= 0 ||
	    sscanf(text, "%*s %lld", &pages) != 1)
		return -1;
	return pages * sysconf(_SC_PAGESIZE);
}

static void
print_MEMORY(const struct printing *p)
{
	if (memory_of(p->life) >= 0)
		put(p, "", memory_of(p->life));
}

static void (*const prints[METRICS_COUNT])(const struct printing *p) = {
#define X(id, name, type, labels, help) [METRICS_##id] = print_##id,
	METRICS(X)
#undef X
};

static void
sum(const struct life *l, struct sums *s)
{
	for (const struct task *t = tasks_first(l->tasks); t != NULL; t = t->next) {
		s->tasks++;
		s->connections += t->now.connections;
		s->builds += t->now.builds;
		s->images += t->owned.count;
		s->names += owned_names(&t->owned);
		s->disk += t->now.disk;
	}
}

void
metrics_print(struct life *l, struct buf *out)
{
	const struct metric_row *rows = metrics_rows();
	struct printing p = { .life = l, .out = out };

	sum(l, &p.sums);
	for (int i = 0; i < METRICS_COUNT; i++) {
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
		    metrics_type_name(rows[i].type));
		p.name = rows[i].name;
		prints[i](&p);
	}
}

static json_int_t
all(const uint64_t *counts)
{
	uint64_t n = 0;

	for (int i = 0; i < RULE_ROOM; i++)
		n += counts[i];
	return (json_int_t)n;
}

void
life_status(struct life *l, life_answer_cb *cb, void *arg)
{
	const struct figures *f = &l->proxy.figures;
	struct sums s = { 0 };
	json_t *answer;

	sum(l, &s);
	answer = json_pack("{s:s,s:I,s:i,s:i,s:i,s:I,s:I,s:I,s:s,s:o}", "version", DIND_VERSION, "uptime",
	    (json_int_t)((stamp_now() - l->started) / 1000), "tasks", (int)s.tasks, "connections",
	    (int)s.connections, "builds", (int)s.builds, "requests", (json_int_t)l->proxy.requests, "refused",
	    all(f->refused), "observed", all(f->observed), "engine", l->engine_version, "policy",
	    life_policy_name(l->host));
	if (memory_of(l) >= 0)
		json_object_set_new(answer, "memory", json_integer(memory_of(l)));
	if (l->proxy.use.disk_free >= 0)
		json_object_set_new(answer, "diskFree", json_integer(l->proxy.use.disk_free));
	life_say(cb, arg, 200, answer);
}
