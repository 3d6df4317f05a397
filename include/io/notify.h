#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

#include <stddef.h>

struct event_base;

/*
 * What a service says to systemd (sd_notify(3)), and the listening sockets that systemd keeps for it: a
 * socket stored under a name stays open there while this process is stopped for a restart or an upgrade, or
 * killed; who connects meanwhile waits in it, and the next process takes it over. Names: a task's id,
 * NOTIFY_CONTROL.
 *
 * One for the process. Started by anything but systemd ($NOTIFY_SOCKET is not set), nothing is kept and every
 * call does nothing.
 */
#define NOTIFY_CONTROL "control"
#define NOTIFY_METRICS "metrics" /* passed by dind-proxy-metrics.socket, not stored by us */

/* First of all in main(): before any descriptor is opened, and before any fork. */
void notify_open(void);
void notify_close(void);

/* Are sockets kept when this process ends? Then their files must stay. */
int notify_keeps(void);

/* The socket that was kept under name, if it still listens at path (NULL: wherever): the caller's. Else -1.
 */
int notify_take(const char *name, const char *path);
void notify_store(const char *name, int fd); /* fd stays the caller's */
void notify_forget(const char *name);
/* Closes and forgets what nobody has taken; how many there were. */
unsigned notify_forget_rest(void);

/* One line for people, shown by `systemctl status`. */
typedef void notify_status_cb(void *arg, char *line, size_t size);

/*
 * Ready. From here on, as long as the loop turns, systemd's watchdog is told so, and what status says
 * whenever that has changed; until notify_close().
 */
void notify_serve(struct event_base *base, notify_status_cb *status, void *arg);
void notify_reloading(void);
void notify_reloaded(void);
void notify_stopping(void);

#endif
