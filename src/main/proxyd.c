/* dind-proxyd: reads settings, starts the gate, gives up what it can, serves until it is told to stop. */

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/version.h"
#include "control/figures_port.h"
#include "control/life.h"
#include "control/server.h"
#include "control/service.h"
#include "io/child.h"
#include "io/gate.h"
#include "io/loop.h"
#include "io/notify.h"
#include "io/spawner.h"
#include "task/audit.h"
#include "task/keeper.h"
#include "task/spool.h"
#include "task/task.h"

#define DEFAULT_CONFIG "/etc/dind-proxy/config.json"

struct service {
	const char *config;
	struct settings settings;
	struct loop *loop;
	struct gate *gate;
	struct audit *audit;
	struct tasks *tasks;
	struct life *life;
	struct server *server;
	struct figures_port *figures;
	struct event *term, *interrupt, *hangup, *second;
	pid_t gate_pid, keeper_pid, spawner_pid;
	int gate_fd, keeper_fd, spawner_fd;
	int status;
};

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct service *s = arg;

	(void)what;
	log_info("proxyd", "%s: stopping", strsignal((int)number));
	notify_stopping();
	loop_stop(s->loop);
}

static void
summarize(void *arg, char *line, size_t size)
{
	const struct service *s = arg;
	unsigned tasks = 0, connections = 0, builds = 0;

	for (const struct task *t = tasks_first(s->tasks); t != NULL; t = t->next) {
		tasks++;
		connections += t->now.connections;
		builds += t->now.builds;
	}
	(void)snprintf(line, size, "%u tasks, %u connections, %u builds", tasks, connections, builds);
}

static void
on_reloaded(void *arg, int status, json_t *answer)
{
	(void)arg;
	(void)status; /* what went wrong is in the log, and in the audit */
	json_decref(answer);
	notify_reloaded();
}

static void
on_hangup(evutil_socket_t number, short what, void *arg)
{
	struct service *s = arg;

	(void)number;
	(void)what;
	notify_reloading();
	life_reload(s->life, on_reloaded, s);
}

static void
on_gate_lost(void *arg)
{
	struct service *s = arg;

	log_error("proxyd", "the gate has gone: nothing can reach the engine any more; stopping");
	s->status = 1;
	loop_stop(s->loop);
}

static void
on_spawner_lost(void *arg)
{
	struct service *s = arg;

	log_error("proxyd", "the spawner has gone: no image can be exported or loaded any more; stopping");
	s->status = 1;
	loop_stop(s->loop);
}

static void
on_second(evutil_socket_t number, short what, void *arg)
{
	struct service *s = arg;
	struct err e = { 0 };

	(void)number;
	(void)what;
	if (audit_tick(s->audit, &e) == 0)
		return;
	log_error("proxyd", "%s; stopping", e.text);
	s->status = 1;
	loop_stop(s->loop);
}

/* A start without a stop before it was a crash. */
static int
record_life(const struct service *s, const char *what, struct err *e)
{
	json_t *r = json_pack("{s:s,s:s,s:s,s:s}", "event", "service", "what", what, "version", DIND_VERSION,
	    "key", audit_key(s->audit));
	int rc = audit_write(s->audit, NULL, r, e);

	json_decref(r);
	return rc;
}

/* As root, with a user to become: what is to be the user's becomes so. */
static int
claim_dirs(const struct settings *s, struct err *e)
{
	if (confine_claim(s->user, s->run_dir, 0711, e) < 0 ||
	    confine_claim(s->user, s->state_dir, 0700, e) < 0 ||
	    confine_claim(s->user, s->audit_dir, 0750, e) < 0 ||
	    confine_claim(s->user, s->spool_dir, 0700, e) < 0)
		return -1;
	return confine_claim(s->user, s->store_dir, 0700, e);
}

