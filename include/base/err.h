#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * An error that explains itself, on the caller's stack: nothing to free.
 *
 * What can fail returns 0 or -1 and takes a `struct err *` last (never NULL).
 * The first cause is set once; callers may put context before it; whoever acts
 * on the failure logs or answers it, once.
 *
 * `status` is an HTTP status when the error is meant to answer a client, else 0.
 * `rule` is a static string: the name of the policy rule that refused, or NULL.
 */
struct err {
	int code;         /* errno value, 0 when no system call failed */
	int status;       /* HTTP status for the client, 0 = not decided here */
	const char *rule; /* static, NULL = no rule was involved */
	char text[512];   /* UTF-8, cut when longer; never holds a secret */
};

/* Sets text (%m is errno's text) and code; status 0, no rule. Always returns -1. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A refusal that a client will read: HTTP status, rule and text. Always returns -1. */
int err_refuse(struct err *e, int status, const char *rule, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "context: " before the text, keeps code, status and rule. Always returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

#endif
