#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "check.h"
#include "judge.h"
#include "names.h"
#include "show.h"
#include "value.h"

enum { CACHE_IMAGES_MAX = 32 }; /* each costs the engine a look at its chain; newest first */

int
decide_images(const struct policy *p, const struct owned *o, size_t more, struct err *e)
{
	size_t have = o->count + o->claimed_images;

	if (have + more <= p->images)
		return 0;
	return err_refuse(e, 403, "limit-images",
	    "the task has %zu images, builds under way counted, this build would add %zu, and it may have "
	    "%zu (limits.images): remove some (docker rmi)",
	    have, more, p->images);
}

static int
check_limits(struct judge *j, struct err *e)
{
	int rc = decide_images(j->policy, j->owned, 1, e);

	return j->owned->count < POLICY_COUNT_MAX ? judge_let(j, rc, e) : rc;
}

/* t: every name mapped and recorded; an empty one is none, as in the engine. */
static int
take_names(struct judge *j, struct err *e)
{
	char name[REFERENCE_MAX], mapped[REFERENCE_MAX];

	for (size_t i = 0; i < j->target->count; i++) {
		const struct target_pair *q = &j->target->query[i];

		if (strcmp(q->key, "t") != 0 || q->value[0] == '\0')
			continue;
		if (names_new(j->owned->ns, q->value, NULL, name, mapped, e) < 0)
			return err_wrap(e, "t");
		if (!judge_note(j, name))
			continue;
		if (judge_request_names(j, "t", j->d->name_count, e) < 0)
			return -1;
		if (call_add(j->call, PARAM_T, mapped, e) < 0)
			return -1;
	}
	return judge_name_limit(j, e);
}

/* Words that must not be asked for, but may be spelled out as what they are anyway. */
static int
take_forced(struct judge *j, struct err *e)
{
	static const enum param asked[] = { PARAM_NETWORKMODE, PARAM_CGROUPPARENT };

	if (j->value[PARAM_VERSION] != NULL)
		return check_refuse(param_by_id(ROUTE_BUILD, PARAM_VERSION), e);
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		const char *value = j->value[asked[i]];

		if (value != NULL && check_value(param_by_id(ROUTE_BUILD, asked[i]), value, j->policy, e) < 0)
			return -1;
	}
	return judge_let(j, check_build(j->call, j->policy, e), e);
}

static int
force_fixed(struct judge *j, struct err *e)
{
	static const enum param fixed[] = { PARAM_RM, PARAM_FORCERM, PARAM_VERSION };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (call_add(j->call, fixed[i], param_by_id(ROUTE_BUILD, fixed[i])->forced, e) < 0)
			return -1;
	return 0;
}

/* Whose image it is stands in the image, too: in what the engine lists, and in the artifact. */
static int
force_label(struct judge *j, struct err *e)
{
	const char *given = j->value[PARAM_LABELS], *label = j->policy->label;
	const struct param_row *row = param_by_id(ROUTE_BUILD, PARAM_LABELS);
	struct err ignored;
	json_t *map = given != NULL ? json_parse(given, strlen(given), &ignored) : json_object();
	char *text;
	int rc = 0;

	if (label[0] != '\0' && json_object_get(map, label) != NULL)
		rc = err_refuse(
		    e, 403, row->rule, "%s: '%s' is set by the service, leave it out", row->key, label);
	if (label[0] != '\0')
		json_object_set_new(map, label, json_string(j->owned->ns));
	text = json_text(map, 0);
	if (rc == 0 && json_object_size(map) > 0)
		rc = call_add(j->call, PARAM_LABELS, text, e);
	free(text);
	json_decref(map);
	return rc;
}

/* The network that the operator names, or none when the task wants less. */
static int
force_network(struct judge *j, struct err *e)
{
	const char *network = j->value[PARAM_NETWORKMODE];

	if (network == NULL)
		network = j->policy->network;
	if (network[0] == '\0')
		return 0;
	if (check_value(param_by_id(ROUTE_BUILD, PARAM_NETWORKMODE), network, j->policy, e) < 0)
		return -1;
	return call_add(j->call, PARAM_NETWORKMODE, network, e);
}

static int
force_number(struct judge *j, enum param param, int64_t n, struct err *e)
{
	char *text;
	int rc;

	if (n == 0 || call_get(j->call, param) != NULL)
		return 0;
	text = mem_printf("%lld", (long long)n);
	rc = call_add(j->call, param, text, e);
	free(text);
	return rc;
}

