/* dindctl task report */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_files.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/verbs.h"
#include "task/audit.h"
#include "task/report.h"
#include "task/task.h"

/* What the service says of the task; NULL when it does not know it, or does not run: the records remain. */
static json_t *
ask_service(const struct cli *c, struct err *e)
{
	char *path = verb_task_path(c, "", e);
	struct client *k = path == NULL ? NULL : client_new(c, e);
	json_t *task = NULL;

	if (k != NULL && client_call(k, "GET", path, NULL, &task, e) < 0)
		fprintf(c->err, "dindctl: from the audit log alone: %s\n", e->text);
	client_free(k);
	free(path);
	return task;
}

/* By its id on this host; "taskId/runId" and "taskId" (run 0) are names that an id is made of. */
static void
find_id(const char *word, const json_t *task, char out[REFERENCE_NS_LEN + 1])
{
	const char *slash = strrchr(word, '/'), *known = json_str(task, "id", word);
	char *task_id;

	if (reference_is_ns(known)) {
		memcpy(out, known, REFERENCE_NS_LEN + 1);
		return;
	}
	task_id = mem_strn(word, slash != NULL ? (size_t)(slash - word) : strlen(word));
	task_make_id(task_id, slash != NULL ? (unsigned)strtoul(slash + 1, NULL, 10) : 0, out);
	free(task_id);
}

static int
on_record(void *arg, const json_t *record)
{
	report_record(arg, record);
	return 0;
}

/* Damaged lines are for `audit verify` to tell; a log that is not there is an error. */
static int
read_records(const struct cli *c, const char *id, struct report *r, struct err *e)
{
	struct settings s;
	char *path = NULL;
	int rc = audit_settings(c, &s, e);

	if (rc == 0) {
		path = mem_printf("%s/tasks/%s.jsonl", s.audit_dir, id);
		rc = audit_read(path, on_record, r, e);
	}
	if (rc < 0 && path != NULL && e->code == EBADMSG) {
		fprintf(c->err, "dindctl: %s\n", e->text);
		rc = 0;
	}
	free(path);
	settings_done(&s);
	return rc;
}

static int
write_page(const struct cli *c, const struct buf *page, struct err *e)
{
	const char *file = c->opt[OPT_OUTPUT];
	char *here, *path;
	int rc;

	if (file == NULL || strcmp(file, "-") == 0)
		return fwrite(buf_ptr(page), 1, buf_len(page), c->out) == buf_len(page)
		           ? 0
		           : err_set(e, EIO, "cannot write to standard output");
	here = file[0] == '/' ? NULL : getcwd(NULL, 0);
	path = mem_printf("%s%s%s", here != NULL ? here : "", here != NULL ? "/" : "", file);
	rc = fs_replace(path, buf_ptr(page), buf_len(page), 0644, e);
	free(path);
	free(here);
	return rc;
}

int
verb_task_report(struct cli *c, struct err *e)
{
	struct report *r = report_new();
	struct buf page = { 0 };
	char id[REFERENCE_NS_LEN + 1];
	json_t *task;
	int rc;

	task = ask_service(c, e);
	find_id(c->words[0], task, id);
	rc = read_records(c, id, r, e);
	if (rc == 0) {
		report_print(r, task, stamp_now(), DIND_VERSION, &page);
		rc = write_page(c, &page, e);
	}
	buf_done(&page);
	json_decref(task);
	report_free(r);
	return rc < 0 ? CLI_FAILED : CLI_OK;
}
