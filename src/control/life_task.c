/* Registering tasks, their sockets, and what is said of them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "control/life_parts.h"
#include "io/gate.h"
#include "io/listen.h"
#include "io/notify.h"
#include "task/task.h"

static char *
dir_of(const struct life *l, const struct task *task)
{
	return mem_printf("%s/tasks/%s", l->settings->run_dir, task->id);
}

struct accepting { /* task->user */
	struct life *life;
	struct task *task;
	struct listener *listener;
};

static void
on_accept(void *arg, int fd)
{
	struct accepting *a = arg;

	proxy_accept(&a->life->proxy, a->task, fd);
}

/*
 * The directory can be entered by anyone and changed by nobody else: a task sees only the socket in it. A
 * socket that was kept while the service restarted is the same file still: containers have it mounted.
 */
static struct listener *
make_socket(struct life *l, struct accepting *a, struct err *e)
{
	char *dir = dir_of(l, a->task), *path = mem_printf("%s/docker.sock", dir);
	int kept = notify_take(a->task->id, path);
	struct listener *n = NULL;

	if (kept >= 0 || (fs_mkdirs(dir, 0711, e) == 0 && chmod(dir, 0711) == 0))
		n = listener_new(l->loop, path, (mode_t)l->settings->socket_mode, kept, on_accept, a, e);
	if (n != NULL && kept < 0)
		notify_store(a->task->id, listener_fd(n));
	free(path);
	free(dir);
	return n;
}

int
task_announce(struct life *l, struct task *task, struct err *e)
{
	json_t *none = json_object();
	int rc = gate_policy(l->gate, task->id, task->policy_given ? task->policy_given : none, e);

	json_decref(none);
	life_fit_api(l, task);
	return rc;
}

int
task_serve(struct life *l, struct task *task, struct err *e)
{
	struct accepting *a = mem_new(sizeof *a);

	a->life = l;
	a->task = task;
	if (task_announce(l, task, e) == 0)
		a->listener = make_socket(l, a, e);
	if (a->listener == NULL) {
		free(a);
		return -1;
	}
	task->user = a;
	return 0;
}

static void
stop_accepting(struct task *task)
{
	struct accepting *a = task->user;

	if (a != NULL)
		listener_free(a->listener, 0);
	free(a);
	task->user = NULL;
}

void
task_unserve(struct life *l, struct task *task)
{
	char *dir = dir_of(l, task), *path = mem_printf("%s/docker.sock", dir);

	stop_accepting(task);
	notify_forget(task->id);
	(void)unlink(path); /* perhaps of an earlier process that died */
	(void)rmdir(dir);
	free(path);
	free(dir);
}

void
task_leave(struct life *l, struct task *task)
{
	if (notify_keeps())
		stop_accepting(task);
	else
		task_unserve(l, task);
}

static json_t *
start_answer(struct life *l, const struct task *task)
{
	char *dir = dir_of(l, task), *path = mem_printf("%s/docker.sock", dir);
	json_t *answer =
	    json_pack("{s:b,s:s,s:s,s:i,s:s,s:s,s:[{s:s,s:s,s:b}],s:{s:s,s:s}}", "enabled", 1, "id", task->id,
	        "taskId", task->task_id, "runId", (int)task->run_id, "state", task_state_name(task->state),
	        "socket", path, "mounts", "source", path, "target", "/var/run/docker.sock", "readOnly", 1,
	        "env", "DOCKER_BUILDKIT", "0", "DOCKER_HOST", "unix:///var/run/docker.sock");

	free(path);
	free(dir);
	return answer;
}

/* The task has no use for a socket; its id still names it for loaded images and for its end. */
static void
not_enabled(const json_t *body, life_answer_cb *cb, void *arg)
{
	char id[REFERENCE_NS_LEN + 1];

	task_make_id(json_str(body, "taskId", ""), (unsigned)json_num(body, "runId", 0), id);
	life_say(cb, arg, 200, json_pack("{s:b,s:s}", "enabled", 0, "id", id));
}

/* What the worker laid over the host's policy: whoever replays the log needs it. */
static json_t *
given(const struct task *task)
{
	json_t *more = json_object(), *v = json_object();

	if (task->policy_given != NULL)
		json_object_set(v, "policy", task->policy_given);
	if (task->limits_given != NULL)
		json_object_set(v, "limits", task->limits_given);
	if (json_object_size(v) > 0)
		json_object_set(more, "given", v);
	json_decref(v);
	return more;
}

