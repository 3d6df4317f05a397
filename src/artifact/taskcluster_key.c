/* Credentials of a task or of an upload: read, used for one request, wiped. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "taskcluster_private.h"

enum { KEY_FILE_MAX = 256 * 1024, SCOPES_MAX = 5000 };

/* A task has it as text inside of JSON; in a request it stands as an object. */
static int
parse_certificate(struct tc_key *k, const char *text, struct err *e)
{
	struct err ignored = { 0 }; /* it may quote what it could not read */

	if (text == NULL || text[0] == '\0')
		return 0;
	k->certificate = json_parse(text, strlen(text), &ignored);
	if (json_is_object(k->certificate))
		return 0;
	return err_set(e, EINVAL, "the credentials' certificate is not a JSON object");
}

int
tc_key_parse(struct tc_key *k, const json_t *credentials, struct err *e)
{
	const char *id = json_str(credentials, "clientId", NULL);
	const char *secret = json_str(credentials, "accessToken", NULL);

	*k = (struct tc_key){ 0 };
	if (id == NULL || secret == NULL || id[0] == '\0' || secret[0] == '\0')
		return err_set(e, EINVAL, "the credentials have no clientId or no accessToken");
	if (parse_certificate(k, json_str(credentials, "certificate", NULL), e) < 0) {
		tc_key_done(k);
		return -1;
	}
	k->id = mem_str(id);
	k->secret = mem_str(secret);
	return 0;
}

int
tc_key_read(struct tc_key *k, const char *path, struct err *e)
{
	struct err unread = { 0 };
	struct buf text = { 0 };
	char mark[HASH_HEX_MAX];
	json_t *v;
	int rc;

	*k = (struct tc_key){ 0 };
	if (fs_read(path, KEY_FILE_MAX, &text, e) < 0) {
		buf_done(&text);
		return -1;
	}
	hash_once(HASH_SHA256, buf_ptr(&text), buf_len(&text), mark);
	v = json_parse(buf_ptr(&text), buf_len(&text), &unread);
	rc = tc_key_parse(k, v, e);
	memcpy(k->mark, mark, sizeof k->mark);
	json_decref(v);
	mem_wipe(text.data, text.tail);
	buf_done(&text);
	return rc;
}

void
tc_key_done(struct tc_key *k)
{
	if (k->secret != NULL)
		mem_wipe(k->secret, strlen(k->secret));
	free(k->id);
	free(k->secret);
	json_decref(k->certificate);
	*k = (struct tc_key){ 0 };
}

void
tc_key_age(const struct tc_key *k, int64_t now, char *out, size_t size)
{
	int64_t expiry = json_num(k->certificate, "expiry", 0);
	char at[STAMP_MAX];

	out[0] = '\0';
	if (expiry <= 0 || expiry > now)
		return;
	stamp_print(expiry, at);
	(void)snprintf(out, size, "; they expired at %s", at);
}
