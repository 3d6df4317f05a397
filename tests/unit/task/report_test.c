#include "task/report.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static struct report *r;
static struct buf page;

static void
start(void)
{
	report_free(r);
	r = report_new();
}

static void
feed(const char *text)
{
	struct err e = { 0 };
	json_t *record = json_parse(text, strlen(text), &e);

	if (record == NULL)
		ok(0, e.text);
	report_record(r, record);
	json_decref(record);
}

static const char *
print(const char *task)
{
	struct err e = { 0 };
	json_t *t = task == NULL ? NULL : json_parse(task, strlen(task), &e);

	ok(task == NULL || t != NULL, e.text);
	buf_clear(&page);
	report_print(r, t, 1795475000000, "0.1.0", &page);
	json_decref(t);
	return buf_text(&page);
}

static void
has(const char *part)
{
	if (!ok(strstr(buf_text(&page), part) != NULL, part))
		printf("# not on the page\n");
}

static void
lacks(const char *part)
{
	ok(strstr(buf_text(&page), part) == NULL, part);
}

#define REQ(time, conn, event, more)                                                                         \
	"{\"time\":\"2026-11-23T12:00:" time                                                                 \
	"Z\",\"seq\":1,\"task\":\"T\",\"run\":2,\"id\":\"i\",\"conn\":" #conn                                \
	",\"req\":1,\"event\":\"" event "\"," more "}"

static void
test_life(void)
{
	start();
	feed("{\"time\":\"2026-11-23T12:00:00.000Z\",\"seq\":7,\"event\":\"task\",\"what\":\"start\","
	     "\"task\":\"T\","
	     "\"run\":2,\"id\":\"i\"}");
	feed(REQ("01.000", 1, "decision",
	    "\"decision\":\"allow\",\"rule\":\"build\",\"names\":{\"before\":[\"app:1\",\"app:1\",\"x:1\"]"
	    "}"));
	feed(REQ("03.500", 1, "end",
	    "\"rule\":\"build\",\"status\":200,\"in\":2097152,\"out\":10,\"ms\":2500,\"image\":\"sha256:"
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""));
	feed(REQ("04.000", 2, "decision",
	    "\"decision\":\"allow\",\"rule\":\"build\",\"names\":{\"before\":[\"bad\"]}"));
	feed(REQ("05.000", 2, "end",
	    "\"rule\":\"build\",\"status\":200,\"ms\":1000,\"failed\":true,\"close\":\"client went away\""));
	feed(REQ("06.000", 3, "decision", "\"decision\":\"allow\",\"rule\":\"build\",\"names\":{}"));
	feed(REQ("06.000", 3, "decision",
	    "\"decision\":\"deny\",\"rule\":\"base-image\",\"status\":403,\"reason\":\"not that base\","
	    "\"method\":\"POST\",\"judged\":\"/build\""));
	feed(REQ("06.100", 3, "end", "\"rule\":\"build\",\"status\":403,\"ms\":100"));
	feed(REQ("07.000", 4, "decision",
	    "\"decision\":\"deny\",\"rule\":\"flood\",\"status\":429,\"reason\":\"slow\",\"requests\":40,"
	    "\"method\":\"GET\",\"path\":\"/_ping\""));
	feed("{\"time\":\"2026-11-23T12:00:09.000Z\",\"seq\":19,\"event\":\"image\",\"what\":\"export\","
	     "\"id\":\"i\","
	     "\"artifact\":\"public/a.tar\",\"image\":\"app:1\",\"out\":3145728,\"ms\":900}");
	print("{\"taskId\":\"T\",\"runId\":2,\"id\":\"i\",\"state\":\"finished\",\"images\":1,\"names\":190,"
	      "\"now\":{\"disk\":1048576,\"saved\":0},\"limits\":{\"names\":200,\"diskBytes\":2097152,"
	      "\"buildTime\":7200},"
	      "\"owned\":[{\"id\":\"sha256:ff\",\"names\":[\"app:1\"]}],\"artifacts\":[{\"name\":\"public/"
	      "a.tar\","
	      "\"image\":\"app:1\",\"state\":\"failed\",\"error\":\"no "
	      "room\",\"sha256\":\"abc\",\"size\":3145728,"
	      "\"started\":\"2026-11-23T12:00:09.000Z\",\"ended\":\"2026-11-23T12:00:10.000Z\"}]}");
	has("<h1>T <span class=pill>run 2</span><span class=pill>finished</span></h1>");
	has("<b>2</b>builds<small> 1 failed</small>");
	has("<b>41</b>calls refused");
	has("<b>app:1, x:1</b>");
	has("2.0&nbsp;MiB context");
	has("<code>sha256:0123456789ab</code>");
	has("the build failed");
	lacks("client went away");
	has("not that base");
	has("<td class=n data-l=\"times\">40");
	has("<rect class=\"bar build\" x=100.0 y=2 width=250.0 height=14 />");
	has("<rect class=\"bar upload bad\" x=900.0");
	has("2&nbsp;h 00&nbsp;min");
	has("class=bad width=95.0");
	has("no room");
	has("seq 7 to 19 of the host");
	print(NULL);
	has("the task is not known to the service any more");
	is_int(report_count(r), 10, "records");
}

