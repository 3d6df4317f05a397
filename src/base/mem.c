#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void *
must(void *p)
{
	if (p == NULL) {
		log_error("mem", "out of memory");
		abort();
	}
	return p;
}

void
mem_start(void)
{
	/* glibc would raise the first by itself up to 32 MiB, and keep what one burst took; the second keeps
	 * it from asking the system for every piece just below the first */
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

void *
mem_new(size_t size)
{
	return must(calloc(1, size));
}

void *
mem_array(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size));
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	return must(reallocarray(p, n ? n : 1, size));
}

void *
mem_must(size_t size)
{
	return must(malloc(size ? size : 1));
}

void *
mem_must_again(void *p, size_t size)
{
	return must(realloc(p, size ? size : 1));
}

char *
mem_str(const char *s)
{
	return s == NULL ? NULL : mem_strn(s, strlen(s));
}

char *
mem_strn(const char *s, size_t len)
{
	char *copy = must(malloc(len + 1));

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : s);
}

void
mem_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}
