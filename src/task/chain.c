/* The form of the audit log's chain: what its links and its head look like. */

#include "task/chain.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"

enum { HEX = CHAIN_HASH_MAX - 1 };

void
chain_begin(struct chain_head *h)
{
	h->seq = 0;
	memset(h->hash, '0', HEX);
	h->hash[HEX] = '\0';
}

int
chain_is_hash(const char *s)
{
	return s != NULL && strlen(s) == HEX && strspn(s, "0123456789abcdef") == HEX;
}

int
chain_read(const char *line, size_t len, struct chain_head *out)
{
	struct err ignored;
	json_t *record = len <= CHAIN_LINE_MAX ? json_parse(line, len, &ignored) : NULL;
	json_int_t seq = json_num(record, "seq", 0);
	int good = seq > 0 && chain_is_hash(json_str(record, "prev", NULL));
	char hex[HASH_HEX_MAX];

	json_decref(record);
	if (!good)
		return -1;
	hash_once(HASH_SHA256, line, len, hex);
	out->seq = (uint64_t)seq;
	memcpy(out->hash, hex, sizeof out->hash);
	return 0;
}

void
chain_print_head(const struct chain_head *h, char out[CHAIN_HEAD_LINE + 1])
{
	(void)snprintf(out, CHAIN_HEAD_LINE + 1, "%020llu %s\n", (unsigned long long)h->seq, h->hash);
}

int
chain_parse_head(struct chain_head *h, const char *text, size_t len)
{
	enum { SEQ = 20 };

	if (len != CHAIN_HEAD_LINE || text[SEQ] != ' ' || text[len - 1] != '\n')
		return -1;
	memcpy(h->hash, text + SEQ + 1, HEX);
	h->hash[HEX] = '\0';
	h->seq = 0;
	for (size_t i = 0; i < SEQ; i++) {
		if (text[i] < '0' || text[i] > '9' || h->seq > (uint64_t)INT64_MAX / 10 - 1)
			return -1;
		h->seq = h->seq * 10 + (uint64_t)(text[i] - '0');
	}
	return chain_is_hash(h->hash) ? 0 : -1;
}

size_t
chain_signed_text(uint64_t seq, const char *prev, const char *time, char out[CHAIN_TEXT_MAX])
{
	int n = snprintf(out, CHAIN_TEXT_MAX, "dind-proxy audit checkpoint 1\nseq %llu\nprev %s\ntime %s\n",
	    (unsigned long long)seq, prev, time);

	return n < 0 ? 0 : n < CHAIN_TEXT_MAX ? (size_t)n : CHAIN_TEXT_MAX - 1;
}
