/*
 * What an upload has reached, a JSON object a line, each on the disk before it counts. The last member of a
 * line is the CRC-32 of what is before it: a line that is not whole never happened, nor does any behind it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "s3_private.h"

enum { JOURNAL_MAX = 16 * 1024 * 1024, /* far above 10,000 parts */ CRC_LEN = 8 };

static const char crc_key[] = ",\"crc\":\"";

static uint32_t
crc32(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t crc = 0xffffffff;

	for (; len > 0; len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* {"a":1} -> {"a":1,"crc":"xxxxxxxx"} and a newline */
static void
print_line(const json_t *line, struct buf *out)
{
	char *text = json_text(line, 1);
	size_t len = strlen(text) - 1;

	buf_printf(out, "%.*s%s%08x\"}\n", (int)len, text, crc_key, crc32(text, len));
	free(text);
}

/* The object of a line without its newline; NULL when it is damaged. */
static json_t *
read_line(const char *text, size_t len)
{
	size_t tail = sizeof crc_key - 1 + CRC_LEN + 2;
	char want[CRC_LEN + 1];
	struct err e;

	if (len <= tail || memcmp(text + len - tail, crc_key, sizeof crc_key - 1) != 0)
		return NULL;
	(void)snprintf(want, sizeof want, "%08x", crc32(text, len - tail));
	if (memcmp(text + len - CRC_LEN - 2, want, CRC_LEN) != 0)
		return NULL;
	return json_parse(text, len, &e);
}

/* Returns how many bytes are good. */
static size_t
play(const char *text, size_t len, s3_journal_cb *cb, void *arg)
{
	size_t good = 0;
	const char *end;

	while ((end = memchr(text + good, '\n', len - good)) != NULL) {
		json_t *line = read_line(text + good, (size_t)(end - text) - good);

		if (line == NULL)
			break;
		cb(arg, line);
		json_decref(line);
		good = (size_t)(end - text) + 1;
	}
	return good;
}

static int
sync_parent(const char *path, struct err *e)
{
	char *dir = mem_strn(path, (size_t)(strrchr(path, '/') - path));
	int rc = fs_sync_dir(dir, e);

	free(dir);
	return rc;
}

int
s3_journal_open(struct s3_journal *j, const char *path, s3_journal_cb *cb, void *arg, struct err *e)
{
	struct buf text = { 0 };
	size_t good = 0;
	int rc = -1;

	j->path = mem_str(path);
	j->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return err_set(e, errno, "cannot open '%s': %m", path);
	if (sync_parent(path, e) == 0 && fs_read(path, JOURNAL_MAX, &text, e) == 0) {
		if (buf_len(&text) > 0)
			good = play((const char *)buf_ptr(&text), buf_len(&text), cb, arg);
		rc = ftruncate(j->fd, (off_t)good) < 0 ? err_set(e, errno, "cannot cut '%s': %m", path) : 0;
	}
	buf_done(&text);
	return rc;
}

int
s3_journal_add(struct s3_journal *j, json_t *line, struct err *e)
{
	struct buf text = { 0 };
	int rc;

	print_line(line, &text);
	rc = fs_write_all(j->fd, buf_ptr(&text), buf_len(&text), e);
	if (rc == 0 && fdatasync(j->fd) < 0)
		rc = err_set(e, errno, "fdatasync: %m");
	buf_done(&text);
	json_decref(line);
	return rc == 0 ? 0 : err_wrap(e, "cannot write '%s'", j->path);
}

int
s3_journal_reset(struct s3_journal *j, struct err *e)
{
	if (ftruncate(j->fd, 0) < 0 || fdatasync(j->fd) < 0)
		return err_set(e, errno, "cannot empty '%s': %m", j->path);
	return 0;
}

void
s3_journal_done(struct s3_journal *j, int forget)
{
	if (j->fd >= 0)
		close(j->fd);
	if (forget && j->path != NULL)
		(void)unlink(j->path);
	free(j->path);
	*j = (struct s3_journal){ .fd = -1 };
}
