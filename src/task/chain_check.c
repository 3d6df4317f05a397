/* Follows a chain line by line, and says what does not fit. Lines are hostile: whoever could write the file.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sign.h"
#include "task/chain.h"

struct place {
	const char *file;
	unsigned long line;
};

struct chain_check {
	const struct sign_key *key;
	char key_id[SIGN_ID_MAX];
	const struct chain_head *head;
	chain_found_cb *found;
	void *arg;
	struct chain_sum sum;
	struct hash *hash;
	struct chain_head last;
	struct place at;   /* of last */
	struct hash *torn; /* bytes that are no record, and where they began; NULL: none */
	struct place torn_at;
	uint64_t torn_bytes;
};

struct chain_check *
chain_check_new(const struct sign_key *key, const struct chain_head *head, chain_found_cb *found, void *arg)
{
	struct chain_check *c = mem_new(sizeof *c);

	*c = (struct chain_check){ .key = key, .head = head, .found = found, .arg = arg };
	chain_begin(&c->last);
	c->hash = hash_new(HASH_SHA256);
	if (key != NULL)
		sign_key_id(key, c->key_id);
	return c;
}

static void __attribute__((format(printf, 3, 4)))
tell(struct chain_check *c, struct place at, const char *fmt, ...)
{
	char text[400];
	va_list args;

	c->sum.found++;
	if (c->found == NULL)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	c->found(c->arg, at.file, at.line, text);
}

/* ---- bytes that are no record ---- */

static void
keep_torn(struct chain_check *c, struct place at, const char *line, size_t len)
{
	if (c->torn == NULL) {
		c->torn = hash_new(HASH_SHA256);
		c->torn_at = at;
		c->torn_bytes = 0;
	} else {
		hash_add(c->torn, "\n", 1);
		c->torn_bytes++;
	}
	hash_add(c->torn, line, len);
	c->torn_bytes += len;
}

/* They are what a crash left when the next record, which is chained, says so with their hash. */
static void
judge_torn(struct chain_check *c, const json_t *next)
{
	const json_t *torn = json_object_get(next, "torn");
	char hex[HASH_HEX_MAX];

	if (c->torn == NULL) {
		if (torn != NULL)
			tell(c, c->at, "tells of torn bytes before it, which are not there");
		return;
	}
	hash_hex(c->torn, hex);
	c->torn = NULL;
	if (torn == NULL || strcmp(json_str(next, "event", ""), "log") != 0)
		tell(c, c->torn_at,
		    "is not a record, and the record after it does not say that a write was torn");
	else if (json_num(torn, "bytes", -1) != (json_int_t)c->torn_bytes ||
	         strcmp(json_str(torn, "sha256", ""), hex) != 0)
		tell(c, c->torn_at, "torn bytes are not those that the record after them tells of");
}

/* ---- links ---- */

static void
check_first(struct chain_check *c, const struct chain_head *now, const char *prev)
{
	struct chain_head zero;

	chain_begin(&zero);
	c->sum.first = now->seq;
	if (now->seq == 1 && strcmp(prev, zero.hash) != 0)
		tell(c, c->at, "is record 1, but says that there was one before it");
}

static void
check_link(struct chain_check *c, const struct chain_head *now, const char *prev, struct place before)
{
	unsigned long long was = c->last.seq, is = now->seq;
	char where[300];

	(void)snprintf(where, sizeof where, "%s line %lu", before.file, before.line);
	if (is == was + 1 && strcmp(prev, c->last.hash) != 0)
		tell(c, c->at, "record %llu does not follow %s: one of the two was changed", is, where);
	else if (is == was + 2)
		tell(c, c->at, "record %llu is missing between %s and this one", was + 1, where);
	else if (is > was + 2)
		tell(c, c->at, "records %llu to %llu are missing between %s and this one", was + 1, is - 1,
		    where);
	else if (is <= was)
		tell(c, c->at, "record %llu stands behind record %llu (%s): inserted, repeated or moved", is,
		    was, where);
}

static void
check_head(struct chain_check *c, const struct chain_head *now)
{
	if (c->head != NULL && now->seq == c->head->seq && strcmp(now->hash, c->head->hash) != 0)
		tell(c, c->at, "is not the record %llu that was written: the head of the chain says so",
		    (unsigned long long)now->seq);
}

