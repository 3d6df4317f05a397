#include "task/chain.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/settings.h"
#include "base/sign.h"
#include "scratch.h"
#include "tap.h"
#include "task/audit.h"

/* RFC 8410's example key, and its other half. */
static const char private_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                                  "-----END PRIVATE KEY-----\n";

enum { LINES = 8 };

/* A good chain to spoil: lines without newlines. The fifth is a checkpoint. */
static char *lines[LINES];
static struct sign_key *key;

static char *
record(const struct chain_head *h, const char *more)
{
	return mem_printf("{\"time\":\"2026-11-23T12:00:00.000Z\",\"seq\":%llu,\"prev\":\"%s\",%s}",
	    (unsigned long long)h->seq + 1, h->hash, more);
}

static char *
checkpoint(const struct chain_head *h)
{
	char text[CHAIN_TEXT_MAX], id[SIGN_ID_MAX], hex[2 * SIGN_LEN + 1], *more, *line;
	uint8_t sig[SIGN_LEN];

	sign_key_id(key, id);
	sign_bytes(key, text, chain_signed_text(h->seq + 1, h->hash, "2026-11-23T12:00:00.000Z", text), sig);
	for (size_t i = 0; i < SIGN_LEN; i++)
		(void)sprintf(hex + 2 * i, "%02x", sig[i]);
	more = mem_printf("\"event\":\"checkpoint\",\"key\":\"%s\",\"sig\":\"%s\"", id, hex);
	line = record(h, more);
	free(more);
	return line;
}

static void
make_chain(void)
{
	struct chain_head h;

	chain_begin(&h);
	for (size_t i = 0; i < LINES; i++) {
		char more[32];

		(void)snprintf(more, sizeof more, "\"rule\":\"r%zu\"", i);
		lines[i] = i == 4 ? checkpoint(&h) : record(&h, more);
		is_int(chain_read(lines[i], strlen(lines[i]), &h), 0, "a record is a record");
	}
}

/* The order of lines, 1 to 8; '-' torn bytes, '!' the line before it with a letter changed. */
static const struct {
	const char *order;
	int with_key, with_head;
	const char *want; /* of the first that is found; NULL: nothing is */
	int found;
} rows[] = {
	{ "12345678", 1, 1, NULL, 0 },
	{ "12345678", 0, 0, NULL, 0 },
	{ "345678", 1, 1, NULL, 0 },
	{ "12!345678", 0, 0, "f:3: record 3 does not follow f line 2: one of the two was changed", 1 },
	{ "12345678!", 0, 0, NULL, 0 }, /* the last one: nothing follows that knew it */
	{ "12345678!", 0, 1, "f:8: is not the record 8 that was written: the head of the chain says so", 1 },
	{ "1245678", 0, 0, "f:3: record 3 is missing between f line 2 and this one", 1 },
	{ "1278", 0, 0, "f:3: records 3 to 6 are missing between f line 2 and this one", 1 },
	{ "1234567", 0, 0, NULL, 0 },
	{ "1234567", 0, 1, "f:7: records 8 to 8 are missing at the end", 1 },
	{ "", 0, 1, "(null):0: there is no record, but 8 were written", 1 },
	{ "12435678", 0, 0, "f:3: record 3 is missing between f line 2 and this one", 3 },
	{ "122345678", 0, 0, "f:3: record 2 stands behind record 2 (f line 2): inserted, repeated or moved",
	    1 },
	{ "12-345678", 0, 0,
	    "f:3: is not a record, and the record after it does not say that a write was torn", 1 },
	{ "12345678-", 0, 0, "f:9: is not a record, and none follows", 1 },
	{ "12345!678", 1, 1, "f:5: the checkpoint's signature is wrong: records since the beginning", 2 },
	{ "12345678", 2, 1, "f:5: the checkpoint is not signed with this key", 1 },
};

static char first[600];

static void
on_found(void *arg, const char *file, unsigned long line, const char *text)
{
	int *n = arg;

	if ((*n)++ == 0)
		(void)snprintf(first, sizeof first, "%s:%lu: %s", file != NULL ? file : "(null)", line, text);
}

/* In a checkpoint the signature, in others the rule. */
static void
spoil(char *line)
{
	char *at = strstr(line, "\"rule\":\"r");

	if (at != NULL)
		at[9]++;
	else
		line[strlen(line) - 3] ^= 1;
}

static void
feed(struct chain_check *c, const char *order)
{
	unsigned long n = 0;

	for (; *order != '\0'; order++) {
		char *line = *order == '-' ? mem_str("{\"time\":\"20") : mem_str(lines[*order - '1']);

		if (order[1] == '!') {
			spoil(line);
			order++;
		}
		chain_check_line(c, "f", ++n, line, strlen(line), 1);
		free(line);
	}
}

