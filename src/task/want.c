#include "task/want.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "docker/reference.h"
#include "task_private.h"

static const char *const state_names[WANT_STATES] = {
	[WANT_NEW] = "new",
	[WANT_ASKED] = "asked",
	[WANT_TAKEN] = "taken",
	[WANT_ENDED] = "ended",
};

int
want_is_id(const char *id)
{
	return id != NULL && strlen(id) == WANT_ID_LEN && strspn(id, "0123456789abcdef") == WANT_ID_LEN;
}

char *
want_path(const char *root, enum want_state state, const char *id, const char *file)
{
	if (id == NULL)
		return mem_printf("%s/fetch/%s", root, state_names[state]);
	if (!want_is_id(id))
		return NULL;
	return file == NULL ? mem_printf("%s/fetch/%s/%s", root, state_names[state], id)
	                    : mem_printf("%s/fetch/%s/%s/%s", root, state_names[state], id, file);
}

int
want_make_dirs(const char *root, struct err *e)
{
	int rc = 0;

	for (int s = WANT_NEW; rc == 0 && s < WANT_STATES; s++) {
		char *dir = want_path(root, (enum want_state)s, NULL, NULL);

		rc = fs_mkdirs(dir, 0700, e);
		free(dir);
	}
	return rc;
}

int
want_move(const char *root, const char *id, enum want_state from, enum want_state to, struct err *e)
{
	char *a = want_path(root, from, id, NULL), *b = want_path(root, to, id, NULL);
	int rc = 0;

	if (a == NULL || b == NULL)
		rc = err_set(e, EINVAL, "not the id of a request in the spool");
	else if (rename(a, b) < 0)
		rc = err_set(e, errno, "cannot move '%s' to '%s': %m", a, b);
	free(a);
	free(b);
	return rc;
}

static int
write_file(const char *root, enum want_state state, const char *id, const char *file, const json_t *value,
    struct err *e)
{
	char *path = want_path(root, state, id, file), *text = json_text(value, 1);
	int rc = fs_show(path, text, e);

	mem_wipe(text, strlen(text));
	free(text);
	free(path);
	return rc;
}

int
want_ask(const char *root, const char *id, const json_t *request, const json_t *credentials, struct err *e)
{
	char *dir = want_path(root, WANT_NEW, id, NULL);
	struct err ignored;
	int rc = -1;

	if (dir == NULL)
		return err_set(e, EINVAL, "not the id of a request in the spool");
	if (credentials != NULL && body_check_credentials(credentials, e) < 0)
		rc = -1;
	else if (mkdir(dir, 0700) < 0)
		err_set(e, errno, "cannot make '%s': %m", dir);
	else if (write_file(root, WANT_NEW, id, "request.json", request, e) == 0 &&
	         (credentials == NULL ||
	             write_file(root, WANT_NEW, id, "credentials.json", credentials, e) == 0))
		rc = want_move(root, id, WANT_NEW, WANT_ASKED, e);
	if (rc < 0)
		(void)want_remove(root, id, &ignored);
	free(dir);
	return rc;
}

void
want_done(struct want *w)
{
	json_decref(w->json);
	*w = (struct want){ 0 };
}

static int
check(const struct want *w, struct err *e)
{
	if (w->name == NULL || (w->task_id == NULL) == (w->index == NULL))
		return err_set(e, EINVAL, "request.json must have 'name', and one of 'taskId' and 'index'");
	if (w->session == NULL || !reference_is_ns(w->session))
		return err_set(e, EINVAL, "request.json: 'session' is missing or malformed");
	if (w->run_id < -1 || w->run_id > INT32_MAX || (w->get && (w->run_id < 0 || w->task_id == NULL)))
		return err_set(e, EINVAL, "request.json: 'runId' is missing or malformed");
	if (json_array_size(w->chains) > WANT_CHAINS_MAX)
		return err_set(e, EINVAL, "request.json: too many 'chains'");
	return 0;
}

int
want_parse(struct want *w, json_t *json, struct err *e)
{
	*w = (struct want){ .json = json_incref(json),
		.get = json_is_true(json_object_get(json, "get")),
		.task_id = json_str(json, "taskId", NULL),
		.index = json_str(json, "index", NULL),
		.run_id = json_num(json, "runId", -1),
		.name = json_str(json, "name", NULL),
		.session = json_str(json, "session", NULL),
		.content = json_str(json, "content", ""),
		.chains = json_object_get(json, "chains") };
	if (check(w, e) == 0)
		return 0;
	want_done(w);
	return -1;
}