/* ---- signatures ---- */

static int
from_hex(const char *text, uint8_t *out, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	if (text == NULL || strlen(text) != 2 * len || strspn(text, digits) != 2 * len)
		return -1;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
		                   (strchr(digits, text[2 * i + 1]) - digits));
	return 0;
}

static void
check_signature(struct chain_check *c, const json_t *record, uint64_t seq, const char *prev)
{
	const char *by = json_str(record, "key", "");
	char text[CHAIN_TEXT_MAX];
	uint8_t signature[SIGN_LEN];
	size_t len;

	c->sum.checkpoints++;
	if (c->key == NULL)
		return;
	len = chain_signed_text(seq, prev, json_str(record, "time", ""), text);
	if (strcmp(by, c->key_id) != 0)
		tell(c, c->at, "the checkpoint is not signed with this key");
	else if (from_hex(json_str(record, "sig", NULL), signature, sizeof signature) < 0 ||
	         !sign_is_good(c->key, text, len, signature, sizeof signature))
		tell(c, c->at, "the checkpoint's signature is wrong: records since %s were written anew",
		    c->sum.last_good ? "the last good one" : "the beginning");
	else {
		c->sum.good++;
		c->sum.last_good = seq;
	}
}

/* What the service found at its own log; it is no less wrong for being told. */
static void
check_told(struct chain_check *c, const json_t *record)
{
	json_int_t missing = json_num(record, "missing", 0);

	if (strcmp(json_str(record, "event", ""), "log") != 0 ||
	    strcmp(json_str(record, "what", ""), "resumed") != 0)
		return;
	c->sum.resumed++;
	if (json_is_true(json_object_get(record, "changed")))
		tell(c, c->at, "the service found at its start that the record before was changed");
	if (missing > 0)
		tell(c, c->at, "the service found at its start that %lld records before were missing",
		    (long long)missing);
}

/* ---- lines ---- */

static void
take_record(struct chain_check *c, struct place at, const json_t *record, const struct chain_head *now)
{
	const char *prev = json_str(record, "prev", "");
	struct place before = c->at;

	c->at = at;
	judge_torn(c, record);
	if (c->sum.records++ == 0)
		check_first(c, now, prev);
	else
		check_link(c, now, prev, before);
	check_head(c, now);
	check_told(c, record);
	if (strcmp(json_str(record, "event", ""), "checkpoint") == 0)
		check_signature(c, record, now->seq, prev);
	c->last = *now;
	c->sum.last = now->seq;
}

void
chain_check_line(
    struct chain_check *c, const char *file, unsigned long number, const char *line, size_t len, int whole)
{
	struct place at = { file, number };
	struct err ignored;
	json_t *record = whole && len <= CHAIN_LINE_MAX ? json_parse(line, len, &ignored) : NULL;
	struct chain_head now = { .seq = (uint64_t)json_num(record, "seq", 0) };
	char hex[HASH_HEX_MAX];

	if (json_num(record, "seq", 0) > 0 && chain_is_hash(json_str(record, "prev", NULL))) {
		hash_piece(c->hash, line, len, hex);
		memcpy(now.hash, hex, sizeof now.hash);
		take_record(c, at, record, &now);
	} else {
		keep_torn(c, at, line, len);
	}
	json_decref(record);
}

static void
check_end(struct chain_check *c)
{
	unsigned long long was = c->last.seq, end = c->head != NULL ? c->head->seq : 0;

	if (c->torn != NULL)
		tell(c, c->torn_at,
		    "is not a record, and none follows: torn by a crash that the service has not seen yet, "
		    "or "
		    "edited");
	hash_free(c->torn);
	if (end > was && c->sum.records > 0)
		tell(c, c->at, "records %llu to %llu are missing at the end", was + 1, end);
	else if (end > 0 && c->sum.records == 0)
		tell(c, c->at, "there is no record, but %llu were written", end);
}

void
chain_check_end(struct chain_check *c, struct chain_sum *sum)
{
	check_end(c);
	*sum = c->sum;
	hash_free(c->hash);
	free(c);
}
