#include "task/builds.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

/* The job of an export goes through a socket in one piece: with the build itself it is below 128 KiB. */
enum { ANCESTORS_MAX = 64, EVIDENCE_MAX = 64 * 1024 };

static const char unknown[] = "which build made this image is not known here (any more)";

static size_t
find(const struct builds *b, const char *id)
{
	size_t i = 0;

	while (i < b->count && strcmp(b->entries[i].id, id) != 0)
		i++;
	return i;
}

static void
drop(struct builds *b, size_t at)
{
	b->bytes -= strlen(b->entries[at].text);
	free(b->entries[at].text);
	b->count--;
	memmove(&b->entries[at], &b->entries[at + 1], (b->count - at) * sizeof b->entries[0]);
}

void
builds_keep(struct builds *b, const char *id, const json_t *facts)
{
	struct build_entry *new;
	char *text;

	if (!json_is_object(facts) || find(b, id) < b->count)
		return;
	text = json_text(facts, 1);
	if (strlen(text) > BUILD_MAX_BYTES) {
		free(text);
		return;
	}
	b->bytes += strlen(text);
	while (b->bytes > BUILDS_MAX_BYTES)
		drop(b, 0);
	b->entries = mem_grow(b->entries, b->count + 1, sizeof b->entries[0]);
	new = &b->entries[b->count++];
	memset(new->id, 0, sizeof new->id);
	memcpy(new->id, id, strnlen(id, sizeof new->id - 1));
	new->text = text;
}

void
builds_forget(struct builds *b, const char *id)
{
	size_t at = find(b, id);

	if (at < b->count)
		drop(b, at);
}

const char *
builds_find(const struct builds *b, const char *id)
{
	size_t at = find(b, id);

	return at < b->count ? b->entries[at].text : NULL;
}

void
builds_done(struct builds *b)
{
	while (b->count > 0)
		drop(b, b->count - 1);
	free(b->entries);
	*b = (struct builds){ 0 };
}

/* New reference, or NULL. */
static json_t *
facts_of(const struct builds *b, const char *id)
{
	const char *text = builds_find(b, id);
	struct err e;

	return text == NULL ? NULL : json_parse(text, strlen(text), &e);
}

/* The walk over a family: ids that were seen, in the order in which they are asked for. */
struct walk {
	const struct builds *builds;
	json_t *seen; /* array of ids */
	size_t room;
};

static int
is_seen(const struct walk *w, const char *id)
{
	json_t *one;
	size_t i;

	json_array_foreach(w->seen, i, one) if (strcmp(json_string_value(one), id) == 0) return 1;
	return 0;
}

static void
add_parents(struct walk *w, const json_t *facts)
{
	json_t *base;
	size_t i;

	json_array_foreach(json_object_get(facts, "bases"), i, base)
	{
		const char *id = json_str(base, "id", NULL);

		if (id != NULL && json_is_true(json_object_get(base, "own")) && !is_seen(w, id))
			json_array_append_new(w->seen, json_string(id));
	}
}

/* One that does not fit is named all the same: nothing is left out in silence. */
static json_t *
ancestor(struct walk *w, const char *id)
{
	const char *text = builds_find(w->builds, id);
	json_t *facts;

	if (text == NULL)
		return json_pack("{s:s,s:s}", "image", id, "unknown", unknown);
	if (strlen(text) > w->room)
		return json_pack("{s:s,s:s}", "image", id, "unknown", "its facts would make this too long");
	w->room -= strlen(text);
	facts = facts_of(w->builds, id);
	json_object_set_new(facts, "image", json_string(id));
	add_parents(w, facts);
	return facts;
}

json_t *
builds_evidence(const struct builds *b, const char *id)
{
	struct walk w = { .builds = b, .seen = json_array(), .room = EVIDENCE_MAX };
	json_t *facts = facts_of(b, id), *out, *family = json_array();

	if (facts == NULL) {
		out = json_pack("{s:n,s:s}", "build", "buildUnknown", unknown);
	} else {
		add_parents(&w, facts);
		out = json_pack("{s:o}", "build", facts);
	}
	for (size_t i = 0; i < json_array_size(w.seen) && i < ANCESTORS_MAX; i++)
		json_array_append_new(family, ancestor(&w, json_string_value(json_array_get(w.seen, i))));
	if (json_array_size(w.seen) > ANCESTORS_MAX)
		json_array_append_new(family, json_pack("{s:s}", "unknown", "there are more ancestors"));
	if (json_array_size(family) > 0)
		json_object_set(out, "ancestors", family);
	json_decref(family);
	json_decref(w.seen);
	return out;
}
