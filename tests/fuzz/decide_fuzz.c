/* A request head as a task may send it: what the decision forwards passes the gate's check and is on the
 * list. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"
#include "oracle.h"
#include "policy/decide.h"

#define NS "aaaabbbbccccddddeeee"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct policy policies[3];
static struct owned owned;

static int
elsewhere(const void *arg, const char *id)
{
	(void)arg;
	return id[7] == 'e';
}

static void
own(char digit, const char *name)
{
	char id[REFERENCE_ID_MAX];

	memset(id, digit, sizeof(id));
	memcpy(id, "sha256:", 7);
	id[71] = '\0';
	if (name == NULL)
		(void)owned_learn(&owned, id);
	else
		owned_name(&owned, name, id);
}

static void
setup(void)
{
	struct settings s;

	if (owned.count > 0)
		return;
	settings_init(&s);
	for (size_t i = 0; i < 3; i++)
		policy_init(&policies[i], &s);
	settings_done(&s);
	free(policies[1].network);
	policies[1].network = mem_str("builds");
	policies[1].pull = policies[1].extra_hosts = policies[1].registry_auth = 1;
	policies[1].memory = 1 << 30;
	policies[1].cpus = 2;
	policies[2].cache = CACHE_NONE;
	owned_init(&owned, NS);
	owned.elsewhere = elsewhere;
	own('a', "docker.io/library/app:1");
	own('a', "docker.io/library/app:latest");
	own('b', "docker.io/library/web:1");
	own('b', "localhost:5000/x/y:1");
	own('c', NULL);
	own('e', NULL);
}

static void
forward(const struct policy *p, const struct decision *d)
{
	static struct call c;
	struct err e;

	must(d->call_count > 0 && d->call_count <= DECISION_CALLS_MAX);
	for (size_t i = 0; i < d->call_count; i++) {
		struct buf head = { 0 };

		must(call_take(&c, d->calls[i], call_size(d->calls[i]), &e) == 0);
		must(call_check(&c, p, &e) == 0);
		call_print(&c, &head);
		oracle_head(&head, NS, p->network);
		buf_done(&head);
	}
}

static void
judge(const struct policy *p, const struct http_head *head)
{
	struct target target;
	struct decision d;
	struct err e;

	if (target_parse(&target, head->target, &e) < 0)
		return;
	decide(p, &owned, head, &target, &d);
	must(d.rule != NULL);
	if (d.verdict == VERDICT_ALLOW)
		forward(p, &d);
	else
		must(d.call_count == 0 && d.status >= 200 && d.status < 600);
	must(d.verdict != VERDICT_DENY || d.reason[0] != '\0');
	must(d.verdict != VERDICT_ANSWER || d.answer != NULL);
	for (const char *s = d.reason; *s != '\0'; s++)
		must((unsigned char)*s >= 0x20 && (unsigned char)*s < 0x7f);
	decision_done(&d);
	target_done(&target);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head head;
	struct err e;
	size_t used;

	setup();
	if (size == 0 || http_request_parse(&head, data + 1, size - 1, &used, &e) != 0)
		return 0;
	judge(&policies[data[0] % 3], &head);
	http_head_done(&head);
	return 0;
}
