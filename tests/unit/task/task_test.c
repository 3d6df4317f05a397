#include "task/task.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/settings.h"
#include "scratch.h"
#include "tap.h"

#define DIND "\"payload\":{\"features\":{\"dind\":true}}"
#define ARTIFACT(name, rest)                                                                                 \
	"{\"taskId\":\"A\",\"runId\":0,\"expires\":\"2097-01-01T00:00:00Z\",\"payload\":{\"features\":{"     \
	"\"dind\":true},"                                                                                    \
	"\"dind\":{\"artifacts\":{\"" name "\":" rest "}}}}"

static struct settings settings;

/* Bodies that are refused, and a part of what the worker is told. */
static const struct {
	const char *body;
	const char *error;
} bad[] = {
	{ "[]", "the body must be a JSON object with taskId, runId and payload" },
	{ "{\"runId\":0," DIND "}", "'taskId' must be 1 to 100 letters, digits, '_' and '-'; it is missing" },
	{ "{\"taskId\":\"a/b\",\"runId\":0," DIND "}",
	    "'taskId' must be 1 to 100 letters, digits, '_' and '-', not \"a/b\"" },
	{ "{\"taskId\":\"\",\"runId\":0," DIND "}", "'taskId' must be" },
	{ "{\"taskId\":\"A\"," DIND "}", "'runId' must be an integer from 0 to 1000; it is missing" },
	{ "{\"taskId\":\"A\",\"runId\":\"0\"," DIND "}",
	    "'runId' must be an integer from 0 to 1000, not \"0\"" },
	{ "{\"taskId\":\"A\",\"runId\":1001," DIND "}", "not 1001" },
	{ "{\"taskId\":\"A\",\"runId\":-1," DIND "}", "not -1" },
	{ "{\"taskId\":\"A\",\"runId\":0}", "'payload' must be an object; it is missing" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"payload\":{\"features\":[]}}",
	    "'payload.features' must be an object" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"payload\":{\"features\":{\"dind\":\"yes\"}}}",
	    "'payload.features.dind' must be true or false, not \"yes\"" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"extra\":1," DIND "}",
	    "unknown key 'extra'; expected taskId, runId, payload, scopes, expires, limits, policy, "
	    "credentials" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"scopes\":\"x\"," DIND "}",
	    "'scopes' must be an array of strings" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"scopes\":[1]," DIND "}", "'scopes' must be an array of strings" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"expires\":\"soon\"," DIND "}",
	    "'expires' must be a time such as \"2027-01-01T00:00:00Z\" (RFC 3339), not \"soon\"" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"limits\":{\"builds\":3}," DIND "}",
	    "'limits.builds' must be an integer from 1 to 2, the host's own limit, not 3" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"limits\":{\"builds\":0}," DIND "}", "not 0" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"limits\":{\"build\":1}," DIND "}",
	    "unknown key 'limits.build'; expected connections, builds, buildTime, contextBytes, images, "
	    "names" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"limits\":[]," DIND "}", "'limits' must be an object" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"policy\":3," DIND "}", "'policy' must be an object" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"credentials\":\"sekrit\"," DIND "}",
	    "'credentials' must be an object" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"credentials\":{\"clientId\":7}," DIND "}",
	    "must hold strings only" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"payload\":{\"features\":{\"dind\":true},\"dind\":{\"image\":1}}}",
	    "unknown key 'payload.dind.image'; expected artifacts" },
	{ "{\"taskId\":\"A\",\"runId\":0,\"payload\":{\"features\":{\"dind\":true},\"dind\":{\"artifacts\":[]"
	  "}}}",
	    "'payload.dind.artifacts' must be an object" },
	{ ARTIFACT("public/a.tar", "\"app\""),
	    "'payload.dind.artifacts.public/a.tar' must be an object such as" },
	{ ARTIFACT("public/a.tar", "{}"), "'payload.dind.artifacts['public/a.tar'].image' must be the name "
	                                  "of an image, such as \"app:1\"; it is "
	                                  "missing" },
	{ ARTIFACT("public/a.tar", "{\"image\":\"App\"}"), "payload.dind.artifacts['public/a.tar'].image: " },
	{ ARTIFACT("public/a.tar", "{\"image\":\"app\",\"tag\":1}"),
	    "unknown key 'payload.dind.artifacts['public/a.tar'].tag'; expected image, report, expires, "
	    "provenance" },
	{ ARTIFACT("public/a.tar", "{\"image\":\"app\",\"provenance\":1}"),
	    ".provenance' must be true or false, not 1" },
	{ ARTIFACT("public/a.tar", "{\"image\":\"app\",\"provenance\":true}"),
	    ".provenance' must be false: this host signs nothing (evidence.key), not true" },
	{ ARTIFACT("public/a.tar", "{\"image\":\"app\",\"expires\":1}"), ".expires' must be a time such as" },
	{ ARTIFACT("public/a.tar", "{\"image\":\"app\",\"expires\":\"2001-01-01T00:00:00Z\"}"),
	    ".expires' must be a time to come, not \"2001-01-01T00:00:00Z\"" },
	{ ARTIFACT("public/a.zip", "{\"image\":\"app\"}"),
	    "payload.dind.artifacts: artifact name 'public/a.zip' must end in .tar, .tar.gz, .tgz, .tar.zst "
	    "or .tar.lz4" },
	{ ARTIFACT("public/a.tar", "{\"report\":true}"), "of a report must end in .html" },
	{ ARTIFACT("public/a.html", "{\"image\":\"app\"}"), "must end in .tar" },
	{ ARTIFACT("public/a.html", "{\"report\":false}"),
	    ".report' must be true, or be left out, not false" },
	{ ARTIFACT("public/a.html", "{\"report\":true,\"image\":\"app\"}"),
	    ".image' must be left out beside 'report'" },
	{ ARTIFACT("public/a.html", "{\"report\":true,\"provenance\":false}"),
	    ".provenance' must be left out beside 'report'" },
	{ ARTIFACT("public/a.html", "{\"report\":true,\"expires\":1}"), ".expires' must be a time such as" },
	{ ARTIFACT("public/logs/live.tar", "{\"image\":\"app\"}"), "is reserved for the worker itself" },
};

