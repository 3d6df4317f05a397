#include "artifact/s3.h"

#include <signal.h>

#include "../../../src/artifact/s3_private.h"
#include "base/log.h"
#include "seed.h"
#include "standin_web.h"

#define SECRET "s3cr3t"
#define KEY "dind/Task_A/0/public/image.tar.zst"

static const struct seed one = { "Task_A", "public/image.tar.zst", "some bytes", NULL, 0 };

/* A text as the name of a check: without line ends. */
static const char *
label(const char *text)
{
	static char quoted[200];

	return log_quote(text, strlen(text), quoted, sizeof quoted);
}

/* --- where and who */

static void
use(const char *endpoint, const char *bucket, const char *prefix, int path_style)
{
	free(settings.s3_endpoint);
	free(settings.s3_bucket);
	free(settings.s3_prefix);
	settings.s3_endpoint = mem_str(endpoint);
	settings.s3_bucket = mem_str(bucket);
	settings.s3_prefix = mem_str(prefix);
	settings.s3_path_style = path_style;
}

static void
test_place(void)
{
	static const struct {
		const char *endpoint, *bucket, *prefix;
		int path_style;
		const char *base, *root, *why;
	} rows[] = {
		{ "https://s3.example.com", "bucket", "", 1, "https://s3.example.com", "/bucket/", NULL },
		{ "https://s3.example.com/", "bucket", "a/b-", 0, "https://bucket.s3.example.com", "/",
		    NULL },
		{ "https://s3.example.com:443", "b.c", "", 1, "https://s3.example.com", "/b.c/", NULL },
		{ "http://127.0.0.1:80", "bucket", "", 1, "http://127.0.0.1", "/bucket/", NULL },
		{ "http://[::1]:9000", "bucket", "", 1, "http://[::1]:9000", "/bucket/", NULL },
		{ "https://x:80", "bucket", "", 1, "https://x:80", "/bucket/", NULL },
		{ "", "bucket", "", 1, NULL, NULL, "'store.s3.endpoint' must be a URL" },
		{ "s3.example.com", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "ftp://s3.example.com", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https:///x", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com/x", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com?x", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://user@s3.example.com", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com:0", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com:65536", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com:", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://[::1", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://s3.example.com\nx", "bucket", "", 1, NULL, NULL, "endpoint" },
		{ "https://x", "", "", 1, NULL, NULL, "'store.s3.bucket' must be the name of a bucket" },
		{ "https://x", "a/b", "", 1, NULL, NULL, "bucket" },
		{ "https://x", "..", "", 1, NULL, NULL, "bucket" },
		{ "https://x", "bucket", "/a", 1, NULL, NULL, "prefix" },
		{ "https://x", "bucket", "a/../b", 1, NULL, NULL, "prefix" },
		{ "https://x", "bucket", "a//b", 1, NULL, NULL, "prefix" },
		{ "https://x", "bucket", "a b", 1, NULL, NULL, "prefix" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct s3_place p;
		struct err e = { 0 };
		int rc;

		use(rows[i].endpoint, rows[i].bucket, rows[i].prefix, rows[i].path_style);
		rc = s3_place_init(&p, &settings, &e);
		is_int(rc, rows[i].why == NULL ? 0 : -1, label(rows[i].endpoint));
		is_str(p.base, rows[i].base, label(rows[i].endpoint));
		is_str(p.root, rows[i].root, label(rows[i].endpoint));
		if (rows[i].why != NULL)
			ok(strstr(e.text, rows[i].why) != NULL, e.text);
		s3_place_done(&p);
	}
}

static void
test_keys(void)
{
	static const struct {
		const char *key;
		int ours;
	} rows[] = {
		{ KEY, 1 },
		{ "dind/Task_A/1000000/a.tar", 1 },
		{ "Task_A/0/a.tar", 0 },
		{ "dind/Task_A/0/", 0 },
		{ "dind/Task_A/0/a.txt", 0 },
		{ "dind/Task_A/00/a.tar", 0 },
		{ "dind/Task_A/x/a.tar", 0 },
		{ "dind/Task_A/0/../a.tar", 0 },
		{ "dind/Task A/0/a.tar", 0 },
		{ "dind/0/a.tar", 0 },
		{ "dind/", 0 },
		{ "", 0 },
	};
	struct s3_place p;
	struct err e = { 0 };
	char *key;

	use("https://x", "bucket", "dind/", 1);
	(void)s3_place_init(&p, &settings, &e);
	key = s3_object_key(&p, "Task_A", 0, "public/image.tar.zst", &e);
	is_str(key, KEY, "a key");
	free(key);
	ok(s3_object_key(&p, "../x", 0, "a.tar", &e) == NULL && e.status == 400, e.text);
	ok(s3_object_key(&p, "Task_A", 0, "a/../../b.tar", &e) == NULL && e.status == 400, e.text);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		is_int(s3_is_our_key(&p, rows[i].key), rows[i].ours, rows[i].key);
	s3_place_done(&p);
}

static void
write_key(const char *text, mode_t mode)
{
	free(settings.s3_credentials);
	settings.s3_credentials = scratch_path("s3.json");
	scratch_write("s3.json", text);
	(void)chmod(settings.s3_credentials, mode);
}

static void
test_key_file(void)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *why;
	} rows[] = {
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\"}", 0600, NULL },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\",\"sessionToken\":\"T\"}", 0640,
		    NULL },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\",\"more\":1}", 0400, NULL },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\"}", 0644,
		    "others may use it (mode 644)" },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\"}", 0620, "others may use it" },
		{ "{\"accessKeyId\":\"A\"}", 0600, "'secretAccessKey' must be a string" },
		{ "{\"accessKeyId\":\"\",\"secretAccessKey\":\"" SECRET "\"}", 0600,
		    "'accessKeyId' must be" },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\\n\"}", 0600, "printable" },
		{ "{\"accessKeyId\":\"A\",\"secretAccessKey\":\"" SECRET "\",\"sessionToken\":5}", 0600,
		    "'sessionToken' must be" },
		{ "[\"" SECRET "\"]", 0600, "must be an object" },
		{ "{\"secretAccessKey\":\"" SECRET "\"", 0600, "is not JSON" },
		{ "", 0600, "is not JSON" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct s3_key k;
		struct err e = { 0 };
		int rc;

		write_key(rows[i].text, rows[i].mode);
		rc = s3_key_read(&k, settings.s3_credentials, &e);
		is_int(rc, rows[i].why == NULL ? 0 : -1, label(rows[i].text));
		if (rows[i].why != NULL)
			ok(strstr(e.text, rows[i].why) != NULL, e.text);
		ok(strstr(e.text, SECRET) == NULL, "no secret in it");
		is_str(k.secret, rc == 0 ? SECRET : NULL, label(rows[i].text));
		s3_key_done(&k);
	}
}

