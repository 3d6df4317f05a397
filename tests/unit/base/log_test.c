#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

static const struct {
	const char *bytes;
	size_t len, size;
	const char *want;
} quotes[] = {
	{ "plain text", 10, 64, "plain text" },
	{ "", 0, 64, "" },
	{ "a\"b\\c", 5, 64, "a\\x22b\\x5cc" },
	{ "\r\n\t\0\x1b[2J", 8, 64, "\\x0d\\x0a\\x09\\x00\\x1b[2J" },
	{ "\x7f\x80\xff", 3, 64, "\\x7f\\x80\\xff" },
	{ "\xe2\x80\xae", 3, 64, "\\xe2\\x80\\xae" },
	{ "%s%n", 4, 64, "%s%n" },
	{ "0123456789", 10, 16, "012345678..." },
	{ "01234567", 8, 16, "01234567" },
	{ "\n\n\n\n", 4, 16, "\\x0a\\x0a\\x0a..." },
	{ "a", 1, 8, "a" },
	{ "ab", 2, 8, "a..." },
};

static void
test_quote(void)
{
	char out[64];

	for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
		memset(out, 'Z', sizeof out);
		is_str(
		    log_quote(quotes[i].bytes, quotes[i].len, out, quotes[i].size), quotes[i].want, "quoted");
		ok(quotes[i].size == sizeof out || out[quotes[i].size] == 'Z', "and no byte further");
	}
}

/* What a call prints on stderr. */
static FILE *caught;
static int saved;

static void
catch_start(void)
{
	(void)fflush(stderr);
	saved = dup(STDERR_FILENO);
	caught = tmpfile();
	(void)dup2(fileno(caught), STDERR_FILENO);
}

static const char *
catch_end(void)
{
	static char text[8192];
	size_t n;

	(void)dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(caught);
	n = fread(text, 1, sizeof text - 1, caught);
	text[n] = '\0';
	fclose(caught);
	return text;
}

static void
test_lines(void)
{
	char big[5000];

	log_setup("prog", LOG_LEVEL_INFO, 0);
	catch_start();
	log_error("part", "a=%d", 1);
	log_warn("part", "one\ntwo\rthree");
	log_debug("part", "not printed");
	is_str(catch_end(), "prog: error: part: a=1\nprog: warning: part: one two three\n",
	    "one event, one line");

	log_setup("prog", LOG_LEVEL_DEBUG, 1);
	catch_start();
	log_error("part", "e");
	log_warn("part", "w");
	log_info("part", "i");
	log_debug("part", "d");
	is_str(catch_end(), "<3>part: e\n<4>part: w\n<6>part: i\n<7>part: d\n", "the journal's prefixes");

	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	catch_start();
	log_info("part", "%s", big);
	ok(strlen(catch_end()) < 2400, "a long text is cut");
}

int
main(void)
{
	test_quote();
	test_lines();
	return tap_end();
}