static const struct {
	const char *name;
	int good;
} names[] = {
	{ "public/image.tar.zst", 1 },
	{ "a.tar", 1 },
	{ "private/a b%?#.tgz", 1 },
	{ "a..b.tar.gz", 1 },
	{ "public/logsx/a.tar.lz4", 1 },
	{ "", 0 },
	{ ".tar", 0 },
	{ "/a.tar", 0 },
	{ "a//b.tar", 0 },
	{ "../a.tar", 0 },
	{ "a/../b.tar", 0 },
	{ "a/./b.tar", 0 },
	{ "a.tar/..", 0 },
	{ "a.tar/", 0 },
	{ "a.tar.xz", 0 },
	{ "a\n.tar", 0 },
	{ "a\xc3\xa9.tar", 0 },
	{ "public/chain-of-trust.json", 0 },
	{ "public/chain-of-trust.json.sig", 0 },
	{ "public/logs/a.tar", 0 },
};

static const char id1[] = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
static const char id2[] = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

static struct tasks *
reopen(struct tasks *home)
{
	struct err e = { 0 };

	tasks_close(home);
	home = tasks_open(&settings, &e);
	ok(home != NULL, home != NULL ? "opened" : e.text);
	return home;
}

static int
add(struct tasks *home, const char *text, struct task **out, int *known, struct err *e)
{
	json_t *body = json_parse(text, strlen(text), e);
	int rc;

	if (body == NULL)
		printf("# %s\n", e->text);
	rc = tasks_add(home, body, out, known, e);
	json_decref(body);
	return rc;
}

static void
test_bodies(void)
{
	struct tasks *home = reopen(NULL);
	struct task *t;
	int known;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = { 0 };

		is_int(add(home, bad[i].body, &t, &known, &e), -1, bad[i].body);
		is_int(e.status, 400, "status 400");
		ok(strstr(e.text, bad[i].error) != NULL && strstr(e.text, "sekrit") == NULL, e.text);
	}
	ok(tasks_first(home) == NULL, "nothing is registered");
	tasks_close(home);
}

