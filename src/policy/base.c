#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "names.h"
#include "policy/decide.h"
#include "show.h"

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

int
base_resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	const struct base_ask *ask = arg;
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
		return refuse(ask->policy, word, e);
	for (size_t i = 0; i < ask->policy->base_count; i++) {
		if (!reference_match(&r, ask->policy->bases[i]))
			continue;
		reference_canonical(&r, mapped);
		return 0;
	}
	return refuse(ask->policy, word, e);
}
