/*
 * LD_PRELOAD: an allocation that fails at a chosen call. DIND_FAILMALLOC names a file of two 64-bit words,
 * shared with the test: how many allocations the process that opened it has made, and at which of them one
 * fails (0: none). Only that process counts, not what it forks.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void *reallocarray(void *p, size_t n, size_t size);

static struct shared {
	volatile uint64_t count, fail_at;
} * shared;
static pid_t owner;

__attribute__((constructor)) static void
open_shared(void)
{
	const char *path = getenv("DIND_FAILMALLOC");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	owner = getpid();
	shared = at == MAP_FAILED ? NULL : at;
}

static int
fails(void)
{
	void *at[12];

	if (shared == NULL || getpid() != owner || ++shared->count != shared->fail_at)
		return 0;
	backtrace_symbols_fd(at, backtrace(at, 12), STDERR_FILENO);
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	return fails() ? NULL : __libc_realloc(p, size);
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, total);
}