static void
test_names(void)
{
	struct err e = { 0 };
	char name[1100];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		is_int(task_check_artifact(names[i].name, &e), names[i].good ? 0 : -1, "artifact name");
	memset(name, 'a', sizeof name);
	memcpy(name + 241 - 4, ".tar", 5);
	is_int(task_check_artifact(name, &e), -1, "a part of 241 characters");
	memcpy(name + 240 - 4, ".tar", 5);
	is_int(task_check_artifact(name, &e), 0, "a part of 240 characters");
	is_int(task_check_provenance(name, &e), -1, "too long for its statement's name");
	memcpy(name + 224 - 4, ".tar", 5);
	is_int(task_check_provenance(name, &e), 0, "a part of 224 characters has one");
	is_int(task_check_stored("a.tar", &e), 0, "stores have images");
	is_int(task_check_stored("a.tar.provenance.json", &e), 0, "and their statements");
	is_int(task_check_stored("a.provenance.json", &e), -1, "but no other statements");
	is_int(task_check_stored("public/logs/a.tar.provenance.json", &e), -1, "nor what is the worker's");
	is_int(task_check_artifact("a.tar.provenance.json", &e), -1, "a task declares no statement");
}

static void
test_ids(void)
{
	char a[REFERENCE_NS_LEN + 1], b[REFERENCE_NS_LEN + 1];

	task_make_id("A", 0, a);
	task_make_id("A", 1, b);
	ok(reference_is_ns(a) && reference_is_ns(b) && strcmp(a, b) != 0, "a namespace for each run");
	task_make_id("A", 0, b);
	is_str(a, b, "always the same one");
	/* printf A/0 | openssl dgst -sha256 -binary | base32 | cut -c1-20 */
	is_str(a, "iy7hhxywutdollpkj2y6", "base32 of the hash");
}

static const char body[] =
    "{\"taskId\":\"Abc_-9\",\"runId\":3,\"scopes\":[\"x\"],\"expires\":\"2090-01-01T00:00:00Z\","
    "\"limits\":{\"connections\":5,\"images\":7,\"buildTime\":60},\"policy\":{\"pull\":true},"
    "\"credentials\":{\"clientId\":\"c\",\"accessToken\":\"sekrit\"},"
    "\"payload\":{\"command\":[\"x\"],\"env\":{\"A\":\"sekrit\"},\"features\":{\"dind\":true,\"other\":1},"
    "\"dind\":{\"artifacts\":{\"public/a.tar.zst\":{\"image\":\"app:1\"},"
    "\"public/b.tar\":{\"image\":\"app\",\"expires\":\"2080-01-01T00:00:00Z\"},"
    "\"public/c.tar\":{\"image\":\"app\",\"expires\":\"2095-01-01T00:00:00Z\"}}}}}";

static void
check_task(const struct task *t)
{
	json_t *v = t->artifacts;

	is_str(t->task_id, "Abc_-9", "taskId");
	is_int(t->run_id, 3, "runId");
	is_int(t->expires, INT64_C(3786912000), "expires");
	is_int(t->max_connections, 5, "connections");
	is_int(t->max_builds, 2, "builds as the host says");
	is_int(t->build_time, 60, "buildTime");
	is_int(t->policy->images, 7, "images");
	is_int(t->policy->names, 200, "names as the host says");
	is_int(t->policy->pull, 1, "its own policy");
	is_str(json_str(json_object_get(v, "public/a.tar.zst"), "expires", NULL), "2090-01-01T00:00:00.000Z",
	    "an artifact lives as long as its task");
	is_str(json_str(json_object_get(v, "public/b.tar"), "expires", NULL), "2080-01-01T00:00:00.000Z",
	    "or shorter");
	is_str(json_str(json_object_get(v, "public/c.tar"), "expires", NULL), "2090-01-01T00:00:00.000Z",
	    "never longer");
}

static char *
file_of(const struct task *t, const char *name)
{
	return mem_printf("state/tasks/%s/%s", t->id, name);
}

