#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include <jansson.h>
#include <stddef.h>

struct buf;
struct err;
struct sign_key;

/*
 * `artifact verify`: is a file what a record says of it, and is the record what a key has signed? Everything
 * that is read here may come from anybody.
 */

/* A record from its text (task/evidence.h): new reference, NULL with e. */
json_t *verify_record(const void *text, size_t len, struct err *e);

/* A statement from the text of its envelope: its signature is checked first. New reference, NULL with e. */
json_t *verify_statement(const void *text, size_t len, const struct sign_key *key, struct err *e);

/*
 * Size and both hashes of the file, then its content: the tarball's hash, the image's id (the digest of its
 * config) and every layer. Each fact that holds is a line in `said`; -1 names the first that does not, and
 * both values.
 */
int verify_file(const char *path, const json_t *record, struct buf *said, struct err *e);

#endif
