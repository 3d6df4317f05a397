#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/*
 * Memory for our own small structs: out of memory ends the process with a log
 * line (systemd starts it again). Whatever a peer can make us hold has a cap
 * that is checked before these are called.
 */
/* For a process that lives long: large pieces go back to the system when they are freed. Call it first. */
void mem_start(void);

void *mem_new(size_t size);                     /* zeroed */
void *mem_array(size_t n, size_t size);         /* zeroed, overflow-checked */
void *mem_grow(void *p, size_t n, size_t size); /* realloc, overflow-checked */
/* malloc(3) and realloc(3) with that end, for libraries: some go on without what they could not get. */
void *mem_must(size_t size);
void *mem_must_again(void *p, size_t size);
char *mem_str(const char *s); /* NULL stays NULL */
char *mem_strn(const char *s, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites bytes so that the compiler cannot leave it out. */
void mem_wipe(void *p, size_t len);

#endif
