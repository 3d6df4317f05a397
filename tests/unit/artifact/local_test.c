#include "artifact/local.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "seed.h"

static const struct seed one = { "Task_A", "public/image.tar.zst", "some bytes", NULL, 0 };
static const struct seed other = { "Task_A", "public/image.tar.zst", "other bytes", NULL, 0 };
static const char file[] = "store/Task_A/0/public/image.tar.zst";
static const char record[] = "store/Task_A/0/public/image.tar.zst.json";
static const char fresh[] = "store/Task_A/0/public/.image.tar.zst.new";

struct outcome {
	int called;
	enum store_end end;
	char path[512], why[512];
};

static struct outcome out;

static void
on_end(void *arg, enum store_end end, const json_t *where, const struct err *why)
{
	struct outcome *o = arg;

	o->called++;
	o->end = end;
	(void)snprintf(o->path, sizeof o->path, "%s", json_str(where, "path", ""));
	(void)snprintf(o->why, sizeof o->why, "%s", end == STORE_DONE ? "" : why->text);
}

static struct store *
open_store(void)
{
	struct err e = { 0 };
	struct store *s = store_open(base, &settings, &e);

	if (s == NULL)
		ok(0, e.text);
	return s;
}

/* Puts the bytes in the spool under the record of `sealed`. */
static enum store_end
put(const struct seed *sealed, const char *bytes)
{
	struct store *s = open_store();
	char *data = scratch_path("data");
	struct spool_record r;
	struct store_item item = { .record = &r, .data = data };

	(void)unlink(data);
	scratch_write("data", bytes);
	seed_record(&r, sealed);
	out = (struct outcome){ 0 };
	(void)store_put(s, &item, on_end, &out);
	if (out.called != 0)
		ok(0, "never called from inside store_put");
	event_base_dispatch(base);
	if (out.called != 1)
		ok(0, "called once");
	store_free(s);
	free(data);
	return out.end;
}

static ino_t
inode(const char *name)
{
	char *path = scratch_path(name);
	struct stat st = { 0 };

	(void)stat(path, &st);
	free(path);
	return st.st_ino;
}

static int
find(const char *task_id, int64_t run, const char *name, char got[512], struct err *e)
{
	json_t *rec;
	char *path;
	int rc = local_store_find(settings.store_dir, task_id, run, name, &rec, &path, e);

	(void)snprintf(got, 512, "%s", rc == 0 ? json_str(rec, "sha256", "") : "");
	json_decref(rec);
	free(path);
	return rc;
}

static void
test_put(void)
{
	struct err e = { 0 };
	json_t *rec;
	char *path, *text;

	is_int(put(&one, one.bytes), STORE_DONE, out.why);
	ok(strstr(out.path, file) != NULL, out.path);
	ok(inode("data") == inode(file) && inode(file) != 0, "one file, two names: nothing is written twice");
	ok(!scratch_has(fresh), "no third name");
	is_int(local_store_find(settings.store_dir, "Task_A", -1, one.name, &rec, &path, &e), 0, e.text);
	is_str(path, out.path, "the file");
	is_str(json_str(rec, "imageId", NULL),
	    "sha256:1111111111111111111111111111111111111111111111111111111111111111", "the record");
	ok(json_str(rec, "stored", NULL) != NULL, "with its time");
	json_decref(rec);
	free(path);
	text = scratch_read(file);
	is_str(text, "some bytes", "the bytes");
	free(text);
}

static void
test_again(void)
{
	char *path = scratch_path(record);
	ino_t before = inode(file);

	is_int(put(&one, one.bytes), STORE_DONE, "the same content again");
	ok(inode(file) == before, "is not stored again");
	is_int(put(&other, other.bytes), STORE_FAILED, "other content under that name");
	ok(strstr(out.why, "the store has another 'public/image.tar.zst' of task Task_A already") != NULL,
	    out.why);
	ok(inode(file) == before && !scratch_has(fresh), "changes nothing");
	(void)unlink(path);
	is_int(
	    put(&other, other.bytes), STORE_DONE, "bytes without a record are of a put that died: replaced");
	free(path);
}

