/* Audit logs as whoever could write the file left them: any bytes are followed to their end, and what is said
 * of them is printable. A first line that is a head is one. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "task/chain.h"
#include "task/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int good)
{
	if (!good)
		abort();
}

static void
on_found(void *arg, const char *file, unsigned long line, const char *text)
{
	(void)file;
	(void)line;
	++*(uint64_t *)arg;
	for (; *text != '\0'; text++)
		check(*text >= 0x20 && *text < 0x7f);
}

static void
follow(const char *text, size_t size, const struct chain_head *head)
{
	uint64_t found = 0;
	struct chain_check *c = chain_check_new(NULL, head, on_found, &found);
	struct chain_sum sum;
	unsigned long number = 0;

	for (size_t at = 0; at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t len = end != NULL ? (size_t)(end - text) - at : size - at;

		chain_check_line(c, "f", ++number, text + at, len, end != NULL);
		at += len + 1;
	}
	chain_check_end(c, &sum);
	check(sum.found == found && sum.records <= number);
}

/* A '<' is ours: a tag that the page has anyway, or the page's beginning. */
static void
check_page(const char *text, size_t len)
{
	static const char *const tags[] = { "<script", "<img", "<a ", "<iframe", "<link", "<object", "<base",
		"<form" };

	check(len < 1024 * 1024);
	for (size_t i = 0; i < len; i++)
		check(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f));
	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
		check(strstr(text, tags[i]) == NULL);
}

/* Each line is a record, and the last one what the service says of the task. */
static void
tell(const char *text, size_t size)
{
	struct report *r = report_new();
	struct buf page = { 0 };
	struct err ignored;
	json_t *record = NULL;

	for (size_t at = 0; at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t len = end != NULL ? (size_t)(end - text) - at : size - at;

		json_decref(record);
		record = json_parse(text + at, len, &ignored);
		if (json_is_object(record))
			report_record(r, record);
		at += len + 1;
	}
	report_print(r, record, 0, "0", &page);
	check_page(buf_text(&page), buf_len(&page));
	json_decref(record);
	buf_done(&page);
	report_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_head head;

	tell((const char *)data, size);
	follow((const char *)data, size, NULL);
	if (size >= CHAIN_HEAD_LINE && chain_parse_head(&head, (const char *)data, CHAIN_HEAD_LINE) == 0)
		follow((const char *)data + CHAIN_HEAD_LINE, size - CHAIN_HEAD_LINE, &head);
	return 0;
}
