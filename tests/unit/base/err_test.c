#include "base/err.h"

#include <errno.h>

#include "tap.h"

int
main(void)
{
	struct err e = { 0 };
	char big[700];

	is_int(err_set(&e, ENOENT, "cannot open '%s': %m", "x"), -1, "err_set returns -1");
	is_str(e.text, "cannot open 'x': No such file or directory", "%m is of the code that was given");
	is_int(e.code, ENOENT, "code");
	ok(e.status == 0 && e.rule == NULL, "no status, no rule");

	is_int(err_refuse(&e, 403, "base-image", "no %d", 7), -1, "err_refuse returns -1");
	is_str(e.text, "no 7", "text");
	is_int(e.status, 403, "status");
	is_str(e.rule, "base-image", "rule");
	is_int(e.code, 0, "no code is left");

	is_int(err_wrap(&e, "line %d", 3), -1, "err_wrap returns -1");
	is_str(e.text, "line 3: no 7", "context stands before");
	ok(e.status == 403 && strcmp(e.rule, "base-image") == 0, "status and rule stay");

	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	(void)err_set(&e, 0, "%s", big);
	is_int(strlen(e.text), sizeof e.text - 1, "a long text is cut");
	(void)err_wrap(&e, "%s", big);
	is_int(strlen(e.text), sizeof e.text - 1, "a long context too");

	err_clear(&e);
	ok(e.text[0] == '\0' && e.status == 0 && e.rule == NULL && e.code == 0, "clear");
	return tap_end();
}
