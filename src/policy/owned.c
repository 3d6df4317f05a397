#include "policy/owned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Room for one more: arrays double, so their size is the power of two at or above their count. */
static void *
make_room(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	return mem_grow(array, count == 0 ? 1 : count * 2, size);
}

static void
drop_name(struct owned_image *image, size_t at)
{
	free(image->names[at]);
	image->name_count--;
	memmove(image->names + at, image->names + at + 1, (image->name_count - at) * sizeof(*image->names));
}

static struct owned_image *
find(const struct owned *o, const char *id)
{
	for (size_t i = 0; i < o->count; i++)
		if (strcmp(o->images[i].id, id) == 0)
			return &o->images[i];
	return NULL;
}

/* The image that has a name, and where in its list; NULL when there is none. */
static struct owned_image *
find_name(const struct owned *o, const char *name, size_t *at)
{
	for (size_t i = 0; i < o->count; i++)
		for (*at = 0; *at < o->images[i].name_count; (*at)++)
			if (strcmp(o->images[i].names[*at], name) == 0)
				return &o->images[i];
	return NULL;
}

void
owned_init(struct owned *o, const char *ns)
{
	memset(o, 0, sizeof(*o));
	snprintf(o->ns, sizeof(o->ns), "%s", ns);
}

static void
image_done(struct owned_image *image)
{
	for (size_t i = 0; i < image->name_count; i++)
		free(image->names[i]);
	free(image->names);
}

void
owned_done(struct owned *o)
{
	for (size_t i = 0; i < o->count; i++)
		image_done(&o->images[i]);
	free(o->images);
	free(o->steps);
	memset(o, 0, sizeof(*o));
}

int
owned_learn(struct owned *o, const char *id)
{
	struct owned_image *image;

	if (find(o, id) != NULL)
		return 0;
	o->images = make_room(o->images, o->count, sizeof(*o->images));
	image = &o->images[o->count++];
	memset(image, 0, sizeof(*image));
	snprintf(image->id, sizeof(image->id), "%s", id);
	return 1;
}

void
owned_name(struct owned *o, const char *name, const char *id)
{
	struct owned_image *image;

	(void)owned_unname(o, name);
	(void)owned_learn(o, id);
	image = find(o, id);
	image->names = make_room(image->names, image->name_count, sizeof(*image->names));
	image->names[image->name_count++] = mem_str(name);
}

int
owned_unname(struct owned *o, const char *name)
{
	size_t at;
	struct owned_image *image = find_name(o, name, &at);

	if (image == NULL)
		return 0;
	drop_name(image, at);
	return 1;
}

void
owned_forget(struct owned *o, const char *id)
{
	struct owned_image *image = find(o, id);
	size_t at;

	if (image == NULL)
		return;
	at = (size_t)(image - o->images);
	image_done(image);
	o->count--;
	memmove(image, image + 1, (o->count - at) * sizeof(*image));
}

const char *
owned_by_name(const struct owned *o, const char *name)
{
	size_t at;
	const struct owned_image *image = find_name(o, name, &at);

	return image != NULL ? image->id : NULL;
}

int
owned_has_repository(const struct owned *o, const char *repository)
{
	size_t n = strlen(repository);

	for (size_t i = 0; i < o->count; i++)
		for (size_t k = 0; k < o->images[i].name_count; k++)
			if (strncmp(o->images[i].names[k], repository, n) == 0 &&
			    o->images[i].names[k][n] == ':')
				return 1;
	return 0;
}

size_t
owned_by_id(const struct owned *o, const char *prefix, const struct owned_image **image)
{
	const char *digits = strncmp(prefix, "sha256:", 7) == 0 ? prefix + 7 : prefix;
	size_t n = strlen(digits), hits = 0;

	*image = NULL;
	if (!reference_looks_like_id(prefix))
		return 0;
	for (size_t i = 0; i < o->count; i++) {
		if (strncmp(o->images[i].id + 7, digits, n) != 0)
			continue;
		*image = hits++ == 0 ? &o->images[i] : NULL;
	}
	return hits;
}

const struct owned_image *
owned_image(const struct owned *o, const char *id)
{
	return find(o, id);
}

size_t
owned_names(const struct owned *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->count; i++)
		n += o->images[i].name_count;
	return n;
}

int
owned_has_step(const struct owned *o, const char *id)
{
	const char *hex = strchr(id, ':');

	hex = hex == NULL ? id : hex + 1;
	for (size_t i = 0; i < o->step_count; i++)
		if (strncmp(o->steps[i], hex, OWNED_STEP_LEN) == 0)
			return 1;
	return 0;
}

int
owned_step(struct owned *o, const char *step)
{
	if (strlen(step) != OWNED_STEP_LEN || strspn(step, "0123456789abcdef") != OWNED_STEP_LEN ||
	    owned_has_step(o, step))
		return 0;
	if (o->step_count == OWNED_STEPS_MAX)
		memmove(o->steps, o->steps + 1, --o->step_count * sizeof(*o->steps));
	else
		o->steps = make_room(o->steps, o->step_count, sizeof(*o->steps));
	memcpy(o->steps[o->step_count++], step, OWNED_STEP_LEN + 1);
	return 1;
}