/* --- XML */

static int
on_element(void *arg, const char *path, const char *text)
{
	buf_printf(arg, "%s=%s;", path, text);
	return 0;
}

static void
test_xml(void)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} rows[] = {
		{ "<a/>", "a=;" },
		{ "<?xml version=\"1.0\"?>\n<a x=\"1>2\" y='\"'><b>1</b><b> two </b></a>\n",
		    "a/b=1;a/b=two;a=;" },
		{ "   \r\n<a><b><c/></b></a>", "a/b/c=;a/b=;a=;" },
		{ "<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;&#xe9;&#x20AC;&#x1f600;</a>",
		    "a=<&>\"'AB\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80;" },
		{ "<a><!-- <b> --><c>1</c></a >", "a/c=1;a=;" },
		{ "<a>text<b>1</b>behind</a>", "a/b=1;a=behind;" },
		{ "", NULL },
		{ " ", NULL },
		{ "text", NULL },
		{ "{\"a\": \"<a/>\"}", NULL },
		{ "<a>", NULL },
		{ "<a></b>", NULL },
		{ "<a></a></a>", NULL },
		{ "<a/><b/>", NULL },
		{ "<a/>x", NULL },
		{ "<a x=\"></a>", NULL },
		{ "<a <b/></a>", NULL },
		{ "<>", NULL },
		{ "<", NULL },
		{ "</", NULL },
		{ "<a", NULL },
		{ "<a></a", NULL },
		{ "<a>&nbsp;</a>", NULL },
		{ "<a>&#0;</a>", NULL },
		{ "<a>&#xd800;</a>", NULL },
		{ "<a>&#x110000;</a>", NULL },
		{ "<a>&#99999999;</a>", NULL },
		{ "<a>&#;</a>", NULL },
		{ "<a>&#x;</a>", NULL },
		{ "<a>&#1", NULL },
		{ "<a>&</a>", NULL },
		{ "<!DOCTYPE a><a/>", NULL },
		{ "<a><![CDATA[x]]></a>", NULL },
		{ "<a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a>",
		    "a/b/c/d/e/f/g/h=;a/b/c/d/e/f/g=;a/b/c/d/e/f=;a/b/c/d/e=;a/b/c/d=;a/b/c=;a/b=;a=;" },
		{ "<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>", NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf out = { 0 };
		struct err e = { 0 };
		int rc = s3_xml_walk(rows[i].text, strlen(rows[i].text), on_element, &out, &e);

		is_int(rc, rows[i].want == NULL ? -1 : 0, label(rows[i].text));
		if (rows[i].want != NULL)
			is_str(buf_text(&out), rows[i].want, label(rows[i].text));
		else
			ok(strstr(e.text, "no XML of S3") != NULL, e.text);
		buf_done(&out);
	}
}