static int
make_dirs(const struct settings *s, struct err *e)
{
	char *tasks = mem_printf("%s/tasks", s->run_dir), *images = mem_printf("%s/images", s->state_dir);
	char *logs = mem_printf("%s/tasks", s->audit_dir);
	int rc = fs_mkdirs(tasks, 0711, e);

	if (rc == 0)
		rc = fs_mkdirs(s->state_dir, 0700, e);
	if (rc == 0)
		rc = fs_mkdirs(images, 0700, e);
	if (rc == 0)
		rc = fs_mkdirs(s->audit_dir, 0750, e);
	if (rc == 0)
		rc = fs_mkdirs(logs, 0700, e);
	if (rc == 0)
		rc = fs_mkdirs(s->store_dir, 0700, e);
	free(tasks);
	free(images);
	free(logs);
	return rc == 0 ? spool_make_dirs(s->spool_dir, e) : -1;
}

/* The gate keeps our user, which may open the engine's socket; all others are the user that we become. */
static int
split(struct service *s, struct err *e)
{
	const struct settings *set = &s->settings;

	if (claim_dirs(set, e) < 0 || gate_fork(set, s->config, &s->gate_pid, &s->gate_fd, e) < 0 ||
	    keeper_fork(set, &s->keeper_pid, &s->keeper_fd, e) < 0 || confine_become(set->user, e) < 0 ||
	    make_dirs(set, e) < 0)
		return -1;
	return spawner_fork(set, &s->spawner_pid, &s->spawner_fd, e);
}

/* What serving tasks takes, and nothing else: before the first byte of a task is read. */
static int
confine_self(const struct settings *s, struct err *e)
{
	char *tasks = mem_printf("%s/tasks", s->state_dir), *images = mem_printf("%s/images", s->state_dir);
	char *fetch = mem_printf("%s/fetch", s->spool_dir);
	const struct confine_path paths[] = {
		{ s->run_dir, CONFINE_SOCKETS },
		{ tasks, CONFINE_CHANGE },
		{ images, CONFINE_CHANGE },
		{ s->audit_dir, CONFINE_APPEND },
		{ s->spool_dir, CONFINE_READ | CONFINE_REMOVE },
		{ fetch, CONFINE_CHANGE },
		{ s->store_dir, CONFINE_READ },
		{ 0 },
	};
	int rc = confine(CONFINE_FRONT, paths, e);

	free(fetch);
	free(tasks);
	free(images);
	return rc;
}

/* With systemd the control socket outlives us, like those of the tasks. */
static struct server *
open_server(const struct service *s, struct err *e)
{
	char *path = mem_printf("%s/control.sock", s->settings.run_dir);
	int fd = notify_take(NOTIFY_CONTROL, path), made = fd < 0 && notify_keeps();
	struct server *server = NULL;

	if (made && (fd = server_listen(path, e)) >= 0)
		notify_store(NOTIFY_CONTROL, fd);
	if (fd >= 0 || !made)
		server = server_new(loop_base(s->loop), path, fd, s->life, e);
	free(path);
	return server;
}

/* For a Prometheus that knows no unix sockets: systemd's socket, or one of our own, or none. */
static int
open_figures(struct service *s, struct err *e)
{
	int fd = figures_listen(&s->settings, notify_take(NOTIFY_METRICS, NULL), e);

	if (fd < 0)
		return e->text[0] == '\0' ? 0 : -1;
	s->figures = figures_port_new(s->loop, fd, s->life, e);
	return s->figures != NULL ? 0 : -1;
}

static int
open_all(struct service *s, struct err *e)
{
	unsigned lost;

	s->loop = loop_new();
	s->gate = gate_new(s->loop, s->gate_fd, on_gate_lost, s);
	children_open(s->loop, s->spawner_fd, on_spawner_lost, s);
	s->audit = audit_open(&s->settings, s->keeper_fd, e);
	if (s->audit != NULL && record_life(s, "start", e) == 0 && spool_sweep(s->settings.spool_dir, e) == 0)
		s->tasks = tasks_open(&s->settings, e);
	if (s->tasks != NULL)
		s->life = life_new(s->loop, &s->settings, s->gate, s->audit, s->tasks, e);
	if (s->life != NULL) {
		life_settings(s->life, &s->settings, s->config);
		s->server = open_server(s, e);
	}
	if (s->server == NULL || open_figures(s, e) < 0)
		return -1;
	lost = notify_forget_rest();
	if (lost > 0)
		log_warn("proxyd", "%u stored sockets belong to nothing that is known here: closed", lost);
	return 0;
}

