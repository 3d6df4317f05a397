#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "cli/text.h"

enum {
	ANSWER_MAX =
	    64 * 1024 * 1024, /* a list of many tasks; the service is trusted, a wrong socket is not */
	CONNECT_SECONDS = 5,
};

struct client {
	CURL *curl;
	char *path;
	struct buf answer;
	FILE *patience;
	const char *what;
	time_t began;
	long shown; /* seconds that stand on the terminal, -1 = no line is there */
};

static const struct {
	int code;
	const char *what, *next;
} troubles[] = {
	{ ENOENT, "there is no such socket",
	    "is the service running (systemctl status dind-proxy)? --control names another socket" },
	{ ECONNREFUSED, "nobody listens on it", "is the service running (systemctl status dind-proxy)?" },
	{ EACCES, "permission denied", "only root and the service's own user may use it" },
	{ EPERM, "permission denied", "only root and the service's own user may use it" },
	{ ENOTSOCK, "it is not a socket", "--control names the right one" },
};

static const struct {
	int status;
	const char *next;
} hints[] = {
	{ 404, "'dindctl task list' shows the tasks that are known" },
	{ 500, "the service's log says more: journalctl -u dind-proxy" },
	{ 502, "the service's log says more: journalctl -u dind-proxy" },
	{ 503, "the service's log says more: journalctl -u dind-proxy" },
};

static int
explain_curl(const struct client *k, CURLcode rc, struct err *e)
{
	long code = 0;

	curl_easy_getinfo(k->curl, CURLINFO_OS_ERRNO, &code);
	for (size_t i = 0; rc == CURLE_COULDNT_CONNECT && i < sizeof troubles / sizeof troubles[0]; i++)
		if (troubles[i].code == (int)code)
			return err_set(e, (int)code, "cannot reach the service at '%s': %s; %s", k->path,
			    troubles[i].what, troubles[i].next);
	if (rc == CURLE_COULDNT_CONNECT)
		return err_set(e, code != 0 ? (int)code : ECONNREFUSED,
		    "cannot reach the service at '%s': %s", k->path,
		    code != 0 ? strerror((int)code) : "no connection");
	return err_set(e, rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR ? ECONNRESET : EIO,
	    "no answer from the service at '%s': %s; its log says more: journalctl -u dind-proxy", k->path,
	    curl_easy_strerror(rc));
}

/* An answer that is not 2xx: the service's own words, and what to do. */
static int
explain_status(const struct client *k, long status, const json_t *answer, struct err *e)
{
	const char *rule = json_str(answer, "rule", NULL), *next = NULL;
	struct buf text = { 0 };

	text_safe(&text, json_str(answer, "message", "the answer has no message"));
	if (rule != NULL) {
		buf_adds(&text, " (rule: ");
		text_safe(&text, rule);
		buf_adds(&text, ")");
	}
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].status == (int)status)
			next = hints[i].next;
	err_refuse(e, (int)status, NULL, "%s%s%s", buf_text(&text), next != NULL ? "; " : "",
	    next != NULL ? next : "");
	buf_done(&text);
	(void)k;
	return -1;
}

static size_t
on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	struct client *k = arg;

	if (n > ANSWER_MAX - buf_len(&k->answer))
		return 0;
	buf_add(&k->answer, bytes, size * n);
	return n;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct client *k = arg;
	long seconds = (long)(time(NULL) - k->began);
	char age[TEXT_MAX];

	(void)a, (void)b, (void)c, (void)d;
	if (k->patience != NULL && seconds > 0 && seconds != k->shown) {
		fprintf(k->patience, "\r\x1b[K%s ... %s", k->what, text_age(seconds, age));
		fflush(k->patience);
		k->shown = seconds;
	}
	return 0;
}

void
client_patience(struct client *k, FILE *f, const char *what)
{
	k->patience = f != NULL && isatty(fileno(f)) ? f : NULL;
	k->what = what;
}

