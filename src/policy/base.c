#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "check.h"
#include "names.h"
#include "policy/decide.h"
#include "show.h"

int
base_allowed(const struct policy *p, const struct reference *r)
{
	for (size_t i = 0; i < p->base_count; i++)
		if (reference_match(r, p->bases[i]))
			return 1;
	return 0;
}

int
base_observed(const struct policy *p, const struct reference *r)
{
	return p->mode == POLICY_OBSERVE && reference_match(r, "docker.io/library/*");
}

static int
refuse(const struct policy *p, const char *word, struct err *e)
{
	struct buf list = { 0 };
	int rc;

	for (size_t i = 0; i < p->base_count && buf_len(&list) < 200; i++)
		buf_printf(&list, "%s%s", i > 0 ? ", " : "", p->bases[i]);
	rc = err_refuse(e, 403, "base-image",
	    "image '%s' is neither an image of this task nor one of the operator's base images (%.200s)",
	    show(word).text, p->base_count > 0 ? buf_text(&list) : "there are none");
	buf_done(&list);
	return rc;
}

/* The word is kept for the record. */
static int
refuse_word(struct base_ask *ask, const char *word, struct err *e)
{
	(void)snprintf(ask->refused, sizeof(ask->refused), "%s", word);
	return refuse(ask->policy, word, e);
}

static void
note(const struct base_ask *ask, const char *word)
{
	struct err why = { 0 };

	refuse(ask->policy, word, &why);
	if (ask->observed != NULL)
		ask->observed(ask->arg, &why);
}

int
base_resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	struct base_ask *ask = arg;
	struct reference r;
	struct named found;

	if (names_look(ask->owned, word, &found, e) < 0)
		return -1;
	*own = found.image != NULL;
	if (*own) {
		memcpy(mapped, found.engine, REFERENCE_MAX);
		return 0;
	}
	if (reference_parse(&r, word, e) < 0) /* an id of nobody's */
		return refuse_word(ask, word, e);
	if (!base_allowed(ask->policy, &r)) {
		if (!base_observed(ask->policy, &r))
			return refuse_word(ask, word, e);
		note(ask, word);
	}
	reference_canonical(&r, mapped);
	return 0;
}