/* What the task left open is what the policy says. */
static int
force_limits(struct judge *j, struct err *e)
{
	const struct policy *p = j->policy;
	const char *period = call_get(j->call, PARAM_CPUPERIOD);
	int64_t per = period != NULL ? value_number(period) : CPU_PERIOD;

	if (p->cgroup_parent[0] != '\0' && call_add(j->call, PARAM_CGROUPPARENT, p->cgroup_parent, e) < 0)
		return -1;
	if (force_number(j, PARAM_MEMORY, p->memory, e) < 0 ||
	    force_number(j, PARAM_CPUQUOTA, p->cpus * per, e) < 0)
		return -1;
	return p->cpus > 0 ? force_number(j, PARAM_CPUPERIOD, per, e) : 0;
}

/* An image in the one spelling that the gate can check best: by a name of the namespace, else by id. */
static void
add_image(const struct owned *o, const struct owned_image *image, json_t *list)
{
	char mapped[REFERENCE_MAX];

	if (json_array_size(list) >= CACHE_IMAGES_MAX)
		return;
	if (image->name_count > 0)
		names_map(o->ns, image->names[0], mapped);
	json_array_append_new(list, json_string(image->name_count > 0 ? mapped : image->id));
}

/* What the task named itself, as far as it is its own; the rest is ignored as the engine does. */
static json_t *
asked_images(const struct judge *j, const char *text)
{
	struct err ignored;
	json_t *given = json_parse(text, strlen(text), &ignored), *list = json_array(), *v;
	struct named found;
	size_t i;

	json_array_foreach(given, i, v)
	{
		if (names_look(j->owned, json_string_value(v), &found, &ignored) == 0 &&
		    found.image != NULL && json_array_size(list) < CACHE_IMAGES_MAX)
			json_array_append_new(list, json_string(found.engine));
	}
	json_decref(given);
	return list;
}

static json_t *
all_images(const struct judge *j)
{
	json_t *list = json_array();

	for (size_t i = j->owned->count; i-- > 0;)
		add_image(j->owned, &j->owned->images[i], list);
	return list;
}

/*
 * The engine takes cached steps only from ancestors of the images in cachefrom, but from everybody's when the
 * list is empty: so there is a list, or nocache.
 */
static int
force_cache(struct judge *j, struct err *e)
{
	const char *asked = j->value[PARAM_CACHEFROM];
	json_t *list;
	char *text;
	int rc;

	if (call_get(j->call, PARAM_NOCACHE) != NULL)
		return 0;
	if (j->policy->cache == CACHE_NONE)
		return call_add(j->call, PARAM_NOCACHE, "1", e);
	if (asked == NULL && j->policy->cache == CACHE_SHARED)
		return 0;
	list = asked != NULL ? asked_images(j, asked) : all_images(j);
	text = json_text(list, 0);
	if (json_array_size(list) > 0)
		rc = call_add(j->call, PARAM_CACHEFROM, text, e);
	else
		rc = call_add(j->call, PARAM_NOCACHE, "1", e);
	free(text);
	json_decref(list);
	return rc;
}

/* Dropped unread unless the operator passes credentials on. The build itself never gets them: we pull. */
static int
take_registry(struct judge *j, struct err *e)
{
	const struct param_row *row = param_by_id(ROUTE_BUILD, PARAM_REGISTRY_CONFIG);
	const char *given = http_field(j->head, "x-registry-config");
	struct buf value = { 0 };
	int rc;

	if (given == NULL || !j->policy->registry_auth || !j->policy->pull)
		return 0;
	(void)buf_reserve(&value, row->max * 2); /* does not move: one copy to wipe */
	rc = value_read(row, given, &value, e);
	if (rc == 0 && buf_len(&value) > 0)
		j->d->registry = mem_str(buf_text(&value));
	mem_wipe(value.data, value.cap);
	buf_done(&value);
	return rc;
}

int
judge_build(struct judge *j, struct err *e)
{
	const char *pull = j->value[PARAM_PULL];

	j->d->quiet = j->value[PARAM_Q] != NULL;
	j->d->pull = pull != NULL;
	if (pull != NULL && check_value(param_by_id(ROUTE_BUILD, PARAM_PULL), pull, j->policy, e) < 0)
		return -1;
	if (take_forced(j, e) < 0 || check_limits(j, e) < 0)
		return -1;
	if (take_names(j, e) < 0 || force_fixed(j, e) < 0 || force_label(j, e) < 0 || force_network(j, e) < 0)
		return -1;
	if (force_limits(j, e) < 0 || force_cache(j, e) < 0)
		return -1;
	return take_registry(j, e);
}
