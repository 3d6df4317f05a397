#include "image/report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/stamp.h"
#include "docker/reference.h"
#include "image/event.h"
#include "task/audit.h"
#include "task/report.h"
#include "task/spool.h"

static int
read_job(const json_t *j, struct spool_record *r, struct err *e)
{
	*r = (struct spool_record){
		.kind = "report",
		.task_id = json_str(j, "taskId", NULL),
		.run_id = (unsigned)json_num(j, "runId", 0),
		.session = json_str(j, "session", NULL),
		.name = json_str(j, "name", NULL),
		.content_type = json_str(j, "contentType", NULL),
		.expires = json_str(j, "expires", NULL),
		.version = json_str(j, "version", NULL),
	};
	if (json_str(j, "spool", NULL) == NULL || json_str(j, "log", NULL) == NULL || r->task_id == NULL ||
	    r->session == NULL || !reference_is_ns(r->session) || r->name == NULL ||
	    r->content_type == NULL || r->version == NULL)
		return err_refuse(e, 400, "image-job",
		    "the job lacks one of spool, session, taskId, name, contentType, version, log");
	return 0;
}

static int
on_record(void *arg, const json_t *record)
{
	report_record(arg, record);
	return 0;
}

/* Lines that a crash has torn are passed over. */
static int
make_page(const json_t *job, const char *version, struct buf *page, struct err *e)
{
	const json_t *task = json_object_get(job, "task");
	struct report *r = report_new();
	int rc = audit_read(json_str(job, "log", ""), on_record, r, e);

	if (rc == 0 || e->code == EBADMSG)
		report_print(r, json_is_object(task) ? task : NULL, stamp_now(), version, page);
	report_free(r);
	return rc < 0 && e->code != EBADMSG ? -1 : 0;
}

static int
seal(const char *spool, const char *id, int fd, struct spool_record *r, const struct buf *page, struct err *e)
{
	char sha256[HASH_HEX_MAX], sha512[HASH_HEX_MAX], created[STAMP_MAX];
	json_t *fields;
	int rc;

	hash_once(HASH_SHA256, buf_ptr(page), buf_len(page), sha256);
	hash_once(HASH_SHA512, buf_ptr(page), buf_len(page), sha512);
	stamp_print(stamp_now(), created);
	r->sha256 = sha256;
	r->sha512 = sha512;
	r->created = created;
	r->size = buf_len(page);
	rc = fs_write_all(fd, buf_ptr(page), buf_len(page), e);
	if (rc == 0)
		rc = spool_seal(spool, id, fd, r, e);
	if (rc < 0)
		return -1;
	fields = spool_record_json(r);
	json_object_set_new(fields, "id", json_string(id));
	event_done(fields);
	return 0;
}

int
image_report(const json_t *job, int nobody, struct err *e)
{
	const char *spool = json_str(job, "spool", "");
	struct spool_record r;
	struct buf page = { 0 };
	struct err ignored;
	char id[SPOOL_ID_MAX];
	int fd, rc;

	(void)nobody;
	if (read_job(job, &r, e) < 0)
		return -1;
	spool_make_id(r.session, r.name, id);
	fd = spool_begin(spool, id, e);
	rc = fd < 0 ? -1 : make_page(job, r.version, &page, e);
	if (rc == 0)
		rc = seal(spool, id, fd, &r, &page, e);
	if (rc < 0 && fd >= 0)
		(void)spool_discard(spool, id, &ignored);
	if (fd >= 0)
		close(fd);
	buf_done(&page);
	if (rc < 0) {
		e->status = e->code == ENOSPC || e->code == EDQUOT ? 507 : e->code == EEXIST ? 409 : 500;
		e->rule = "spool";
	}
	return rc;
}
