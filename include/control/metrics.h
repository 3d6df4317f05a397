#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

struct buf;
struct life;

/*
 * What GET /metrics says, one row each: the service prints them, docs/metrics.md is generated from them, and
 * a test holds the dashboard in examples/ against them. Labels have few values by themselves: routes and
 * rules are rows of tables; nothing that a task names is ever one.
 */
#define METRICS(X)                                                                                           \
	/* id, name, type, labels, help */                                                                   \
	X(TASKS, "dind_proxy_tasks", GAUGE, "", "Tasks that are registered")                                 \
	X(CONNECTIONS, "dind_proxy_connections", GAUGE, "", "Open connections of tasks")                     \
	X(BUILDS_RUNNING, "dind_proxy_builds_running", GAUGE, "", "Builds under way")                        \
	X(REQUESTS, "dind_proxy_requests_total", COUNTER, "", "Requests of tasks")                           \
	X(REQUEST_SECONDS, "dind_proxy_request_seconds", HISTOGRAM, "route",                                 \
	    "Time from a request's head to the end of its answer, of requests that were allowed, by route")  \
	X(REFUSED, "dind_proxy_refused_total", COUNTER, "rule",                                              \
	    "Requests that were refused by policy or limits, by rule")                                       \
	X(OBSERVED, "dind_proxy_observed_total", COUNTER, "rule",                                            \
	    "Refusals that policy.mode \"observe\" let through, by rule")                                    \
	X(FAILURES, "dind_proxy_failures_total", COUNTER, "",                                                \
	    "Answers with a status of 500 and more: of the engine or the proxy")                             \
	X(BUILDS, "dind_proxy_builds_total", COUNTER, "result",                                              \
	    "Builds that have ended: built, or failed (also when they were given up)")                       \
	X(BUILD_SECONDS, "dind_proxy_build_seconds", HISTOGRAM, "result",                                    \
	    "Time that builds took, upload and all")                                                         \
	X(BYTES, "dind_proxy_bytes_total", COUNTER, "direction",                                             \
	    "Bytes of bodies: in (from tasks), out (to tasks); counted when a request ends")                 \
	X(SAVED, "dind_proxy_saved_bytes_total", COUNTER, "", "Bytes of image tarballs that tasks saved")    \
	X(IMAGES, "dind_proxy_images", GAUGE, "", "Images that tasks own")                                   \
	X(NAMES, "dind_proxy_names", GAUGE, "", "Names that tasks gave to images")                           \
	X(IMAGES_BYTES, "dind_proxy_images_bytes", GAUGE, "",                                                \
	    "Disk that the images of tasks take beyond their bases, as last counted")                        \
	X(DISK_FREE, "dind_proxy_engine_disk_free_bytes", GAUGE, "",                                         \
	    "Free space of engine.dataRoot; absent where it cannot be seen")                                 \
	X(IMAGE_LOADS, "dind_proxy_image_loads_total", COUNTER, "",                                          \
	    "Images that tasks were given: loaded, or in the engine already")                                \
	X(LOAD_FAILURES, "dind_proxy_image_load_failures_total", COUNTER, "fault",                           \
	    "Loads that failed, by whose fault it was: worker, task, service")                               \
	X(LOAD_FETCHED, "dind_proxy_image_load_fetched_bytes_total", COUNTER, "",                            \
	    "Bytes that were fetched from the store to load images")                                         \
	X(LOAD_SAVED, "dind_proxy_image_load_saved_bytes_total", COUNTER, "",                                \
	    "Bytes that were not fetched, because the engine had their layers")                              \
	X(ARTIFACTS, "dind_proxy_artifacts", GAUGE, "state",                                                 \
	    "Declared artifacts of tasks that are registered: queued, exporting, handed off, failed")        \
	X(POLICY, "dind_proxy_policy_info", GAUGE, "version, hash, mode", "The host's policy, always 1")     \
	X(POLICY_LOADED, "dind_proxy_policy_loaded_timestamp_seconds", GAUGE, "",                            \
	    "When the settings were last taken")                                                             \
	X(RELOADS, "dind_proxy_reloads_total", COUNTER, "result", "Reloads of the settings: taken, refused") \
	X(ENGINE, "dind_proxy_engine_info", GAUGE, "version, api",                                           \
	    "The engine as it told its version, always 1; absent until it did")                              \
	X(BUILD_INFO, "dind_proxy_build_info", GAUGE, "version", "This program, always 1")                   \
	X(CPU, "process_cpu_seconds_total", COUNTER, "",                                                     \
	    "Processor time of the front; gate, keeper, spawner and dind-image are not in it")               \
	X(MEMORY, "process_resident_memory_bytes", GAUGE, "", "Memory of the front")                         \
	X(STARTED, "process_start_time_seconds", GAUGE, "", "When the service started")

enum metric_type { METRIC_GAUGE = 1, METRIC_COUNTER, METRIC_HISTOGRAM };

enum metric {
#define X(id, name, type, labels, help) METRICS_##id,
	METRICS(X)
#undef X
	    METRICS_COUNT
};

struct metric_row {
	const char *name;
	enum metric_type type;
	const char *labels, *help;
};

const struct metric_row *metrics_rows(void); /* METRICS_COUNT of them */
const char *metrics_type_name(enum metric_type type);

/* The rows as Markdown. */
void metrics_doc(struct buf *out);

/* All figures as Prometheus text, version 0.0.4. */
void metrics_print(struct life *l, struct buf *out);

#endif
