#include "artifact/upload.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/log.h"
#include "seed.h"

static const struct upload_pace quick = {
	.pause_first = 1, .pause_most = 2, .tries = 3, .poll = 60000, .sweep = 60000
};
static const struct seed one = { "Task_A", "public/one.tar", "bytes of one", NULL, 0 };

/* A store that answers what the test says, one answer a put; the last one stays. */
struct fake {
	struct store store;
	const enum store_end *answers;
	unsigned puts;
	uint64_t sent;
	int remove;       /* the task ends meanwhile */
	const char *hold; /* the put lasts until this file is there */
	struct err why;
};

struct store_job {
	struct fake *home;
	struct event *turn;
	store_end_cb *cb;
	void *arg;
};

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct store_job *j = arg;
	struct fake *f = j->home;
	struct timeval soon = { 0, 10000 };
	enum store_end end;
	json_t *where;
	struct err e;

	(void)fd;
	(void)what;
	if (f->hold != NULL && !scratch_has(f->hold)) {
		evtimer_add(j->turn, &soon);
		return;
	}
	end = f->answers[f->puts++];
	where = end == STORE_DONE ? json_pack("{s:s}", "url", "http://store.test/one") : NULL;
	if (f->remove) {
		char *dir = scratch_path("spool/uploading");

		(void)fs_remove_tree(dir, &e);
		(void)fs_mkdirs(dir, 0700, &e);
		free(dir);
	}
	err_set(&f->why, ECONNRESET, "the store is tired: %m");
	f->why.rule = "service";
	j->cb(j->arg, end, where, &f->why);
	json_decref(where);
	event_free(j->turn);
	free(j);
}

static struct store_job *
fake_put(struct store *s, const struct store_item *item, store_end_cb *cb, void *arg)
{
	struct store_job *j = mem_new(sizeof *j);
	struct timeval now = { 0, 0 };

	*j = (struct store_job){ .home = (struct fake *)s, .cb = cb, .arg = arg };
	ok(strcmp(item->record->name, one.name) == 0 && access(item->data, R_OK) == 0, "the item is there");
	j->turn = evtimer_new(base, on_turn, j);
	evtimer_add(j->turn, &now);
	return j;
}

static uint64_t
fake_sent(const struct store_job *j)
{
	return j->home->sent * (j->home->puts + 1);
}

static void
fake_cancel(struct store_job *j)
{
	event_free(j->turn);
	free(j);
}

