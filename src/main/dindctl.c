#include <signal.h>
#include <stdio.h>

#include "cli/cli.h"

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_DFL); /* `dindctl audit show | head` ends quietly */
	return cli_main(argc, (const char *const *)argv, stdin, stdout, stderr);
}
