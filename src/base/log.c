#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *program;
	enum log_level least;
	int journal;
} to = { "dind-proxy", LOG_LEVEL_INFO, 0 };

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warning", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void
log_setup(const char *program, enum log_level least, int journal)
{
	to.program = program;
	to.least = least;
	to.journal = journal;
}

void
log_set_level(enum log_level least)
{
	to.least = least;
}

enum log_level
log_level_of(const char *word)
{
	static const char *const words[] = { "error", "warn", "info", "debug" };
	size_t i = 0;

	while (i < 3 && strcmp(words[i], word) != 0)
		i++;
	return (enum log_level)i;
}

void
log_write(enum log_level level, const char *part, const char *fmt, ...)
{
	char text[2048], line[2304];
	va_list ap;
	int n;

	if (level > to.least)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' '; /* one event stays one line */
	if (to.journal)
		n = snprintf(line, sizeof line, "<%d>%s: %s\n", levels[level].priority, part, text);
	else
		n = snprintf(
		    line, sizeof line, "%s: %s: %s: %s\n", to.program, levels[level].name, part, text);
	if (n > 0) {
		ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);

		(void)ignored; /* nobody is left to tell */
	}
}

const char *
log_quote(const void *bytes, size_t len, char *out, size_t size)
{
	const unsigned char *p = bytes;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int plain = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\';

		if (n + 8 > size) { /* the longest escape, the dots and the end */
			n += (size_t)snprintf(out + n, size - n, "...");
			return out;
		}
		if (plain)
			out[n++] = (char)p[i];
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", p[i]);
	}
	out[n] = '\0';
	return out;
}