int
want_read(const char *root, const char *id, struct want *w, struct err *e)
{
	char *path = want_path(root, WANT_TAKEN, id, "request.json");
	json_t *json = NULL;
	int rc = -1;

	*w = (struct want){ 0 };
	if (path == NULL)
		return err_set(e, EINVAL, "not the id of a request in the spool");
	json = json_read(path, WANT_JSON_MAX, e);
	if (json != NULL)
		rc = want_parse(w, json, e);
	json_decref(json);
	free(path);
	return rc;
}

/* What the task gave for this one request is not kept a moment longer. */
static void
drop_credentials(const char *root, const char *id)
{
	char *path = want_path(root, WANT_TAKEN, id, "credentials.json");

	(void)unlink(path);
	free(path);
}

int
want_end(const char *root, const char *id, const json_t *result, struct err *e)
{
	if (!want_is_id(id))
		return err_set(e, EINVAL, "not the id of a request in the spool");
	drop_credentials(root, id);
	if (write_file(root, WANT_TAKEN, id, "result.json", result, e) < 0)
		return -1;
	return want_move(root, id, WANT_TAKEN, WANT_ENDED, e);
}

void
want_show(const char *root, const char *id, uint64_t done, int64_t total)
{
	char *path = want_path(root, WANT_TAKEN, id, "progress.json");
	char *text =
	    mem_printf("{\"done\":%llu,\"total\":%lld}\n", (unsigned long long)done, (long long)total);
	struct err ignored; /* the next one may do, or the request has been taken away */

	if (path != NULL)
		(void)fs_show(path, text, &ignored);
	free(text);
	free(path);
}

int64_t
want_shown(const char *root, const char *id)
{
	char *path = want_path(root, WANT_TAKEN, id, "progress.json");
	struct stat st;
	int64_t at = path != NULL && stat(path, &st) == 0 ? st.st_mtime : -1;

	free(path);
	return at;
}

json_t *
want_result(const char *root, const char *id, struct err *e)
{
	char *path = want_path(root, WANT_ENDED, id, "result.json");
	json_t *v = NULL;

	if (path == NULL)
		err_set(e, EINVAL, "not the id of a request in the spool");
	else
		v = json_read(path, WANT_JSON_MAX, e);
	free(path);
	return v;
}

int
want_remove(const char *root, const char *id, struct err *e)
{
	int rc = 0;

	if (!want_is_id(id))
		return err_set(e, EINVAL, "not the id of a request in the spool");
	/* in the order of its life: one that moves on while we look is met in a later state */
	for (int s = WANT_NEW; rc == 0 && s < WANT_STATES; s++) {
		char *dir = want_path(root, (enum want_state)s, id, NULL);

		rc = fs_remove_tree(dir, e);
		free(dir);
	}
	return rc;
}

int
want_list(const char *root, enum want_state state, int (*visit)(void *arg, const char *id), void *arg,
    struct err *e)
{
	char *path = want_path(root, state, NULL, NULL);
	DIR *dir = opendir(path);
	struct dirent *d;
	int rc = 0;

	if (dir == NULL)
		rc = err_set(e, errno, "cannot open '%s': %m", path);
	while (dir != NULL && rc == 0 && (d = readdir(dir)) != NULL)
		if (want_is_id(d->d_name))
			rc = visit(arg, d->d_name);
	if (dir != NULL)
		closedir(dir);
	free(path);
	return rc;
}

struct sweep {
	const char *root;
	int (*keep)(void *arg, const char *id);
	void *arg;
	struct err *e;
	int rc;
};

static int
sweep_one(void *arg, const char *id)
{
	struct sweep *s = arg;

	if ((s->keep == NULL || !s->keep(s->arg, id)) && want_remove(s->root, id, s->e) < 0)
		s->rc = -1;
	return 0;
}

int
want_sweep(const char *root, int (*keep)(void *arg, const char *id), void *arg, struct err *e)
{
	struct sweep s = { root, keep, arg, e, 0 };

	for (int i = WANT_NEW; i < WANT_STATES; i++)
		if (want_list(root, (enum want_state)i, sweep_one, &s, e) < 0)
			return -1;
	return s.rc;
}