static void
test_secrets(const struct task *t)
{
	char *name = file_of(t, "credentials.json"), *text = scratch_read(name), *path = scratch_path(name);
	struct stat st = { 0 };
	json_t *v;

	is_str(text, "{\"clientId\":\"c\",\"accessToken\":\"sekrit\"}\n", "credentials are kept");
	(void)stat(path, &st);
	is_int(st.st_mode & 0777, 0600, "for us alone");
	free(path);
	free(name);
	free(text);
	name = file_of(t, "task.json");
	text = scratch_read(name);
	ok(strstr(text, "sekrit") == NULL, "no credential and no env in task.json");
	free(name);
	free(text);
	v = task_json(t, 1);
	text = json_text(v, 1);
	ok(strstr(text, "sekrit") == NULL, "nor in what the API shows");
	free(text);
	json_decref(v);
}

static void
test_register(void)
{
	struct tasks *home = reopen(NULL);
	struct task *t, *again;
	struct err e = { 0 };
	int known;
	json_t *v;

	is_int(add(home, "{\"taskId\":\"B\",\"runId\":0,\"payload\":{}}", &t, &known, &e), 0,
	    "a task that does not ask");
	ok(t == NULL && tasks_first(home) == NULL, "gets nothing");
	is_int(add(home, body, &t, &known, &e), 0, e.text);
	is_int(known, 0, "it is new");
	check_task(t);
	test_secrets(t);
	is_int(add(home, body, &again, &known, &e), 0, "the same again");
	ok(known && again == t, "is the same task");
	is_int(add(home, "{\"taskId\":\"Abc_-9\",\"runId\":3," DIND "}", &again, &known, &e), -1,
	    "another body");
	is_int(e.status, 409, e.text);
	ok(again == NULL, "no task then");
	home = reopen(home);
	t = tasks_find(home, "Abc_-9/3");
	ok(t != NULL, "it is there after a restart");
	check_task(t);
	is_int(t->state, TASK_RUNNING, "and runs");
	is_int(add(home, body, &again, &known, &e), 0, "the same after a restart");
	ok(known && again == t, "is the same task");
	ok(tasks_find(home, "Abc_-9") == t && tasks_find(home, t->id) == t, "found by taskId, by id");
	ok(tasks_find(home, "Abc_-9/30") == NULL && tasks_find(home, "Abc_-") == NULL, "and by nothing else");
	is_int(
	    add(home, "{\"taskId\":\"Abc_-9\",\"runId\":4," DIND "}", &again, &known, &e), 0, "another run");
	ok(tasks_find(home, "Abc_-9") == NULL, "then the taskId alone says too little");
	ok(tasks_find(home, "Abc_-9/4") == again, "the run says it");
	v = json_pack("{s:s}", "clientId", "new");
	is_int(task_set_credentials(again, v, &e), 0, "new credentials");
	json_decref(v);
	is_int(task_remove(again, &e), 0, "removed");
	ok(tasks_find(home, "Abc_-9/4") == NULL && tasks_find(home, "Abc_-9") == t, "it is gone");
	is_int(task_set_state(t, TASK_ENDED, &e), 0, "ended");
	is_int(add(home, body, &again, &known, &e), -1, "registered while it is being cleaned up");
	is_int(e.status, 409, e.text);
	home = reopen(home);
	t = tasks_find(home, "Abc_-9");
	is_int(t->state, TASK_ENDED, "the state is kept");
	is_int(task_remove(t, &e), 0, "removed");
	home = reopen(home);
	ok(tasks_first(home) == NULL, "nothing is left");
	tasks_close(home);
}

static struct task *
register_one(struct tasks *home, const char *task_id)
{
	char *text = mem_printf("{\"taskId\":\"%s\",\"runId\":0," DIND "}", task_id);
	struct err e = { 0 };
	struct task *t;
	int known;

	is_int(add(home, text, &t, &known, &e), 0, e.text);
	free(text);
	return t;
}

