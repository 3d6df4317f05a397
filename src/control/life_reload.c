/*
 * The settings file read anew. The gate reads it first and makes its next policies; the front reads the same
 * bytes through the descriptor that comes back, compares, writes the record, and only then both switch: at
 * one place in the order of their messages. A request goes on with the policy that judged it, in both.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "base/stamp.h"
#include "control/life_parts.h"
#include "control/service.h"
#include "io/gate.h"
#include "task/audit.h"
#include "task/task.h"

enum { SHOWN_MAX = 200 }; /* of a value, in the record */

/* Who asked; one after the other, each reads the file as it is then. */
struct reloading {
	life_answer_cb *cb;
	void *arg;
	struct reloading *next;
};

void
life_settings(struct life *l, struct settings *live, const char *path)
{
	l->live = live;
	l->config = path;
}

/* The host's own policy, and those of all tasks. */
void
life_policies(struct life *l, unsigned version)
{
	policy_unref(l->host);
	l->host = policy_new(l->settings, version);
	policy_seal(l->host);
	l->loaded = stamp_now();
	tasks_apply_settings(l->tasks, version);
	for (struct task *t = tasks_first(l->tasks); t != NULL; t = t->next)
		life_fit_api(l, t);
}

json_t *
life_policy_name(const struct policy *p)
{
	return json_pack(
	    "{s:i,s:s,s:s}", "version", (int)p->version, "hash", p->hash, "mode", policy_mode_name(p->mode));
}

static json_t *
value_json(const struct settings *s, const struct setting_row *row)
{
	struct buf b = { 0 };
	char *text;
	json_t *v;

	settings_print(s, row, &b);
	text = mem_printf("%.*s", SHOWN_MAX, buf_text(&b));
	v = json_string(text);
	free(text);
	buf_done(&b);
	return v != NULL ? v : json_string("?"); /* cut inside a character */
}

static void
on_difference(void *arg, const struct setting_row *row, const struct settings *was, const struct settings *is)
{
	json_t *answer = arg;

	if (row->when == SETTING_RELOAD)
		json_object_set_new(json_object_get(answer, "changed"), row->key,
		    json_pack("{s:o,s:o}", "from", value_json(was, row), "to", value_json(is, row)));
	else
		json_array_append_new(json_object_get(answer, "restart"), json_string(row->key));
}

/* Both sides switch. What was judged before keeps the policy before; the tick releases it. */
static void
take(struct life *l, struct settings *fresh, unsigned version)
{
	settings_reload(l->live, fresh);
	log_set_level(log_level_of(l->live->log_level));
	life_policies(l, version);
	gate_switch(l->gate, version);
	l->releasing = 1;
}

static int
record(struct life *l, const char *what, json_t *more, struct err *e)
{
	json_t *r = json_pack("{s:s,s:s}", "event", "policy", "what", what);
	int rc;

	json_object_update(r, more);
	rc = audit_write(l->audit, NULL, r, e);
	json_decref(r);
	return rc;
}

/* The record names the policy that will be: made for its hash, then made again from what was taken. */
static json_t *
next_name(const struct settings *fresh, unsigned version)
{
	struct policy *p = policy_new(fresh, version);
	json_t *name;

	policy_seal(p);
	name = life_policy_name(p);
	policy_unref(p);
	return name;
}

static json_t *
apply(struct life *l, struct settings *fresh, struct err *e)
{
	unsigned version = policy_next(l->host->version);
	json_t *answer =
	    json_pack("{s:o,s:{},s:[]}", "policy", next_name(fresh, version), "changed", "restart");

	settings_compare(l->live, fresh, on_difference, answer);
	if (record(l, "loaded", answer, e) < 0) {
		err_wrap(e, "the settings are not taken");
		e->status = 503;
		e->rule = "audit";
		json_decref(answer);
		return NULL;
	}
	take(l, fresh, version);
	return answer;
}

/* Reads what the gate has read: pread, its own place in the file is at the end. */
static int
read_same(int fd, const char *hash, struct buf *out, struct err *e)
{
	char own[HASH_HEX_MAX];
	ssize_t n = 1;

	while (n > 0 && buf_len(out) <= SETTINGS_FILE_MAX) {
		n = pread(fd, buf_reserve(out, 65536), 65536, (off_t)buf_len(out));
		if (n > 0)
			buf_commit(out, (size_t)n);
	}
	if (n < 0)
		return err_refuse(e, 500, "settings", "cannot read the settings: %s", strerror(errno));
	hash_once(HASH_SHA256, buf_ptr(out), buf_len(out), own);
	if (strcmp(own, hash) != 0)
		return err_refuse(e, 409, "settings",
		    "the settings file changed while it was read: nothing is taken, reload again");
	return 0;
}