void
life_task_start(struct life *l, const json_t *body, life_answer_cb *cb, void *arg)
{
	struct task *task = NULL;
	struct err e = { 0 };
	int known = 0;

	if (tasks_add(l->tasks, body, &task, &known, &e) < 0) {
		life_fail(cb, arg, &e);
		return;
	}
	if (task == NULL) {
		not_enabled(body, cb, arg);
		return;
	}
	if (known && task->state == TASK_ENDED) {
		err_refuse(&e, 409, "task", "task %s is still being cleaned up", task->id);
		life_fail(cb, arg, &e);
		return;
	}
	if (!known && task_serve(l, task, &e) < 0) {
		struct err ignored = { 0 };

		(void)task_remove(task, &ignored);
		life_fail(cb, arg, &e);
		return;
	}
	if (!known)
		life_record(l, task, "task", "start", given(task));
	life_say(cb, arg, known ? 200 : 201, start_answer(l, task));
}

void
life_task_list(struct life *l, life_answer_cb *cb, void *arg)
{
	json_t *list = json_array();

	for (const struct task *t = tasks_first(l->tasks); t != NULL; t = t->next)
		json_array_append_new(list, task_json(t, 0));
	life_say(cb, arg, 200, list);
}

static struct task *
find_or_fail(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct task *task = tasks_find(l->tasks, id);
	struct err e = { 0 };

	if (task != NULL)
		return task;
	err_refuse(&e, 404, "task", "no task '%s' is registered here", id);
	life_fail(cb, arg, &e);
	return NULL;
}

void
life_task_show(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct task *task = find_or_fail(l, id, cb, arg);
	json_t *answer, *more;

	if (task == NULL)
		return;
	answer = task_json(task, 1);
	more = start_answer(l, task);
	json_object_update_missing(answer, more);
	json_decref(more);
	json_object_set_new(answer, "artifacts", exports_json(l, task, 0));
	life_say(cb, arg, 200, answer);
}

void
life_task_credentials(struct life *l, const char *id, const json_t *body, life_answer_cb *cb, void *arg)
{
	struct task *task = find_or_fail(l, id, cb, arg);
	struct err e = { 0 };

	if (task == NULL)
		return;
	if (task_set_credentials(task, body, &e) < 0)
		life_fail(cb, arg, &e);
	else
		life_say(cb, arg, 204, NULL);
}

void
life_task_artifacts(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct task *task = find_or_fail(l, id, cb, arg);

	if (task != NULL)
		life_say(cb, arg, 200, exports_json(l, task, 1));
}

void
life_task_finish(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	struct task *task = find_or_fail(l, id, cb, arg);
	struct err e = { 0 };

	if (task == NULL)
		return;
	if (task->state == TASK_RUNNING) {
		if (task_set_state(task, TASK_FINISHING, &e) < 0) {
			life_fail(cb, arg, &e);
			return;
		}
		life_record(l, task, "task", "finish", json_object());
		proxy_close_task(&l->proxy, task, "the task was finished");
		exports_start(l, task);
	}
	life_say(cb, arg, 202,
	    json_pack(
	        "{s:s,s:o}", "state", task_state_name(task->state), "artifacts", exports_json(l, task, 0)));
}

/* A task is named by its id or by taskId/runId; one without a socket may still hold a loaded image. */
void
life_task_end(struct life *l, const char *id, life_answer_cb *cb, void *arg)
{
	const struct task *task = tasks_find(l->tasks, id);
	const char *slash = strrchr(id, '/');
	char made[REFERENCE_NS_LEN + 1] = "";

	if (task != NULL) {
		memcpy(made, task->id, sizeof made);
	} else if (reference_is_ns(id)) {
		memcpy(made, id, sizeof made);
	} else if (slash != NULL) {
		char *task_id = mem_strn(id, (size_t)(slash - id));

		task_make_id(task_id, (unsigned)strtoul(slash + 1, NULL, 10), made);
		free(task_id);
	}
	if (made[0] == '\0')
		life_say(cb, arg, 200, json_pack("{s:s,s:i}", "state", "ended", "removed", 0));
	else
		end_start(l, made, cb, arg);
}
