#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct buf;
struct client;
struct err;

/*
 * Artifacts on their way: the table, the progress line, and waiting for the end. Progress goes to a
 * terminal as one line that is written anew, to anything else as a line every two seconds.
 */
struct watch_sum {
	size_t count, done, failed;
	int64_t bytes; /* moved so far, of all */
};

/* The list in an answer: the answer itself, or its member "artifacts". Borrowed, NULL when there is none. */
const json_t *watch_list(const json_t *answer);

void watch_sum(const json_t *list, struct watch_sum *sum);

/*
 * One line, without a newline, at most `width` characters when that is not 0:
 *   [0:12] 1 of 3 done: uploading 45% of 266.1 MiB, 31.2 MiB/s  public/image.tar.zst
 * rate is in bytes a second, 0 = not known.
 */
void watch_line(const json_t *list, int64_t elapsed, int64_t rate, size_t width, struct buf *out);

/* The table of artifacts. */
void watch_table(const json_t *list, FILE *f);

/*
 * Asks for the artifacts at path until each is done or failed; *answer is the last one, a new reference.
 * 0 when it ended, whatever the states are; -1 with e (timeout > 0: after so many seconds). A service that
 * restarts meanwhile is waited for.
 */
int
watch_wait(struct client *k, const char *path, long timeout, FILE *progress, json_t **answer, struct err *e);

/* 0 when all is done; -1 with e naming what failed and why. */
int watch_result(const json_t *list, struct err *e);

#endif