static void
test_check(void)
{
	struct err e = { 0 };
	struct sign_key *other = sign_key_parse(
	    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
	    "-----END PUBLIC KEY-----\n",
	    113, SIGN_PUBLIC, &e);
	struct chain_head head;
	struct chain_sum sum;

	(void)chain_read(lines[LINES - 1], strlen(lines[LINES - 1]), &head);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int n = 0;
		const struct sign_key *with = rows[i].with_key == 1   ? key
		                              : rows[i].with_key == 2 ? other
		                                                      : NULL;
		struct chain_check *c = chain_check_new(with, rows[i].with_head ? &head : NULL, on_found, &n);

		first[0] = '\0';
		feed(c, rows[i].order);
		chain_check_end(c, &sum);
		is_int(n, rows[i].found, rows[i].order);
		if (rows[i].want != NULL &&
		    !ok(strncmp(first, rows[i].want, strlen(rows[i].want)) == 0, "what is found"))
			printf("#  got: %s\n# want: %s\n", first, rows[i].want);
	}
	sign_key_free(other);
}

/* Whoever rewrites all that follows a change needs the key, or the head, to go unseen. */
static void
test_rewritten(void)
{
	struct chain_head h, end;
	struct chain_sum sum;
	struct chain_check *c[3];
	int n[3] = { 0 };

	(void)chain_read(lines[LINES - 1], strlen(lines[LINES - 1]), &end);
	c[0] = chain_check_new(NULL, NULL, on_found, &n[0]);
	c[1] = chain_check_new(key, NULL, on_found, &n[1]);
	c[2] = chain_check_new(NULL, &end, on_found, &n[2]);
	chain_begin(&h);
	for (unsigned long i = 0; i < LINES; i++) {
		const char *event = strstr(lines[i], ",\"event\"");
		char *line =
		    event != NULL
		        ? mem_printf("{\"time\":\"2026-11-23T12:00:00.000Z\",\"seq\":%lu,\"prev\":\"%s\"%s",
		              i + 1, h.hash, event)
		        : record(&h, i == 2 ? "\"rule\":\"other\"" : "\"rule\":\"r\"");

		for (size_t k = 0; k < 3; k++)
			chain_check_line(c[k], "f", i + 1, line, strlen(line), 1);
		(void)chain_read(line, strlen(line), &h);
		free(line);
	}
	for (size_t k = 0; k < 3; k++)
		chain_check_end(c[k], &sum);
	is_int(n[0], 0, "a chain that was written anew: not found without key and head");
	is_int(n[1], 1, "found with the key");
	is_int(n[2], 1, "found with the head");
}

static void
test_forms(void)
{
	static const char *const bad[] = { "", "1 2\n",
		"00000000000000000001 0000000000000000000000000000000000000000000000000000000000000000",
		"99999999999999999999 0000000000000000000000000000000000000000000000000000000000000000\n",
		"0000000000000000000x 0000000000000000000000000000000000000000000000000000000000000000\n",
		"00000000000000000001 000000000000000000000000000000000000000000000000000000000000000G\n" };
	static const char *const no_record[] = { "", "{}", "[]", "{\"seq\":1}", "{\"seq\":0,\"prev\":\"\"}",
		"{\"seq\":1,\"prev\":\"00\"}", "{\"seq\":-1}", "{\"seq\":1,\"seq\":1}" };
	struct chain_head h = { .seq = 12345 }, got;
	char text[CHAIN_HEAD_LINE + 1];

	memset(h.hash, 'a', sizeof h.hash - 1);
	chain_print_head(&h, text);
	is_int(strlen(text), CHAIN_HEAD_LINE, "a head has one length");
	is_int(chain_parse_head(&got, text, strlen(text)), 0, "and is read back");
	ok(got.seq == h.seq && strcmp(got.hash, h.hash) == 0, "as it was");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		is_int(chain_parse_head(&got, bad[i], strlen(bad[i])), -1, "no head");
	for (size_t i = 0; i < sizeof no_record / sizeof no_record[0]; i++)
		is_int(chain_read(no_record[i], strlen(no_record[i]), &got), -1, "no record");
}

/* ---- what audit writes is such a chain ---- */

static struct settings settings;

static struct audit *
open_log(void)
{
	struct err e = { 0 };
	struct audit *a = audit_open(&settings, -1, &e);

	ok(a != NULL, e.text);
	return a;
}

static int
write_rule(struct audit *a, const char *rule)
{
	struct err e = { 0 };
	char *members = mem_printf("\"rule\":\"%s\"", rule);
	int rc = audit_append(a, NULL, members, strlen(members), &e);

	free(members);
	return rc;
}