static void
test_error(void)
{
	static const char text[] =
	    "<Error><Code>A</Code><Message>b</Message><RequestId>c</RequestId><X>y</X></Error>";
	struct s3_error x;
	struct buf out = { 0 };

	ok(s3_error_read(text, strlen(text), &x), "an error");
	is_str(x.code, "A", "its code");
	is_str(x.message, "b", "its message");
	is_str(x.request, "c", "its request");
	ok(!s3_error_read("<Other><Code>A</Code></Other>", 29, &x), "another document");
	ok(!s3_error_read("<Error><Code>A</Code>", 21, &x), "half of one");
	s3_xml_escape(&out, "\"a\" <&>");
	is_str(buf_text(&out), "\"a\" &#60;&#38;&#62;", "text between tags");
	buf_done(&out);
}

/* --- the journal */

static void
on_line(void *arg, const json_t *line)
{
	buf_printf(arg, "%lld ", (long long)json_num(line, "n", -1));
}

/* Opens it, returns what it plays back, and adds a line. */
static void
journal(const char *want, int add, const char *name)
{
	struct s3_journal j;
	struct buf seen = { 0 };
	struct err e = { 0 };
	char *path = scratch_path("journal");

	is_int(s3_journal_open(&j, path, on_line, &seen, &e), 0, e.text);
	is_str(buf_text(&seen), want, name);
	if (add >= 0)
		is_int(s3_journal_add(&j, json_pack("{s:i}", "n", add), &e), 0, e.text);
	s3_journal_done(&j, 0);
	buf_done(&seen);
	free(path);
}

static void
test_journal(void)
{
	static const char *const tails[] = { "{\"n\":7", "{\"n\":7}\n", "{\"n\":7,\"crc\":\"00000000\"}\n",
		"\n", "\n\n{\"n\":7}\n", "x" };
	struct s3_journal j;
	struct err e = { 0 };
	struct buf seen = { 0 };
	char *text, *path = scratch_path("journal");

	journal("", 1, "an empty one");
	journal("1 ", 2, "one line");
	journal("1 2 ", -1, "two lines");
	text = scratch_read("journal");
	is_int(
	    (long long)strlen(text), 2 * (long long)strlen("{\"n\":1,\"crc\":\"xxxxxxxx\"}\n"), "its length");
	free(text);
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		scratch_append("journal", tails[i]);
		journal("1 2 ", -1, "what is not whole never happened");
	}
	text = scratch_read("journal");
	text[5] = '9'; /* of the first line */
	(void)unlink(path);
	scratch_write("journal", text);
	free(text);
	journal("", 3, "a line that was changed ends it");
	journal("3 ", -1, "and is gone");
	is_int(s3_journal_open(&j, path, on_line, &seen, &e), 0, e.text);
	is_int(s3_journal_reset(&j, &e), 0, "reset");
	is_int(s3_journal_add(&j, json_pack("{s:i}", "n", 4), &e), 0, "and again");
	s3_journal_done(&j, 0);
	journal("4 ", -1, "from the beginning");
	is_int(s3_journal_open(&j, path, on_line, &seen, &e), 0, e.text);
	s3_journal_done(&j, 1);
	ok(access(path, F_OK) < 0, "forgotten");
	buf_done(&seen);
	free(path);
}

/* --- puts against a script */

#define ANSWER(status, length, more)                                                                         \
	"HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " length "\r\n" more "\r\n"
#define XML_ERROR(status, code)                                                                              \
	"HTTP/1.1 " status "\r\nConnection: close\r\n\r\n<Error><Code>" code "</Code></Error>"
