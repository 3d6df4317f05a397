/* dind-uploader: takes sealed artifacts from the spool to the artifact store, and fetches what is asked for.
 */

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact/fetcher.h"
#include "artifact/store.h"
#include "artifact/upload.h"
#include "base/buf.h"
#include "base/confine.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/version.h"
#include "io/loop.h"
#include "io/notify.h"
#include "io/signer.h"
#include "task/provenance.h"

#define DEFAULT_CONFIG "/etc/dind-proxy/config.json"

struct program {
	struct settings settings;
	struct event_base *base;
	struct signer *signer; /* NULL: nothing is signed */
	struct store *store;
	struct uploader *uploader;
	struct fetcher *fetcher;
	struct event *term, *interrupt, *hangup;
	const char *config;
	int once;
};

static void
print_help(void)
{
	struct buf rows = { 0 };

	settings_help(&rows);
	printf("Usage: dind-uploader [--config FILE] [--once]\n\n"
	       "Takes sealed artifacts from the spool to the artifact store. Stops on SIGTERM; what is under "
	       "way\n"
	       "goes on at the next start.\n\n"
	       "  --config FILE  settings (default %s)\n"
	       "  --once         take what is there, then end: status 1 when anything failed\n"
	       "  --version      print the version\n"
	       "  --help         this text\n\nSettings:\n%s",
	    DEFAULT_CONFIG, buf_text(&rows));
	buf_done(&rows);
}

static void
read_arguments(struct program *p, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "once", no_argument, NULL, 'o' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	p->config = DEFAULT_CONFIG;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c') {
			p->config = optarg;
		} else if (c == 'o') {
			p->once = 1;
		} else if (c == 'h') {
			print_help();
			exit(0);
		} else if (c == 'v') {
			printf("dind-uploader %s\n", DIND_VERSION);
			exit(0);
		} else {
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dind-uploader: unexpected argument '%s'; see --help\n", argv[optind]);
		exit(2);
	}
}

/* systemd hands secrets over as files of our own (LoadCredential=): theirs are root's alone. "{}" is none. */
static void
take_credential(const char *name, char **setting)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *path = dir == NULL ? NULL : mem_printf("%s/%s", dir, name);
	struct stat st;

	if (path == NULL || stat(path, &st) < 0 || st.st_size <= (off_t)strlen("{}")) {
		free(path);
		return;
	}
	free(*setting);
	*setting = path;
}

/* The one process that has the key is not this one, which has the network: see io/signer.h. */
static int
start_signer(struct program *p, struct err *e)
{
	struct settings *s = &p->settings;

	if (s->evidence_key[0] == '\0')
		return s->evidence_upload ? err_set(e, 0, "evidence.upload needs evidence.key to sign with")
		                          : 0;
	if (s->evidence_key[0] != '/')
		return err_set(e, 0, "evidence.key must be an absolute path");
	take_credential("provenance.pem", &s->evidence_key);
	p->signer = signer_start(s->evidence_key, s->user, PROVENANCE_PAYLOAD, e);
	if (p->signer == NULL)
		return err_wrap(e, "evidence.key");
	log_info("uploader", "statements are signed with key %s", signer_key_id(p->signer));
	return 0;
}

/* Its directories may have been root's; then it is the user of dind-proxyd. */
static int
become_user(const struct settings *s, struct err *e)
{
	if (confine_claim(s->user, s->spool_dir, 0700, e) < 0 ||
	    confine_claim(s->user, s->store_dir, 0700, e) < 0)
		return -1;
	return confine_become(s->user, e);
}

/* The directory of the store's credentials: their file is replaced when they are. */
static char *
keys_of(const struct settings *s)
{
	if (strcmp(s->store_type, "taskcluster") == 0)
		return mem_printf("%s/tasks", s->state_dir);
	return mem_strn(s->s3_credentials, (size_t)(strrchr(s->s3_credentials, '/') - s->s3_credentials));
}

/* The spool and a store on the disk; or what it takes to find, trust and log in to one on the network. */
static int
confine_self(const struct settings *s, struct err *e)
{
	int local = strcmp(s->store_type, "local") == 0, rc;
	char *keys = keys_of(s);
	const struct confine_path paths[] = {
		{ s->spool_dir, CONFINE_CHANGE },
		{ local ? s->store_dir : keys, local ? CONFINE_CHANGE : CONFINE_READ },
		{ local ? NULL : "/etc/resolv.conf", CONFINE_READ },
		{ "/etc/hosts", CONFINE_READ },
		{ "/etc/nsswitch.conf", CONFINE_READ },
		{ "/etc/host.conf", CONFINE_READ },
		{ "/etc/gai.conf", CONFINE_READ },
		{ "/etc/services", CONFINE_READ },
		{ "/etc/ssl/certs", CONFINE_READ },
		{ "/usr/share/ca-certificates", CONFINE_READ },
		{ 0 },
	};

	rc = confine(local ? CONFINE_UPLOADER : CONFINE_UPLOADER_NET, paths, e);
	free(keys);
	return rc;
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	const struct program *p = arg;

	(void)what;
	log_info("uploader", "%s: stopping", strsignal((int)number));
	notify_stopping();
	event_base_loopbreak(p->base);
}

