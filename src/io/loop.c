#include "io/loop.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/mem.h"

struct deferred {
	void (*fn)(void *arg);
	void *arg;
	struct deferred *next;
};

struct loop {
	struct event_base *base;
	struct event *top; /* activated while anything is deferred */
	struct deferred *first, **last;
};

static void
run_deferred(struct loop *l)
{
	struct deferred *d = l->first;

	l->first = NULL; /* what is deferred meanwhile runs in the next round */
	l->last = &l->first;
	while (d != NULL) {
		struct deferred *next = d->next;

		d->fn(d->arg);
		free(d);
		d = next;
	}
}

static void
on_top(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	run_deferred(arg);
}

void
loop_memory(void)
{
	event_set_mem_functions(mem_must, mem_must_again, free);
}

struct loop *
loop_new(void)
{
	struct loop *l = mem_new(sizeof *l);
	struct event_config *config = event_config_new();

	l->last = &l->first;
	if (config != NULL)
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	l->base = config == NULL ? NULL : event_base_new_with_config(config);
	if (l->base == NULL)
		abort(); /* no epoll: nothing can work */
	event_config_free(config);
	l->top = event_new(l->base, -1, 0, on_top, l);
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	while (l->first != NULL)
		run_deferred(l);
	event_free(l->top);
	event_base_free(l->base);
	free(l);
}

struct event_base *
loop_base(const struct loop *l)
{
	return l->base;
}

void
loop_defer(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct deferred *d = mem_new(sizeof *d);

	d->fn = fn;
	d->arg = arg;
	*l->last = d;
	l->last = &d->next;
	event_active(l->top, 0, 0);
}

void
loop_run(struct loop *l)
{
	(void)event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void
loop_stop(struct loop *l)
{
	(void)event_base_loopbreak(l->base);
}
