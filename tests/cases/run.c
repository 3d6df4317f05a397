/*
 * Rows of text about what is decided: tests/cases/run [--lint] FILE...
 *
 *   let NAME=VALUE            from here on $NAME stands for VALUE, in every line
 *   own ID [NAME...]          the task owns an image by these canonical names (before the first row)
 *   elsewhere ID              another task owns it as well
 *   policy [{...}]            the default policy, changed by these words: those of a task's own policy and
 *                             cgroupParent, label, shmSize, names, images, requestNames, apiMax
 *   METHOD TARGET [Field:value...] => RULE ALLOW [METHOD TARGET...] [~text...] [!text...]   (":_" in a text
 * is ": ") METHOD TARGET [Field:value...] => RULE DENY STATUS [text] METHOD TARGET [Field:value...] => RULE
 * ANSWER STATUS [text]
 *
 * ALLOW: the request lines that go to the engine, in order, all of them; or texts that their heads have (~)
 * or do not have (!). DENY: the reason has the text. ANSWER: the body has it. What is allowed passes as bytes
 * through call_take(), call_check() and the parsers again: it must read as what was meant.
 * --lint: every row of the route and parameter tables has one that is allowed and one that is refused.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "http/target.h"
#include "policy/decide.h"
#include "tables.h"
#include "tap.h"

enum { LINE_SIZE = 64 * 1024, WORDS_MAX = 256, LETS_MAX = 32 };

static struct {
	struct policy policy;
	struct owned owned;
	char elsewhere[REFERENCE_ID_MAX];
	struct {
		char *name, *value;
	} lets[LETS_MAX];
	size_t let_count;
} world;

/* One row, and what became of it. */
struct row {
	const char *where, *method, *target;
	size_t fields;
	char **field;
	const char *rule, *verdict;
	size_t wants;
	char **want;
	struct http_head head;
	struct target parsed;
	struct decision d;
	struct err e; /* when the request did not even parse */
	int judged;
};

static int
on_elsewhere(const void *arg, const char *id)
{
	(void)arg;
	return strcmp(world.elsewhere, id) == 0;
}

static void
reset_policy(void)
{
	struct settings s;

	policy_done(&world.policy);
	settings_init(&s);
	policy_init(&world.policy, &s);
	settings_done(&s);
}

static void
take_number(json_t *v, const char *key, size_t *field)
{
	*field = (size_t)json_num(v, key, (json_int_t)*field);
	json_object_del(v, key);
}

static int
do_policy(const char *text)
{
	struct policy *p = &world.policy;
	struct err e = { 0 };
	json_t *v;
	size_t api, shm;

	reset_policy();
	if (text == NULL)
		return 0;
	v = json_parse(text, strlen(text), &e);
	if (v == NULL) {
		printf("# %s\n", e.text);
		return -1;
	}
	free(p->cgroup_parent);
	p->cgroup_parent = mem_str(json_str(v, "cgroupParent", ""));
	json_object_del(v, "cgroupParent");
	free(p->label);
	p->label = mem_str(json_str(v, "label", ""));
	json_object_del(v, "label");
	api = p->api_max;
	shm = (size_t)p->shm_size;
	take_number(v, "names", &p->names);
	take_number(v, "images", &p->images);
	take_number(v, "requestNames", &p->request_names);
	take_number(v, "apiMax", &api);
	take_number(v, "shmSize", &shm);
	p->api_max = (unsigned)api;
	p->shm_size = (int64_t)shm;
	if (policy_override(p, v, &e) < 0)
		printf("# %s\n", e.text);
	json_decref(v);
	return e.status != 0 ? -1 : 0;
}

static void
expand(const char *line, struct buf *out)
{
	while (*line != '\0') {
		size_t best = 0, n = 0;

		for (size_t i = 0; i < world.let_count && *line == '$'; i++) {
			size_t len = strlen(world.lets[i].name);

			if (len > n && strncmp(line + 1, world.lets[i].name, len) == 0) {
				best = i;
				n = len;
			}
		}
		if (n > 0)
			buf_adds(out, world.lets[best].value);
		else
			buf_add(out, line, 1);
		line += n + 1;
	}
}

static int
do_let(char *text)
{
	char *eq = strchr(text, '=');
	struct buf value = { 0 };

	if (eq == NULL || world.let_count == LETS_MAX)
		return -1;
	expand(eq + 1, &value);
	world.lets[world.let_count].name = mem_strn(text, (size_t)(eq - text));
	world.lets[world.let_count++].value = mem_str(buf_text(&value));
	buf_done(&value);
	return 0;
}