#define XML(text) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" text
#define GOOD ANSWER("200 OK", "0", "ETag: \"e\"\r\n")
#define GONE ANSWER("404 Not Found", "0", "")
#define NO_KEY XML_ERROR("404 Not Found", "NoSuchKey")
#define SAY(text)                                                                                            \
	{                                                                                                    \
		WEB_CLOSE, text, 0                                                                           \
	}

struct outcome {
	int called;
	enum store_end end;
	char url[256], why[512], fault[16];
};
static struct outcome out;

static void
on_end(void *arg, enum store_end end, const json_t *where, const struct err *why)
{
	(void)arg;
	out.called++;
	out.end = end;
	(void)snprintf(out.url, sizeof out.url, "%s", json_str(where, "url", ""));
	(void)snprintf(out.why, sizeof out.why, "%s", end == STORE_DONE ? "" : why->text);
	(void)snprintf(
	    out.fault, sizeof out.fault, "%s", end != STORE_DONE && why->rule != NULL ? why->rule : "");
}

static struct s3 *
open_store(const struct web *w)
{
	char *endpoint = mem_printf("http://127.0.0.1:%d", w->port);
	struct err e = { 0 };
	struct s3 *s;

	use(endpoint, "bucket", "dind/", 1);
	free(endpoint);
	free(settings.store_type);
	settings.store_type = mem_str("s3");
	write_key(
	    "{\"accessKeyId\":\"AKID\",\"secretAccessKey\":\"" SECRET "\",\"sessionToken\":\"t0ken\"}", 0600);
	s = (struct s3 *)store_open(base, &settings, &e);
	if (s == NULL) {
		printf("Bail out! %s\n", e.text);
		exit(1);
	}
	s->pace = (struct retry_pace){ .first = 1, .most = 2, .after_most = 3, .tries = 3 };
	transfers_hurry(s->transfers, 0, 300, 400);
	return s;
}

/* What HEAD says of the object when it is the one that was sealed; heap. */
static char *
head_of(const struct spool_record *r)
{
	return mem_printf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %llu\r\n"
	                  "x-amz-meta-sha256: %s\r\n\r\n",
	    (unsigned long long)r->size, r->sha256);
}

static char *
record_of(const struct spool_record *r)
{
	json_t *v = spool_record_json(r);
	char *text = json_text(v, 1),
	     *answer = mem_printf("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", text);

	json_decref(v);
	free(text);
	return answer;
}

enum { STEPS = 24 };
static const char head_there[] = "HEAD", record_there[] = "RECORD"; /* stand for the two above */

struct put_row {
	const char *name;
	struct web_step steps[STEPS];
	enum store_end end;
	const char *why, *fault;
	unsigned asked;   /* requests */
	const char *last; /* of them, how it begins */
	int is_last;      /* of the item */
};