static void
summarize(void *arg, char *line, size_t size)
{
	const struct program *p = arg;

	(void)snprintf(line, size, "%u artifacts done, %u failed; %u requests answered, %u failed",
	    uploader_done(p->uploader), uploader_failed(p->uploader),
	    p->fetcher != NULL ? fetcher_done(p->fetcher) : 0,
	    p->fetcher != NULL ? fetcher_failed(p->fetcher) : 0);
}

static void
on_hangup(evutil_socket_t number, short what, void *arg)
{
	struct program *p = arg;

	(void)number;
	(void)what;
	notify_reloading();
	uploader_hurry(p->uploader);
	notify_reloaded();
}

static void
watch(struct program *p)
{
	p->term = evsignal_new(p->base, SIGTERM, on_signal, p);
	p->interrupt = evsignal_new(p->base, SIGINT, on_signal, p);
	p->hangup = evsignal_new(p->base, SIGHUP, on_hangup, p);
	if (p->term == NULL || p->interrupt == NULL || p->hangup == NULL || evsignal_add(p->term, NULL) < 0 ||
	    evsignal_add(p->interrupt, NULL) < 0 || evsignal_add(p->hangup, NULL) < 0)
		abort();
}

static int
open_all(struct program *p, struct err *e)
{
	p->base = event_base_new();
	if (p->base == NULL)
		abort(); /* no epoll: nothing can work */
	watch(p);
	p->store = store_open(p->base, &p->settings, e);
	if (p->store != NULL)
		p->uploader =
		    uploader_new(p->base, &p->settings, p->store, p->signer, &upload_pace, p->once, e);
	if (p->uploader != NULL && !p->once)
		p->fetcher = fetcher_new(p->base, &p->settings, p->store, &fetch_pace, e);
	return p->uploader == NULL || (p->fetcher == NULL && !p->once) ? -1 : 0;
}

static void
close_all(struct program *p)
{
	fetcher_free(p->fetcher);
	uploader_free(p->uploader);
	store_free(p->store);
	signer_stop(p->signer);
	notify_close();
	if (p->base != NULL) {
		event_free(p->term);
		event_free(p->interrupt);
		event_free(p->hangup);
		event_base_free(p->base);
	}
	settings_done(&p->settings);
}

static int
run(struct program *p)
{
	struct buf store = { 0 };

	store_describe(p->store, &store);
	log_info("uploader", "ready: spool %s, store %s", p->settings.spool_dir, buf_text(&store));
	buf_done(&store);
	notify_serve(p->base, summarize, p);
	event_base_dispatch(p->base);
	log_info(
	    "uploader", "ended: done=%u failed=%u", uploader_done(p->uploader), uploader_failed(p->uploader));
	return uploader_is_broken(p->uploader) || (p->once && uploader_failed(p->uploader) > 0);
}

int
main(int argc, char **argv)
{
	struct program p = { 0 };
	struct err e = { 0 };
	int rc;

	read_arguments(&p, argc, argv);
	notify_open();
	confine_start();
	loop_memory();
	log_setup("dind-uploader", LOG_LEVEL_INFO, getenv("JOURNAL_STREAM") != NULL);
	if (settings_load(&p.settings, p.config, &e) < 0) {
		log_error("uploader", "%s", e.text);
		settings_done(&p.settings);
		return 2;
	}
	log_setup("dind-uploader", log_level_of(p.settings.log_level), getenv("JOURNAL_STREAM") != NULL);
	take_credential("s3.json", &p.settings.s3_credentials);
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = start_signer(&p, &e);
	if (rc == 0)
		rc = become_user(&p.settings, &e);
	if (rc == 0)
		rc = open_all(&p, &e);
	if (rc == 0)
		rc = confine_self(&p.settings, &e);
	if (rc < 0)
		log_error("uploader", "cannot start: %s", e.text);
	rc = rc < 0 ? 1 : run(&p);
	close_all(&p);
	return rc;
}
