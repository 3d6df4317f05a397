#include "base/mem.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "tap.h"

static void
grow_too_much(void)
{
	free(mem_grow(NULL, SIZE_MAX / 2, 3));
}

static void
array_too_large(void)
{
	free(mem_array(SIZE_MAX / 2, 3));
}

/* Out of memory ends the process: 1 when it does. */
static int
aborts(void (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(STDERR_FILENO); /* the log line is expected */
		fn();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int
main(void)
{
	unsigned char *p = mem_new(100), *q = mem_array(10, 10);
	int sum = 0;
	char *s, secret[8] = "sekrit";

	for (int i = 0; i < 100; i++)
		sum += p[i] + q[i];
	is_int(sum, 0, "memory is zeroed");
	free(q);
	p[99] = 7;
	p = mem_grow(p, 20, 100);
	is_int(p[99], 7, "grown memory keeps its bytes");
	free(p);
	p = mem_array(0, 10);
	ok(p != NULL, "an empty array is not NULL");
	free(p);

	ok(mem_str(NULL) == NULL, "NULL stays NULL");
	s = mem_str("abc");
	is_str(s, "abc", "a copy");
	free(s);
	s = mem_strn("abcdef", 3);
	is_str(s, "abc", "a copy of some");
	free(s);
	s = mem_printf("%s-%d", "x", 5);
	is_str(s, "x-5", "printed");
	free(s);

	mem_wipe(secret, sizeof secret);
	ok(secret[0] == 0 && secret[5] == 0, "wiped");

	(void)fflush(stdout);
	ok(aborts(grow_too_much), "a product that overflows ends the process");
	ok(aborts(array_too_large), "in mem_array() as well");
	return tap_end();
}
