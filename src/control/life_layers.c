/*
 * Which layers the engine has: what an image begins with of them need not be fetched. Its images are listed,
 * and each is inspected once: an image never changes under its id. Known are chains of layers from the base
 * up (OCI image-spec, "Layer ChainID"), because that is what engines look for.
 */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/fetch.h"
#include "io/loop.h"
#include "life_loading.h"
#include "policy/param.h"
#include "task/want.h"

enum {
	LIST_MAX = 64 * 1024 * 1024, /* the host's whole image list */
	LIST_SECONDS = 60,
	INSPECT_MAX = 1024 * 1024,
	INSPECT_SECONDS = 30,
	IMAGES_MAX = 400, /* that are known; others are fetched as if they were not here */
	LAYERS_MAX = 127, /* of an engine's image */
};

struct layers_ask {
	layers_cb *cb;
	void *arg;
	struct layers_ask *next;
};

struct layers { /* what is known, and who asks */
	struct life *life;
	json_t *known; /* image id -> array of chain ids */
	json_t *todo;  /* ids that are to be inspected */
	struct fetch *fetch;
	struct layers_ask *asking;
};

static void inspect_next(struct layers *y);

static void
add_chains(json_t *chains, const json_t *image)
{
	/* of the containerd store, which wants to see every layer, none */
	static const char *const drivers[] = { "overlay2", "overlay", "vfs", "aufs", "btrfs", "zfs",
		"devicemapper", "fuse-overlayfs" };
	const char *driver = json_str(json_object_get(image, "GraphDriver"), "Name", "");
	const json_t *layers = json_object_get(json_object_get(image, "RootFS"), "Layers"), *one;
	char chain[REFERENCE_ID_MAX] = "";
	size_t i = 0;

	while (i < sizeof drivers / sizeof drivers[0] && strcmp(drivers[i], driver) != 0)
		i++;
	if (i == sizeof drivers / sizeof drivers[0])
		return;
	json_array_foreach(layers, i, one)
	{
		const char *id = json_is_string(one) ? json_string_value(one) : "";

		if (!reference_is_id(id) || i >= LAYERS_MAX)
			return;
		reference_chain(chain, id);
		json_array_append_new(chains, json_string(chain));
	}
}

/* Every chain once. */
static json_t *
collect(const struct layers *y)
{
	json_t *set = json_object(), *list = json_array(), *chains, *one;
	const char *id;
	size_t i;

	json_object_foreach(y->known, id, chains) json_array_foreach(chains, i, one)
	    json_object_set_new(set, json_string_value(one), json_true());
	json_object_foreach(set, id, one) if (json_array_size(list) < WANT_CHAINS_MAX)
	    json_array_append_new(list, json_string(id));
	json_decref(set);
	return list;
}

static void
answer(struct layers *y)
{
	json_t *chains = collect(y);

	json_decref(y->todo);
	y->todo = NULL;
	while (y->asking != NULL) {
		struct layers_ask *a = y->asking;

		y->asking = a->next;
		a->cb(a->arg, chains);
		free(a);
	}
	json_decref(chains);
}

static void
on_inspected(void *arg, unsigned status, json_t *image, const struct err *e)
{
	struct layers *y = arg;
	const char *id = json_string_value(json_array_get(y->todo, 0));
	json_t *chains = json_array();

	(void)e;
	y->fetch = NULL;
	if (status == 200)
		add_chains(chains, image);
	if (status == 200)
		json_object_set(y->known, id, chains);
	json_decref(chains);
	(void)json_array_remove(y->todo, 0);
	inspect_next(y);
}

static void
inspect_next(struct layers *y)
{
	static struct call c; /* 100 KiB */
	struct err e = { 0 };

	if (json_array_size(y->todo) == 0) {
		answer(y);
		return;
	}
	call_start(&c, ROUTE_BASE_INSPECT, "", life_api(y->life));
	(void)call_add(&c, PARAM_NAME, json_string_value(json_array_get(y->todo, 0)), &e);
	y->fetch =
	    fetch_start(y->life->loop, y->life->gate, &c, INSPECT_MAX, INSPECT_SECONDS, on_inspected, y);
}

/* Images that are gone are forgotten, new ones are to be inspected. */
static void
compare(struct layers *y, const json_t *list)
{
	json_t *known = json_object(), *image, *chains;
	size_t i;

	json_array_foreach(list, i, image)
	{
		const char *id = json_str(image, "Id", "");

		if (!reference_is_id(id) || json_object_size(known) + json_array_size(y->todo) >= IMAGES_MAX)
			continue;
		if ((chains = json_object_get(y->known, id)) != NULL)
			json_object_set(known, id, chains);
		else
			json_array_append_new(y->todo, json_string(id));
	}
	json_decref(y->known);
	y->known = known;
}

static void
on_list(void *arg, unsigned status, json_t *list, const struct err *e)
{
	struct layers *y = arg;

	(void)e;
	y->fetch = NULL;
	y->todo = json_array();
	if (status == 200)
		compare(y, list);
	inspect_next(y);
}

static void
ask_list(struct layers *y)
{
	static struct call c; /* 100 KiB */

	call_start(&c, ROUTE_SWEEP_LIST, "", life_api(y->life));
	y->fetch = fetch_start(y->life->loop, y->life->gate, &c, LIST_MAX, LIST_SECONDS, on_list, y);
}

struct layers_ask *
layers_ask(struct life *l, layers_cb *cb, void *arg)
{
	struct layers_ask *a = mem_new(sizeof *a);
	struct layers *y = l->layers;

	if (y == NULL) {
		y = l->layers = mem_new(sizeof *y);
		y->life = l;
		y->known = json_object();
	}
	*a = (struct layers_ask){ cb, arg, y->asking };
	y->asking = a;
	if (y->fetch == NULL)
		ask_list(y);
	return a;
}

void
layers_cancel(struct life *l, struct layers_ask *a)
{
	struct layers_ask **at;

	if (a == NULL)
		return;
	at = &l->layers->asking;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

void
layers_free(struct life *l)
{
	struct layers *y = l->layers;

	if (y == NULL)
		return;
	fetch_cancel(y->fetch);
	json_decref(y->known);
	json_decref(y->todo);
	free(y);
}