static int
check_line(void *arg, unsigned long number, const char *line, size_t len, int whole)
{
	chain_check_line(arg, "audit.jsonl", number, line, len, whole);
	return 0;
}

static struct chain_sum
check_log(const char *name)
{
	char *path = mem_printf("%s/%s", settings.audit_dir, name);
	int n = 0;
	struct chain_check *c = chain_check_new(NULL, NULL, on_found, &n);
	struct chain_sum sum;
	struct err e = { 0 };

	first[0] = '\0';
	is_int(audit_lines(path, check_line, c, &e), 0, "read");
	chain_check_end(c, &sum);
	free(path);
	return sum;
}

static void
is_good(uint64_t records, uint64_t resumed, const char *what)
{
	struct chain_sum sum = check_log("audit.jsonl");

	is_int(sum.found, 0, first[0] ? first : what);
	is_int(sum.records, records, "records");
	is_int(sum.resumed, resumed, "of them tell of damage");
}

/* Torn in every place: behind a whole line, inside of one, and before its newline. */
static void
test_torn(void)
{
	static const char *const torn[] = { "x", "{\"time\":\"2026-", "two\nlines", "#torn", "\n\n" };
	uint64_t records = 0, resumed = 0;
	struct audit *a;

	for (size_t i = 0; i < sizeof torn / sizeof torn[0]; i++) {
		a = open_log();
		is_int(write_rule(a, "before"), 0, "written");
		audit_close(a);
		scratch_append("log/audit.jsonl", torn[i]);
		a = open_log();
		is_int(write_rule(a, "after"), 0, "written");
		audit_close(a);
		records += 3;
		is_good(records, ++resumed, "torn bytes have their record");
	}
}

/* A crash may leave a whole record but for its newline: it was never said to be written. */
static void
test_torn_newline(void)
{
	char *text = scratch_read("log/audit.jsonl"), *path = scratch_path("log/audit.jsonl");
	struct chain_sum sum = check_log("audit.jsonl");
	struct audit *a;

	is_int(truncate(path, (off_t)strlen(text) - 1), 0, "without its newline");
	a = open_log();
	is_int(write_rule(a, "after"), 0, "written");
	audit_close(a);
	is_good(sum.records + 1, sum.resumed + 1, "a record without its newline is torn");
	free(text);
	free(path);
}

/* Every size of file that the disk may have room for. */
static void
test_full(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, full;
	char *text = scratch_read("log/audit.jsonl");
	size_t size = strlen(text);
	uint64_t before = check_log("audit.jsonl").records;
	struct audit *a = open_log();
	struct chain_sum sum;

	signal(SIGXFSZ, SIG_IGN);
	for (size_t more = 0; more < 700; more += 7) {
		full = (struct rlimit){ size + more, RLIM_INFINITY };
		setrlimit(RLIMIT_FSIZE, &full);
		(void)write_rule(a, "r");
		(void)write_rule(a, "r");
	}
	setrlimit(RLIMIT_FSIZE, &none);
	is_int(write_rule(a, "last"), 0, "then there is room again");
	audit_close(a);
	sum = check_log("audit.jsonl");
	is_int(sum.found, 0, first[0] ? first : "all that was torn has its record");
	ok(sum.records > before && sum.resumed > 1, "records were written in between");
	free(text);
}

static void
test_append_limits(void)
{
	struct audit *a = open_log();
	struct err e = { 0 };
	char *big = mem_new(AUDIT_MEMBERS_MAX + 2);

	memset(big, 'x', AUDIT_MEMBERS_MAX + 1);
	memcpy(big, "\"k\":\"", 5);
	big[AUDIT_MEMBERS_MAX - 1] = '"';
	is_int(audit_append(a, NULL, big, AUDIT_MEMBERS_MAX, &e), 0, "the longest");
	is_int(audit_append(a, NULL, big, AUDIT_MEMBERS_MAX + 1, &e), -1, "longer");
	audit_close(a);
	is_int(check_log("audit.jsonl").found, 0, first[0] ? first : "it is a record");
	free(big);
}

int
main(void)
{
	struct err e = { 0 };

	scratch_make();
	settings_init(&settings);
	free(settings.audit_dir);
	settings.audit_dir = scratch_path("log");
	key = sign_key_parse(private_key, sizeof private_key - 1, SIGN_PRIVATE, &e);
	ok(key != NULL, e.text);
	make_chain();
	test_forms();
	test_check();
	test_rewritten();
	test_torn();
	test_torn_newline();
	test_full();
	test_append_limits();
	for (size_t i = 0; i < LINES; i++)
		free(lines[i]);
	sign_key_free(key);
	settings_done(&settings);
	scratch_remove();
	return tap_end();
}
