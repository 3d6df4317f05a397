#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/*
 * The settings file, /etc/dind-proxy/config.json: one row per setting. The rows feed the parser, --help,
 * `dindctl config check` and docs/settings.md. A key "limits.builds" is the member "builds" of the object
 * "limits". Unknown keys and wrong types are errors that name line, key and what was expected.
 *
 * Types: STRING; PATH (absolute); INT (min..max); SIZE (bytes: an integer or "64MiB", "4GiB"; min..max);
 * SECONDS (an integer or "90s", "10m", "2h"; min..max); BOOL; ENUM (one of the words in `words`);
 * LIST (array of strings); NAME (empty, or letters, digits, '_', '.', '-', and none of `words`).
 * When a changed value is taken: RELOAD (SIGHUP, `systemctl reload`, `dindctl reload`) or START (restart).
 */
#define SETTINGS(X)                                                                                          \
	/* type, field, key, default text, min, max, words, when, help */                                    \
	X(PATH, engine_socket, "engine.socket", "/var/run/docker.sock", 0, 0, "", START,                     \
	    "Unix socket of the Docker engine; only the gate opens it")                                      \
	X(PATH, engine_root, "engine.dataRoot", "/var/lib/docker", 0, 0, "", START,                          \
	    "The engine's data root, for limits.diskFree; not watched where it cannot be seen")              \
	X(SECONDS, answer_age, "engine.answerAge", "1s", 0, 60, "", RELOAD,                                  \
	    "Time for which the engine's answer to ping and version is given again; 0: never, each request " \
	    "asks the engine")                                                                               \
	X(INT, newest_api, "engine.newestApi", "51", 41, 99, "", START,                                      \
	    "Newest engine that gets builds, by the NN of its API 1.NN: newer ones were never tested; see "  \
	    "docs/threat-model.md before raising it")                                                        \
	X(PATH, run_dir, "runDir", "/run/dind-proxy", 0, 0, "", START,                                       \
	    "Directory of the control socket and of the task sockets")                                       \
	X(PATH, state_dir, "stateDir", "/var/lib/dind-proxy", 0, 0, "", START,                               \
	    "Directory of what must survive a restart: tasks, images, names")                                \
	X(PATH, audit_dir, "audit.dir", "/var/log/dind-proxy", 0, 0, "", START,                              \
	    "Directory of the audit log: audit.jsonl for the host, tasks/ID.jsonl for each task")            \
	X(SIZE, audit_file_size, "audit.fileSize", "64MiB", 0, INT64_MAX, "", START,                         \
	    "Size at which audit.jsonl is put aside as audit-N.jsonl and a new one begun; 0: never")         \
	X(INT, audit_files, "audit.files", "32", 0, 100000, "", START,                                       \
	    "Files audit-N.jsonl that are kept, the newest ones; 0: all")                                    \
	X(PATH, audit_key, "audit.key", "/etc/dind-proxy/audit.key", 0, 0, "", START,                        \
	    "Private ed25519 key (PEM, mode 0600) that signs checkpoints of the audit log; not signed when " \
	    "there is no such file")                                                                         \
	X(INT, audit_checkpoint_records, "audit.checkpointRecords", "10000", 1, 100000000, "", START,        \
	    "Records after which a checkpoint is signed")                                                    \
	X(SECONDS, audit_checkpoint_time, "audit.checkpointTime", "1m", 1, 86400, "", START,                 \
	    "Time after which a checkpoint is signed when anything was recorded since the last one")         \
	X(BOOL, audit_journal, "audit.journal", "false", 0, 0, "", START,                                    \
	    "Send the audit records to journald, too")                                                       \
	X(LIST, audit_public_args, "audit.publicBuildArgs", "", 0, 0, "", RELOAD,                            \
	    "Build-args whose values may stand in the audit log; all others are logged by name only")        \
	X(PATH, spool_dir, "spool.dir", "/var/lib/dind-proxy/spool", 0, 0, "", START,                        \
	    "Directory between export and upload")                                                           \
	X(ENUM, store_type, "store.type", "local", 0, 0, "local s3 taskcluster", START,                      \
	    "Where artifacts go")                                                                            \
	X(PATH, store_dir, "store.dir", "/var/lib/dind-proxy/store", 0, 0, "", START,                        \
	    "Directory of the local artifact store")                                                         \
	X(STRING, s3_endpoint, "store.s3.endpoint", "", 0, 0, "", START,                                     \
	    "S3 store: its URL, such as \"https://s3.eu-central-1.amazonaws.com\"")                          \
	X(STRING, s3_region, "store.s3.region", "us-east-1", 0, 0, "", START,                                \
	    "S3 store: region of the bucket")                                                                \
	X(STRING, s3_bucket, "store.s3.bucket", "", 0, 0, "", START, "S3 store: the bucket")                 \
	X(STRING, s3_prefix, "store.s3.prefix", "", 0, 0, "", START,                                         \
	    "S3 store: what all keys begin with, such as \"dind/\"")                                         \
	X(PATH, s3_credentials, "store.s3.credentials", "/etc/dind-proxy/s3.json", 0, 0, "", START,          \
	    "S3 store: file {\"accessKeyId\", \"secretAccessKey\", \"sessionToken\"}, mode 0600; read anew " \
	    "when the "                                                                                      \
	    "store refuses it")                                                                              \
	X(BOOL, s3_path_style, "store.s3.pathStyle", "true", 0, 0, "", START,                                \
	    "S3 store: the bucket stands in the path, not in the host name")                                 \
	X(STRING, taskcluster_root, "store.taskcluster.rootUrl", "", 0, 0, "", START,                        \
	    "Taskcluster store: the deployment's root URL, such as \"https://tc.example.com\"")              \
	X(ENUM, taskcluster_storage, "store.taskcluster.storageType", "s3", 0, 0, "s3 object", START,        \
	    "Taskcluster store: storage type of the artifacts; with \"object\" their hashes are kept by "    \
	    "the deployment")                                                                                \
	X(ENUM, load_layers, "load.layers", "missing", 0, 0, "missing all", START,                           \
	    "Which layers of an image are fetched to load it: those that the engine lacks, where the store " \
	    "sends parts; or all, so that the artifact's own sha256 is seen, as chain of trust wants it")    \
	X(STRING, evidence_key, "evidence.key", "", 0, 0, "", START,                                         \
	    "File of the ed25519 key (PEM, mode 0600) that signs a statement about each artifact; empty: "   \
	    "nothing is signed")                                                                             \
	X(STRING, evidence_builder, "evidence.builder", "urn:dind-proxy:builder", 0, 0, "", RELOAD,          \
	    "URI that names this builder in evidence (SLSA's builder.id): one for all hosts that are "       \
	    "trusted alike")                                                                                 \
	X(BOOL, evidence_upload, "evidence.upload", "false", 0, 0, "", RELOAD,                               \
	    "Upload the signed statement as an artifact of its own, NAME.provenance.json, unless the "       \
	    "payload's `provenance` says otherwise")                                                         \
	X(PATH, image_program, "programs.image", "/usr/libexec/dind-proxy/dind-image", 0, 0, "", START,      \
	    "The program that exports and loads images, one process per image")                              \
	X(NAME, user, "user", "", 0, 0, "root", START,                                                       \
	    "User that dind-proxyd (but for its gate) and dind-uploader become when root starts them; "      \
	    "empty: no other")                                                                               \
	X(STRING, task_scope, "task.scope", "", 0, 0, "", RELOAD,                                            \
	    "Scope that a task with dind must hold, such as \"docker-worker:feature:dind\"; empty: none")    \
	X(STRING, task_pool, "task.pool", "", 0, 0, "", RELOAD,                                              \
	    "Worker pool of this host: task.scope with \":POOL\" behind it is good as well")                 \
	X(INT, socket_mode, "task.socketMode", "438", 0, 511, "", RELOAD,                                    \
	    "Mode of a task's socket, decimal; 438 is 0666: users of a container that are not root may "     \
	    "build")                                                                                         \
	X(ENUM, mode, "policy.mode", "enforce", 0, 0, "enforce observe", RELOAD,                             \
	    "Refuse, or let through and record what is harmless to let through (docs/policy-life.md)")       \
	X(NAME, network, "policy.network", "", 0, 0, "host", RELOAD,                                         \
	    "Network of RUN steps: empty for the engine's default bridge, \"none\", or the name of a "       \
	    "network; never host")                                                                           \
	X(LIST, base_images, "policy.baseImages", "docker.io/library/*", 0, 0, "", RELOAD,                   \
	    "Patterns of images that FROM and COPY --from may name besides the task's own")                  \
	X(BOOL, pull, "policy.pull", "false", 0, 0, "", RELOAD,                                              \
	    "Let the engine pull an allowed base image that is not on the host")                             \
	X(ENUM, cache, "policy.cache", "private", 0, 0, "private none shared", START,                        \
	    "Build cache: only from the task's own images, none at all, or shared between all tasks "        \
	    "(unsafe)")                                                                                      \
	X(BOOL, add_urls, "policy.addUrls", "false", 0, 0, "", RELOAD,                                       \
	    "Let ADD fetch URLs; the engine fetches them from the host's network")                           \
	X(BOOL, extra_hosts, "policy.extraHosts", "false", 0, 0, "", RELOAD, "Let a build pass --add-host")  \
	X(BOOL, registry_auth, "policy.registryAuth", "false", 0, 0, "", RELOAD,                             \
	    "Pass the task's registry credentials to the engine; otherwise they are dropped; they are "      \
	    "never logged")                                                                                  \
	X(STRING, cgroup_parent, "policy.cgroupParent", "", 0, 0, "", RELOAD,                                \
	    "cgroup parent that every build is put under; empty: the engine's own")                          \
	X(STRING, label, "policy.label", "", 0, 0, "", RELOAD,                                               \
	    "Label that every image built for a task gets, with the task's id as its value: one more step "  \
	    "in what "                                                                                       \
	    "builds print; empty: none")                                                                     \
	X(SIZE, build_memory, "policy.memory", "0", 0, INT64_MAX, "", RELOAD,                                \
	    "Memory of a RUN step at most; 0: no limit of ours")                                             \
	X(INT, build_cpus, "policy.cpus", "0", 0, 4096, "", RELOAD,                                          \
	    "CPUs of a RUN step at most; 0: no limit of ours")                                               \
	X(SIZE, shm_size, "policy.shmSize", "1GiB", 0, INT64_MAX, "", RELOAD,                                \
	    "/dev/shm of a RUN step at most")                                                                \
	X(INT, api_max, "policy.apiMax", "51", 41, 52, "", RELOAD,                                           \
	    "Highest Docker API version that is spoken, the NN of 1.NN")                                     \
	X(INT, connections, "limits.connections", "64", 1, 10000, "", RELOAD,                                \
	    "Connections of a task at a time")                                                               \
	X(INT, builds, "limits.builds", "2", 1, 1000, "", RELOAD, "Builds of a task at a time")              \
	X(INT, images, "limits.images", "200", 1, 10000, "", RELOAD, "Images that a task may own")           \
	X(INT, names, "limits.names", "200", 1, 10000, "", RELOAD, "Names (tags) that a task may have")      \
	X(INT, request_names, "limits.requestNames", "16", 1, 32, "", RELOAD,                                \
	    "Names in one request: -t of a build, images of a save")                                         \
	X(SIZE, context_bytes, "limits.contextBytes", "16GiB", 1, INT64_MAX, "", RELOAD,                     \
	    "Uncompressed build context at most")                                                            \
	X(INT, context_entries, "limits.contextEntries", "500000", 1, 1000000, "", RELOAD,                   \
	    "Files and directories in a build context at most")                                              \
	X(SIZE, image_bytes, "limits.imageBytes", "64GiB", 1, INT64_MAX, "", RELOAD,                         \
	    "Uncompressed image tarball at most, for export and load")                                       \
	X(SECONDS, build_time, "limits.buildTime", "2h", 1, 604800, "", RELOAD,                              \
	    "Wall clock of one build at most")                                                               \
	X(SECONDS, head_time, "limits.headTime", "10s", 1, 3600, "", RELOAD,                                 \
	    "Time for a whole request head once its first byte is here")                                     \
	X(SECONDS, idle_time, "limits.idleTime", "10m", 1, 86400, "", RELOAD,                                \
	    "Time that a connection may wait for its next request")                                          \
	X(SECONDS, stall_time, "limits.stallTime", "5m", 1, 86400, "", RELOAD,                               \
	    "Time that a peer may neither send nor take bytes of a transfer; never applied to a build that " \
	    "is running")                                                                                    \
	X(INT, request_rate, "limits.requestRate", "100", 1, 100000, "", RELOAD,                             \
	    "Requests of a task per second; ten seconds' worth may come at once")                            \
	X(SIZE, saved_bytes, "limits.savedBytes", "1TiB", 1, INT64_MAX, "", RELOAD,                          \
	    "Bytes of image tarballs that a task may save through its socket, in all")                       \
	X(SIZE, disk_bytes, "limits.diskBytes", "64GiB", 1, INT64_MAX, "", RELOAD,                           \
	    "Disk that a task's images may take beyond the base images that they share")                     \
	X(INT, host_connections, "limits.hostConnections", "4000", 1, 100000, "", RELOAD,                    \
	    "Connections of all tasks together")                                                             \
	X(INT, host_builds, "limits.hostBuilds", "16", 1, 1000, "", RELOAD, "Builds of all tasks at a time") \
	X(SIZE, disk_free, "limits.diskFree", "1GiB", 0, INT64_MAX, "", RELOAD,                              \
	    "Free space of engine.dataRoot below which builds are refused, and ended; 0: never")             \
	X(SIZE, answer_bytes, "limits.answerBytes", "4MiB", 65536, 67108864, "", RELOAD,                     \
	    "Small JSON answer of the engine at most")                                                       \
	X(INT, metrics_port, "metrics.port", "0", 0, 65535, "", START,                                       \
	    "Port on which GET /metrics is answered as well, on a loopback address; 0: none")                \
	X(ENUM, metrics_address, "metrics.address", "127.0.0.1", 0, 0, "127.0.0.1 ::1", START,               \
	    "Address of metrics.port")                                                                       \
	X(ENUM, log_level, "log.level", "info", 0, 0, "error warn info debug", RELOAD,                       \
	    "What is logged on stderr")

