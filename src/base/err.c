#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
fill(struct err *e, int code, int status, const char *rule, const char *fmt, va_list ap)
{
	e->code = code;
	e->status = status;
	e->rule = rule;
	errno = code; /* for %m */
	(void)vsnprintf(e->text, sizeof e->text, fmt, ap);
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, 0, NULL, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_refuse(struct err *e, int status, const char *rule, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, 0, status, rule, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char context[sizeof e->text], whole[2 * sizeof e->text + 2];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	(void)snprintf(whole, sizeof whole, "%s: %s", context, e->text);
	whole[sizeof e->text - 1] = '\0';
	memcpy(e->text, whole, strlen(whole) + 1);
	return -1;
}

void
err_clear(struct err *e)
{
	*e = (struct err){ 0 };
}
