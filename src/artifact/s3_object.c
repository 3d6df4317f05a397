/* What an object and its record say: the headers of the one, the JSON of the other. */

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/stamp.h"
#include "local_private.h"
#include "s3_private.h"

void
s3_base64(const char *hex, char out[48])
{
	unsigned char raw[32] = { 0 };

	for (size_t i = 0; i < sizeof raw; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		raw[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	(void)EVP_EncodeBlock((unsigned char *)out, raw, sizeof raw);
}

/* Whatever stands in the record becomes no other header. */
static const char *
content_type(const struct spool_record *r)
{
	for (const char *p = r->content_type; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			return "application/octet-stream";
	return r->content_type;
}

void
s3_object_headers(const struct spool_record *record, struct sigv4_pair *headers)
{
	headers[0] = (struct sigv4_pair){ "content-type", content_type(record) };
	headers[1] = (struct sigv4_pair){ "x-amz-meta-sha256", record->sha256 };
}

int
s3_object_is(const struct spool_record *record, const struct transfer_result *r)
{
	char size[32], sha256[80], want[32];

	(void)snprintf(want, sizeof want, "%llu", (unsigned long long)record->size);
	return transfer_header(r, "content-length", size, sizeof size) &&
	       transfer_header(r, "x-amz-meta-sha256", sha256, sizeof sha256) && strcmp(size, want) == 0 &&
	       strcmp(sha256, record->sha256) == 0;
}

static int
is_same(const struct spool_record *record, const json_t *there, struct err *e)
{
	const char *sha256 = json_str(there, "sha256", "");

	if (strcmp(sha256, record->sha256) == 0)
		return 1;
	return err_set(e, EEXIST,
	    "the store has another '%s' of task %s already: sha256 %.16s..., not %.16s...", record->name,
	    record->task_id, sha256, record->sha256);
}

int
s3_record_is(const struct spool_record *record, const struct buf *body, struct err *e)
{
	struct spool_record r = { 0 };
	struct err damaged;
	json_t *there = json_parse(buf_ptr(body), buf_len(body), &damaged);
	int rc = 0;

	if (there != NULL && spool_record_parse(&r, there, &damaged) == 0 && !local_expired(there))
		rc = is_same(record, there, e);
	spool_record_done(&r);
	json_decref(there);
	return rc;
}

void
s3_record_print(const struct spool_record *record, struct buf *out)
{
	json_t *v = spool_record_json(record);
	char now[STAMP_MAX], *text;

	stamp_print(stamp_now(), now);
	json_object_set_new(v, "stored", json_string(now));
	text = json_text(v, 1);
	buf_clear(out);
	buf_adds(out, text);
	free(text);
	json_decref(v);
}
