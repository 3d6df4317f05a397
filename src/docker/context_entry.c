#include "context_entry.h"

#include <stdlib.h>
#include <string.h>

#include "archive/codec.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

static const char default_name[] = "Dockerfile", lower_name[] = "dockerfile";
static char nothing[1];

static int
refuse(struct err *e, const char *what, const char *name)
{
	char shown[200];

	return err_refuse(e, 400, "context", "build context: %s: '%s'", what,
	    log_quote(name, strlen(name), shown, sizeof shown));
}

int
context_tree_init(
    struct context_tree *t, const struct context_ask *ask, struct dockerfile_facts *facts, struct err *e)
{
	const char *typed = ask->dockerfile && ask->dockerfile[0] ? ask->dockerfile : default_name;
	uint64_t max = ask->max_entries;

	t->reading = ask->reading;
	t->facts = facts;
	t->typed = mem_str(typed);
	t->max_entries = max > 0 && max < CONTEXT_ENTRIES_MAX ? max : CONTEXT_ENTRIES_MAX;
	t->names = context_names_new((size_t)t->max_entries);
	if (context_name_clean(typed, &t->target, e) < 0)
		return err_wrap(e, "parameter 'dockerfile'");
	if (t->target.text[0] == '\0' || t->target.slash)
		return refuse(e, "parameter 'dockerfile' does not name a file", typed);
	t->fallback = strcmp(t->target.text, default_name) == 0 ? lower_name : NULL;
	return 0;
}

void
context_tree_done(struct context_tree *t)
{
	free(t->typed);
	context_names_free(t->names);
	buf_done(&t->text);
	buf_done(&t->pending);
}