static const struct put_row small_rows[] = {
	{ "a new one", { SAY(NO_KEY), SAY(GONE), SAY(GOOD), SAY(head_there), SAY(GOOD) }, STORE_DONE, "", "",
	    5, "PUT /bucket/" KEY ".json HTTP/1.1", 0 },
	{ "it is there", { SAY(record_there), SAY(head_there) }, STORE_DONE, "", "", 2,
	    "HEAD /bucket/" KEY " ", 0 },
	{ "its record is there, the object is not: made anew, over the record",
	    { SAY(record_there), SAY(GONE), SAY(GOOD), SAY(head_there), SAY(GOOD) }, STORE_DONE, "", "", 5,
	    "PUT", 0 },
	{ "the object is there", { SAY(NO_KEY), SAY(head_there), SAY(GOOD) }, STORE_DONE, "", "", 3, "PUT",
	    0 },
	{ "the store took it and has something else",
	    { SAY(NO_KEY), SAY(GONE), SAY(GOOD), SAY(ANSWER("200 OK", "0", "")) }, STORE_FAILED,
	    "the store took s3://bucket/" KEY " but has something else", "", 4, "HEAD", 0 },
	{ "no bucket", { SAY(XML_ERROR("404 Not Found", "NoSuchBucket")) }, STORE_FAILED,
	    "GET s3://bucket/" KEY ".json: status 404 NoSuchBucket: there is no such bucket", "worker", 1,
	    "GET", 0 },
	{ "may not", { SAY(XML_ERROR("403 Forbidden", "AccessDenied")) }, STORE_FAILED,
	    "status 403 AccessDenied: the key of store.s3.credentials may not", "worker", 1, "GET", 0 },
	{ "a HEAD that may not", { SAY(NO_KEY), SAY(ANSWER("403 Forbidden", "0", "")) }, STORE_FAILED,
	    "HEAD s3://bucket/" KEY ": status 403", "worker", 2, "HEAD", 0 },
	{ "a store that is busy, three times",
	    { SAY(XML_ERROR("503 x", "SlowDown")), SAY(XML_ERROR("503 x", "SlowDown")),
	        SAY(XML_ERROR("503 x", "SlowDown")) },
	    STORE_AGAIN, "after 3 tries: GET s3://bucket/" KEY ".json: status 503 SlowDown", "service", 3,
	    "GET", 0 },
	{ "a store that is busy, twice",
	    { SAY(XML_ERROR("503 x", "SlowDown")), SAY(XML_ERROR("500 x", "InternalError")),
	        SAY(record_there), SAY(head_there) },
	    STORE_DONE, "", "", 4, "HEAD", 0 },
	{ "cut, silent, then good",
	    { SAY("HTTP/1.1 200 OK\r\nContent-Le"), SAY(NO_KEY), SAY(NULL), SAY(GONE), SAY(GOOD),
	        SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 7, "PUT", 0 },
	{ "a record that is no XML and no JSON: replaced", { SAY(XML("what?")), SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 3, "PUT", 0 },
	{ "a record that came meanwhile, and is the same",
	    { SAY(NO_KEY), SAY(GONE), SAY(GOOD), SAY(head_there),
	        SAY(XML_ERROR("412 x", "PreconditionFailed")), SAY(record_there), SAY(head_there) },
	    STORE_DONE, "", "", 7, "HEAD", 0 },
	{ "a record that comes and goes",
	    { SAY(NO_KEY), SAY(head_there), SAY(XML_ERROR("412 x", "PreconditionFailed")), SAY(NO_KEY),
	        SAY(head_there), SAY(XML_ERROR("412 x", "PreconditionFailed")), SAY(NO_KEY), SAY(head_there),
	        SAY(XML_ERROR("412 x", "PreconditionFailed")) },
	    STORE_FAILED, "412", "worker", 9, "PUT", 0 },
	{ "the store is elsewhere", { SAY(ANSWER("301 Moved", "0", "Location: http://127.0.0.1:1/\r\n")) },
	    STORE_FAILED, "status 301: a redirect is not followed", "worker", 1, "GET", 0 },
	{ "what the store says is quoted",
	    { SAY("HTTP/1.1 400 x\r\nConnection: close\r\n\r\n<Error><Code>Bad\nCode</Code>"
	          "<Message>a \"b\" \x1b[31m</Message></Error>") },
	    STORE_FAILED, "status 400 Bad\\x0aCode \"a \\x22b\\x22 \\x1b[31m\"", "worker", 1, "GET", 0 },
};

#define CREATED XML("<InitiateMultipartUploadResult><UploadId>up1</UploadId></InitiateMultipartUploadResult>")
#define CREATED_2                                                                                            \
	XML("<InitiateMultipartUploadResult><UploadId>up2</UploadId></InitiateMultipartUploadResult>")
#define COMPLETED XML("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
#define NO_UPLOAD XML_ERROR("404 Not Found", "NoSuchUpload")
#define BUSY XML_ERROR("503 x", "SlowDown")
#define BEGIN SAY(NO_KEY), SAY(GONE), SAY(CREATED)
#define NONE XML("<ListMultipartUploadsResult/>")

static const struct put_row large_rows[] = {
	{ "two parts", { BEGIN, SAY(GOOD), SAY(GOOD), SAY(COMPLETED), SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 8, "PUT", 0 },
	{ "Complete: 200 with an error, then good",
	    { BEGIN, SAY(GOOD), SAY(GOOD), SAY(XML("<Error><Code>InternalError</Code></Error>")),
	        SAY(COMPLETED), SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 9, "PUT", 0 },
	{ "Complete: blanks before the error, then it was done after all",
	    { BEGIN, SAY(GOOD), SAY(GOOD), SAY(XML("  \n\n <Error><Code>InternalError</Code></Error>")),
	        SAY(NO_UPLOAD), SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 9, "PUT", 0 },
	{ "Complete: no such upload, and no object: from the beginning",
	    { BEGIN, SAY(GOOD), SAY(GOOD), SAY(NO_UPLOAD), SAY(GONE), SAY(CREATED_2), SAY(NONE), SAY(GOOD),
	        SAY(GOOD), SAY(COMPLETED), SAY(head_there), SAY(GOOD) },
	    STORE_DONE, "", "", 14, "PUT", 0 },
	{ "an upload without a name", { SAY(NO_KEY), SAY(GONE), SAY(XML("<a/>")) }, STORE_FAILED,
	    "begins a multipart upload but does not name it", "", 3, "POST", 0 },
	{ "a part without an ETag: aborted",
	    { BEGIN, SAY(ANSWER("200 OK", "0", "")), SAY(ANSWER("200 OK", "0", "")), SAY(GOOD) },
	    STORE_FAILED, "gives no ETag", "", 0, "DELETE /bucket/" KEY "?uploadId=up1 ", 0 },
	{ "the store is busy for good: kept for the next try",
	    { BEGIN, SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY) }, STORE_AGAIN,
	    "after 3 tries: PUT s3://bucket/" KEY " (part ", "service", 0, "PUT", 0 },
	{ "the store is busy for good, and this was the last try: aborted",
	    { BEGIN, SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(BUSY), SAY(GOOD), SAY(GOOD) },
	    STORE_AGAIN, "after 3 tries", "service", 0, "DELETE", 1 },
	{ "refused for good, and the abort as well",
	    { BEGIN, SAY(XML_ERROR("403 x", "AccessDenied")), SAY(XML_ERROR("403 x", "AccessDenied")),
	        SAY(XML_ERROR("403 x", "AccessDenied")) },
	    STORE_FAILED, "(its multipart upload could not be aborted)", "worker", 0, "DELETE", 0 },
};

static const char *
expand(const char *text, char *head, char *record)
{
	return text == head_there ? head : text == record_there ? record : text;
}

static void
run_put(const struct put_row *row, const char *bytes)
{
	const struct seed seed = { one.task_id, one.name, bytes, NULL, 0 };
	struct web_step steps[STEPS];
	struct spool_record r;
	char *data = scratch_path("data"), *journal_path = scratch_path("journal"), *head, *record;
	struct store_item item = { .record = &r, .data = data, .last = row->is_last };
	struct web w;
	struct s3 *s;
	unsigned asked;

	(void)unlink(journal_path);
	scratch_write("data", bytes);
	seed_record(&r, &seed);
	head = head_of(&r);
	record = record_of(&r);
	for (size_t i = 0; i < STEPS; i++) {
		steps[i] = row->steps[i];
		steps[i].text = expand(steps[i].text, head, record);
	}
	web_start(&w, steps, STEPS);
	s = open_store(&w);
	out = (struct outcome){ 0 };
	(void)store_put(&s->store, &item, on_end, NULL);
	ok(out.called == 0, "never called from inside");
	event_base_dispatch(base);
	is_int(out.called, 1, row->name);
	is_int(out.end, row->end, out.why);
	ok(strstr(out.why, row->why) != NULL, out.why);
	ok(strstr(out.why, SECRET) == NULL && strstr(out.why, "t0ken") == NULL, "no secret in it");
	is_str(out.fault, row->fault, row->name);
	is_str(out.url, row->end == STORE_DONE ? "s3://bucket/" KEY : "", row->name);
	asked = atomic_load(&w.asked);
	if (row->asked > 0)
		is_int(asked, row->asked, "requests");
	ok(asked > 0 && strncmp(w.requests[asked - 1].head, row->last, strlen(row->last)) == 0,
	    label(w.requests[asked > 0 ? asked - 1 : 0].head));
	is_int(scratch_has("journal"),
	    strlen(bytes) > S3_PART && row->end == STORE_AGAIN && !row->is_last
	        ? 1
	        : row->fault[0] == 'w' && strlen(bytes) > S3_PART,
	    "the journal");
	store_free(&s->store);
	web_stop(&w);
	free(head);
	free(record);
	free(data);
	free(journal_path);
}

static char *
large(void)
{
	char *bytes = mem_new(S3_PART + 1000 + 1);

	memset(bytes, 'x', S3_PART + 1000);
	return bytes;
}

static void
test_puts(void)
{
	char *bytes = large();

	for (size_t i = 0; i < sizeof small_rows / sizeof small_rows[0]; i++)
		run_put(&small_rows[i], "some bytes");
	for (size_t i = 0; i < sizeof large_rows / sizeof large_rows[0]; i++)
		run_put(&large_rows[i], bytes);
	free(bytes);
}

/* What one request says: the headers that stores judge by. */
static void
test_request(void)
{
	static const struct web_step steps[] = { SAY(NO_KEY), SAY(GONE),
		SAY(XML_ERROR("400 x", "InvalidRequest")) };
	struct spool_record r;
	char *data = scratch_path("data");
	struct store_item item = { .record = &r, .data = data };
	struct web w;
	struct s3 *s;
	const char *asked;

	scratch_write("data", "some bytes");
	seed_record(&r, &one);
	r.content_type = "a/b\r\nX-Evil: 1";
	web_start(&w, steps, 3);
	s = open_store(&w);
	(void)store_put(&s->store, &item, on_end, NULL);
	event_base_dispatch(base);
	asked = w.requests[2].head;
	ok(strstr(asked, "PUT /bucket/" KEY " HTTP/1.1\r\n") == asked, "the path");
	ok(strstr(asked, "\r\ncontent-type: application/octet-stream\r\n") != NULL &&
	        strstr(asked, "Evil") == NULL,
	    "a type that is none becomes no header");
	ok(strstr(asked, "\r\nx-amz-sdk-checksum-algorithm: SHA256\r\n") != NULL, "the checksum's kind");
	ok(strstr(asked, "\r\nx-amz-security-token: t0ken\r\n") != NULL, "the token");
	ok(strstr(asked,
	       "SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date;"
	       "x-amz-meta-sha256;x-amz-sdk-checksum-algorithm;x-amz-security-token, ") != NULL,
	    "all of it is signed");
	store_free(&s->store);
	web_stop(&w);
	free(data);
}

/* The store has other bytes than were signed, and so have we by now. */
static void
test_changed(void)
{
	static const struct web_step steps[] = { SAY(NO_KEY), SAY(GONE),
		SAY(XML_ERROR("400 x", "XAmzContentSHA256Mismatch")),
		SAY(XML_ERROR("400 x", "XAmzContentSHA256Mismatch")) };
	struct spool_record r;
	char *data = scratch_path("data");
	struct store_item item = { .record = &r, .data = data };
	struct web w;
	struct s3 *s;

	scratch_write("data", "some bytes");
	seed_record(&r, &one);
	web_start(&w, steps, 4);
	s = open_store(&w);
	out = (struct outcome){ 0 };
	(void)store_put(&s->store, &item, on_end, NULL);
	while (atomic_load(&w.asked) < 3)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* one round */
	scratch_write("data", "evil bytes"); /* behind the first PUT, before the answer to the second */
	event_base_dispatch(base);
	is_int(out.end, STORE_FAILED, out.why);
	ok(strstr(out.why, "damaged in the spool") != NULL, out.why);
	store_free(&s->store);
	web_stop(&w);
	free(data);
}

static void
test_cancel(void)
{
	static const struct web_step steps[] = { SAY(NO_KEY), SAY(GONE), SAY(CREATED),
		{ WEB_SILENT, NULL, 0 } };
	struct spool_record r;
	char *data = scratch_path("data"), *bytes = large();
	const struct seed seed = { one.task_id, one.name, bytes, NULL, 0 };
	struct store_item item = { .record = &r, .data = data };
	struct store_job *j;
	struct web w;
	struct s3 *s;

	scratch_write("data", bytes);
	seed_record(&r, &seed);
	for (unsigned stop = 0; stop <= 4; stop++) {
		web_start(&w, steps, 4);
		s = open_store(&w);
		out = (struct outcome){ 0 };
		j = store_put(&s->store, &item, on_end, NULL);
		while (atomic_load(&w.asked) < stop)
			event_base_loop(base, EVLOOP_NONBLOCK);
		ok(store_sent(&s->store, j) <= strlen(bytes), "progress");
		store_cancel(&s->store, j);
		event_base_dispatch(base);
		is_int(out.called, 0, "cancelled: no callback, and nothing keeps the loop");
		store_free(&s->store);
		web_stop(&w);
		if (stop < 4)
			scratch_write("journal", "");
	}
	free(bytes);
	free(data);
}

/* --- housekeeping */

#define ROW(key, id, when)                                                                                   \
	"<Upload><Key>" key "</Key><UploadId>" id "</UploadId><Initiated>" when "</Initiated></Upload>"

static void
test_sweep(void)
{
	static const struct web_step steps[] = {
		SAY(XML("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k&amp;</"
		        "NextKeyMarker>"
		        "<NextUploadIdMarker>m</NextUploadIdMarker>" ROW(KEY, "old1",
		            "2020-01-01T00:00:00.000Z") ROW(KEY, "young", "2999-01-01T00:00:00.000Z")
		            ROW("dind/other", "theirs", "2020-01-01T00:00:00Z")
		                ROW(KEY, "when", "sometime") "</ListMultipartUploadsResult>")),
		SAY(GOOD),
		SAY(XML("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>" ROW(
		    KEY, "old2", "2020-01-01T00:00:00.000Z") "</ListMultipartUploadsResult>")),
		SAY(NO_UPLOAD),
	};
	struct err e = { 0 };
	struct web w;
	struct s3 *s;

	web_start(&w, steps, 4);
	s = open_store(&w);
	is_int(store_sweep(&s->store, &e), 0, "housekeeping");
	is_int(store_sweep(&s->store, &e), 0, "once at a time");
	event_base_dispatch(base);
	is_int(atomic_load(&w.asked), 4, "requests");
	ok(strncmp(w.requests[0].head, "GET /bucket/?max-uploads=100&prefix=dind%2F&uploads= ", 53) == 0,
	    label(w.requests[0].head));
	ok(strncmp(w.requests[1].head, "DELETE /bucket/" KEY "?uploadId=old1 ", 64) == 0,
	    label(w.requests[1].head));
	ok(strstr(w.requests[2].head, "key-marker=k%26&") != NULL &&
	        strstr(w.requests[2].head, "upload-id-marker=m&") != NULL,
	    label(w.requests[2].head));
	ok(strstr(w.requests[3].head, "uploadId=old2 ") != NULL, label(w.requests[3].head));
	is_int(store_sweep(&s->store, &e), 0, "and again");
	store_free(&s->store); /* while it runs */
	web_stop(&w);
}

static void
test_open(void)
{
	struct err e = { 0 };
	struct buf b = { 0 };
	struct store *s;

	free(settings.store_type);
	settings.store_type = mem_str("s3");
	use("", "bucket", "", 1);
	ok(store_open(base, &settings, &e) == NULL && strstr(e.text, "store.s3.endpoint") != NULL, e.text);
	use("https://s3.example.com", "bucket", "dind/", 0);
	write_key("{}", 0600);
	ok(store_open(base, &settings, &e) == NULL && strstr(e.text, "accessKeyId") != NULL, e.text);
	write_key("{\"accessKeyId\":\"AKID\",\"secretAccessKey\":\"" SECRET "\"}", 0600);
	s = store_open(base, &settings, &e);
	store_describe(s, &b);
	is_str(buf_text(&b),
	    "S3 bucket bucket at https://bucket.s3.example.com, region us-east-1, prefix dind/",
	    "what it says of itself");
	buf_done(&b);
	store_free(s);
}

/* --- the way out: which runs a task has */

#define PREFIX(text) "<CommonPrefixes><Prefix>" text "</Prefix></CommonPrefixes>"
#define LIST(text) "<ListBucketResult>" text "</ListBucketResult>"

static void
test_runs(void)
{
	static const struct {
		const char *text;
		int64_t below, run;
	} rows[] = {
		{ LIST(PREFIX("d/T/0/") PREFIX("d/T/10/") PREFIX("d/T/9/")), 100, 10 },
		{ LIST(PREFIX("d/T/0/") PREFIX("d/T/10/") PREFIX("d/T/9/")), 10, 9 },
		{ LIST(PREFIX("d/T/0/")), 0, -1 },
		{ LIST(PREFIX("d/T/x/") PREFIX("d/T//") PREFIX("d/T/1x/") PREFIX("d/T/1") PREFIX("d/U/3/")
		          PREFIX("d/T/99999999/")),
		    100, -1 },
		{ LIST(""), 100, -1 },
		{ "<Error><Code>X</Code></Error>", 100, -1 },
		{ "<html", 100, -1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };

		is_int(s3_find_run(rows[i].text, strlen(rows[i].text), "d/T/", rows[i].below, &e),
		    rows[i].run, rows[i].text);
	}
}

int
main(void)
{
	(void)unsetenv("http_proxy");
	(void)signal(SIGPIPE, SIG_IGN);
	seed_start();
	test_place();
	test_keys();
	test_key_file();
	test_xml();
	test_error();
	test_journal();
	test_open();
	test_puts();
	test_request();
	test_changed();
	test_cancel();
	test_sweep();
	test_runs();
	return seed_end();
}
