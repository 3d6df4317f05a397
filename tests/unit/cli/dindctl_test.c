/* dindctl whole, against a control server in a child process. */
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/cli.h"
#include "control/server.h"
#include "control/standin_life.h"
#include "tap.h"

static char dir[64], sock[96], file[96];
static const char *out_text, *err_text;
static char *out_heap, *err_heap;

static pid_t
serve(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready) < 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		static struct life life;
		struct event_base *base = event_base_new();
		struct err e;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (server_new(base, sock, -1, &life, &e) == NULL)
			_exit(1);
		if (write(ready[1], "x", 1) == 1)
			event_base_dispatch(base);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
	return pid;
}

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	fputs(text, f);
	fclose(f);
}

/* Runs dindctl with words split at '|'; @S is the socket, @F the file, `input` its standard input. */
static int
run(const char *line, const char *input)
{
	const char *argv[16] = { "dindctl" };
	char *copy = strdup(line);
	size_t out_size, err_size;
	FILE *in = fmemopen((void *)(uintptr_t)(input[0] ? input : " "), input[0] ? strlen(input) : 1, "r");
	FILE *out, *err;
	int argc = 1, rc;

	free(out_heap);
	free(err_heap);
	out = open_memstream(&out_heap, &out_size);
	err = open_memstream(&err_heap, &err_size);
	for (char *w = strtok(copy, "|"); w != NULL; w = strtok(NULL, "|"))
		argv[argc++] = strcmp(w, "@S") == 0 ? sock : strcmp(w, "@F") == 0 ? file : w;
	rc = cli_main(argc, argv, in, out, err);
	fclose(in);
	fclose(out);
	fclose(err);
	out_text = out_heap;
	err_text = err_heap;
	free(copy);
	return rc;
}

static const struct {
	const char *line, *input;
	int status;
	const char *out, *err; /* parts */
} rows[] = {
	{ "task|list|--json|--control|@S", "", 0, "\"verb\": \"list\"", "" },
	{ "task|show|a/0|--json|--control|@S", "", 0, "\"id\": \"a/0\"", "" },
	{ "task|show|a|--control|@S", "", 0, "verb  show\nid    a\n", "" },
	{ "task|show|../a|--control|@S", "", 2, "", "an ID is what" },
	{ "task|show||--control|@S", "", 2, "", "needs ID" },
	{ "task|end|a|--control|@S", "", 0, "verb  end", "" },
	{ "task|finish|a|--control|@S|--json", "", 0, "\"verb\": \"finish\"", "" },
	{ "task|finish|a|--wait|--timeout|x|--control|@S", "", 2, "", "--timeout takes a time" },
	{ "artifact|wait|a|--control|@S", "", 0, "no artifacts are declared", "" },
	{ "task|credentials|a|--control|@S", "{\"clientId\":\"c\"}", 0, "", "" },
	{ "task|credentials|a|--control|@S", "{\"credentials\":{\"clientId\":\"c\"}}", 0, "", "" },
	{ "task|credentials|a|--control|@S", "{", 1, "", "standard input' is not JSON: line 1" },
	{ "task|start|--task|-|--task-id|T|--json|--control|@S", "{\"payload\":{}}", 0, "\"taskId\": \"T\"",
	    "" },
	{ "task|start|--task|-|--task-id|T|--control|@S", "{\"payload\":{}}", 0, "", "gets no socket" },
	{ "task|start|--task|-|--control|@S", "{\"payload\":{}}", 2, "", "give --task-id" },
	{ "task|start|--task|/nonexistent|--control|@S", "", 1, "", "No such file" },
	{ "image|load|--for|T/2|--task-id|U|--path|p|--json|--control|@S", "", 0, "\"runId\": 2", "" },
	{ "image|load|--for|T/2|--namespace|a.b|--path|p|--json|--control|@S", "", 0, "indexed-image", "" },
	{ "image|load|--for|T/2|--path|p|--control|@S", "", 2, "", "give one of --task-id and --namespace" },
	{ "image|load|--for|T/2|--task-id|U|--namespace|c|--path|p|--control|@S", "", 2, "", "give one of" },
	{ "image|load|--for|T/2|--namespace|c|--run-id|1|--path|p|--control|@S", "", 2, "",
	    "goes with --task-id" },
	{ "image|load|--for|T/x|--task-id|U|--path|p|--control|@S", "", 2, "", "--for takes" },
	{ "image|load|--for|T/0|--task-id|U|--run-id|-1|--path|p|--control|@S", "", 2, "",
	    "--run-id takes a number" },
	{ "policy|explain|POST|/v1.41/build?t=a|-H|X-A:  b|--task|T|--json|--control|@S", "", 0,
	    "\"X-A\": \"b\"", "" },
	{ "policy|explain|POST|/x|-H|nonsense|--control|@S", "", 2, "", "--header takes" },
	{ "task|list|--control|/nonexistent/sock", "", 1, "",
	    "there is no such socket; is the service running" },
	{ "task|list|--config|/nonexistent.json", "", 1, "", "No such file" },
	{ "docs|api", "", 0, "| `GET /healthz` |", "" },
	{ "docs|settings", "", 0, "| `engine.socket` | path | `/var/run/docker.sock` |", "" },
	{ "docs|commands", "", 0, "### dindctl task start", "" },
	{ "docs|nothing", "", 2, "",
	    "there are settings, routes, params, refusals, rules, metrics, commands, api" },
	{ "--version", "", 0, "dindctl ", "" },
};

