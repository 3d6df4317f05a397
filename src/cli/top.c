/* What goes on, now and again: on a terminal a screen that is drawn anew, elsewhere one table. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/text.h"
#include "cli/verbs.h"

enum { EVERY = 2, EVERY_MAX = 3600 };

#define SCREEN_ON "\x1b[?1049h\x1b[?25l" /* the other screen, no cursor */
#define SCREEN_OFF "\x1b[?25h\x1b[?1049l"

static volatile sig_atomic_t interrupted;

struct top {
	struct cli *c;
	struct client *client;
	int in;         /* a terminal whose keys are read, or -1 */
	json_t *before; /* id -> bytes in and out together, at `at` */
	int64_t at;     /* ms */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what is shown ---- */

static int64_t
now_of(const json_t *task, const char *key)
{
	return json_num(json_object_get(task, "now"), key, 0);
}

static int64_t
bytes_of(const json_t *task)
{
	return now_of(task, "bytesIn") + now_of(task, "bytesOut");
}

static char *
rate_cell(const struct top *t, const json_t *task, int64_t now)
{
	const json_t *had = json_object_get(t->before, json_str(task, "id", ""));
	int64_t moved = bytes_of(task) - json_integer_value(had);
	char size[TEXT_MAX];

	if (had == NULL || now <= t->at || moved <= 0)
		return mem_str("");
	return mem_printf("%s/s", text_size(moved * 1000 / (now - t->at), size));
}

static char *
age_cell(const json_t *task)
{
	char age[TEXT_MAX];
	int64_t created;

	if (stamp_parse(json_str(task, "created", ""), &created) < 0)
		return mem_str("");
	return mem_str(text_age((stamp_now() - created) / 1000, age));
}

static void
put_task(struct table *table, const struct top *t, const json_t *task, int64_t now)
{
	char bytes[TEXT_MAX], disk[TEXT_MAX];
	char *cells[] = { mem_printf("%s/%d", json_str(task, "taskId", "?"), (int)json_num(task, "runId", 0)),
		mem_str(json_str(task, "state", "")), age_cell(task),
		mem_printf("%lld", (long long)now_of(task, "connections")),
		mem_printf("%lld", (long long)now_of(task, "builds")),
		mem_printf("%lld", (long long)json_num(task, "images", 0)),
		mem_printf("%lld", (long long)now_of(task, "requests")),
		mem_printf("%lld", (long long)now_of(task, "refused")),
		mem_str(text_size(bytes_of(task), bytes)), rate_cell(t, task, now),
		mem_str(text_size(now_of(task, "disk"), disk)) };
	enum { COLUMNS = sizeof cells / sizeof cells[0] };

	table_row(table, (const char *const *)cells);
	for (size_t i = 0; i < COLUMNS; i++)
		free(cells[i]);
}

/* Who builds stands first, then who has moved most. */
static int
by_work(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int64_t builds = now_of(y, "builds") - now_of(x, "builds"), bytes = bytes_of(y) - bytes_of(x);

	return builds != 0 ? (builds > 0 ? 1 : -1) : bytes != 0 ? (bytes > 0 ? 1 : -1) : 0;
}

static void
put_tasks(const struct top *t, const json_t *tasks, FILE *f)
{
	static const char *const heads[] = { "TASK", "STATE", ">AGE", ">CONNS", ">BUILDS", ">IMAGES",
		">REQUESTS", ">REFUSED", ">BYTES", ">NOW", ">DISK" };
	struct table *table = table_new(heads, sizeof heads / sizeof heads[0]);
	size_t count = json_array_size(tasks);
	json_t **rows = mem_array(count + 1, sizeof *rows);
	int64_t now = now_ms();

	for (size_t i = 0; i < count; i++)
		rows[i] = json_array_get(tasks, i);
	qsort(rows, count, sizeof *rows, by_work);
	for (size_t i = 0; i < count; i++)
		put_task(table, t, rows[i], now);
	table_print(table, f);
	if (count == 0)
		fputs("no tasks\n", f);
	table_free(table);
	free(rows);
}

static void
put_size(FILE *f, const char *before, const json_t *status, const char *key)
{
	char text[TEXT_MAX];

	if (json_is_integer(json_object_get(status, key)))
		fprintf(f, "%s%s", before, text_size(json_num(status, key, 0), text));
}

static void
put_head(const json_t *status, FILE *f)
{
	const json_t *policy = json_object_get(status, "policy");
	char age[TEXT_MAX];

	fputs("dind-proxy ", f);
	text_put(f, json_str(status, "version", "?"));
	fprintf(f, ", up %s: %lld tasks, %lld connections, %lld builds, %lld requests, %lld refused",
	    text_age(json_num(status, "uptime", 0), age), (long long)json_num(status, "tasks", 0),
	    (long long)json_num(status, "connections", 0), (long long)json_num(status, "builds", 0),
	    (long long)json_num(status, "requests", 0), (long long)json_num(status, "refused", 0));
	fprintf(f, "\npolicy %lld (", (long long)json_num(policy, "version", 0));
	text_put(f, json_str(policy, "mode", "?"));
	fputs("), engine ", f);
	text_put(f,
	    json_str(status, "engine", "")[0] != '\0' ? json_str(status, "engine", "") : "not heard of yet");
	put_size(f, ", memory ", status, "memory");
	put_size(f, ", free on the engine's disk ", status, "diskFree");
	fputs("\n\n", f);
}

static void
remember(struct top *t, const json_t *tasks)
{
	const json_t *task;
	size_t i;

	json_object_clear(t->before);
	json_array_foreach(tasks, i, task)
	    json_object_set_new(t->before, json_str(task, "id", ""), json_integer(bytes_of(task)));
	t->at = now_ms();
}

static int
ask(struct top *t, json_t **status, json_t **tasks, struct err *e)
{
	*status = *tasks = NULL;
	if (client_call(t->client, "GET", "/v1/status", NULL, status, e) < 0)
		return -1;
	return client_call(t->client, "GET", "/v1/tasks", NULL, tasks, e);
}

/* ---- a terminal ---- */

static size_t
rows_of(FILE *f)
{
	struct winsize w;

	return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_row > 4 ? w.ws_row : 24;
}

static size_t
columns_of(FILE *f)
{
	struct winsize w;

	return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* As much of the text as the screen holds, line by line; what was there is overwritten, not wiped: no
 * flicker. */
static void
draw(FILE *f, const char *text)
{
	size_t rows = rows_of(f) - 1, columns = columns_of(f);

	fputs("\x1b[H", f);
	for (size_t i = 0; i < rows && *text != '\0'; i++) {
		size_t n = strcspn(text, "\n");

		fprintf(f, "%.*s\x1b[K\r\n", (int)(n < columns ? n : columns - 1), text);
		text += n + (text[n] == '\n');
	}
	fputs("\x1b[J\x1b[7m q: quit \x1b[0m", f);
	fflush(f);
}

static void
screen(struct top *t)
{
	json_t *status, *tasks;
	struct err e = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return;
	if (ask(t, &status, &tasks, &e) == 0) {
		put_head(status, f);
		put_tasks(t, tasks, f);
		remember(t, tasks);
	} else
		text_put(f, e.text); /* it may come back */
	fclose(f);
	draw(t->c->out, text);
	free(text);
	json_decref(status);
	json_decref(tasks);
}

/* Waits for a key or the next time; 1 = enough. */
static int
wait_key(const struct top *t, long seconds)
{
	struct pollfd p = { .fd = t->in, .events = POLLIN };
	char key = 0;
	int n = poll(&p, 1, (int)seconds * 1000);

	if (interrupted)
		return 1;
	if (n <= 0)
		return 0;
	return read(t->in, &key, 1) != 1 || key == 'q' || key == 'Q' || key == 3 || key == 4;
}

static void
on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static void
catch_signals(void (*handler)(int))
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction act = { .sa_handler = handler };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		(void)sigaction(numbers[i], &act, NULL);
}

/* Whatever ends it, the terminal is as it was. */
static int
run_screen(struct top *t, long seconds, struct err *e)
{
	struct termios was, raw;

	if (tcgetattr(t->in, &was) < 0)
		return err_set(e, errno, "cannot read the terminal's settings: %m");
	raw = was;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	interrupted = 0;
	catch_signals(on_interrupt);
	(void)tcsetattr(t->in, TCSAFLUSH, &raw);
	fputs(SCREEN_ON, t->c->out);
	do
		screen(t);
	while (!wait_key(t, seconds));
	fputs(SCREEN_OFF, t->c->out);
	fflush(t->c->out);
	(void)tcsetattr(t->in, TCSAFLUSH, &was);
	catch_signals(SIG_DFL);
	return 0;
}

/* ---- once ---- */

static int
print_once(struct top *t, struct err *e)
{
	json_t *status, *tasks;
	int rc = ask(t, &status, &tasks, e);

	if (rc == 0 && t->c->opt[OPT_JSON] != NULL) {
		json_object_set(status, "list", tasks);
		text_json(t->c->out, status);
	} else if (rc == 0) {
		put_head(status, t->c->out);
		put_tasks(t, tasks, t->c->out);
	}
	json_decref(status);
	json_decref(tasks);
	return rc;
}

int
verb_top(struct cli *c, struct err *e)
{
	struct top t = { .c = c, .in = fileno(c->in) };
	long seconds;
	int rc = -1;

	if (cli_number(c, OPT_INTERVAL, "--interval", 1, EVERY_MAX, EVERY, &seconds, e) < 0)
		return CLI_USAGE;
	t.client = client_new(c, e);
	t.before = json_object();
	if (t.client != NULL) {
		if (c->opt[OPT_JSON] == NULL && t.in >= 0 && isatty(t.in) && isatty(fileno(c->out)))
			rc = run_screen(&t, seconds, e);
		else
			rc = print_once(&t, e);
	}
	client_free(t.client);
	json_decref(t.before);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}
