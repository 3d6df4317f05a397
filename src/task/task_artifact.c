#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "task/provenance.h"
#include "task/task.h"

enum {
	NAME_LEN_MAX = 1024, /* as the queue */
	PART_MAX = 240,      /* a file system's 255, less what a store puts behind a name */
	QUOTE_MAX = 120,
};

/* How an artifact's name may end: archive/codec.h reads the compression from it. */
static const char *const endings[] = { ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.lz4" };

#define REPORT_ENDING ".html"

/* Names that the worker itself writes: a task that could take them could forge its own log or signature. */
static const char *const reserved[] = { "public/chain-of-trust.json", "public/chain-of-trust.json.sig",
	"public/logs/" };

static int
is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
		size_t len = strlen(reserved[i]);

		if (reserved[i][len - 1] == '/' ? strncmp(name, reserved[i], len) == 0
		                                : strcmp(name, reserved[i]) == 0)
			return 1;
	}
	return 0;
}

static int
ends_in(const char *name, const char *ending)
{
	size_t len = strlen(name), n = strlen(ending);

	return len > n && strcmp(name + len - n, ending) == 0;
}

static int
has_ending(const char *name)
{
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (ends_in(name, endings[i]))
			return 1;
	return 0;
}

static int
is_printable(const char *name)
{
	for (; *name != '\0'; name++)
		if (*name < 0x20 || *name > 0x7e)
			return 0;
	return 1;
}

/* A relative path of parts that are names. */
static int
is_path(const char *name)
{
	for (;; name++) {
		size_t n = strcspn(name, "/");

		if (n == 0 || n > PART_MAX || (n == 1 && name[0] == '.') ||
		    (n == 2 && memcmp(name, "..", 2) == 0))
			return 0;
		name += n;
		if (*name == '\0')
			return 1;
	}
}

static int
check_name(const char *name, int report, struct err *e)
{
	char quoted[QUOTE_MAX];
	size_t len = strlen(name);
	const char *want = NULL;

	if (len == 0 || len > NAME_LEN_MAX || !is_printable(name))
		want = "must be 1 to 1024 printable ASCII characters";
	else if (!is_path(name))
		want = "must be a relative path without empty, '.' and '..' parts, of at most 240 characters "
		       "each";
	else if (is_reserved(name))
		want = "is reserved for the worker itself (public/chain-of-trust.json, public/logs/)";
	else if (report && !ends_in(name, REPORT_ENDING))
		want = "of a report must end in " REPORT_ENDING;
	else if (!report && !has_ending(name))
		want = "must end in .tar, .tar.gz, .tgz, .tar.zst or .tar.lz4";
	if (want == NULL)
		return 0;
	return err_refuse(e, 400, "artifact-name", "artifact name '%s' %s",
	    log_quote(name, len, quoted, sizeof quoted), want);
}

int
task_check_artifact(const char *name, struct err *e)
{
	return check_name(name, 0, e);
}

int
task_check_report(const char *name, struct err *e)
{
	return check_name(name, 1, e);
}

int
task_check_provenance(const char *name, struct err *e)
{
	const char *slash = strrchr(name, '/'), *part = slash != NULL ? slash + 1 : name;
	size_t more = strlen(PROVENANCE_SUFFIX);
	char quoted[QUOTE_MAX];

	if (strlen(name) + more <= NAME_LEN_MAX && strlen(part) + more <= PART_MAX)
		return 0;
	return err_refuse(e, 400, "artifact-name",
	    "artifact name '%s' is too long for its statement's name, which has " PROVENANCE_SUFFIX
	    " behind it",
	    log_quote(name, strlen(name), quoted, sizeof quoted));
}

int
task_check_stored(const char *name, struct err *e)
{
	size_t len = strlen(name), more = strlen(PROVENANCE_SUFFIX);
	char *image;
	int rc;

	if (ends_in(name, REPORT_ENDING))
		return task_check_report(name, e);
	if (len <= more || strcmp(name + len - more, PROVENANCE_SUFFIX) != 0)
		return task_check_artifact(name, e);
	image = mem_strn(name, len - more);
	rc = task_check_artifact(image, e) < 0 || task_check_provenance(image, e) < 0 ? -1 : 0;
	free(image);
	return rc;
}