static void
test_owned(void)
{
	struct tasks *home = reopen(NULL);
	struct task *a = register_one(home, "A"), *b = register_one(home, "B");
	struct err e = { 0 };
	char *name, *text;
	json_t *v;

	is_int(task_learn(a, id1, &e), 0, "learn");
	is_int(task_learn(a, id1, &e), 0, "again");
	is_int(task_learn(a, "sha256:12", &e), -1, "not an id");
	is_int(task_name(a, "docker.io/library/app:1", id1, &e), 0, "name");
	is_int(task_name(a, "docker.io/library/app:2", id2, &e), 0, "a name of an id that was not known");
	is_int(task_learn(b, id2, &e), 0, "another task has it too");
	ok(a->owned.elsewhere(a->owned.arg, id2) && !a->owned.elsewhere(a->owned.arg, id1), "elsewhere");
	is_str(a->owned.nameless(a->owned.arg, id2), b->id, "which has no name for it");
	ok(b->owned.nameless(b->owned.arg, id2) == NULL, "but the first has");
	ok(!a->owned.sharing(a->owned.arg), "nobody shares its cache");
	home = reopen(home);
	a = tasks_find(home, "A");
	is_str(owned_by_name(&a->owned, "docker.io/library/app:1"), id1, "kept over a restart");
	is_str(owned_by_name(&a->owned, "docker.io/library/app:2"), id2, "this too");
	ok(a->owned.elsewhere(a->owned.arg, id2), "elsewhere after a restart");
	is_int(task_unname(a, "docker.io/library/app:1", &e), 0, "unname");
	is_int(task_forget(a, id2, &e), 0, "forget");
	home = reopen(home);
	a = tasks_find(home, "A");
	ok(owned_by_name(&a->owned, "docker.io/library/app:1") == NULL && owned_image(&a->owned, id1) != NULL,
	    "the name is gone, the image is not");
	ok(owned_image(&a->owned, id2) == NULL, "forgotten is forgotten");
	name = file_of(a, "owned.jsonl");
	text = scratch_read(name);
	is_str(text,
	    "{\"learn\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\"}\n",
	    "rewritten when it was read");
	free(text);
	is_int(task_name(a, "docker.io/library/app:3", id1, &e), 0, "name");
	v = task_json(a, 1);
	text = json_text(json_object_get(v, "owned"), 1);
	is_str(text,
	    "[{\"id\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\",\"names\":["
	    "\"app:3\"]}]",
	    "names are shown as people type them");
	free(text);
	free(name);
	json_decref(v);
	tasks_close(home);
}

/* What is known of a build stands in the line that says whose its image is. */
static void
test_built(void)
{
	struct tasks *home = reopen(NULL);
	struct task *a = register_one(home, "built");
	json_t *facts = json_pack("{s:s}", "started", "2026-11-23T22:00:00.000Z");
	struct err e = { 0 };

	is_int(task_built(a, "sha256:12", facts, &e), -1, "not an id");
	is_int(task_built(a, id1, facts, &e), 0, "built");
	json_object_set_new(facts, "started", json_string("later"));
	is_int(task_built(a, id1, facts, &e), 0, "built again, from the cache");
	is_int(task_learn(a, id2, &e), 0, "another came without facts");
	home = reopen(reopen(home));
	a = tasks_find(home, "built");
	is_str(builds_find(&a->builds, id1), "{\"started\":\"2026-11-23T22:00:00.000Z\"}",
	    "the first build, over two restarts");
	ok(owned_image(&a->owned, id2) != NULL && builds_find(&a->builds, id2) == NULL,
	    "nothing is invented");
	is_int(task_built(a, id2, facts, &e), 0, "its build is known later");
	is_str(builds_find(&a->builds, id2), "{\"started\":\"later\"}", "then it is kept");
	is_int(task_forget(a, id1, &e), 0, "forget");
	ok(builds_find(&a->builds, id1) == NULL, "the facts go with the image");
	home = reopen(home);
	a = tasks_find(home, "built");
	ok(builds_find(&a->builds, id1) == NULL && builds_find(&a->builds, id2) != NULL, "for good");
	is_int(task_remove(a, &e), 0, "removed");
	json_decref(facts);
	tasks_close(home);
}