static int
fake_sweep(struct store *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

static void
fake_free(struct store *s)
{
	(void)s;
}

static const struct store_ops fake_ops = { .type = "fake",
	.put = fake_put,
	.sent = fake_sent,
	.cancel = fake_cancel,
	.sweep = fake_sweep,
	.free = fake_free };

static unsigned done, failed;

static void
run_once(struct store *store)
{
	struct err e = { 0 };
	struct uploader *u = uploader_new(base, &settings, store, NULL, &quick, 1, &e);

	if (u == NULL) {
		ok(0, e.text);
		return;
	}
	event_base_dispatch(base);
	done = uploader_done(u);
	failed = uploader_failed(u);
	uploader_free(u);
}

static void
run_local(void)
{
	struct err e = { 0 };
	struct store *s = store_open(base, &settings, &e);

	run_once(s);
	store_free(s);
}

static int
has(enum spool_state state, const char *id, const char *name)
{
	char *path = spool_path(settings.spool_dir, state, id, name);
	int there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static json_t *
result_of(enum spool_state state, const char *id)
{
	struct err e = { 0 };
	json_t *v = spool_read_result(settings.spool_dir, state, id, &e);

	ok(v != NULL, v != NULL ? "result.json" : e.text);
	return v;
}

static void
clear(const char *id)
{
	struct err e;
	char *store = scratch_path("store");

	(void)spool_remove(settings.spool_dir, id, &e);
	(void)fs_remove_tree(store, &e);
	free(store);
}

static void
test_local(void)
{
	static const struct seed bad = { "Task_A", "bad.tar", "bytes", NULL, 1 };
	static const char *const names[] = { "a.tar", "b.tar", "c.tar", "d.tar", "e.tar", "f.tar", "g.tar" };
	char good[SPOOL_ID_MAX], broken[SPOOL_ID_MAX], id[SPOOL_ID_MAX];
	json_t *v;

	seed_ready(&one, good);
	seed_ready(&bad, broken);
	seed_damage(SPOOL_READY, broken, "bytez");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		seed_ready(&(struct seed){ "Many", names[i], names[i], NULL, 0 }, id);
	run_local();
	is_int(done, 8, "more than can run at a time");
	is_int(failed, 1, "one is damaged");
	v = result_of(SPOOL_DONE, good);
	is_str(json_str(v, "state", NULL), "done", "done");
	ok(strstr(json_str(v, "path", ""), "store/Task_A/0/public/one.tar") != NULL, "where it is");
	ok(json_str(v, "started", NULL) != NULL && json_str(v, "ended", NULL) != NULL, "when it was");
	ok(!has(SPOOL_DONE, good, "data") && has(SPOOL_DONE, good, "record.json"),
	    "its bytes have left the spool");
	json_decref(v);
	v = result_of(SPOOL_FAILED, broken);
	is_str(json_str(v, "state", NULL), "failed", "failed");
	ok(strstr(json_str(v, "error", ""), "damaged in the spool") != NULL, json_str(v, "error", ""));
	json_decref(v);
	clear(good);
	clear(broken);
}

/* What an uploader that died had taken is taken up. */
static void
test_resume(void)
{
	char id[SPOOL_ID_MAX];
	struct err e = { 0 };

	seed_ready(&one, id);
	is_int(spool_move(settings.spool_dir, id, SPOOL_READY, SPOOL_UPLOADING, &e), 0, "taken");
	run_local();
	is_int(done, 1, "goes on");
	is_int(spool_find(settings.spool_dir, id), SPOOL_DONE, "to its end");
	clear(id);
}

static void
test_retry(void)
{
	static const enum store_end third[] = { STORE_AGAIN, STORE_AGAIN, STORE_DONE };
	static const enum store_end never[] = { STORE_AGAIN, STORE_AGAIN, STORE_AGAIN, STORE_DONE };
	static const enum store_end last[] = { STORE_AGAIN, STORE_AGAIN, STORE_AGAIN, STORE_AGAIN,
		STORE_FAILED };
	struct fake f = { .store = { &fake_ops }, .answers = third };
	char id[SPOOL_ID_MAX];
	json_t *v;

	seed_ready(&one, id);
	run_once(&f.store);
	v = result_of(SPOOL_DONE, id);
	is_int(json_num(v, "tries", 0), 3, "the third try");
	is_str(json_str(v, "url", NULL), "http://store.test/one", "says where");
	json_decref(v);
	clear(id);

	f = (struct fake){ .store = { &fake_ops }, .answers = never };
	seed_ready(&one, id);
	run_once(&f.store);
	is_int(f.puts, 3, "three tries without progress");
	v = result_of(SPOOL_FAILED, id);
	is_str(json_str(v, "fault", NULL), "service", "whose fault it was");
	is_str(json_str(v, "error", NULL),
	    "given up after 3 tries: the store is tired: Connection reset by peer", "why");
	json_decref(v);
	clear(id);

	f = (struct fake){ .store = { &fake_ops }, .answers = last, .sent = 2 };
	seed_ready(&one, id);
	run_once(&f.store);
	is_int(f.puts, 5, "with progress there are more");
	is_int(spool_find(settings.spool_dir, id), SPOOL_FAILED, "until it is refused");
	clear(id);
}

/* The task is removed while its artifact is on the way. */
static void
test_removed(void)
{
	static const enum store_end answers[] = { STORE_AGAIN };
	struct fake f = { .store = { &fake_ops }, .answers = answers, .remove = 1 };
	char id[SPOOL_ID_MAX];

	seed_ready(&one, id);
	run_once(&f.store);
	is_int(f.puts, 1, "no second try");
	is_int(done + failed, 0, "neither done nor failed");
	is_int(spool_find(settings.spool_dir, id), SPOOL_NONE, "it stays away");
}

static void
test_progress(void)
{
	static const enum store_end answers[] = { STORE_AGAIN, STORE_DONE };
	struct fake f = { .store = { &fake_ops }, .answers = answers, .sent = 5 };
	char id[SPOOL_ID_MAX], *path;

	seed_ready(&one, id);
	path = mem_printf("spool/uploading/%s/progress.json", id);
	f.hold = path;
	run_once(&f.store);
	is_int(f.puts, 2, "progress.json appears while an upload runs");
	is_int(spool_find(settings.spool_dir, id), SPOOL_DONE, "done");
	ok(!has(SPOOL_DONE, id, "progress.json"), "and goes with its end");
	clear(id);
	free(path);
}

/* The spool's disk is full when the result is to be written: the artifact waits in uploading/ for the next
 * start. */
static void
test_unsettled(void)
{
	static const enum store_end answers[] = { STORE_DONE, STORE_DONE };
	struct fake f = { .store = { &fake_ops }, .answers = answers };
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, full = { 0, RLIM_INFINITY };
	char id[SPOOL_ID_MAX];

	seed_ready(&one, id);
	(void)fflush(stdout); /* the limit is for all files */
	(void)signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &full);
	run_once(&f.store);
	setrlimit(RLIMIT_FSIZE, &none);
	is_int(failed, 1, "it counts as failed");
	is_int(spool_find(settings.spool_dir, id), SPOOL_UPLOADING, "but is not given up");
	run_once(&f.store);
	is_int(spool_find(settings.spool_dir, id), SPOOL_DONE, "the next start brings it to its end");
	clear(id);
}

static void
test_record(void)
{
	char id[SPOOL_ID_MAX], *path;
	json_t *v;

	seed_ready(&one, id);
	path = mem_printf("spool/ready/%s/record.json", id);
	scratch_write(path, "{}");
	run_local();
	v = result_of(SPOOL_FAILED, id);
	ok(strstr(json_str(v, "error", ""), "'taskId' is missing or malformed") != NULL,
	    json_str(v, "error", ""));
	json_decref(v);
	free(path);
	clear(id);
}

static void
test_lock(void)
{
	struct err e = { 0 };
	struct store *s = store_open(base, &settings, &e);
	struct uploader *u = uploader_new(base, &settings, s, NULL, &quick, 0, &e);

	ok(u != NULL, "an uploader");
	ok(uploader_new(base, &settings, s, NULL, &quick, 0, &e) == NULL, "is the only one");
	is_int(e.code, EBUSY, e.text);
	uploader_free(u);
	store_free(s);
}

struct waiting {
	struct uploader *u;
	struct event *look;
	char id[SPOOL_ID_MAX];
	int sealed;
};

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *w = arg;

	(void)fd;
	(void)what;
	if (!w->sealed++)
		seed_ready(&one, w->id);
	if (uploader_done(w->u) == 1)
		event_base_loopbreak(base);
}

