#include "audit_journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { ROOM = 256 * 1024 }; /* bytes that may wait in the socket: some hundred records */

struct journal {
	int fd; /* not connected: journald's socket may be made anew */
	unsigned long left_out;
};

static const char *const fields[][2] = {
	{ "event", "DIND_EVENT" },
	{ "what", "DIND_WHAT" },
	{ "task", "DIND_TASK" },
	{ "run", "DIND_RUN" },
	{ "id", "DIND_ID" },
	{ "decision", "DIND_DECISION" },
	{ "rule", "DIND_RULE" },
	{ "seq", "DIND_SEQ" },
};

struct journal *
journal_new(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), room = ROOM;
	struct journal *j;

	if (fd < 0)
		return NULL;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	j = mem_new(sizeof *j);
	j->fd = fd;
	return j;
}

void
journal_free(struct journal *j)
{
	if (j != NULL)
		close(j->fd);
	free(j);
}

/* One past the end of the JSON value at p: a string, or all up to the comma or bracket that ends it. */
static const char *
value_end(const char *p, const char *end)
{
	int depth = 0, text = 0;

	for (; p < end; p++) {
		if (text && *p == '\\')
			p++;
		else if (*p == '"')
			text = !text;
		else if (text)
			continue;
		else if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']' || *p == ',') && depth == 0)
			return p;
		else if (*p == '}' || *p == ']')
			depth--;
	}
	return end;
}

const char *
journal_member(const char *line, size_t len, const char *key, size_t *value_len)
{
	const char *end = line + len, *p = line + 1;
	size_t n = strlen(key);

	*value_len = 0;
	while (p < end && *p == '"') {
		const char *colon = memchr(p, ':', (size_t)(end - p)), *value = colon + 1, *stop;

		if (colon == NULL)
			break;
		stop = value_end(value, end);
		if ((size_t)(colon - p) == n + 2 && memcmp(p + 1, key, n) == 0) {
			int text = stop - value >= 2 && *value == '"';

			*value_len = (size_t)(stop - value) - (text ? 2 : 0);
			return value + text;
		}
		p = stop + 1;
	}
	return "";
}

static int
send_to_journal(const struct journal *j, const char *text, size_t len)
{
	const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };

	return sendto(j->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to,
	           sizeof to) == (ssize_t)len
	           ? 0
	           : -1;
}

static void
tell_left_out(struct journal *j)
{
	char text[256];
	int n = snprintf(text, sizeof text,
	    "SYSLOG_IDENTIFIER=dind-audit\nPRIORITY=4\nDIND_LEFT_OUT=%lu\n"
	    "MESSAGE=%lu audit records are not in the journal, which did not take them; audit.jsonl has "
	    "them\n",
	    j->left_out, j->left_out);

	if (send_to_journal(j, text, (size_t)n) == 0)
		j->left_out = 0;
}

void
journal_send(struct journal *j, const char *line, size_t len)
{
	char text[16 * 1024];
	size_t at, n;
	const char *v = journal_member(line, len, "decision", &n);

	at = (size_t)snprintf(text, sizeof text, "SYSLOG_IDENTIFIER=dind-audit\nPRIORITY=%d\nMESSAGE=%.*s\n",
	    n == 4 && memcmp(v, "deny", 4) == 0 ? 5 : 6, (int)len, line);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		v = journal_member(line, len, fields[i][0], &n);
		if (n > 0 && at + n + 32 < sizeof text)
			at += (size_t)snprintf(
			    text + at, sizeof text - at, "%s=%.*s\n", fields[i][1], (int)n, v);
	}
	if (send_to_journal(j, text, at) < 0)
		j->left_out++;
	else if (j->left_out > 0)
		tell_left_out(j);
}