static int
do_own(char **words, size_t count)
{
	if (count < 2)
		return -1;
	(void)owned_learn(&world.owned, words[1]);
	for (size_t i = 2; i < count; i++)
		owned_name(&world.owned, words[i], words[1]);
	return 0;
}

/* The bytes that a client would send. */
static void
judge(struct row *r)
{
	struct buf b = { 0 };
	size_t used;

	buf_printf(&b, "%s %s HTTP/1.1\r\nHost: docker\r\n", r->method, r->target);
	for (size_t i = 0; i < r->fields; i++) {
		size_t n = strcspn(r->field[i], ":");

		buf_printf(&b, "%.*s: %s\r\n", (int)n, r->field[i], r->field[i] + n + 1);
	}
	buf_adds(&b, "\r\n");
	if (http_request_parse(&r->head, buf_ptr(&b), buf_len(&b), &used, &r->e) == 0) {
		if (target_parse(&r->parsed, r->head.target, &r->e) == 0) {
			decide(&world.policy, &world.owned, &r->head, &r->parsed, &r->d);
			r->judged = 1;
		} else {
			http_head_done(&r->head);
		}
	}
	buf_done(&b);
}

/* Through the gate: taken from bytes, checked, printed, and read again as the engine would. */
static int
through_gate(const struct call *made, struct buf *out, struct err *e)
{
	static struct call c;
	struct http_head head;
	struct target target;
	size_t used;

	if (call_take(&c, made, call_size(made), e) < 0 || call_check(&c, &world.policy, e) < 0)
		return -1;
	call_print(&c, out);
	if (http_request_parse(&head, buf_ptr(out), buf_len(out), &used, e) != 0)
		return -1;
	if (used != buf_len(out) || target_parse(&target, head.target, e) < 0) {
		http_head_done(&head);
		return -1;
	}
	target_done(&target);
	http_head_done(&head);
	return 0;
}

/* Wanted request lines, in order. */
static int
same_lines(const struct row *r, const struct buf *heads)
{
	size_t n = 0;

	for (size_t i = 0; i < r->wants; i++) {
		char *line;
		const char *got;
		int same;

		if (r->want[i][0] == '~' || r->want[i][0] == '!')
			continue;
		if (i + 1 == r->wants || n == r->d.call_count)
			return 0;
		line = mem_printf("%s %s HTTP/1.1\r\n", r->want[i], r->want[i + 1]);
		got = (const char *)buf_ptr(&heads[n++]);
		same = strncmp(got, line, strlen(line)) == 0;
		free(line);
		if (!same)
			return 0;
		i++;
	}
	return n == 0 || n == r->d.call_count;
}

/* "Content-Length:_0" has its blank as '_'. */
static int
has_text(const char *all, char *text)
{
	for (char *s = text; (s = strstr(s, ":_")) != NULL;)
		s[1] = ' ';
	return strstr(all, text) != NULL;
}

static int
has_texts(const struct row *r, const char *all)
{
	for (size_t i = 0; i < r->wants; i++) {
		if (r->want[i][0] == '~' && !has_text(all, r->want[i] + 1))
			return 0;
		if (r->want[i][0] == '!' && has_text(all, r->want[i] + 1))
			return 0;
	}
	return 1;
}

static int
allowed_well(const struct row *r)
{
	static struct buf heads[DECISION_CALLS_MAX];
	struct buf all = { 0 };
	struct err e = { 0 };
	int good = 1;

	for (size_t i = 0; i < r->d.call_count && good; i++) {
		buf_clear(&heads[i]);
		good = through_gate(r->d.calls[i], &heads[i], &e) == 0;
		buf_adds(&all, buf_text(&heads[i]));
	}
	if (!good)
		printf("# the gate: %s\n", e.text);
	good = good && same_lines(r, heads) && has_texts(r, buf_text(&all));
	if (!good)
		printf("# sent: %s\n", buf_text(&all));
	for (size_t i = 0; i < DECISION_CALLS_MAX; i++)
		buf_done(&heads[i]);
	buf_done(&all);
	return good;
}

/* The words behind the status, as they stood in the line. */
static int
says(const struct row *r, const char *text)
{
	struct buf b = { 0 };
	int good;

	for (size_t i = 1; i < r->wants; i++)
		buf_printf(&b, "%s%s", i > 1 ? " " : "", r->want[i]);
	good = text != NULL && strstr(text, buf_text(&b)) != NULL;
	buf_done(&b);
	return good;
}

