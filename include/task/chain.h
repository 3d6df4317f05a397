#ifndef TASK_CHAIN_H
#define TASK_CHAIN_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct sign_key;

/*
 * The chain of the audit log. Each record carries "seq", one more than the record before it, and "prev", the
 * SHA-256 (hex) of the line before it without its newline; of the first record of a host 64 zeros. A
 * checkpoint is a record with "event": "checkpoint", the "key" that signed it (its id, base/sign.h) and
 * "sig", hex, over the text that chain_signed_text() makes of its own seq, prev and time: it vouches for
 * every line before it.
 *
 * Bytes that a crash or a full disk left are no record and have no place in the chain. The next record is
 * an "event": "log", "what": "resumed" with "torn": {"bytes", "sha256", "text"}, the hash being of those
 * bytes from the end of the last record to the newline that ends them.
 */
#define CHAIN_TORN_END "#torn\n" /* what ends torn bytes, so that they are never a record by chance */

enum { CHAIN_HASH_MAX = 65, CHAIN_LINE_MAX = 4096, CHAIN_TEXT_MAX = 256 };

struct chain_head { /* of the last record; seq 0 and zeros before the first */
	uint64_t seq;
	char hash[CHAIN_HASH_MAX];
};

void chain_begin(struct chain_head *h);
int chain_is_hash(const char *s);

/* 0 and the head that a record (a line without its newline) is; -1 when it is none. */
int chain_read(const char *line, size_t len, struct chain_head *out);

/* As the file <stateDir>/audit/head holds it: one line of a fixed length. */
enum { CHAIN_HEAD_LINE = 86 };
void chain_print_head(const struct chain_head *h, char out[CHAIN_HEAD_LINE + 1]);
int chain_parse_head(struct chain_head *h, const char *text, size_t len);

/* What a checkpoint's signature is made over; returns its length. */
size_t chain_signed_text(uint64_t seq, const char *prev, const char *time, char out[CHAIN_TEXT_MAX]);

/* ---- checking ---- */

/* What is wrong, and where: called for each. The text is printable ASCII. */
typedef void chain_found_cb(void *arg, const char *file, unsigned long line, const char *text);

struct chain_sum {
	uint64_t records, first, last; /* first and last: seq */
	uint64_t checkpoints;          /* all of them */
	uint64_t good;                 /* with a good signature; without a key: 0 */
	uint64_t last_good;            /* seq of the last of those, 0 = none */
	uint64_t resumed;              /* records that tell of torn, missing or refused ones */
	uint64_t found;                /* how much is wrong */
};

struct chain_check;

/* Both may be NULL: without a key no signature is looked at, without a head the end is taken as it is. Both
 * are borrowed; found may be NULL. */
struct chain_check *
chain_check_new(const struct sign_key *key, const struct chain_head *head, chain_found_cb *found, void *arg);

/* The next line, without its newline; `file` is borrowed until the end. A last line of a file that has no
 * newline is given with whole = 0. */
void chain_check_line(
    struct chain_check *c, const char *file, unsigned long number, const char *line, size_t len, int whole);

/* After the last line of the last file; frees. */
void chain_check_end(struct chain_check *c, struct chain_sum *sum);

#endif
