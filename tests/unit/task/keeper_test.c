#include "task/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/settings.h"
#include "scratch.h"
#include "tap.h"
#include "task/audit.h"

static const char private_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                                  "-----END PRIVATE KEY-----\n";

static struct settings settings;
static pid_t pid;
static int fd;

static void
start(void)
{
	struct err e = { 0 };

	is_int(keeper_fork(&settings, &pid, &fd, &e), 0, e.text);
}

static void
stop(void)
{
	int status = -1;

	close(fd);
	waitpid(pid, &status, 0);
	is_int(status, 0, "it ends with the front");
}

static void
make_head(struct chain_head *h, uint64_t seq, char letter)
{
	h->seq = seq;
	memset(h->hash, letter, sizeof h->hash - 1);
	h->hash[sizeof h->hash - 1] = '\0';
}

static int
sign_at(uint64_t seq, char letter, int64_t time, struct keeper_answer *answer, struct err *e)
{
	struct keeper_ask ask = { .kind = KEEPER_SIGN };

	make_head(&ask.head, seq, letter);
	stamp_print(time, ask.time);
	return keeper_ask(fd, &ask, answer, e);
}

/* What the front may be made to say by whoever has taken it over. */
static void
test_refuses(void)
{
	static const struct {
		uint64_t seq;
		char letter;
		int64_t off; /* ms from now */
		int want;
		const char *text;
	} rows[] = {
		{ 7, 'a', 0, 0, "a checkpoint" },
		{ 7, 'a', 0, 0, "the same place again, as after a write that failed" },
		{ 7, 'b', 0, -1, "the same place with another past" },
		{ 6, 'a', 0, -1, "an older place" },
		{ 8, 'a', -3600 * 1000, -1, "another time" },
		{ 8, 'a', 3600 * 1000, -1, "a time to come" },
		{ 8, 'G', 0, -1, "no hash" },
		{ 9, 'a', 0, 0, "a later place" },
	};
	struct keeper_answer answer;
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		is_int(sign_at(rows[i].seq, rows[i].letter, stamp_now() + rows[i].off, &answer, &e),
		    rows[i].want, rows[i].text);
	is_int(send(fd, "x", 1, MSG_NOSIGNAL), 1, "a short ask is no ask");
	is_int(sign_at(10, 'a', stamp_now(), &answer, &e), 0, "and costs nothing");
}

static void
test_signature(void)
{
	struct err e = { 0 };
	struct sign_key *key = sign_key_parse(private_key, sizeof private_key - 1, SIGN_PRIVATE, &e);
	struct keeper_answer answer;
	struct chain_head h;
	char text[CHAIN_TEXT_MAX], now[STAMP_MAX];
	int64_t at = stamp_now();
	size_t len;

	make_head(&h, 11, 'c');
	stamp_print(at, now);
	is_int(sign_at(11, 'c', at, &answer, &e), 0, e.text);
	len = chain_signed_text(12, h.hash, now, text);
	ok(sign_is_good(key, text, len, answer.signature, SIGN_LEN), "it signs the record that follows");
	sign_key_free(key);
}

static void
test_head(void)
{
	const struct keeper_ask open = { .kind = KEEPER_OPEN };
	struct keeper_answer answer;
	struct chain_head h;
	struct err e = { 0 };

	make_head(&h, 12, 'd');
	is_int(keeper_tell(fd, &h, &e), 0, "told");
	stop();
	start();
	is_int(keeper_ask(fd, &open, &answer, &e), 0, e.text);
	is_int(answer.head.seq, 12, "the head outlives it");
	is_str(answer.head.hash, h.hash, "with its hash");
	is_int(strlen(answer.key), 64, "the key has an id");
	is_int(sign_at(11, 'c', stamp_now(), &answer, &e), -1, "and it still does not go back");
}

static size_t
count_files(void)
{
	DIR *d = opendir(settings.audit_dir);
	const struct dirent *f;
	size_t n = 0;

	while ((f = readdir(d)) != NULL)
		n += strncmp(f->d_name, "audit-", 6) == 0;
	closedir(d);
	return n;
}

static int
check_line(void *arg, unsigned long number, const char *line, size_t len, int whole)
{
	chain_check_line(arg, "f", number, line, len, whole);
	return 0;
}

static void
on_found(void *arg, const char *file, unsigned long line, const char *text)
{
	(void)arg;
	printf("# %s:%lu: %s\n", file, line, text);
}

