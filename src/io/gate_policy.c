#include "gate_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/confine.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/settings.h"
#include "docker/reference.h"
#include "policy/policy.h"

enum {
	TASKS_MAX = 10000, /* namespaces with a policy: the front is not trusted to stop */
	BEFORE = 0,
	PRESENT,
	NEXT,
	SLOTS
};

/* A namespace: the host's policies with what the worker gave laid over them. */
struct known {
	char ns[24];
	json_t *given;
	struct policy *slot[SLOTS];
	struct known *next;
};

struct gate_policies {
	char *path; /* NULL: none */
	struct policy *host[SLOTS];
	struct known *known;
	size_t count;
};

struct gate_policies *
gate_policies_new(const struct settings *s, const char *path)
{
	struct gate_policies *g = mem_new(sizeof *g);

	g->path = path == NULL ? NULL : mem_str(path);
	g->host[PRESENT] = policy_new(s, 1);
	return g;
}

static struct known **
find(const struct gate_policies *g, const char *ns)
{
	struct known **at = (struct known **)(uintptr_t)&g->known;

	while (*at != NULL && strcmp((*at)->ns, ns) != 0)
		at = &(*at)->next;
	return at;
}

static void
drop(struct known *k)
{
	for (int i = 0; i < SLOTS; i++)
		policy_unref(k->slot[i]);
	json_decref(k->given);
	free(k);
}

static void
forget(struct gate_policies *g, const char *ns)
{
	struct known **at = find(g, ns), *k = *at;

	if (k == NULL)
		return;
	*at = k->next;
	drop(k);
	g->count--;
}

void
gate_policies_free(struct gate_policies *g)
{
	while (g->known != NULL)
		forget(g, g->known->ns);
	for (int i = 0; i < SLOTS; i++)
		policy_unref(g->host[i]);
	free(g->path);
	free(g);
}

/* Most tasks give nothing: they share the host's. */
static struct policy *
over(struct policy *host, const json_t *given, struct err *e)
{
	struct policy *p;

	if (json_object_size(given) == 0 && json_is_object(given))
		return policy_ref(host);
	p = policy_dup(host);
	if (policy_override(p, given, e) == 0)
		return p;
	policy_unref(p);
	return NULL;
}

static int
fill(struct gate_policies *g, struct known *k, int slot, struct err *e)
{
	if (g->host[slot] == NULL)
		return 0;
	k->slot[slot] = over(g->host[slot], k->given, e);
	return k->slot[slot] != NULL ? 0 : -1;
}

int
gate_policies_learn(struct gate_policies *g, const char *ns, const char *text, size_t len, struct err *e)
{
	struct known *k;
	int rc = 0;

	forget(g, ns);
	if (len == 0)
		return 0;
	if (!reference_is_ns(ns) || g->count >= TASKS_MAX)
		return err_set(e, 0, "not a namespace, or too many of them");
	k = mem_new(sizeof *k);
	memcpy(k->ns, ns, sizeof k->ns);
	k->given = json_parse(text, len, e);
	if (k->given == NULL)
		rc = -1;
	for (int i = 0; rc == 0 && i < SLOTS; i++)
		rc = fill(g, k, i, e);
	if (rc < 0) {
		drop(k);
		return -1;
	}
	k->next = g->known;
	g->known = k;
	g->count++;
	return 0;
}

const struct policy *
gate_policies_find(const struct gate_policies *g, const char *ns, unsigned version, struct err *e)
{
	const struct known *k = reference_is_ns(ns) ? *find(g, ns) : NULL;
	int slot = PRESENT;

	if (reference_is_ns(ns) && k == NULL) {
		err_refuse(e, 403, "gate", "the gate does not know this namespace");
		return NULL;
	}
	if (version != 0 && version != g->host[PRESENT]->version)
		slot = g->host[BEFORE] != NULL && g->host[BEFORE]->version == version ? BEFORE : SLOTS;
	if (slot == SLOTS) {
		err_refuse(e, 503, "policy-replaced",
		    "the policy was replaced twice while this request was under way: send it again");
		return NULL;
	}
	return k != NULL ? k->slot[slot] : g->host[slot];
}

static void
clear(struct gate_policies *g, int slot)
{
	policy_unref(g->host[slot]);
	g->host[slot] = NULL;
	for (struct known *k = g->known; k != NULL; k = k->next) {
		policy_unref(k->slot[slot]);
		k->slot[slot] = NULL;
	}
}

static int
make_next(struct gate_policies *g, const struct settings *s, struct err *e)
{
	int rc = 0;

	clear(g, NEXT);
	g->host[NEXT] = policy_new(s, 0);
	for (struct known *k = g->known; rc == 0 && k != NULL; k = k->next)
		rc = fill(g, k, NEXT, e);
	if (rc < 0)
		clear(g, NEXT);
	return rc;
}

static int
read_text(int fd, struct buf *out, struct err *e)
{
	ssize_t n;

	do {
		n = read(fd, buf_reserve(out, 65536), 65536);
		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "cannot read the settings: %m");
		buf_commit(out, n > 0 ? (size_t)n : 0);
		if (buf_len(out) > SETTINGS_FILE_MAX)
			return err_set(
			    e, EFBIG, "the settings file is larger than %d bytes", SETTINGS_FILE_MAX);
	} while (n != 0);
	return 0;
}

static int
read_settings(struct gate_policies *g, int fd, char hash[HASH_HEX_MAX], struct err *e)
{
	struct buf text = { 0 };
	struct settings s;
	int rc = read_text(fd, &text, e);

	if (rc == 0) {
		hash_once(HASH_SHA256, buf_ptr(&text), buf_len(&text), hash);
		rc = settings_parse(&s, g->path, buf_ptr(&text), buf_len(&text), e);
		if (rc == 0)
			rc = make_next(g, &s, e);
		settings_done(&s);
	}
	buf_done(&text);
	return rc;
}

int
gate_policies_load(struct gate_policies *g, char hash[HASH_HEX_MAX], struct err *e)
{
	const char *slash;
	int fd;

	if (g->path == NULL)
		return err_refuse(e, 400, "settings", "there is no settings file to read");
	slash = strrchr(g->path, '/');
	fd = openat(CONFINE_CONFIG_FD, slash == NULL ? g->path : slash + 1, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_refuse(e, 400, "settings", "cannot open '%s': %s", g->path, strerror(errno));
	if (read_settings(g, fd, hash, e) == 0)
		return fd;
	close(fd);
	e->status = 400;
	e->rule = "settings";
	return -1;
}

int
gate_policies_switch(struct gate_policies *g, unsigned version, struct err *e)
{
	if (g->host[NEXT] == NULL)
		return err_set(e, 0, "there are no next policies to switch to");
	clear(g, BEFORE);
	g->host[NEXT]->version = version;
	g->host[BEFORE] = g->host[PRESENT];
	g->host[PRESENT] = g->host[NEXT];
	g->host[NEXT] = NULL;
	for (struct known *k = g->known; k != NULL; k = k->next) {
		k->slot[BEFORE] = k->slot[PRESENT];
		k->slot[PRESENT] = k->slot[NEXT];
		k->slot[NEXT] = NULL;
	}
	return 0;
}

void
gate_policies_release(struct gate_policies *g)
{
	clear(g, BEFORE);
}
