#include "task/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

#define NS "abcdefghijklmnop2345"
#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16

static char root[] = "/tmp/spool_test.XXXXXX";
static char id[SPOOL_ID_MAX];
static const struct spool_record record = {
	.task_id = "VbNdJ3ZkQ2qzU1cX1u9yXw",
	.run_id = 3,
	.session = NS,
	.name = "public/image.tar.zst",
	.expires = "2027-01-01T00:00:00Z",
	.content_type = "application/zstd",
	.sha256 = HEX64,
	.sha512 = HEX64 HEX64,
	.size = 5,
	.tar_sha256 = HEX64,
	.tar_size = 10240,
	.image_id = "sha256:" HEX64,
	.image = "app:1",
	.created = "2026-01-01T00:00:00.000Z",
	.layer_count = 1,
	.layers = { { "sha256:" HEX64, 512 } },
};

static int
put(const char *bytes, struct err *e)
{
	int fd = spool_begin(root, id, e), rc;

	if (fd < 0)
		return -1;
	rc = fs_write_all(fd, bytes, strlen(bytes), e) == 0 ? spool_seal(root, id, fd, &record, e) : -1;
	close(fd);
	return rc;
}

static void
test_ids(void)
{
	static const struct {
		const char *id;
		int good;
	} rows[] = {
		{ NS "-" HEX16, 1 },
		{ NS "-0123456789abcdeF", 0 },
		{ NS "-" HEX16 "0", 0 },
		{ NS "_" HEX16, 0 },
		{ "../../../../etc/passw-" HEX16, 0 },
		{ "abcdefghijklmnop234/-" HEX16, 0 },
		{ "", 0 },
		{ NULL, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		is_int(spool_is_id(rows[i].id), rows[i].good, rows[i].id ? rows[i].id : "(null)");
	ok(spool_is_id(id), "spool_make_id makes one");
	ok(spool_path(root, SPOOL_READY, "../x", NULL) == NULL, "no path from a bad id");
	ok(spool_path(root, SPOOL_NONE, id, NULL) == NULL, "no path without a state");
}

static void
test_life(void)
{
	struct spool_record r;
	uint64_t done, total;
	struct err e = { 0 };
	json_t *result;

	is_int(spool_find(root, id), SPOOL_NONE, "not there yet");
	is_int(put("bytes", &e), 0, "begin and seal");
	is_int(spool_find(root, id), SPOOL_READY, "ready");
	is_int(spool_begin(root, id, &e), -1, "an artifact is made once");
	is_int(e.code, EEXIST, "EEXIST");
	is_int(spool_read_record(root, SPOOL_READY, id, &r, &e), 0, "the record is read");
	is_str(r.name, record.name, "name");
	is_str(r.expires, record.expires, "expires");
	ok(r.engine == NULL, "optional and missing");
	is_int(r.size, 5, "size");
	is_int(r.run_id, 3, "run");
	is_int(r.layer_count, 1, "layers");
	is_str(r.layers[0].diff_id, "sha256:" HEX64, "diff id");
	spool_record_done(&r);

	is_int(spool_move(root, id, SPOOL_READY, SPOOL_UPLOADING, &e), 0, "taken");
	is_int(spool_move(root, id, SPOOL_READY, SPOOL_UPLOADING, &e), -1, "taken once");
	is_int(e.code, ENOENT, "ENOENT");
	spool_read_progress(root, SPOOL_UPLOADING, id, &done, &total);
	is_int(total, 0, "no progress yet");
	is_int(spool_write_progress(root, SPOOL_UPLOADING, id, 7, 9, &e), 0, "progress");
	spool_read_progress(root, SPOOL_UPLOADING, id, &done, &total);
	ok(done == 7 && total == 9, "progress is read");
	ok(spool_read_result(root, SPOOL_UPLOADING, id, &e) == NULL && e.code == ENOENT, "no result yet");
	result = json_pack("{s:s}", "state", "done");
	is_int(spool_write_result(root, SPOOL_UPLOADING, id, result, &e), 0, "result");
	json_decref(result);
	is_int(spool_move(root, id, SPOOL_UPLOADING, SPOOL_DONE, &e), 0, "done");
	result = spool_read_result(root, SPOOL_DONE, id, &e);
	is_str(json_str(result, "state", ""), "done", "result is read");
	json_decref(result);
	is_int(spool_remove(root, id, &e), 0, "remove");
	is_int(spool_remove(root, id, &e), 0, "remove what is not there");
	is_int(spool_find(root, id), SPOOL_NONE, "gone");
	is_int(spool_remove(root, "..", &e), -1, "remove: bad id");
	is_int(e.code, EINVAL, "EINVAL");
}

static void
test_writers(void)
{
	struct err e = { 0 };
	char *dir = spool_path(root, SPOOL_INCOMING, id, NULL);
	int a = spool_begin(root, id, &e), b;

	ok(a >= 0, "a writer");
	is_int(spool_begin(root, id, &e), -1, "a second writer");
	is_int(e.code, EBUSY, "EBUSY");
	is_int(spool_sweep(root, &e), 0, "sweep beside a writer");
	is_int(spool_find(root, id), SPOOL_INCOMING, "leaves what is written");
	is_int(spool_seal(root, id, a, &record, &e), -1, "a size that is not the file's");
	is_int(e.code, EIO, "EIO");
	close(a);
	b = spool_begin(root, id, &e);
	ok(b >= 0, "a leftover gives way to a new writer");
	close(b);
	is_int(spool_sweep(root, &e), 0, "sweep");
	is_int(spool_find(root, id), SPOOL_NONE, "a leftover is swept");

	a = spool_begin(root, id, &e);
	is_int(fs_remove_tree(dir, &e), 0, "the directory is taken away and made anew");
	b = spool_begin(root, id, &e);
	ok(b >= 0 && write(a, "bytes", 5) == 5, "by another writer");
	is_int(spool_seal(root, id, a, &record, &e), -1, "the first cannot seal the other's data");
	close(a);
	close(b);
	is_int(spool_discard(root, id, &e), 0, "discard");
	is_int(spool_find(root, id), SPOOL_NONE, "gone");
	free(dir);
}

static void
test_records(void)
{
	static const struct {
		const char *key, *value; /* NULL: taken out */
	} rows[] = {
		{ "sha256", "\"" HEX16 "\"" },
		{ "sha256", "\"" HEX16 HEX16 HEX16 "0123456789ABCDEF\"" },
		{ "sha512", NULL },
		{ "size", "-1" },
		{ "size", "1.5" },
		{ "size", "\"5\"" },
		{ "runId", NULL },
		{ "runId", "-1" },
		{ "name", "\"\"" },
		{ "session", "\"ABCDEFGHIJKLMNOP2345\"" },
		{ "imageId", "\"" HEX64 "\"" },
		{ "layers", "{}" },
		{ "layers", "[{\"diffId\":\"x\",\"size\":1}]" },
		{ "layers", "[{\"diffId\":\"sha256:" HEX64 "\",\"size\":-1}]" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *json = spool_record_json(&record);
		struct spool_record r;
		struct err e = { 0 };

		if (rows[i].value == NULL)
			json_object_del(json, rows[i].key);
		else
			json_object_set_new(
			    json, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		is_int(spool_record_parse(&r, json, &e), -1, rows[i].key);
		ok(strstr(e.text, strncmp(rows[i].key, "layers", 6) ? rows[i].key : "layer") != NULL, e.text);
		json_decref(json);
	}
}

/* A record that says why there is no artifact lacks what says what it is, and nothing else. */
static void
test_error_record(void)
{
	struct spool_record told = { .task_id = record.task_id,
		.session = NS,
		.name = record.name,
		.content_type = "application/zstd",
		.image = "app:1",
		.created = record.created,
		.error_reason = SPOOL_ERROR_MISSING,
		.error_message = "there is no app:1" };
	json_t *json = spool_record_json(&told);
	struct spool_record r;
	struct err e = { 0 };

	is_int(spool_record_parse(&r, json, &e), 0, "a record of an error");
	is_str(r.error_message, "there is no app:1", "its message");
	ok(r.sha256 == NULL && r.image_id == NULL, "no hashes, no id");
	spool_record_done(&r);
	json_object_del(json, "errorMessage");
	is_int(spool_record_parse(&r, json, &e), -1, "a reason without a message");
	json_object_set_new(json, "errorMessage", json_string("x"));
	json_object_del(json, "errorReason");
	is_int(spool_record_parse(&r, json, &e), -1, "a message without a reason");
	json_decref(json);
}

/* A report is no image: it lacks what only images have. */
static void
test_report_record(void)
{
	static const char *const needed[] = { "sha256", "sha512", "contentType", "created", "kind" };
	struct spool_record report = record, r;
	struct err e = { 0 };
	json_t *json;

	report.kind = "report";
	report.image = report.image_id = report.tar_sha256 = NULL;
	json = spool_record_json(&report);
	is_int(spool_record_parse(&r, json, &e), 0, "a report's record");
	is_str(r.kind, "report", "says what it is");
	spool_record_done(&r);
	json_decref(json);
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		json = spool_record_json(&report);
		json_object_del(json, needed[i]);
		is_int(spool_record_parse(&r, json, &e), -1, needed[i]);
		json_decref(json);
	}
	json = spool_record_json(&report);
	json_object_set_new(json, "kind", json_string("other"));
	is_int(spool_record_parse(&r, json, &e), -1, "an unknown kind");
	json_decref(json);
}

/* A writer that is killed before its n-th system call; 0 when it came to its end before. */
static int
killed_at(int n)
{
	pid_t pid = fork();
	int status, calls = 0;
	struct err e = { 0 };

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(9);
		raise(SIGSTOP);
		_exit(put("bytes", &e) < 0);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (calls++ >= n)
			kill(pid, SIGKILL);
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
	return WIFSIGNALED(status) ? 1 : WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int
is_whole(void)
{
	struct spool_record r;
	struct stat st;
	struct err e;
	char *data = spool_path(root, SPOOL_READY, id, "data");
	int rc = spool_read_record(root, SPOOL_READY, id, &r, &e) == 0 && stat(data, &st) == 0 &&
	         (uint64_t)st.st_size == r.size;

	spool_record_done(&r);
	free(data);
	return rc;
}

static void
test_kill(void)
{
	int n = 0, sealed = 0, bad = 0, killed;
	struct err e = { 0 };

	while ((killed = killed_at(n)) == 1 && n < 5000) {
		enum spool_state s = spool_find(root, id);

		bad += spool_sweep(root, &e) < 0;
		bad += s == SPOOL_READY ? !is_whole() : spool_find(root, id) != SPOOL_NONE;
		sealed += s == SPOOL_READY;
		bad += s == SPOOL_NONE && put("bytes", &e) < 0; /* and it can be made again */
		bad += spool_remove(root, id, &e) < 0;
		n++;
	}
	is_int(killed, 0, "killed before every system call, until it came to its end");
	is_int(bad, 0, "never half an artifact, and nothing is left of one");
	ok(n > 20 && sealed > 0, "before and after the seal");
	is_int(spool_remove(root, id, &e), 0, "removed");
}

int
main(void)
{
	struct err e = { 0 };

	if (mkdtemp(root) == NULL)
		return 1;
	spool_make_id(NS, record.name, id);
	is_int(spool_make_dirs(root, &e), 0, "directories");
	is_int(spool_make_dirs(root, &e), 0, "directories again");
	test_ids();
	test_life();
	test_writers();
	test_records();
	test_error_record();
	test_report_record();
	test_kill();
	is_int(fs_remove_tree(root, &e), 0, "clean");
	return tap_end();
}