/* The poll is a minute away: only inotify can wake it. */
static void
test_notify(void)
{
	struct timeval often = { 0, 10000 };
	struct err e = { 0 };
	struct store *s = store_open(base, &settings, &e);
	struct waiting w = { .u = uploader_new(base, &settings, s, NULL, &quick, 0, &e) };

	w.look = event_new(base, -1, EV_PERSIST, on_look, &w);
	event_add(w.look, &often);
	event_base_dispatch(base);
	is_int(uploader_done(w.u), 1, "a sealed artifact wakes the uploader");
	event_free(w.look);
	uploader_free(w.u);
	store_free(s);
	clear(w.id);
}

/* What is through leaves the spool with its task. */
static void
test_ended(void)
{
	char id[SPOOL_ID_MAX], *tasks, *task;
	struct err e = { 0 };

	seed_ready(&one, id);
	run_local();
	run_local();
	is_int(spool_find(settings.spool_dir, id), SPOOL_DONE,
	    "without a state directory nothing is known of tasks");
	tasks = scratch_path("state/tasks");
	task = mem_printf("%s/%.20s", tasks, id);
	(void)fs_mkdirs(task, 0700, &e);
	run_local();
	is_int(spool_find(settings.spool_dir, id), SPOOL_DONE, "the task is there");
	(void)fs_remove_tree(task, &e);
	run_local();
	is_int(spool_find(settings.spool_dir, id), SPOOL_NONE, "the task has ended");
	(void)fs_remove_tree(tasks, &e);
	free(tasks);
	free(task);
	clear(id);
}

/* An uploader in a process of its own that is killed before its n-th system call; 1 killed, 0 it ended
 * before. */
static int
killed_at(int n)
{
	pid_t pid = fork();
	int status, calls = 0;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(9);
		raise(SIGSTOP);
		base = event_base_new();
		run_local();
		_exit(done != 1);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (calls++ >= n)
			kill(pid, SIGKILL);
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
	return WIFSIGNALED(status) ? 1 : WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* Is what the store shows whole? Nothing at all is whole as well. */
static int
store_is_sound(void)
{
	json_t *record;
	char *file;
	struct err e;
	int rc = local_store_find(settings.store_dir, one.task_id, -1, one.name, &record, &file, &e);
	char *text = scratch_read("store/Task_A/0/public/one.tar");
	int sound = rc < 0 ? e.status == 404 : strcmp(text, one.bytes) == 0;

	json_decref(record);
	free(file);
	free(text);
	return sound;
}

/* Bytes that the store has are not kept in the spool, too. */
static int
has_data(const char *id)
{
	char *path = spool_path(settings.spool_dir, SPOOL_DONE, id, "data");
	int there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static void
test_kill(void)
{
	char id[SPOOL_ID_MAX];
	int n = 0, killed, bad = 0, stored = 0, ended;

	seed_ready(&one, id);
	for (; (killed = killed_at(n)) == 1 && n < 5000; n += 2) {
		bad += !store_is_sound();
		ended = spool_find(settings.spool_dir, id) == SPOOL_DONE;
		stored += ended;
		run_local(); /* the next start */
		bad += done != !ended || failed != 0 || has_data(id);
		bad += !store_is_sound() || spool_find(settings.spool_dir, id) != SPOOL_DONE;
		bad += scratch_has("store/Task_A/0/public/.one.tar.new");
		bad += !scratch_has("store/Task_A/0/public/one.tar");
		clear(id);
		seed_ready(&one, id);
	}
	is_int(killed, 0, "killed before every system call, until it came to its end");
	is_int(bad, 0,
	    "the store never shows half an artifact, the next start brings it there, nothing is left");
	ok(n > 100 && stored > 0, "before and after the end");
	clear(id);
}

int
main(void)
{
	seed_start();
	log_setup("upload_test", LOG_LEVEL_ERROR, 0);
	test_local();
	test_resume();
	test_retry();
	test_removed();
	test_progress();
	test_unsettled();
	test_record();
	test_lock();
	test_notify();
	test_ended();
	(void)fflush(stdout); /* the children inherit what is not written yet */
	test_kill();
	return seed_end();
}