enum setting_when { SETTING_START = 0, SETTING_RELOAD };

enum setting_type {
	SETTING_STRING,
	SETTING_PATH,
	SETTING_INT,
	SETTING_SIZE,
	SETTING_SECONDS,
	SETTING_BOOL,
	SETTING_ENUM,
	SETTING_LIST,
	SETTING_NAME
};

struct setting_list {
	size_t count;
	char **item;
};

#define SETTING_C_STRING char *
#define SETTING_C_PATH char *
#define SETTING_C_INT int64_t
#define SETTING_C_SIZE int64_t
#define SETTING_C_SECONDS int64_t
#define SETTING_C_BOOL int64_t
#define SETTING_C_ENUM char *
#define SETTING_C_LIST struct setting_list
#define SETTING_C_NAME char *

struct settings {
#define X(type, field, key, fallback, min, max, words, when, help) SETTING_C_##type field;
	SETTINGS(X)
#undef X
};

struct setting_row {
	enum setting_type type;
	const char *key;
	const char *fallback;
	int64_t min, max;
	const char *words;
	enum setting_when when;
	const char *help;
	size_t offset; /* into struct settings */
};

/* All rows, in the order above. */
const struct setting_row *settings_rows(size_t *count);

enum { SETTINGS_FILE_MAX = 1024 * 1024 }; /* it is written by hand */

/* Defaults only. */
void settings_init(struct settings *s);

/* Defaults, then the file (missing is an error with code ENOENT). settings_done() in any case. */
int settings_load(struct settings *s, const char *path, struct err *e);

/* The same from text; `name` stands for the file in errors. */
int settings_parse(struct settings *s, const char *name, const void *text, size_t len, struct err *e);

/* Prints one setting's value as text ("64MiB", "a, b", "true"). */
void settings_print(const struct settings *s, const struct setting_row *row, struct buf *out);

/* Calls visit() for every row whose value differs. */
typedef void settings_visit(
    void *arg, const struct setting_row *row, const struct settings *was, const struct settings *is);
void
settings_compare(const struct settings *was, const struct settings *is, settings_visit *visit, void *arg);

/* Takes from fresh what a reload may change, and gives fresh the values that stood there. */
void settings_reload(struct settings *s, struct settings *fresh);

/* Appends a table of all keys, what each takes, its default and its help: the end of every --help. */
void settings_help(struct buf *out);

/* What a row takes, in words: "an integer from 1 to 1000". */
void settings_expected(const struct setting_row *row, struct buf *out);

void settings_done(struct settings *s);

#endif