/* Whatever a task writes, in all places that take text of it. */
static void
test_hostile(void)
{
	static const char *const words[] = { "<script>alert(1)</script>",
		"\\\"'><img src=x onerror=alert(1)>", "</style></title><svg/onload=1>",
		"\\u202Egnp.exe\\u2066", "\\u0001\\u001b[2J\\u007f", "&lt;&#60;",
		"\\ud83d\\ude00\\u00a0\\u2028", "javascript:alert(1)" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		const char *w = words[i];
		char *record = mem_printf(
		    "{\"time\":\"%s\",\"event\":\"decision\",\"task\":\"%s\",\"id\":\"%s\",\"conn\":1,"
		    "\"req\":1,\"decision\":\"deny\",\"rule\":\"%s\",\"reason\":\"%s\",\"method\":\"%s\","
		    "\"judged\":\"%s\",\"names\":{\"before\":[\"%s\"]}}",
		    w, w, w, w, w, w, w, w);
		char *end = mem_printf(
		    "{\"event\":\"end\",\"rule\":\"build\",\"conn\":1,\"req\":1,\"close\":\"%s\"}", w);
		char *image = mem_printf(
		    "{\"event\":\"image\",\"what\":\"export-failed\",\"artifact\":\"%s\",\"reason\":\"%s\"}",
		    w, w);
		char *task = mem_printf(
		    "{\"taskId\":\"%s\",\"state\":\"%s\",\"owned\":[{\"id\":\"%s\",\"names\":[\"%s\"]}],"
		    "\"artifacts\":[{\"name\":\"%s\",\"image\":\"%s\",\"state\":\"%s\",\"url\":\"%s\","
		    "\"sha256\":\"%s\",\"error\":\"%s\",\"imageId\":\"%s\"}]}",
		    w, w, w, w, w, w, w, w, w, w, w);
		int raw = 0;

		start();
		feed(record);
		feed(end);
		feed(image);
		print(task);
		lacks("<script");
		lacks("<img");
		lacks("onload=1>");
		lacks("&#60;\"");
		for (const char *p = buf_text(&page); *p != '\0'; p++)
			raw += (*p < 0x20 && *p != '\n') || (unsigned char)*p > 0x7e;
		is_int(raw, 0, "nothing but printable ASCII");
		free(record);
		free(end);
		free(image);
		free(task);
	}
	has("javascript:alert(1)"); /* as text: there are no links */
	lacks("href");
}

/* A task that does much makes a page that is bounded and says what it left out. */
static void
test_bounds(void)
{
	char *long_name = mem_new(3001);

	memset(long_name, 'n', 3000);
	start();
	for (int i = 0; i < 5000; i++) {
		char *record = mem_printf(
		    "{\"time\":\"2026-11-23T12:00:00.000Z\",\"event\":\"decision\",\"conn\":%d,\"req\":1,"
		    "\"decision\":\"deny\",\"rule\":\"r%d\",\"reason\":\"%s\",\"names\":{\"before\":[\"%s\"]}"
		    "}",
		    i, i, long_name, long_name);
		char *end = mem_printf(
		    "{\"event\":\"end\",\"rule\":\"build\",\"conn\":%d,\"req\":1,\"status\":403,\"ms\":5}",
		    i);

		feed(record);
		feed(end);
		free(record);
		free(end);
	}
	print(NULL);
	ok(buf_len(&page) < 1024 * 1024, "below 1 MiB");
	has("4700 more are left out");
	has("4900 more refusals are left out");
	has("<i class=x>...</i>");
	free(long_name);
}

/* Times and numbers that make no sense still make a page. */
static void
test_odd(void)
{
	start();
	print(NULL);
	has("Nothing was built, saved or handed over.");
	feed("[]");
	feed("{\"time\":5,\"seq\":-1,\"event\":{},\"names\":[]}");
	feed("{\"time\":\"9999-12-31T23:59:59.999Z\",\"event\":\"decision\",\"conn\":1,\"req\":1,\"names\":{"
	     "\"before\":[1,{}]}}");
	feed("{\"time\":\"1970-01-01T00:00:00.001Z\",\"event\":\"end\",\"rule\":\"build\",\"conn\":1,\"req\":"
	     "1,"
	     "\"ms\":9223372036854775807,\"in\":-5,\"out\":9223372036854775807}");
	feed("{\"event\":\"image\",\"what\":\"export\",\"artifact\":\"a\",\"ms\":-9223372036854775807,"
	     "\"image\":7}");
	print("{\"limits\":{\"names\":\"x\"},\"now\":[],\"owned\":{},\"artifacts\":[1,{\"started\":\"x\"}]}");
	has("<h2>Timeline</h2>");
	print("[]");
}

int
main(void)
{
	test_life();
	test_hostile();
	test_bounds();
	test_odd();
	report_free(r);
	buf_done(&page);
	return tap_end();
}