/* The uploader died between the name and the record: both names are links to one file already. */
static void
test_link_again(void)
{
	char *path = scratch_path(record), *from = scratch_path("data"), *to = scratch_path(file);
	struct store *s = open_store();
	struct spool_record r;
	struct store_item item = { .record = &r, .data = from };

	is_int(put(&other, other.bytes), STORE_DONE, out.why);
	(void)unlink(path);
	(void)unlink(to);
	is_int(link(from, to), 0, "as it was left");
	seed_record(&r, &other);
	(void)store_put(s, &item, on_end, &out);
	event_base_dispatch(base);
	is_int(out.end, STORE_DONE, out.why);
	ok(!scratch_has(fresh) && scratch_has(record), "complete, nothing beside it");
	store_free(s);
	free(path);
	free(from);
	free(to);
}

static void
test_damaged(void)
{
	static const struct seed s = { "Task_B", "a.tar", "0123456789", NULL, 0 };

	is_int(put(&s, "0123456780"), STORE_FAILED, "one byte is not what was sealed");
	ok(strstr(out.why, "damaged in the spool: sha256 ") != NULL, out.why);
	is_int(put(&s, "012345678"), STORE_FAILED, "one byte is missing");
	ok(strstr(out.why, "damaged in the spool: it has 9 bytes, 10 were sealed") != NULL, out.why);
	ok(!scratch_has("store/Task_B/0/a.tar") && !scratch_has("store/Task_B/0/.a.tar.new"),
	    "nothing is left");
	is_int(put(&s, s.bytes), STORE_DONE, "the right bytes");
}

/* Names that cannot be: one artifact would have to be the directory of another. */
static void
test_names(void)
{
	static const struct seed inside = { "Task_B", "a.tar/b.tar", "x", NULL, 0 };
	static const struct seed bad = { "../Task_B", "a.tar", "x", NULL, 0 };
	static const struct seed worse = { "Task_B", "../a.tar", "x", NULL, 0 };

	is_int(put(&inside, "x"), STORE_FAILED, "below a file");
	is_int(put(&bad, "x"), STORE_FAILED, out.why);
	is_int(put(&worse, "x"), STORE_FAILED, out.why);
}

static void
test_find(void)
{
	static const struct seed run2 = { "Task_A", "b.tar", "run 2", NULL, 2 },
	                         run10 = { "Task_A", "b.tar", "run 10", NULL, 10 };
	static const struct {
		const char *task_id, *name;
		int64_t run;
		int status;
	} rows[] = {
		{ "Task_A", "none.tar", -1, 404 },
		{ "Task_A", "b.tar", 3, 404 },
		{ "Task_A", "b.tar", 10, 0 },
		{ "Task_C", "b.tar", -1, 404 },
		{ "Task_C", "b.tar", 0, 404 },
		{ "Task_B", "a.tar/b.tar", -1, 404 },
		{ "..", "b.tar", -1, 400 },
		{ "", "b.tar", -1, 400 },
		{ "a/b", "b.tar", 0, 400 },
		{ "Task_A", "../b.tar", -1, 400 },
		{ "Task_A", "/etc/passwd", -1, 400 },
		{ "Task_A", "public/image.tar.zst.json", 0, 400 },
		{ "Task_A", "b.tar", -2, 400 },
		{ "Task_A", "b.tar", INT64_MAX, 400 },
	};
	struct spool_record r;
	char got[512];
	struct err e;

	is_int(put(&run2, run2.bytes), STORE_DONE, out.why);
	is_int(put(&run10, run10.bytes), STORE_DONE, out.why);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		err_clear(&e);
		is_int(find(rows[i].task_id, rows[i].run, rows[i].name, got, &e), rows[i].status ? -1 : 0,
		    rows[i].name);
		is_int(e.status, rows[i].status, rows[i].status ? e.text : "found");
	}
	seed_record(&r, &run10);
	is_int(find("Task_A", -1, "b.tar", got, &e), 0, "without a run");
	is_str(got, r.sha256, "it is the latest");
	is_int(find("Task_A", -1, "public/image.tar.zst", got, &e), 0, "or the latest that has it");
	scratch_write("store/Task_A/10/b.tar", "cut");
	err_clear(&e);
	is_int(find("Task_A", 10, "b.tar", got, &e), -1, "damaged in the store");
	is_int(e.status, 0, e.text);
}