static const struct {
	const char *file, *line;
	int status;
	const char *out, *err;
} files[] = {
	{ "{}", "config|check|@F", 0, "good, 0 settings differ", "" },
	{ "{\"policy\":{\"pull\":true}}", "config|check|@F", 0,
	    "good, 1 setting differs from the defaults\nKEY          VALUE  DEFAULT, WHERE IT "
	    "DIFFERS\npolicy.pull  true   false\n",
	    "" },
	{ "{\"policy\":{\"pull\":true}}", "config|show|--json|--config|@F", 0, "\"policy.pull\": \"true\"",
	    "" },
	{ "{\"policy\":{\"pul\":true}}", "config|check|@F", 1, "", "pul" },
	{ "{", "config|show|@F", 1, "", "line 1" },
	{ "{\"runDir\":\"/nonexistent\"}", "task|list|--config|@F", 1, "", "'/nonexistent/control.sock'" },
	/* the audit log */
	{ "{\"time\":\"2026-09-11T12:00:00.000Z\",\"event\":\"decision\",\"task\":\"T\",\"run\":1,\"id\":"
	  "\"i\",\"conn\":1,\"req\":1,"
	  "\"method\":\"POST\",\"path\":\"/v1.41/build\",\"judged\":\"/"
	  "build\",\"decision\":\"allow\",\"rule\":\"image-build\","
	  "\"names\":{\"before\":[\"a\"],\"after\":[\"m/a\"]}}\n"
	  "{\"time\":\"2026-09-11T12:00:01.000Z\",\"event\":\"decision\",\"task\":\"U\",\"run\":0,\"id\":"
	  "\"j\",\"conn\":2,\"req\":1,"
	  "\"method\":\"GET\",\"path\":\"/"
	  "\\u001b\",\"decision\":\"deny\",\"rule\":\"r\",\"status\":403,\"reason\":\"no\\nno\"}\n"
	  "{\"time\":\"2026-09-11T12:00:02.000Z\",\"event\":\"end\",\"id\":\"i\",\"conn\":1,\"req\":1,"
	  "\"status\":200,\"in\":1048576,"
	  "\"out\":0,\"ms\":1500}\n",
	    "audit|show|--file|@F", 0,
	    "TIME                      TASK  DECISION  RULE         STATUS       IN    OUT   TOOK  WHAT\n"
	    "2026-09-11T12:00:00.000Z  T/1   allow     image-build     200  1.0 MiB  0 MiB  1.5 s  POST "
	    "/build\n"
	    "    names: a -> m/a\n"
	    "2026-09-11T12:00:01.000Z  U/0   deny      r               403                         GET "
	    "/\\x1b\n"
	    "    why: no\\x0ano\n",
	    "" },
	{ NULL, "audit|show|--file|@F|--decision|deny|--json", 0, "{\"time\":\"2026-09-11T12:00:01.000Z\"",
	    "" },
	{ NULL, "audit|show|--file|@F|--task|T/1", 0, "POST /build", "" },
	{ NULL, "audit|show|--file|@F|--task|T/2", 0, "no records", "" },
	{ NULL, "audit|show|--file|@F|--task|i", 0, "POST /build", "" },
	{ NULL, "audit|show|--file|@F|--rule|r", 0, "GET /\\x1b", "" },
	{ NULL, "audit|show|--file|@F|--since|2026-09-11 12:00:01", 0, "STATUS  IN  OUT  TOOK", "" },
	{ NULL, "audit|show|--file|@F|--since|2027-01-01", 0, "no records", "" },
	{ NULL, "audit|show|--file|@F|--since|1m", 0, "no records", "" },
	{ NULL, "audit|show|--file|@F|--since|noon", 2, "", "--since takes" },
	{ NULL, "audit|show|--file|@F|--until|2026-09-11 12:00:01", 0, "POST /build", "" },
	{ NULL, "audit|show|--file|@F|--until|noon", 2, "", "--until takes" },
	{ NULL, "audit|verify|@F", 1, "NOT GOOD", "not as it was written" },
	{ NULL, "audit|verify|@F|--json", 1, "\"good\": false", "not as it was written" },
	{ NULL, "audit|verify|/nonexistent", 1, "", "/nonexistent" },
	{ NULL, "audit|verify|@F|--head|@F", 1, "", "is not the head" },
	{ NULL, "audit|verify|@F|--key|@F", 1, "", "key" },
	{ NULL, "audit|verify|@F|--task|../x", 1, "", "--task takes" },
	{ NULL, "audit|show|--file|@F|--last|0", 2, "", "--last takes" },
	{ NULL, "audit|show|--file|@F|--last|1", 0, "STATUS  IN  OUT  TOOK", "" },
	{ NULL, "audit|show|--file|/nonexistent", 1, "", "/nonexistent" },
	{ "broken\n", "audit|show|--file|@F", 1, "", "damaged" },
};

static void
check(int rc, int status, const char *out, const char *err, const char *name)
{
	if (!ok(rc == status && strstr(out_text, out) != NULL && strstr(err_text, err) != NULL &&
	            (err[0] != '\0' || err_text[0] == '\0'),
	        name))
		printf("# %d\n# out: %s\n# err: %s\n", rc, out_text, err_text);
}

int
main(void)
{
	pid_t pid;

	strcpy(dir, "/tmp/dindctl.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(sock, sizeof sock, "%s/control.sock", dir);
	snprintf(file, sizeof file, "%s/file", dir);
	setenv("http_proxy", "http://127.0.0.1:1", 1); /* is not for us */
	pid = serve();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(
		    run(rows[i].line, rows[i].input), rows[i].status, rows[i].out, rows[i].err, rows[i].line);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (files[i].file != NULL)
			write_file(files[i].file);
		check(run(files[i].line, ""), files[i].status, files[i].out, files[i].err, files[i].line);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check(run("task|list|--control|@S", ""), 1, "", "nobody listens on it", "a service that has gone");
	free(out_heap);
	free(err_heap);
	unlink(sock);
	unlink(file);
	rmdir(dir);
	return tap_end();
}