/* The files that are left, in the order of their names. */
static struct chain_sum
check_files(const struct sign_key *key)
{
	struct chain_check *c = chain_check_new(key, NULL, on_found, NULL);
	struct dirent **names;
	struct chain_sum sum;
	struct err e = { 0 };
	int count = scandir(settings.audit_dir, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char *path = mem_printf("%s/%s", settings.audit_dir, names[i]->d_name);

		if (strncmp(names[i]->d_name, "audit-", 6) == 0)
			(void)audit_lines(path, check_line, c, &e);
		free(path);
		free(names[i]);
	}
	free(names);
	char *path = mem_printf("%s/audit.jsonl", settings.audit_dir);

	is_int(audit_lines(path, check_line, c, &e), 0, e.text);
	free(path);
	chain_check_end(c, &sum);
	return sum;
}

/* A whole log: rotated, cut to the newest files, signed, one chain. */
static void
test_rotation(void)
{
	static const char members[] =
	    "\"event\":\"test\",\"text\":\"................................................\"";
	struct err e = { 0 };
	struct sign_key *key = sign_key_parse(private_key, sizeof private_key - 1, SIGN_PRIVATE, &e);
	struct audit *a = audit_open(&settings, fd, &e);
	struct chain_sum sum;

	ok(a != NULL, e.text);
	for (int i = 0; a != NULL && i < 200; i++)
		if (audit_append(a, NULL, members, sizeof members - 1, &e) < 0)
			ok(0, e.text);
	is_int(audit_tick(a, &e), 0, e.text);
	audit_close(a);
	is_int(count_files(), 3, "as many old files as are kept");
	sum = check_files(key);
	is_int(sum.found, 0, "one chain over all files");
	ok(sum.first > 1 && sum.good == sum.checkpoints && sum.good >= 4, "each file ends with a checkpoint");
	is_int(sum.last, sum.last_good, "and the log with one");
	sign_key_free(key);
}

/* Bytes that are cut off while nothing runs: the next start says so. */
static void
test_cut(void)
{
	char *path = scratch_path("log/audit.jsonl"), *text = scratch_read("log/audit.jsonl");
	char *last = text + strlen(text) - 2;
	struct err e = { 0 };
	struct audit *a;

	for (int n = 0; n < 2; n++) /* two records */
		for (last--; *last != '\n'; last--)
			;
	is_int(truncate(path, last + 1 - text), 0, "cut");
	a = audit_open(&settings, fd, &e);
	is_int(audit_append(a, NULL, "\"event\":\"x\"", 11, &e), 0, e.text);
	audit_close(a);
	free(text);
	text = scratch_read("log/audit.jsonl");
	ok(strstr(text, "\"what\":\"resumed\",\"missing\":2}") != NULL, "it is missed");
	is_int(check_files(NULL).found, 2, "by verify, too, and by the service's word");
	free(text);
	free(path);
}

static void
test_not_full(void)
{
	struct keeper_ask ask = { .kind = KEEPER_ROTATE };
	struct keeper_answer answer;
	struct err e = { 0 };

	make_head(&ask.head, 100000, 'e');
	is_int(keeper_ask(fd, &ask, &answer, &e), -1, "a file that is not full stays");
	is_str(e.text, "audit.jsonl is not full", "and it says why");
}

static void
test_bad_key(void)
{
	const struct keeper_ask open = { .kind = KEEPER_OPEN };
	struct keeper_answer answer;
	struct err e = { 0 };

	scratch_write("key", "no key\n");
	(void)keeper_fork(&settings, &pid, &fd, &e);
	is_int(keeper_ask(fd, &open, &answer, &e), -1, "a key that is none");
	ok(strstr(e.text, "audit.key") != NULL, e.text);
	close(fd);
	waitpid(pid, NULL, 0);
	is_int(keeper_tell(-1, &answer.head, &e), -1, "nobody to tell");
}

int
main(void)
{
	char *path;

	scratch_make();
	settings_init(&settings);
	free(settings.audit_dir);
	free(settings.state_dir);
	free(settings.audit_key);
	settings.audit_dir = scratch_path("log");
	settings.state_dir = scratch_path("state");
	settings.audit_key = scratch_path("key");
	settings.audit_file_size = 8 * 1024;
	settings.audit_files = 3;
	settings.audit_checkpoint_records = 10;
	scratch_write("key", private_key);
	path = scratch_path("key");
	(void)chmod(path, 0600);
	free(path);
	start();
	test_refuses();
	test_signature();
	test_head();
	test_rotation();
	test_cut();
	test_not_full();
	stop();
	test_bad_key();
	settings_done(&settings);
	scratch_remove();
	return tap_end();
}
