/*
 * The gate against a front that has been taken over: whatever struct it sends, what leaves is on the list.
 * 'R': the bytes of a call. Else text: "route ns api\n", then "param value\n" for each value.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"
#include "oracle.h"
#include "policy/call.h"
#include "policy/param.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct policy policies[2];

static void
setup(void)
{
	struct settings s;

	if (policies[0].network != NULL)
		return;
	settings_init(&s);
	policy_init(&policies[0], &s);
	policy_init(&policies[1], &s);
	settings_done(&s);
	free(policies[1].network);
	policies[1].network = mem_str("builds");
	policies[1].pull = policies[1].extra_hosts = policies[1].registry_auth = 1;
	policies[1].memory = 1 << 30;
	policies[1].cpus = 2;
}

static void
check(const void *bytes, size_t size)
{
	static struct call c;
	struct err e;

	if (call_take(&c, bytes, size, &e) < 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		struct buf head = { 0 };

		if (call_check(&c, &policies[i], &e) == 0) {
			call_print(&c, &head);
			oracle_head(&head, c.ns, policies[i].network);
		}
		buf_done(&head);
	}
}

static void
from_text(char *text)
{
	static struct call c;
	char *save = NULL, *line = strtok_r(text, "\n", &save), ns[24] = "";
	unsigned route = 0, api = 0, param;
	struct err e;
	int at;

	if (line == NULL || sscanf(line, "%u %23s %u", &route, ns, &api) < 2)
		return;
	call_start(&c, route % (ROUTE_COUNT + 2), strcmp(ns, "-") == 0 ? "" : ns, api);
	while ((line = strtok_r(NULL, "\n", &save)) != NULL)
		if (sscanf(line, "%u %n", &param, &at) == 1)
			(void)call_add(&c, param % (PARAM_COUNT + 2), line + at, &e);
	check(&c, call_size(&c));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	setup();
	if (size > 0 && data[0] == 'R') {
		check(data + 1, size - 1);
		return 0;
	}
	text = mem_strn((const char *)data, strnlen((const char *)data, size));
	from_text(text);
	free(text);
	return 0;
}