/* A crash in the middle of a line: that change never happened. In the middle of the file it is damage. */
static void
test_damage(void)
{
	struct tasks *home = reopen(NULL);
	struct task *a = tasks_find(home, "A");
	char *name = file_of(a, "owned.jsonl"), *state = file_of(a, "task.json"), *kept = scratch_read(state);
	struct err e = { 0 };

	tasks_close(home);
	scratch_append(name, "{\"learn\":\"sha256:22222222");
	home = reopen(NULL);
	a = tasks_find(home, "A");
	is_int(a->owned.count, 1, "half a line is cut");
	is_int(task_learn(a, id2, &e), 0, "and writing goes on");
	home = reopen(home);
	is_int(tasks_find(home, "A")->owned.count, 2, "on a line of its own");
	tasks_close(home);
	scratch_append(name, "{\"learn\":\"sha256:22222222\n{}\n");
	ok(tasks_open(&settings, &e) == NULL, "a damaged line is an error");
	ok(strstr(e.text, "owned.jsonl line 4 is damaged") != NULL, e.text);
	scratch_write(name, "");
	scratch_write(state, "{");
	ok(tasks_open(&settings, &e) == NULL, "so is a damaged task");
	ok(strstr(e.text, "is damaged") != NULL, e.text);
	scratch_write(state, kept);
	home = reopen(NULL);
	is_int(tasks_find(home, "A")->owned.count, 0, "repaired");
	tasks_close(home);
	free(name);
	free(state);
	free(kept);
}

/* Half a registration: the directory is there, task.json is not. */
static void
test_half(void)
{
	struct tasks *home;
	struct err e;
	char *dir = scratch_path("state/tasks/aaaaaaaaaaaaaaaaaaaa");

	(void)fs_mkdirs(dir, 0700, &e);
	scratch_write("state/tasks/aaaaaaaaaaaaaaaaaaaa/owned.jsonl", "");
	home = reopen(NULL);
	ok(access(dir, F_OK) < 0, "a registration that nobody was told of is removed");
	tasks_close(home);
	free(dir);
}

/* A full disk: nothing changes, in memory and on disk; afterwards writing goes on. */
static void
test_full(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, full = { 40, RLIM_INFINITY };
	struct tasks *home = reopen(NULL);
	struct task *a = tasks_find(home, "A"), *t;
	struct err e = { 0 };
	int known;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &full);
	is_int(task_learn(a, id1, &e), -1, "a full disk");
	ok(strstr(e.text, "cannot keep what task") != NULL, e.text);
	is_int(a->owned.count, 0, "nothing was learned");
	is_int(task_set_state(a, TASK_FINISHED, &e), -1, "a state that cannot be written");
	is_int(a->state, TASK_RUNNING, "is not taken");
	is_int(
	    add(home, "{\"taskId\":\"C\",\"runId\":0," DIND "}", &t, &known, &e), -1, "no room to register");
	is_int(e.status, 500, e.text);
	setrlimit(RLIMIT_FSIZE, &none);
	is_int(task_learn(a, id2, &e), 0, "room again");
	home = reopen(home);
	is_int(tasks_find(home, "A")->owned.count, 1, "one whole line");
	ok(tasks_find(home, "C") == NULL, "and no task C");
	tasks_close(home);
}

/* A task that tags for hours does not fill the disk. */
static void
test_growth(void)
{
	struct tasks *home = reopen(NULL);
	struct task *b = tasks_find(home, "B");
	char *name = file_of(b, "owned.jsonl"), *text;
	struct err e = { 0 };
	int rc = 0;

	b->journal_limit = 4096;
	for (int i = 0; i < 100; i++)
		rc |= task_name(b, "docker.io/library/app:1", i & 1 ? id1 : id2, &e);
	is_int(rc, 0, "a hundred changes");
	text = scratch_read(name);
	ok(strlen(text) < 12000, "the journal was rewritten on the way");
	free(text);
	free(name);
	home = reopen(home);
	is_str(owned_by_name(&tasks_find(home, "B")->owned, "docker.io/library/app:1"), id1,
	    "the last change holds");
	tasks_close(home);
}

int
main(void)
{
	scratch_make();
	settings_init(&settings);
	free(settings.state_dir);
	settings.state_dir = scratch_path("state");
	test_ids();
	test_names();
	test_bodies();
	test_register();
	test_owned();
	test_built();
	test_damage();
	test_half();
	test_full();
	test_growth();
	settings_done(&settings);
	scratch_remove();
	return tap_end();
}
