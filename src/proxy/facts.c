/* What is known of a build when the engine is given the end of its context: evidence of what it makes. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stamp.h"
#include "proxy/session.h"
#include "task/audit.h"
#include "task/task.h"

enum { DIGESTS_MAX = 4 }; /* of a base image: one a registry, of which its name says one */

/* As people type it; an id stays one. */
static json_t *
name_of(const struct dockerfile_base *base, const char *ns)
{
	char familiar[REFERENCE_MAX];
	struct reference r;
	struct err ignored;

	if (base->own ? reference_unmap(&r, base->name.mapped, ns) < 0
	              : reference_parse(&r, base->name.mapped, &ignored) < 0)
		return json_string(base->name.mapped);
	reference_familiar(&r, familiar);
	return json_string(familiar);
}

/* Digests under which registries know the image: those of the repository that was named, no others of the
 * host. */
static json_t *
digests_of(const struct dockerfile_base *base, const json_t *inspect)
{
	char wanted[REFERENCE_MAX], repository[REFERENCE_MAX];
	json_t *list = json_array(), *one;
	struct reference r;
	struct err ignored;
	size_t i;

	if (base->own || reference_parse(&r, base->name.mapped, &ignored) < 0)
		return list;
	reference_repository(&r, wanted);
	json_array_foreach(json_object_get(inspect, "RepoDigests"), i, one)
	{
		const char *text = json_string_value(one);

		if (text == NULL || json_array_size(list) == DIGESTS_MAX ||
		    reference_parse(&r, text, &ignored) < 0)
			continue;
		reference_repository(&r, repository);
		if (r.digest[0] != '\0' && strcmp(repository, wanted) == 0)
			json_array_append_new(list, json_string(r.digest));
	}
	return list;
}

/* One image may be named in several ways: by a variable, too. */
static int
is_there(const json_t *list, const json_t *base)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) if (json_equal(one, (json_t *)(uintptr_t)base)) return 1;
	return 0;
}

void
facts_base(struct building *b, const char *ns, const json_t *inspect)
{
	const struct dockerfile_base *base = &b->facts.bases[b->next_base];
	const char *id = json_str(inspect, "Id", "");
	json_t *known = json_pack("{s:o,s:s?,s:b,s:o}", "name", name_of(base, ns), "id",
	    reference_is_id(id) ? id : NULL, "own", base->own, "digests", digests_of(base, inspect));

	if (b->bases_known == NULL)
		b->bases_known = json_array();
	if (!is_there(b->bases_known, known))
		json_array_append(b->bases_known, known);
	json_decref(known);
}

static json_t *
context_json(const struct context_facts *k)
{
	return json_pack("{s:s,s:I,s:I}", "sha256", k->sha256, "size", (json_int_t)k->bytes, "entries",
	    (json_int_t)k->entries);
}

static json_t *
dockerfile_json(const struct context_facts *k)
{
	char path[1024];

	(void)log_quote(k->dockerfile, strlen(k->dockerfile), path, sizeof path);
	return json_pack("{s:s,s:s,s:I,s:s}", "path", path, "sha256", k->dockerfile_sha256, "size",
	    (json_int_t)k->dockerfile_bytes, "rewrittenSha256", k->rewritten_sha256);
}

static json_t *
names_json(char *const *names, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		char familiar[REFERENCE_MAX];
		struct reference r;
		struct err ignored;

		if (reference_parse(&r, names[i], &ignored) < 0)
			continue;
		reference_familiar(&r, familiar);
		json_array_append_new(list, json_string(familiar));
	}
	return list;
}

static size_t
text_size(const json_t *v)
{
	return json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENSURE_ASCII);
}

/* What is left out is counted, so that nobody takes the rest for all. */
static void
fit(json_t *known)
{
	static const char *const lists[] = { "bases", "names" };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		json_t *list = json_object_get(known, lists[i]);
		size_t all = json_array_size(list);

		while (json_array_size(list) > 0 && text_size(known) > BUILD_MAX_BYTES - 256)
			(void)json_array_remove(list, json_array_size(list) - 1);
		if (json_array_size(list) < all) {
			char key[16];

			(void)snprintf(key, sizeof key, "%sInAll", lists[i]);
			json_object_set_new(known, key, json_integer((json_int_t)all));
		}
	}
}

void
facts_known(struct session *s)
{
	const struct exchange *x = s->x;
	const struct policy *p = s->x->policy;
	struct building *b = x->build;
	const struct context_facts *k = context_facts(b->context);
	char started[STAMP_MAX];
	json_t *parameters = audit_call(x->d.calls[0], p->public_arg_count, p->public_args);

	stamp_print(b->started, started);
	b->known =
	    json_pack("{s:s,s:s*,s:o,s:o,s:o,s:i,s:o,s:o,s:s,s:b,s:{s:I,s:I}}", "started", started, "engine",
	        s->proxy->engine[0] ? s->proxy->engine : NULL, "dockerfile", dockerfile_json(k), "context",
	        context_json(k), "bases", b->bases_known != NULL ? json_incref(b->bases_known) : json_array(),
	        "stages", b->facts.stages, "parameters", parameters, "names",
	        names_json(x->d.names, x->d.name_count), "cache", policy_cache_word(p->cache), "pull",
	        x->d.pull, "request", "conn", (json_int_t)s->conn, "req", (json_int_t)x->number);
	fit(b->known);
}

void
facts_keep(struct building *b, struct task *task, const char *id)
{
	json_t *facts = b->known != NULL ? json_copy(b->known) : NULL;
	char finished[STAMP_MAX];
	struct err e = { 0 };
	int rc;

	stamp_print(stamp_now(), finished);
	if (facts != NULL)
		json_object_set_new(facts, "finished", json_string(finished));
	rc = facts != NULL ? task_built(task, id, facts, &e) : task_learn(task, id, &e);
	json_decref(facts);
	if (rc < 0)
		log_error("session", "task %s: image %s not recorded: %s", task->id, id, e.text);
}
