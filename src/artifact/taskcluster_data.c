/* The request with the bytes: what a pre-signed URL may be, what goes with it, what its answer means. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "taskcluster_private.h"

enum { URL_MAX = 8192, VALUE_MAX = 1024, HEADERS_MAX = 32, WORD_MAX = 64 };

int
tc_data_url(const char *root, const char *url, struct err *e)
{
	int safe = strncmp(url, "https://", 8) == 0;

	if (!safe && strncmp(url, "http://", 7) != 0)
		return err_set(e, EBADMSG, "the URL for the upload is none");
	if (!safe && strncmp(root, "https://", 8) == 0)
		return err_set(e, EBADMSG, "the URL for the upload is not https, as the deployment's is");
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || c - url >= URL_MAX)
			return err_set(e, EBADMSG, "the URL for the upload is none");
	return 0;
}

static int
is_token(const char *name)
{
	static const char token[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~";
	size_t n = strspn(name, token);

	return n > 0 && n < WORD_MAX && name[n] == '\0';
}

static int
is_value(const char *value)
{
	size_t n = 0;

	for (; value[n] != '\0'; n++)
		if (value[n] < ' ' || value[n] > '~' || n >= VALUE_MAX)
			return 0;
	return n > 0;
}

/* libcurl writes the length: it must be the one that was signed. */
static int
is_length(const char *value, uint64_t size)
{
	char *want = mem_printf("%llu", (unsigned long long)size);
	int same = strcmp(value, want) == 0;

	free(want);
	return same;
}

char *
tc_data_headers(const json_t *wanted, uint64_t size, struct err *e)
{
	struct buf out = { 0 };
	const char *name;
	json_t *v;
	char *text;

	if (json_object_size(wanted) > HEADERS_MAX)
		err_set(e, EBADMSG, "too many headers are wanted with the upload");
	json_object_foreach((json_t *)(uintptr_t)wanted, name, v)
	{
		const char *value = json_is_string(v) ? json_string_value(v) : "";

		if (!is_token(name) || !is_value(value) || strcasecmp(name, "Transfer-Encoding") == 0 ||
		    strcasecmp(name, "Host") == 0)
			err_set(e, EBADMSG, "a header that is wanted with the upload cannot be sent");
		else if (strcasecmp(name, "Content-Length") != 0)
			buf_printf(&out, "%s: %s\n", name, value);
		else if (!is_length(value, size))
			err_set(e, EBADMSG, "the upload is to have another length than the artifact");
	}
	text = e->code == 0 ? mem_str(buf_text(&out)) : NULL;
	buf_done(&out);
	return text;
}

/* What stands between <name> and </name>, as far as it is printable; "" when there is none. */
static void
element(const char *text, const char *name, char *out, size_t size)
{
	char *open = mem_printf("<%s>", name);
	const char *at = strstr(text, open), *end = NULL;

	out[0] = '\0';
	if (at != NULL) {
		at += strlen(open);
		end = strchr(at, '<');
	}
	if (end != NULL)
		(void)log_quote(at, (size_t)(end - at), out, size);
	free(open);
}

/* S3 says AccessDenied, "Request has expired"; others have a word for it. */
static int
is_expired(unsigned status, const char *code, const char *message)
{
	if (strcmp(code, "ExpiredToken") == 0)
		return status == 400 || status == 403;
	return status == 403 && strcasestr(message, "expired") != NULL;
}

/* A new signature does not help where nothing of it was ours. */
static enum tc_data_end end_of(enum retry_class class)
{
	return class == RETRY_AGAIN ? TC_DATA_AGAIN : TC_DATA_FAILED;
}

enum tc_data_end
tc_data_refused(const struct transfer_result *r, struct err *why)
{
	char code[WORD_MAX], message[200];
	const char *text = buf_text(r->body);

	if (r->end != TRANSFER_ANSWERED) {
		*why = r->why;
		return end_of(retry_judge(r->end, 0, NULL));
	}
	element(text, "Code", code, sizeof code);
	element(text, "Message", message, sizeof message);
	if (r->status >= 300 && r->status < 400)
		err_set(why, 0, "status %u: redirects are not followed", r->status);
	else
		err_set(why, 0, "status %u%s%s%s%s", r->status, code[0] != '\0' ? " " : "", code,
		    message[0] != '\0' ? ": " : "", message);
	if (is_expired(r->status, code, message))
		return TC_DATA_EXPIRED;
	return end_of(retry_judge(r->end, r->status, code));
}

enum tc_data_end
tc_data_judge(const struct transfer_result *r, struct err *why)
{
	int good = r->status == 200 || r->status == 201 || r->status == 204;

	if (r->end == TRANSFER_ANSWERED && good && buf_text(r->body)[0] != '<')
		return TC_DATA_SENT; /* nothing, that is: no page of a proxy's, and no <Error> */
	return tc_data_refused(r, why);
}
