#ifndef DOCKER_ANSWER_H
#define DOCKER_ANSWER_H

#include <jansson.h>
#include <stddef.h>

#include "docker/reference.h"

struct buf;
struct err;

/*
 * Small JSON answers of the engine, mapped for the task: own names back to what the task typed, foreign
 * names and foreign images out. All take the parsed answer and change it in place. Pure.
 */

/* What an answer may ask about the task; owned_* of policy fills it. */
struct answer_view {
	const char *ns;
	int (*owns)(const void *arg, const char *id); /* "sha256:..." */
	const void *arg;
};

/* {"message": ...}: names mapped in the text. */
void answer_error(json_t *answer, const struct answer_view *view);

/* GET /images/X/json: RepoTags, RepoDigests own only, Parent emptied, GraphDriver.Data (host directories)
 * null. */
void answer_inspect(json_t *answer, const struct answer_view *view);

/* GET /images/X/history: Tags own only; ids that the task does not own become "<missing>". */
void answer_history(json_t *answer, const struct answer_view *view);

/* DELETE: {"Untagged": name} mapped, {"Deleted": id} kept; foreign names out. */
void answer_remove(json_t *answer, const struct answer_view *view);

/* GET /version: ApiVersion and MinAPIVersion cut to what is spoken here (minor numbers). */
void answer_version(json_t *answer, unsigned api_min, unsigned api_max);

/*
 * GET /images/json as a stream of array elements: one element (at most 256 KiB), returns 1 when it is the
 * task's (names mapped, ParentId emptied), 0 when it must be left out.
 */
int answer_list_element(json_t *element, const struct answer_view *view);

/*
 * The filters parameter of GET /images/json (NULL: none) evaluated here, over the own list (an array as made
 * above): reference, dangling, label, before, since; anything else is -1 with status 400 as the engine says
 * it. Names of before and since are own references or ids, 404 when they are not in the list; times are
 * compared by the second, which is all that the list tells. At most 64 values.
 */
int answer_list_filter(json_t *list, const char *filters, struct err *e);

#endif
