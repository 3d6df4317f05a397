#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

/*
 * One line per event on stderr: `level part: text`, with the syslog priority
 * prefix "<N>" when stderr is the journal (sd-daemon(3)). Text that came from a
 * peer must pass through log_quote() first. Secrets are never logged.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Sets what is printed and the program's name; `journal` adds "<N>" prefixes. */
void log_setup(const char *program, enum log_level least, int journal);

/* Later: another level. */
void log_set_level(enum log_level least);

/* "error", "warn", "info"; anything else is debug. */
enum log_level log_level_of(const char *word);

void
log_write(enum log_level level, const char *part, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(part, ...) log_write(LOG_LEVEL_ERROR, part, __VA_ARGS__)
#define log_warn(part, ...) log_write(LOG_LEVEL_WARN, part, __VA_ARGS__)
#define log_info(part, ...) log_write(LOG_LEVEL_INFO, part, __VA_ARGS__)
#define log_debug(part, ...) log_write(LOG_LEVEL_DEBUG, part, __VA_ARGS__)

/*
 * Writes peer bytes as printable ASCII into out (always terminated, cut with
 * "..." when it does not fit): controls, quotes, backslashes and bytes above
 * 0x7e become \xNN. Returns out.
 */
const char *log_quote(const void *bytes, size_t len, char *out, size_t size);

#endif