static void
sweep_all(void)
{
	struct store *s = open_store();
	struct err e;
	int rc;

	while ((rc = store_sweep(s, &e)) > 0)
		;
	is_int(rc, 0, "swept");
	store_free(s);
}

static void
test_expiry(void)
{
	static const struct seed old = { "Task_D", "old.tar", "old", "2001-01-01T00:00:00Z", 0 };
	static const struct seed later = { "Task_D", "old.tar", "new", "2101-01-01T00:00:00Z", 0 };
	static const struct seed gone = { "Task_E", "x/gone.tar", "gone", "2001-01-01T00:00:00Z", 0 };
	char got[512];
	struct err e = { 0 };

	is_int(put(&old, old.bytes), STORE_DONE, out.why);
	is_int(find("Task_D", -1, "old.tar", got, &e), -1, "expired");
	is_int(e.status, 410, e.text);
	is_int(put(&later, later.bytes), STORE_DONE, "what has expired does not stand in the way");
	is_int(put(&gone, gone.bytes), STORE_DONE, out.why);
	scratch_write("store/Task_D/0/.half.tar.new", "");
	scratch_write("store/Task_D/0/half.tar", "");
	sweep_all();
	ok(!scratch_has("store/Task_E"), "expired artifacts are removed with their directories");
	ok(scratch_has("store/Task_D/0/old.tar") && scratch_has("store/Task_D/0/old.tar.json"),
	    "others are not");
	ok(scratch_has("store/Task_D/0/.half.tar.new") && scratch_has("store/Task_D/0/half.tar"),
	    "what a put may be at is left for a day");
	ok(scratch_has(record), "an artifact without a date stays");
}

/* Another file system: the bytes are copied, checked on the way. */
static void
test_copy(void)
{
	static const struct seed s = { "Task_A", "copy.tar", "copied bytes", NULL, 0 };
	char there[] = "/tmp/dind-unit-XXXXXX", *kept = settings.store_dir, *path;
	struct statvfs a, b;
	struct err e;

	if (mkdtemp(there) == NULL || statvfs(there, &a) < 0 || statvfs(scratch, &b) < 0 ||
	    a.f_fsid == b.f_fsid) {
		ok(1, "copy # SKIP no second file system");
		return;
	}
	settings.store_dir = there;
	is_int(put(&s, "copied bytez"), STORE_FAILED, "damaged bytes are not kept");
	is_int(put(&s, s.bytes), STORE_DONE, out.why);
	path = mem_printf("%s/Task_A/0/copy.tar", there);
	is_str(out.path, path, "copied");
	(void)unlink(path);
	free(path);
	is_int(put(&s, s.bytes), STORE_DONE, "a record without bytes is no artifact: made again");
	(void)fs_remove_tree(there, &e);
	settings.store_dir = kept;
}

static void
test_cancel(void)
{
	static const struct seed s = { "Task_F", "a.tar", "x", NULL, 0 };
	struct store *store = open_store();
	char *data = scratch_path("data");
	struct spool_record r;
	struct store_item item = { .record = &r, .data = data };
	struct store_job *job;

	scratch_write("data", "x");
	seed_record(&r, &s);
	out = (struct outcome){ 0 };
	job = store_put(store, &item, on_end, &out);
	event_base_loop(base, EVLOOP_ONCE);
	is_int(store_sent(store, job), 0, "nothing is read yet");
	store_cancel(store, job);
	event_base_dispatch(base);
	ok(out.called == 0 && !scratch_has("store/Task_F/0/.a.tar.new"), "cancelled: no callback, no file");
	store_free(store);
	free(data);
}

static void
test_judge(void)
{
	is_int(store_judge(ENOSPC), STORE_AGAIN, "a full disk may empty");
	is_int(store_judge(EIO), STORE_AGAIN, "EIO may pass");
	is_int(store_judge(EBADMSG), STORE_FAILED, "damage stays");
	is_int(store_judge(0), STORE_FAILED, "a refusal stays");
}

int
main(void)
{
	seed_start();
	test_put();
	test_again();
	test_link_again();
	test_damaged();
	test_names();
	test_find();
	test_expiry();
	test_copy();
	test_cancel();
	test_judge();
	return seed_end();
}
