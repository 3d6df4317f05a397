/* A report that is declared as an artifact: made last, so that it tells of the others. */

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/version.h"
#include "control/life_parts.h"
#include "io/child.h"
#include "task/task.h"

int
report_must_wait(const struct exporting *x)
{
	for (const struct exporting *o = x->life->exports; o != NULL; o = o->next)
		if (o->task == x->task && !o->report && o->state < EXPORT_HANDED_OFF)
			return 1;
	return 0;
}

/* As the control API says it, but for where a local store is: whoever reads the report has no business there.
 */
static json_t *
task_facts(const struct exporting *x)
{
	json_t *task = task_json(x->task, 1), *artifacts = exports_json(x->life, x->task, 0), *a;
	size_t i;

	json_array_foreach(artifacts, i, a)
	{
		json_object_del(a, "path");
		if (json_is_true(json_object_get(a, "report")))
			json_object_set_new(a, "state", json_string("this page"));
	}
	json_object_set_new(task, "artifacts", artifacts);
	return task;
}

static json_t *
make_job(const struct exporting *x)
{
	const struct settings *s = x->life->settings;
	const json_t *declared = json_object_get(x->task->artifacts, x->name);
	char *log = mem_printf("%s/tasks/%s.jsonl", s->audit_dir, x->task->id);
	json_t *job = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:s?,s:s,s:s,s:o}", "spool", s->spool_dir,
	    "session", x->task->id, "taskId", x->task->task_id, "runId", (int)x->task->run_id, "name",
	    x->name, "contentType", "text/html", "expires", json_str(declared, "expires", NULL), "version",
	    DIND_VERSION, "log", log, "task", task_facts(x));

	free(log);
	return job;
}

int
report_begin(struct exporting *x, child_event_cb *on_event, child_end_cb *on_end, struct err *e)
{
	const char *argv[] = { x->life->settings->image_program, "report", NULL };
	int nobody[2];
	json_t *job;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, nobody) < 0)
		return err_set(e, 0, "socketpair: %m");
	close(nobody[1]);
	job = make_job(x);
	x->state = EXPORT_RUNNING;
	x->child = child_start(x->life->loop, argv, job, nobody[0], on_event, on_end, x, e);
	json_decref(job);
	return x->child == NULL ? -1 : 0;
}
