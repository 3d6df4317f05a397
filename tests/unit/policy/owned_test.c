/* What a task owns: ids, names, abbreviations. */

#include "policy/owned.h"

#include <stdio.h>

#include "tap.h"

#define NS "aaaabbbbccccddddeeee"
#define A "sha256:aaaa000000000000000000000000000000000000000000000000000000000001"
#define B "sha256:aaaa000000000000000000000000000000000000000000000000000000000002"
#define C "sha256:cccc000000000000000000000000000000000000000000000000000000000003"

static void
names_move(void)
{
	struct owned o;

	owned_init(&o, NS);
	is_str(o.ns, NS, "the namespace is kept");
	is_int(owned_learn(&o, A), 1, "an id is new once");
	is_int(owned_learn(&o, A), 0, "and only once");
	owned_name(&o, "docker.io/library/app:1", A);
	owned_name(&o, "docker.io/library/app:1", B);
	is_str(owned_by_name(&o, "docker.io/library/app:1"), B, "a name moves to the image that got it last");
	is_int(owned_image(&o, A)->name_count, 0, "and leaves the one that had it");
	is_int(owned_names(&o), 1, "it is one name");
	owned_name(&o, "docker.io/library/app:1", B);
	is_int(owned_names(&o), 1, "given again to the same image it is still one");
	is_int(owned_unname(&o, "docker.io/library/app:1"), 1, "a name goes");
	is_int(owned_unname(&o, "docker.io/library/app:1"), 0, "once");
	ok(owned_image(&o, B) != NULL, "its image stays");
	owned_forget(&o, B);
	ok(owned_image(&o, B) == NULL && o.count == 1, "until it is forgotten");
	owned_forget(&o, B);
	is_int(o.count, 1, "forgetting again is fine");
	owned_done(&o);
}

static void
repositories(void)
{
	struct owned o;

	owned_init(&o, NS);
	owned_name(&o, "docker.io/library/app:1", A);
	ok(owned_has_repository(&o, "docker.io/library/app"), "a repository of a name is there");
	ok(!owned_has_repository(&o, "docker.io/library/ap"), "its beginning is not");
	ok(!owned_has_repository(&o, "docker.io/library"), "nor what lies above it");
	ok(!owned_has_repository(&o, ""), "nor nothing");
	owned_done(&o);
}

static void
abbreviations(void)
{
	static const struct {
		const char *prefix;
		size_t hits;
		const char *id, *text;
	} rows[] = {
		{ A, 1, A, "the whole id" },
		{ "aaaa000000000000000000000000000000000000000000000000000000000001", 1, A,
		    "without sha256:" },
		{ "cccc", 1, C, "the beginning of one" },
		{ "sha256:c", 1, C, "one digit behind sha256:" },
		{ "aaaa", 2, NULL, "the beginning of two" },
		{ "", 0, NULL, "nothing" },
		{ "sha256:", 0, NULL, "sha256: alone" },
		{ "CCCC", 0, NULL, "upper case" },
		{ "cccx", 0, NULL, "no hex digit" },
		{ "aaaa0000000000000000000000000000000000000000000000000000000000010", 0, NULL,
		    "one too many" },
		{ "dddd", 0, NULL, "nobody's" },
	};
	struct owned o;

	owned_init(&o, NS);
	(void)owned_learn(&o, A);
	(void)owned_learn(&o, B);
	(void)owned_learn(&o, C);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct owned_image *image;

		is_int(owned_by_id(&o, rows[i].prefix, &image), rows[i].hits, rows[i].text);
		is_str(image != NULL ? image->id : NULL, rows[i].id, rows[i].text);
	}
	owned_done(&o);
}

/* Arrays grow by doubling: fill and empty them across the steps. */
static void
many(void)
{
	struct owned o;
	char id[REFERENCE_ID_MAX], name[64];
	int good = 1;

	owned_init(&o, NS);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(id, sizeof(id), "sha256:%064d", i);
			snprintf(name, sizeof(name), "docker.io/library/app:%d", i);
			owned_name(&o, name, id);
			owned_name(&o, "docker.io/library/app:latest", id);
		}
		good &= o.count == 100 && owned_names(&o) == 101;
		for (int i = 0; i < 100; i += round + 1) {
			snprintf(id, sizeof(id), "sha256:%064d", i);
			owned_forget(&o, id);
		}
	}
	ok(good, "a hundred images and their names, three times");
	owned_done(&o);
	is_int(o.count, 0, "nothing is left");
}

/* Intermediate images: noted, never owned. */
static void
steps(void)
{
	struct owned o;
	char step[OWNED_STEP_LEN + 1];
	const struct owned_image *image;

	owned_init(&o, NS);
	is_int(owned_step(&o, "aaaa00000000"), 1, "a step is new once");
	is_int(owned_step(&o, "aaaa00000000"), 0, "and only once");
	is_int(owned_step(&o, "aaaa0000000"), 0, "eleven digits are none");
	is_int(owned_step(&o, "AAAA00000000"), 0, "nor is upper case");
	ok(owned_has_step(&o, A) && owned_has_step(&o, B) && !owned_has_step(&o, C),
	    "it stands for what begins so");
	is_int(owned_by_id(&o, "aaaa00000000", &image), 0, "and is not owned");
	for (int i = 0; i < OWNED_STEPS_MAX; i++) {
		snprintf(step, sizeof(step), "%012x", (unsigned)i);
		(void)owned_step(&o, step);
	}
	is_int(o.step_count, OWNED_STEPS_MAX, "there are at most so many");
	ok(!owned_has_step(&o, A), "and the oldest goes first");
	owned_done(&o);
}

int
main(void)
{
	steps();
	names_move();
	repositories();
	abbreviations();
	many();
	return tap_end();
}
