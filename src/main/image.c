/*
 * dind-image: one image from the engine to the spool (export) or from the store to the engine (load), as a
 * process of its own. image/export.h has the contract with its parent.
 */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/confine.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "image/event.h"
#include "image/export.h"
#include "image/load.h"
#include "image/report.h"

enum { ENGINE_FD = 3, JOB_MAX = 256 * 1024 };

static const struct verb {
	const char *name;
	int (*run)(const json_t *job, int engine_fd, struct err *e);
	enum confine_profile profile;
	const char *place; /* of the job: the path that it may touch */
	unsigned rights;
	const char *reads; /* of the job: another one that it may read, or NULL */
} verbs[] = {
	{ "export", image_export, CONFINE_EXPORT, "spool", CONFINE_CHANGE, NULL },
	{ "load", image_load, CONFINE_LOAD, "source", CONFINE_READ, NULL },
	{ "report", image_report, CONFINE_EXPORT, "spool", CONFINE_CHANGE, "log" },
};

static int
usage(FILE *to)
{
	fputs("usage: dind-image export|load|report\n"
	      "\n"
	      "Started by dind-proxyd, one process for one image: the job is JSON on standard\n"
	      "input, descriptor 3 is a connection to the engine, events are JSON lines on\n"
	      "standard output.\n",
	    to);
	return to == stdout ? 0 : 2;
}

static json_t *
read_job(struct err *e)
{
	struct buf b = { 0 };
	json_t *job = NULL;
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf_reserve(&b, 4096), 4096)) > 0 && buf_len(&b) <= JOB_MAX)
		buf_commit(&b, (size_t)n);
	if (n != 0)
		err_refuse(e, 400, "image-job", "the job on standard input cannot be read");
	else if ((job = json_parse(buf_text(&b), buf_len(&b), e)) == NULL)
		err_wrap(e, "the job on standard input");
	buf_done(&b);
	return job;
}

/* Before the first byte of the engine or of an artifact is read: it opens what tasks made. */
static int
confine_self(const struct verb *v, const json_t *job, struct err *e)
{
	const json_t *place = json_object_get(job, v->place);
	const struct confine_path paths[] = {
		{ json_is_object(place) ? json_str(place, "path", NULL) : json_string_value(place),
		    v->rights },
		{ v->reads != NULL ? json_str(job, v->reads, NULL) : NULL, CONFINE_READ },
		{ 0 },
	};

	return confine(v->profile, paths, e);
}

static int
run(const struct verb *v)
{
	struct err e = { 0 };
	json_t *job = read_job(&e);
	int rc = job == NULL || confine_self(v, job, &e) < 0 ? -1 : v->run(job, ENGINE_FD, &e);

	if (rc < 0)
		event_error(&e);
	json_decref(job);
	return rc < 0;
}

int
main(int argc, char **argv)
{
	log_setup("dind-image", LOG_LEVEL_INFO, 0);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout);
	(void)umask(077);
	confine_start();
	for (size_t i = 0; argc == 2 && i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return run(&verbs[i]);
	return usage(stderr);
}
