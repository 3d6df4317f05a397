#ifndef ARTIFACT_TASKCLUSTER_H
#define ARTIFACT_TASKCLUSTER_H

struct err;
struct event_base;
struct settings;
struct store;

/*
 * The store that is a Taskcluster deployment: an artifact of the task's own run, of storage type "s3" or
 * "object". The queue is asked as late as possible: the spool's bytes are read and checked first.
 *
 * Every request is signed with the credentials of the task (<stateDir>/tasks/<id>/credentials.json, which the
 * worker replaces while the task runs), read anew each time and narrowed to
 * queue:create-artifact:<taskId>/<runId>. They are kept nowhere else. When they are refused, the put waits
 * once for fresh ones; when the task has ended they are gone, and the put fails.
 *
 * Nothing is repeated in here except what needs no pause: a put ends with STORE_AGAIN, and the next one goes
 * on. What it must know for that stands in `upload.json` beside the spool's data, mode 0600, until the put is
 * over: of an `object` artifact the queue tells the upload's id and its credentials (good for that one name
 * and a day) only once.
 *
 * why->rule of a put that failed says whose fault it is: "task", "worker" or "service". No text has a
 * credential or the query of a URL.
 */
struct store *taskcluster_store_new(struct event_base *base, const struct settings *s, struct err *e);

#endif
