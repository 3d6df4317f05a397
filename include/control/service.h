#ifndef CONTROL_SERVICE_H
#define CONTROL_SERVICE_H

struct audit;
struct err;
struct gate;
struct life;
struct loop;
struct settings;
struct tasks;

/*
 * Puts the running service together: every module that the life of a task needs, owned by main. Tasks that
 * were registered before are served again, ends that were under way go on.
 */
struct life *life_new(struct loop *l, const struct settings *s, struct gate *g, struct audit *a,
    struct tasks *t, struct err *e);

/* The settings that a reload changes (those of life_new()), and the file that they come from. */
void life_settings(struct life *l, struct settings *live, const char *path);

/* Closes sessions and sockets, ends children; the disk keeps every task. */
void life_free(struct life *l);

#endif
