#include "docker/layer.h"

#include <stdlib.h>
#include <string.h>

#include "archive/tar.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#define WHITEOUT ".wh."

struct layer {
	struct tar_reader *tar;
	uint64_t *entries;
};

struct layer *
layer_new(uint64_t *entries)
{
	struct layer *l = mem_new(sizeof *l);

	l->tar = tar_reader_new();
	l->entries = entries;
	return l;
}

void
layer_free(struct layer *l)
{
	if (l == NULL)
		return;
	tar_reader_free(l->tar);
	free(l);
}

static const char *
climbs(const struct tar_entry *t)
{
	const char *names[] = { t->name, t->type == TAR_HARDLINK ? t->link : "" };

	for (size_t i = 0; i < 2; i++)
		for (const char *p = names[i], *end; *p != '\0'; p = end + strspn(end, "/")) {
			end = p + strcspn(p, "/");
			if (end - p == 2 && p[0] == '.' && p[1] == '.')
				return "a name with '..'";
		}
	return NULL;
}

/* The name of a file that stands for the removal of another one, without the whiteout's own mark. */
static const char *
hides_nothing(const struct tar_entry *t)
{
	size_t len = strlen(t->name), from;

	while (len > 0 && t->name[len - 1] == '/')
		len--;
	for (from = len; from > 0 && t->name[from - 1] != '/'; from--)
		;
	if (len - from < strlen(WHITEOUT) || memcmp(t->name + from, WHITEOUT, strlen(WHITEOUT)) != 0)
		return NULL;
	from += strlen(WHITEOUT);
	return len - from <= 2 && strspn(t->name + from, ".") >= len - from ? "a whiteout of nothing" : NULL;
}

static const char *
is_device(const struct tar_entry *t)
{
	static const struct {
		uint32_t major, minor;
	} known[] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 } };

	if (t->type != TAR_CHAR && t->type != TAR_BLOCKDEV)
		return NULL;
	for (size_t i = 0; t->type == TAR_CHAR && i < sizeof known / sizeof known[0]; i++)
		if (known[i].major == t->dev_major && known[i].minor == t->dev_minor)
			return NULL;
	return "a device that no image needs";
}

static const char *
steers_overlay(const struct tar_entry *t)
{
	for (size_t i = 0; i < t->xattr_count; i++)
		if (strncmp(t->xattrs[i].name, "trusted.overlay.", 16) == 0 ||
		    strncmp(t->xattrs[i].name, "user.overlay.", 13) == 0)
			return "an attribute that steers overlayfs";
	return NULL;
}

static int
check(struct layer *l, const struct tar_entry *t, struct err *e)
{
	static const char *(*const rules[])(
	    const struct tar_entry *t) = { climbs, hides_nothing, is_device, steers_overlay };
	char quoted[200];

	if (++*l->entries > LAYER_ENTRIES_MAX)
		return err_refuse(
		    e, 400, "image-contents", "more than %d files in all layers", LAYER_ENTRIES_MAX);
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		const char *what = rules[i](t);

		if (what != NULL)
			return err_refuse(e, 400, "image-contents", "'%s' is %s",
			    log_quote(t->name, strlen(t->name), quoted, sizeof quoted), what);
	}
	return 0;
}

int
layer_add(struct layer *l, struct buf *in, int eof, struct err *e)
{
	const uint8_t *data;
	size_t len, before;
	int event;

	do {
		before = buf_len(in);
		event = tar_read(l->tar, in, eof, &data, &len, e);
		if (event < 0) {
			e->rule = "image-contents";
			return -1;
		}
		if (event == TAR_ENTRY && check(l, tar_reader_entry(l->tar), e) < 0)
			return -1;
	} while (event != TAR_NEED && (event != TAR_EOF || buf_len(in) != before));
	return 0;
}