static void
watch(struct service *s)
{
	struct event_base *base = loop_base(s->loop);

	(void)signal(SIGPIPE, SIG_IGN);
	s->term = evsignal_new(base, SIGTERM, on_signal, s);
	s->interrupt = evsignal_new(base, SIGINT, on_signal, s);
	s->hangup = evsignal_new(base, SIGHUP, on_hangup, s);
	s->second = event_new(base, -1, EV_PERSIST, on_second, s);
	if (s->term == NULL || s->interrupt == NULL || s->hangup == NULL || s->second == NULL ||
	    evsignal_add(s->term, NULL) < 0 || evsignal_add(s->interrupt, NULL) < 0 ||
	    evsignal_add(s->hangup, NULL) < 0 || evtimer_add(s->second, &(struct timeval){ .tv_sec = 1 }) < 0)
		abort();
}

static void
wait_for(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
close_all(struct service *s)
{
	struct err e = { 0 };

	figures_port_free(s->figures);
	server_free(s->server);
	if (s->life != NULL)
		life_free(s->life);
	if (s->tasks != NULL)
		tasks_close(s->tasks);
	if (record_life(s, "stop", &e) < 0)
		log_error("proxyd", "%s", e.text);
	audit_close(s->audit);
	close(s->keeper_fd);
	children_close();
	gate_free(s->gate);
	notify_close();
	event_free(s->term);
	event_free(s->interrupt);
	event_free(s->hangup);
	event_free(s->second);
	loop_free(s->loop);
	settings_done(&s->settings);
	wait_for(s->spawner_pid);
	wait_for(s->gate_pid);
	wait_for(s->keeper_pid);
}

static void
print_help(void)
{
	size_t count;
	const struct setting_row *rows = settings_rows(&count);

	printf("Usage: dind-proxyd [--config FILE]\n\n"
	       "Serves each CI task a private, filtered Docker socket. Stops on SIGTERM.\n\n"
	       "  --config FILE  settings (default %s)\n"
	       "  --version      print the version\n"
	       "  --help         this text\n\nSettings:\n",
	    DEFAULT_CONFIG);
	for (size_t i = 0; i < count; i++)
		printf("  %-24s %s (default: %s)\n", rows[i].key, rows[i].help,
		    rows[i].fallback[0] ? rows[i].fallback : "none");
}

static const char *
read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *config = DEFAULT_CONFIG;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c') {
			config = optarg;
		} else if (c == 'h' || c == 'v') {
			if (c == 'h')
				print_help();
			else
				printf("dind-proxyd %s\n", DIND_VERSION);
			exit(0);
		} else {
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dind-proxyd: unexpected argument '%s'; see --help\n", argv[optind]);
		exit(2);
	}
	return config;
}

int
main(int argc, char **argv)
{
	struct service s = {
		.config = read_arguments(argc, argv), .gate_fd = -1, .keeper_fd = -1, .spawner_fd = -1
	};
	struct err e = { 0 };
	int rc;

	mem_start();
	notify_open();
	confine_start();
	loop_memory();
	log_setup("dind-proxyd", LOG_LEVEL_INFO, getenv("JOURNAL_STREAM") != NULL);
	if (settings_load(&s.settings, s.config, &e) < 0) {
		log_error("proxyd", "%s", e.text);
		settings_done(&s.settings);
		return 2;
	}
	log_setup("dind-proxyd", log_level_of(s.settings.log_level), getenv("JOURNAL_STREAM") != NULL);
	(void)umask(022); /* modes below are explicit */
	rc = split(&s, &e);
	if (rc == 0)
		rc = open_all(&s, &e);
	if (rc == 0) {
		watch(&s);
		rc = confine_self(&s.settings, &e);
	}
	if (rc < 0) {
		log_error("proxyd", "cannot start: %s", e.text);
		return 1; /* gate and spawner see their ends close */
	}
	log_info("proxyd", "ready: control socket %s/control.sock, engine %s", s.settings.run_dir,
	    s.settings.engine_socket);
	notify_serve(loop_base(s.loop), summarize, &s);
	loop_run(s.loop);
	rc = s.status;
	close_all(&s);
	return rc;
}
