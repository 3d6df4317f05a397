/* Audit logs as whoever could write the file left them: any bytes are followed to their end, and what is said
 * of them is printable. A first line that is a head is one. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "task/chain.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_head head;

	follow((const char *)data, size, NULL);
	if (size >= CHAIN_HEAD_LINE && chain_parse_head(&head, (const char *)data, CHAIN_HEAD_LINE) == 0)
		follow((const char *)data + CHAIN_HEAD_LINE, size - CHAIN_HEAD_LINE, &head);
	return 0;
}