static json_t *
load(struct life *l, int fd, const char *hash, struct err *e)
{
	struct buf text = { 0 };
	struct settings fresh;
	json_t *answer = NULL;

	settings_init(&fresh);
	if (read_same(fd, hash, &text, e) == 0) {
		settings_done(&fresh);
		if (settings_parse(&fresh, l->config, buf_ptr(&text), buf_len(&text), e) == 0)
			answer = apply(l, &fresh, e);
	}
	settings_done(&fresh);
	buf_done(&text);
	return answer;
}

static void begin(struct life *l);

static void
finish(struct life *l, json_t *answer, const struct err *e)
{
	struct reloading *r = l->reloads;
	char *text;
	struct err ignored = { 0 };

	l->reloads = r->next;
	if (answer != NULL)
		l->reloads_taken++;
	else
		l->reloads_refused++;
	if (answer != NULL) {
		text = json_dumps(json_object_get(answer, "restart"), JSON_COMPACT);
		log_info("life", "settings taken: policy %u (%s, %s)%s%s", l->host->version, l->host->hash,
		    policy_mode_name(l->host->mode),
		    json_array_size(json_object_get(answer, "restart")) ? "; these wait for a restart: " : "",
		    json_array_size(json_object_get(answer, "restart")) ? text : "");
		free(text);
		life_say(r->cb, r->arg, 200, answer);
	} else {
		json_t *more =
		    json_pack("{s:s, s:o}", "reason", e->text, "policy", life_policy_name(l->host));

		log_error("life", "settings not taken, policy %u goes on: %s", l->host->version, e->text);
		(void)record(l, "refused", more, &ignored);
		json_decref(more);
		life_fail(r->cb, r->arg, e);
	}
	free(r);
	if (l->reloads != NULL)
		begin(l);
}

static void
on_loaded(void *arg, int fd, const struct err *e)
{
	struct life *l = arg;
	struct err why = *e;
	json_t *answer = NULL;

	l->load_ticket = 0;
	if (fd >= 0) {
		char hash[HASH_HEX_MAX];

		memcpy(hash, e->text, sizeof hash - 1);
		hash[sizeof hash - 1] = '\0';
		err_clear(&why);
		answer = load(l, fd, hash, &why);
		close(fd);
	}
	finish(l, answer, &why);
}

static void
begin(struct life *l)
{
	l->load_ticket = gate_load(l->gate, on_loaded, l);
}

void
life_reload(struct life *l, life_answer_cb *cb, void *arg)
{
	json_t *opened = json_pack("{s:s,s:s}", "event", "log", "what", "opened anew");
	struct reloading *r, **end = &l->reloads;
	struct err e = { 0 };

	/* the first record of a new file carries the sequence of records on, also over a restart */
	if (audit_reopen(l->audit, &e) < 0 || audit_write(l->audit, NULL, opened, &e) < 0)
		log_error("life", "%s", e.text);
	json_decref(opened);
	r = mem_new(sizeof *r);
	r->cb = cb;
	r->arg = arg;
	while (*end != NULL)
		end = &(*end)->next;
	*end = r;
	if (l->load_ticket == 0)
		begin(l);
}

void
life_policy(struct life *l, life_answer_cb *cb, void *arg)
{
	json_t *answer = life_policy_name(l->host);
	char loaded[STAMP_MAX];

	stamp_print(l->loaded, loaded);
	json_object_set_new(answer, "loaded", json_string(loaded));
	json_object_set_new(answer, "settings", json_string(l->config != NULL ? l->config : ""));
	json_object_set_new(answer, "policy", policy_json(l->host));
	life_say(cb, arg, 200, answer);
}

/* Called every second: the policies before go when the last request that they judged is over. */
void
reload_tick(struct life *l)
{
	if (!l->releasing || proxy_judged_before(&l->proxy, l->host->version))
		return;
	l->releasing = 0;
	gate_release(l->gate);
}

void
reload_stop(struct life *l)
{
	if (l->load_ticket != 0)
		gate_cancel(l->gate, l->load_ticket);
	while (l->reloads != NULL) {
		struct reloading *r = l->reloads;

		l->reloads = r->next;
		free(r);
	}
	policy_unref(l->host);
}