/* The default settings file may be missing or private: then the default socket is meant. */
static char *
find_socket(const struct cli *c, struct err *e)
{
	const char *file = c->opt[OPT_CONFIG];
	struct settings s;
	char *path = NULL;

	if (c->opt[OPT_CONTROL] != NULL)
		return mem_str(c->opt[OPT_CONTROL]);
	if (settings_load(&s, file != NULL ? file : CLI_CONFIG, e) == 0)
		path = mem_printf("%s/control.sock", s.run_dir);
	else if (file == NULL && (e->code == ENOENT || e->code == EACCES))
		path = mem_str(CLI_CONTROL);
	settings_done(&s);
	return path;
}

struct client *
client_new(const struct cli *c, struct err *e)
{
	char *path = find_socket(c, e);
	struct client *k;

	if (path == NULL)
		return NULL;
	k = mem_new(sizeof *k);
	k->path = path;
	k->shown = -1;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	k->curl = curl_easy_init();
	if (k->curl == NULL)
		abort();
	return k;
}

void
client_free(struct client *k)
{
	if (k == NULL)
		return;
	curl_easy_cleanup(k->curl);
	buf_done(&k->answer);
	free(k->path);
	free(k);
}

static void
prepare(struct client *k, const char *method, const char *url, const char *body, struct curl_slist *fields)
{
	curl_easy_reset(k->curl); /* keeps the connection */
	curl_easy_setopt(k->curl, CURLOPT_UNIX_SOCKET_PATH, k->path);
	curl_easy_setopt(k->curl, CURLOPT_PROXY, ""); /* http_proxy in the environment is not for us */
	curl_easy_setopt(k->curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(k->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(k->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(k->curl, CURLOPT_URL, url);
	curl_easy_setopt(k->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(k->curl, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(k->curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(k->curl, CURLOPT_WRITEDATA, k);
	curl_easy_setopt(k->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(k->curl, CURLOPT_XFERINFODATA, k);
	curl_easy_setopt(k->curl, CURLOPT_NOPROGRESS, 0L);
	if (body != NULL) {
		curl_easy_setopt(k->curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(k->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	}
}

static CURLcode
perform(struct client *k, const char *method, const char *path, const char *body)
{
	struct curl_slist *fields = curl_slist_append(NULL, "Expect:");
	char *url = mem_printf("http://localhost%s", path);
	CURLcode rc;

	fields = curl_slist_append(fields, "Content-Type: application/json");
	prepare(k, method, url, body, fields);
	k->began = time(NULL);
	rc = curl_easy_perform(k->curl);
	if (k->patience != NULL && k->shown >= 0) {
		fputs("\r\x1b[K", k->patience);
		fflush(k->patience);
		k->shown = -1;
	}
	curl_slist_free_all(fields);
	free(url);
	return rc;
}

int
client_call(struct client *k, const char *method, const char *path, const json_t *body, json_t **answer,
    struct err *e)
{
	char *text = body != NULL ? json_text(body, 1) : NULL;
	long status = 0;
	CURLcode rc;
	int good;

	*answer = NULL;
	buf_clear(&k->answer);
	rc = perform(k, method, path, text);
	if (text != NULL)
		mem_wipe(text, strlen(text)); /* it may hold credentials */
	free(text);
	if (rc != CURLE_OK)
		return explain_curl(k, rc, e);
	curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, &status);
	good = status >= 200 && status < 300;
	if (buf_len(&k->answer) == 0)
		*answer = json_null();
	else if ((*answer = json_parse(buf_text(&k->answer), buf_len(&k->answer), e)) == NULL && good)
		return err_wrap(
		    e, "the answer of '%s' is not JSON; is it dind-proxyd's control socket?", k->path);
	if (good)
		return 0;
	explain_status(k, status, *answer, e);
	json_decref(*answer);
	*answer = NULL;
	return -1;
}
