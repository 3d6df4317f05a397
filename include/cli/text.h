#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct buf;

/*
 * Text for people. Everything that came from a task or from the service is written by text_safe() or as a
 * table's cell: printable ASCII stays, all else becomes \xNN, so that nothing can move the cursor, hide text
 * or change its direction.
 */
void text_safe(struct buf *out, const char *s);

/* The same to a file. */
void text_put(FILE *f, const char *s);

enum { TEXT_MAX = 32 };

const char *text_size(int64_t bytes, char out[TEXT_MAX]);  /* "12.5 MiB", "<0.1 MiB", "16.0 GiB" */
const char *text_age(int64_t seconds, char out[TEXT_MAX]); /* "12s", "5m", "3h", "2d" */

/* A value as a cell: strings as they are, "yes"/"no", "" for null and absent, "a, b" for lists. Caller frees.
 */
char *text_cell(const json_t *value);

/*
 * Aligned columns. A head that starts with '>' aligns to the right. Rows are kept until table_print(), which
 * prints nothing when there are none.
 */
struct table;

struct table *table_new(const char *const *heads, size_t columns);
void table_row(struct table *t, const char *const *cells);             /* NULL cells are empty; copies */
void table_note(struct table *t, const char *label, const char *text); /* a line below the last row */
void table_print(const struct table *t, FILE *f);
void table_free(struct table *t);

/* An answer of the service in a form for people, whatever its members are: keys, values, tables of lists. */
void text_show(FILE *f, const json_t *object);

/* The answer as JSON, indented. */
void text_json(FILE *f, const json_t *value);

#endif