/* Only what a build may want to keep: overlayfs takes orders from some of the others. */
static int
keeps_xattr(const char *name)
{
	return strcmp(name, "security.capability") == 0 ||
	       (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

/*
 * Engines look for a compressed archive in the first bytes of what we write, too: a first file named
 * like a gzip stream would be a second archive, one that nobody has judged.
 */
static int
check_start(struct context_tree *t, const char *name, struct err *e)
{
	if (!t->started && codec_sniff(buf_ptr(&t->pending), buf_len(&t->pending)) != CODEC_NONE)
		return refuse(e, "a first name that reads like compressed data", name);
	t->started = 1;
	return 0;
}

static int
write_entry(struct context_tree *t, const struct tar_entry *entry, const char *name, struct err *e)
{
	char written[TAR_NAME_MAX + 3];
	struct tar_entry w = *entry;

	memcpy(written, name, strlen(name) + 1);
	if (w.type == TAR_DIR)
		strcat(written, name[0] ? "/" : "./");
	w.name = written;
	w.link = w.type == TAR_HARDLINK ? t->link.text : entry->link;
	w.uname = w.gname = nothing;
	w.mtime_ns = 0;
	w.xattr_count = 0;
	for (size_t i = 0; i < entry->xattr_count; i++)
		if (keeps_xattr(entry->xattrs[i].name))
			w.xattrs[w.xattr_count++] = entry->xattrs[i];
	return tar_write_header(&t->pending, &w, e) < 0 ? -1 : check_start(t, name, e);
}

/* The held file with its own bytes, or with those that were made of them. */
static int
write_held(struct context_tree *t, const char *name, const struct buf *text, struct err *e)
{
	t->held.size = buf_len(text);
	if (write_entry(t, &t->held, name, e) < 0)
		return -1;
	buf_add(&t->pending, buf_ptr(text), buf_len(text));
	tar_write_pad(&t->pending, buf_len(text));
	return 0;
}

static void
note_dockerfile(struct context_tree *t, const char *name, const struct buf *written)
{
	struct context_facts *k = &t->known;

	k->dockerfile = name;
	k->dockerfile_bytes = buf_len(&t->text);
	hash_once(HASH_SHA256, buf_ptr(&t->text), buf_len(&t->text), k->dockerfile_sha256);
	hash_once(HASH_SHA256, buf_ptr(written), buf_len(written), k->rewritten_sha256);
}

static int
judge(struct context_tree *t, const char *name, struct err *e)
{
	struct buf written = { 0 };
	const char *text = buf_text(&t->text);
	int rc = dockerfile_rewrite(text, buf_len(&t->text), &t->reading, &written, t->facts, e);

	if (rc == 0)
		rc = write_held(t, name, &written, e);
	if (rc == 0)
		note_dockerfile(t, name, &written);
	t->judged = rc == 0;
	buf_done(&t->text);
	buf_done(&written);
	return rc;
}

/* A "Dockerfile" comes: the "dockerfile" before it is a file like any other. */
static int
release_fallback(struct context_tree *t, struct err *e)
{
	int rc = t->fallback_held ? write_held(t, t->fallback, &t->text, e) : 0;

	t->fallback_held = 0;
	buf_done(&t->text);
	return rc;
}

static void
hold(struct context_tree *t, enum context_fate fate, const struct tar_entry *entry)
{
	t->fate = fate;
	t->held = (struct tar_entry){ .type = TAR_FILE,
		.link = nothing,
		.mode = entry->mode,
		.uid = entry->uid,
		.gid = entry->gid,
		.mtime = entry->mtime };
}

static int
refuse_long(struct err *e)
{
	return err_refuse(e, 413, "limit-dockerfile-bytes",
	    "build context: a Dockerfile of more than %d bytes", DOCKERFILE_MAX);
}

/* The two names that the engine looks for. */
static int
take_dockerfile(struct context_tree *t, const struct tar_entry *entry, struct err *e)
{
	int target = strcmp(t->name.text, t->target.text) == 0;
	int fallback = t->fallback && strcmp(t->name.text, t->fallback) == 0;

	if (target) {
		if (entry->type != TAR_FILE)
			return refuse(e, "the Dockerfile is not a regular file", t->name.text);
		if (entry->size > DOCKERFILE_MAX)
			return refuse_long(e);
		if (release_fallback(t, e) < 0)
			return -1;
		t->target_seen = 1;
		hold(t, FATE_TARGET, entry);
	} else if (fallback && !t->target_seen && entry->type == TAR_FILE) {
		t->fallback_long = entry->size > DOCKERFILE_MAX;
		if (!t->fallback_long)
			hold(t, FATE_FALLBACK, entry);
	}
	return 0;
}

/* A hard link names a file that came before, by its own bytes: never the Dockerfile. */
static int
check_link(struct context_tree *t, const struct tar_entry *entry, struct err *e)
{
	if (entry->type != TAR_HARDLINK)
		return 0;
	if (context_name_clean(entry->link, &t->link, e) < 0)
		return -1;
	if (t->link.slash || context_names_find(t->names, t->link.text) != CONTEXT_FILE)
		return refuse(e, "a hard link to what is not an earlier file", entry->link);
	if (strcmp(t->link.text, t->target.text) == 0 ||
	    (t->fallback_held && strcmp(t->link.text, t->fallback) == 0))
		return refuse(e, "a hard link to the Dockerfile", entry->name);
	return 0;
}

static int
check_entry(struct context_tree *t, const struct tar_entry *entry, struct err *e)
{
	if (++t->known.entries > t->max_entries)
		return err_refuse(e, 413, "limit-context-entries",
		    "build context: more than %llu entries (limits.contextEntries)",
		    (unsigned long long)t->max_entries);
	if (entry->type == TAR_CHAR || entry->type == TAR_BLOCKDEV || entry->type == TAR_FIFO)
		return refuse(e, "devices and FIFOs are not accepted", entry->name);
	if (entry->uid >= UINT32_MAX || entry->gid >= UINT32_MAX) /* -1 means "leave it" to chown(2) */
		return refuse(e, "an owner that is not a 32-bit number", entry->name);
	if (context_name_clean(entry->name, &t->name, e) < 0)
		return -1;
	if (entry->type != TAR_DIR && t->name.slash)
		return refuse(e, "only a directory may end in '/'", entry->name);
	return check_link(t, entry, e);
}

static enum context_kind
kind_of(const struct tar_entry *entry)
{
	if (entry->type == TAR_DIR)
		return CONTEXT_DIR;
	return entry->type == TAR_SYMLINK ? CONTEXT_OTHER : CONTEXT_FILE;
}

int
context_tree_entry(struct context_tree *t, const struct tar_entry *entry, struct err *e)
{
	t->fate = FATE_PASS;
	t->size = entry->size;
	if (check_entry(t, entry, e) < 0 ||
	    context_names_add(t->names, t->name.text, kind_of(entry), e) < 0 ||
	    take_dockerfile(t, entry, e) < 0)
		return -1;
	return t->fate == FATE_PASS ? write_entry(t, entry, t->name.text, e) : 0;
}

int
context_tree_entry_end(struct context_tree *t, struct err *e)
{
	switch (t->fate) {
	case FATE_PASS:
		tar_write_pad(&t->pending, t->size);
		return 0;
	case FATE_TARGET:
		return judge(t, t->target.text, e);
	case FATE_FALLBACK:
		t->fallback_held = 1;
		return 0;
	}
	return 0;
}

/* The engine opens the first of the two names that exists, whatever it is. */
static int
find_dockerfile(struct context_tree *t, struct err *e)
{
	char shown[200];

	if (context_names_find(t->names, t->target.text) != CONTEXT_UNKNOWN)
		return refuse(e, "the Dockerfile is not a regular file", t->target.text);
	if (t->fallback_held)
		return judge(t, t->fallback, e);
	if (t->fallback_long)
		return refuse_long(e);
	if (t->fallback && context_names_find(t->names, t->fallback) != CONTEXT_UNKNOWN)
		return refuse(e, "the Dockerfile is not a regular file", t->fallback);
	return err_refuse(e, 500, "context", "Cannot locate specified Dockerfile: %s",
	    log_quote(t->typed, strlen(t->typed), shown, sizeof shown)); /* the engine's own words */
}

int
context_tree_end(struct context_tree *t, struct err *e)
{
	if (!t->target_seen && find_dockerfile(t, e) < 0)
		return -1;
	tar_write_end(&t->pending);
	return 0;
}