static int
as_wanted(const struct row *r)
{
	static const char *const verdicts[] = { "DENY", "ALLOW", "ANSWER" };
	const char *rule = r->judged ? r->d.rule : r->e.rule;
	const char *verdict = verdicts[r->judged ? r->d.verdict : VERDICT_DENY];
	const char *text = r->judged ? r->d.reason : r->e.text;
	int status = r->judged ? r->d.status : r->e.status;

	if (rule == NULL || strcmp(rule, r->rule) != 0 || strcmp(verdict, r->verdict) != 0) {
		printf("# decided: %s %s %d %s\n", rule ? rule : "(none)", verdict, status, text);
		return 0;
	}
	if (r->judged && r->d.verdict == VERDICT_ALLOW)
		return allowed_well(r);
	if (r->judged && r->d.verdict == VERDICT_ANSWER)
		text = r->d.answer;
	if (r->wants > 0 && atoi(r->want[0]) == status && says(r, text))
		return 1;
	printf("# %d: %s\n", status, text);
	return 0;
}

static int
split_row(char **words, size_t count, struct row *r)
{
	size_t arrow = 2;

	while (arrow < count && strcmp(words[arrow], "=>") != 0)
		arrow++;
	if (arrow + 2 >= count)
		return -1;
	r->method = words[0];
	r->target = words[1];
	r->field = words + 2;
	r->fields = arrow - 2;
	r->rule = words[arrow + 1];
	r->verdict = words[arrow + 2];
	r->want = words + arrow + 3;
	r->wants = count - arrow - 3;
	return 0;
}

static void
do_row(char **words, size_t count, const char *where)
{
	struct row r = { .where = where };
	char *title;

	if (split_row(words, count, &r) < 0) {
		ok(0, where);
		return;
	}
	judge(&r);
	title = mem_printf("%s %s %.100s", where, r.method, r.target);
	ok(as_wanted(&r), title);
	free(title);
	if (!r.judged)
		return;
	tables_note(&r.head, &r.parsed, &r.d);
	decision_done(&r.d);
	target_done(&r.parsed);
	http_head_done(&r.head);
}

static void
do_line(char *line, const char *where)
{
	char *words[WORDS_MAX], *save = NULL, *rest = line + strcspn(line, " ");
	struct buf expanded = { 0 };
	size_t count = 0;

	line[strcspn(line, "\n")] = '\0';
	rest += strspn(rest, " ");
	if (line[0] == '#' || line[0] == '\0')
		return;
	if (strncmp(line, "let ", 4) == 0) {
		if (do_let(rest) < 0)
			ok(0, where);
		return;
	}
	expand(line, &expanded);
	line = (char *)(uintptr_t)buf_text(&expanded);
	if (strncmp(line, "policy", 6) == 0) {
		if (do_policy(line[6] != '\0' ? line + 7 : NULL) < 0)
			ok(0, where);
		buf_done(&expanded);
		return;
	}
	for (char *w = strtok_r(line, " ", &save); w != NULL && count < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		words[count++] = w;
	if (strcmp(words[0], "own") == 0) {
		if (do_own(words, count) < 0)
			ok(0, where);
	} else if (strcmp(words[0], "elsewhere") == 0)
		snprintf(world.elsewhere, sizeof(world.elsewhere), "%s", words[1]);
	else
		do_row(words, count, where);
	buf_done(&expanded);
}

static void
do_file(const char *path)
{
	FILE *f = fopen(path, "r");
	static char line[LINE_SIZE];
	char where[256];

	if (f == NULL) {
		ok(0, path);
		return;
	}
	owned_init(&world.owned, "aaaabbbbccccddddeeee");
	world.owned.elsewhere = on_elsewhere;
	reset_policy();
	for (int n = 1; fgets(line, sizeof(line), f) != NULL; n++) {
		snprintf(where, sizeof(where), "%s:%d", path, n);
		do_line(line, where);
	}
	fclose(f);
	owned_done(&world.owned);
	policy_done(&world.policy);
	while (world.let_count > 0) {
		free(world.lets[--world.let_count].name);
		free(world.lets[world.let_count].value);
	}
}

int
main(int argc, char **argv)
{
	int first = argc > 1 && strcmp(argv[1], "--lint") == 0 ? 2 : 1, good;
	char text[TABLES_TEXT];

	for (int i = first; i < argc; i++)
		do_file(argv[i]);
	for (size_t i = 0; first == 2 && (good = tables_lint(i, text)) >= 0; i++)
		ok(good, text);
	return tap_end();
}
