#ifndef BASE_SETTINGS_VALUE_H
#define BASE_SETTINGS_VALUE_H

#include <jansson.h>

#include "base/settings.h"

/* One value of one row, between JSON, memory and text. Internal to settings. */

/* Stores the value; -1 when the row does not take it (nothing is changed then). */
int setting_set(const struct setting_row *row, void *field, const json_t *value);

/* The row's default as JSON; new reference. */
json_t *setting_default(const struct setting_row *row);

void setting_print(const struct setting_row *row, const void *field, struct buf *out);
void setting_swap(const struct setting_row *row, void *one, void *other);
void setting_free(const struct setting_row *row, void *field);

#endif
