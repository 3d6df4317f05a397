#include "unmap.h"

#include <string.h>

#include "base/buf.h"

static size_t
unmap_one(json_t *v, const char *ns, const struct reference_pair *pairs, size_t count)
{
	const char *text = json_string_value(v);
	size_t len = json_string_length(v);
	struct buf b = { 0 };

	if (memmem(text, len, REFERENCE_REGISTRY, sizeof REFERENCE_REGISTRY - 1) == NULL)
		return 0;
	reference_unmap_text(text, len, ns, pairs, count, &b);
	(void)buf_text(&b); /* never NULL, even when nothing is left */
	json_string_setn_nocheck(
	    v, (const char *)buf_ptr(&b), buf_len(&b)); /* ASCII for ASCII: still UTF-8 */
	buf_done(&b);
	return 1;
}

size_t
unmap_strings(json_t *v, const char *ns, const struct reference_pair *pairs, size_t count)
{
	const char *key;
	json_t *member;
	size_t i, n = 0;

	if (json_is_string(v))
		return unmap_one(v, ns, pairs, count);
	json_object_foreach(v, key, member) n += unmap_strings(member, ns, pairs, count);
	json_array_foreach(v, i, member) n += unmap_strings(member, ns, pairs, count);
	return n;
}
