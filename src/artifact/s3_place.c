/* Where the bucket is, what its keys are called, and whose credentials open it. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settings.h"
#include "local_private.h"
#include "s3_private.h"
#include "task/task.h"

enum { KEY_FILE_MAX = 64 * 1024, PREFIX_MAX = 256, BUCKET_MAX = 63, REGION_MAX = 64 };

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int
is_made_of(const char *s, const char *members, size_t least, size_t most)
{
	size_t n = strspn(s, members);

	return s[n] == '\0' && n >= least && n <= most;
}

/* "name", "1.2.3.4" or "[::1]", then perhaps ":port"; the default port is left out, as HTTP clients do in
 * Host, which is signed. */
static char *
read_host(const char *s, size_t len, const char *default_port)
{
	char *host = mem_strn(s, len), *port;
	size_t n = host[0] == '[' ? 1 + strspn(host + 1, DIGITS "abcdefABCDEF:.")
	                          : strspn(host, LOWER UPPER DIGITS ".-");

	if (host[0] == '[')
		n = host[n] == ']' ? n + 1 : 0;
	port = host + n;
	if (n > 0 && (*port == '\0' || (*port == ':' && is_made_of(port + 1, DIGITS, 1, 5) &&
	                                   atoi(port + 1) >= 1 && atoi(port + 1) <= 65535))) {
		if (strcmp(port, default_port) == 0)
			*port = '\0';
		return host;
	}
	free(host);
	return NULL;
}

static int
refuse(struct err *e, const char *key, const char *value, const char *want)
{
	char quoted[100];

	return err_set(e, EINVAL, "setting '%s' must be %s, not \"%s\"", key, want,
	    log_quote(value, strlen(value), quoted, sizeof quoted));
}

static int
read_endpoint(struct s3_place *p, const struct settings *s, struct err *e)
{
	const char *url = s->s3_endpoint;
	int tls = strncmp(url, "https://", 8) == 0;
	const char *host = tls ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : "";
	size_t len = strcspn(host, "/");
	char *at =
	    host[len] == '\0' || host[len + 1] == '\0' ? read_host(host, len, tls ? ":443" : ":80") : NULL;

	if (at == NULL)
		return refuse(e, "store.s3.endpoint", url, "a URL such as \"https://s3.example.com\"");
	p->host = s->s3_path_style ? mem_str(at) : mem_printf("%s.%s", s->s3_bucket, at);
	p->base = mem_printf("%s://%s", tls ? "https" : "http", p->host);
	p->root = s->s3_path_style ? mem_printf("/%s/", s->s3_bucket) : mem_str("/");
	free(at);
	return 0;
}

static int
check_names(const struct settings *s, struct err *e)
{
	if (!is_made_of(s->s3_bucket, LOWER UPPER DIGITS ".-_", 3, BUCKET_MAX) || s->s3_bucket[0] == '.')
		return refuse(e, "store.s3.bucket", s->s3_bucket, "the name of a bucket");
	if (!is_made_of(s->s3_region, LOWER UPPER DIGITS "-_", 1, REGION_MAX))
		return refuse(e, "store.s3.region", s->s3_region, "the name of a region");
	if (!is_made_of(s->s3_prefix, LOWER UPPER DIGITS "_./-", 0, PREFIX_MAX) || s->s3_prefix[0] == '/' ||
	    strstr(s->s3_prefix, "..") != NULL || strstr(s->s3_prefix, "//") != NULL)
		return refuse(e, "store.s3.prefix", s->s3_prefix,
		    "letters, digits, '_', '.', '-' and single '/', such as \"dind/\"");
	return 0;
}

int
s3_place_init(struct s3_place *p, const struct settings *s, struct err *e)
{
	*p = (struct s3_place){ 0 };
	if (check_names(s, e) < 0 || read_endpoint(p, s, e) < 0)
		return -1;
	p->bucket = mem_str(s->s3_bucket);
	p->region = mem_str(s->s3_region);
	p->prefix = mem_str(s->s3_prefix);
	return 0;
}

void
s3_place_done(struct s3_place *p)
{
	free(p->base);
	free(p->host);
	free(p->root);
	free(p->bucket);
	free(p->region);
	free(p->prefix);
	*p = (struct s3_place){ 0 };
}

