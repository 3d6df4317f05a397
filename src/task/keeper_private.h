#ifndef TASK_KEEPER_PRIVATE_H
#define TASK_KEEPER_PRIVATE_H

struct settings;

/* The child: never returns. */
_Noreturn void keeper_serve(const struct settings *s, int fd);

#endif
