/*
 * Multipart uploads that nobody wants any more: their parts take room, and money, until somebody aborts them.
 * Lists them page by page, aborts those that are doomed one after the other.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "s3_private.h"
#include "task/task.h"

enum { PAGE = 100 };

struct upload_row { /* one <Upload> */
	char *key, *id;
	int64_t initiated;
};

struct s3_clean {
	struct s3 *home;
	char *prefix;
	s3_doomed_cb *doomed;
	s3_clean_cb *cb;
	void *arg;
	struct s3_call *call;
	struct upload_row row, doom[PAGE];
	size_t doom_count, at;
	char *next_key, *next_id; /* where the next page begins */
	int truncated;
	unsigned aborted;
};

static void
row_done(struct upload_row *r)
{
	free(r->key);
	free(r->id);
	*r = (struct upload_row){ 0 };
}

static void
page_done(struct s3_clean *c)
{
	row_done(&c->row);
	for (size_t i = 0; i < c->doom_count; i++)
		row_done(&c->doom[i]);
	c->doom_count = c->at = 0;
}

static void
clean_free(struct s3_clean *c)
{
	s3_call_cancel(c->call);
	page_done(c);
	free(c->prefix);
	free(c->next_key);
	free(c->next_id);
	free(c);
}

void
s3_clean_cancel(struct s3_clean *c)
{
	if (c != NULL)
		clean_free(c);
}

/* c is gone. */
static void
end(struct s3_clean *c, const struct err *why)
{
	s3_clean_cb *cb = c->cb;
	void *arg = c->arg;
	unsigned aborted = c->aborted;

	clean_free(c);
	cb(arg, aborted, why);
}

static void
set(char **at, const char *text)
{
	free(*at);
	*at = mem_str(text);
}

static void
end_row(struct s3_clean *c)
{
	struct upload_row *r = &c->row;

	if (r->key != NULL && r->id != NULL && c->doom_count < PAGE &&
	    c->doomed(c->arg, r->key, r->id, r->initiated)) {
		c->doom[c->doom_count++] = *r;
		*r = (struct upload_row){ 0 };
	}
	row_done(r);
}

#define ROOT "ListMultipartUploadsResult/"

static int
on_listed(void *arg, const char *path, const char *text)
{
	struct s3_clean *c = arg;

	if (strcmp(path, ROOT "Upload/Key") == 0)
		set(&c->row.key, text);
	else if (strcmp(path, ROOT "Upload/UploadId") == 0)
		set(&c->row.id, text);
	else if (strcmp(path, ROOT "Upload/Initiated") == 0 && stamp_parse(text, &c->row.initiated) < 0)
		c->row.initiated = stamp_now() + c->home->skew; /* not known: young */
	else if (strcmp(path, ROOT "Upload") == 0)
		end_row(c);
	else if (strcmp(path, ROOT "NextKeyMarker") == 0)
		set(&c->next_key, text);
	else if (strcmp(path, ROOT "NextUploadIdMarker") == 0)
		set(&c->next_id, text);
	else if (strcmp(path, ROOT "IsTruncated") == 0)
		c->truncated = strcmp(text, "true") == 0;
	return 0;
}

static void ask_page(struct s3_clean *c);

static void abort_next(struct s3_clean *c);

static void
on_aborted(void *arg, const struct s3_reply *r)
{
	struct s3_clean *c = arg;

	c->call = NULL;
	if (!r->good && r->status != 404) {
		end(c, &r->why);
		return;
	}
	c->aborted += r->good != 0;
	c->at++;
	abort_next(c);
}

static void
abort_next(struct s3_clean *c)
{
	if (c->at < c->doom_count) {
		const struct upload_row *r = &c->doom[c->at];

		c->call = s3_call_start(c->home,
		    &(struct s3_ask){ .method = "DELETE", .key = r->key, .query = { { "uploadId", r->id } } },
		    on_aborted, c);
	} else if (c->truncated && c->next_key != NULL && c->next_key[0] != '\0') {
		ask_page(c);
	} else {
		end(c, NULL);
	}
}

static void
on_page(void *arg, const struct s3_reply *r)
{
	struct s3_clean *c = arg;
	struct err e = { 0 };

	c->call = NULL;
	if (!r->good) {
		end(c, &r->why);
		return;
	}
	page_done(c);
	c->truncated = 0;
	if (s3_xml_walk(buf_text(r->result->body), buf_len(r->result->body), on_listed, c, &e) != 0)
		end(c, &e);
	else
		abort_next(c);
}

static void
ask_page(struct s3_clean *c)
{
	struct s3_ask ask = { .method = "GET",
		.query = { { "uploads", "" }, { "max-uploads", "100" }, { "prefix", c->prefix } } };

	if (c->next_key != NULL) {
		ask.query[3] = (struct sigv4_pair){ "key-marker", c->next_key };
		ask.query[4] =
		    (struct sigv4_pair){ "upload-id-marker", c->next_id != NULL ? c->next_id : "" };
	}
	c->call = s3_call_start(c->home, &ask, on_page, c);
}

struct s3_clean *
s3_clean_start(struct s3 *home, const char *prefix, s3_doomed_cb *doomed, s3_clean_cb *cb, void *arg)
{
	struct s3_clean *c = mem_new(sizeof *c);

	*c = (struct s3_clean){
		.home = home, .prefix = mem_str(prefix), .doomed = doomed, .cb = cb, .arg = arg
	};
	ask_page(c);
	return c;
}

/* --- housekeeping: uploads that are ours, and older than any put can be */

static int
is_stale(void *arg, const char *key, const char *upload_id, int64_t initiated)
{
	const struct s3 *s = arg;

	if (initiated > stamp_now() + s->skew - (int64_t)S3_STALE * 1000 || !s3_is_our_key(&s->place, key))
		return 0;
	for (const struct store_job *j = s->jobs; j != NULL; j = j->next_job)
		if (j->upload_id != NULL && strcmp(j->upload_id, upload_id) == 0)
			return 0;
	return 1;
}

static void
on_swept(void *arg, unsigned aborted, const struct err *why)
{
	struct s3 *s = arg;

	s->sweep = NULL;
	if (aborted > 0)
		log_info("s3", "%u multipart uploads that were left behind are aborted", aborted);
	if (why != NULL)
		log_warn("s3", "housekeeping: %s", why->text);
}

int
s3_sweep(struct store *store, struct err *e)
{
	struct s3 *s = (struct s3 *)store;

	(void)e;
	if (s->sweep == NULL)
		s->sweep = s3_clean_start(s, s->place.prefix, is_stale, on_swept, s);
	return 0;
}