char *
s3_object_key(const struct s3_place *p, const char *task_id, unsigned run_id, const char *name, struct err *e)
{
	struct local_names n;
	char *key = NULL;

	if (local_names_init(&n, "", task_id, run_id, name, e) == 0) /* what may be a path may be a key */
		key = mem_printf("%s%s", p->prefix, n.data + 1);
	local_names_done(&n);
	return key;
}

int
s3_is_our_key(const struct s3_place *p, const char *key)
{
	size_t prefix = strlen(p->prefix), task, run;
	char *task_id, *made;
	struct err e;
	int same;

	if (strncmp(key, p->prefix, prefix) != 0)
		return 0;
	key += prefix;
	task = strcspn(key, "/");
	run = key[task] == '/' ? strspn(key + task + 1, DIGITS) : 0;
	if (run < 1 || run > 7 || key[task + 1 + run] != '/')
		return 0;
	task_id = mem_strn(key, task);
	made = s3_object_key(p, task_id, (unsigned)atoi(key + task + 1), key + task + 1 + run + 1, &e);
	same = made != NULL && strcmp(made + prefix, key) == 0;
	free(made);
	free(task_id);
	return same;
}

/* --- credentials */

static void
wipe(char *s)
{
	if (s != NULL)
		mem_wipe(s, strlen(s));
	free(s);
}

void
s3_key_done(struct s3_key *k)
{
	wipe(k->id);
	wipe(k->secret);
	wipe(k->token);
	*k = (struct s3_key){ 0 };
}

static int
read_secret_file(const char *path, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(e, errno, "cannot open '%s': %m", path);
	} else if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_MAX) {
		err_set(e, EINVAL, "'%s' is not a file of at most %d bytes", path, KEY_FILE_MAX);
	} else if ((st.st_mode & 037) != 0) { /* the group may read it: a service's user, systemd's ACL */
		err_set(e, EPERM, "'%s' holds a secret and others may use it (mode %03o): chmod 600", path,
		    (unsigned)st.st_mode & 0777);
	} else if ((n = read(fd, buf_reserve(out, KEY_FILE_MAX), KEY_FILE_MAX)) < 0) {
		err_set(e, errno, "cannot read '%s': %m", path);
	} else {
		buf_commit(out, (size_t)n);
		close(fd);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* It goes into a header: no blanks, no controls. */
static int
take(const json_t *v, const char *key, int optional, char **out, struct err *e)
{
	const char *s = json_str(v, key, NULL);

	if (s == NULL && optional && !json_object_get(v, key))
		return 0;
	if (s == NULL || *s == '\0')
		return err_set(e, EINVAL, "'%s' must be a string that is not empty", key);
	for (const char *p = s; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, EINVAL, "'%s' must be printable ASCII without blanks", key);
	*out = mem_str(s);
	return 0;
}

static int
take_all(struct s3_key *k, const json_t *v, struct err *e)
{
	if (!json_is_object(v))
		return err_set(e, EINVAL, "must be an object");
	return take(v, "accessKeyId", 0, &k->id, e) == 0 &&
	               take(v, "secretAccessKey", 0, &k->secret, e) == 0 &&
	               take(v, "sessionToken", 1, &k->token, e) == 0
	           ? 0
	           : -1;
}

int
s3_key_read(struct s3_key *k, const char *path, struct err *e)
{
	struct buf text = { 0 };
	json_t *v = NULL;
	int rc = read_secret_file(path, &text, e);

	*k = (struct s3_key){ 0 };
	if (rc == 0) {
		struct err at;

		v = json_parse(buf_ptr(&text), buf_len(&text), &at);
		/* not jansson's text: it quotes what stands near the error */
		rc = v == NULL ? err_set(e, EINVAL, "'%s' is not JSON", path) : take_all(k, v, e);
		if (v != NULL && rc < 0)
			(void)err_wrap(e, "'%s'", path);
	}
	if (rc < 0)
		s3_key_done(k);
	json_decref(v);
	if (text.data != NULL)
		mem_wipe(text.data, text.cap);
	buf_done(&text);
	return rc;
}
