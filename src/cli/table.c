#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/text.h"

struct line {
	char **cells; /* columns of them; NULL for a note */
	char *label, *note;
};

struct table {
	size_t columns, count, room;
	char **heads;
	size_t *widths;
	struct line *lines;
};

static char *
safe(const char *s)
{
	struct buf b = { 0 };
	char *copy;

	text_safe(&b, s != NULL ? s : "");
	copy = mem_str(buf_text(&b));
	buf_done(&b);
	return copy;
}

static const char *
title(const char *head)
{
	return head + (head[0] == '>');
}

struct table *
table_new(const char *const *heads, size_t columns)
{
	struct table *t = mem_new(sizeof *t);

	t->heads = mem_array(columns, sizeof *t->heads);
	t->columns = columns;
	t->widths = mem_array(columns, sizeof *t->widths);
	for (size_t i = 0; i < columns; i++) {
		t->heads[i] = safe(heads[i]);
		t->widths[i] = strlen(title(t->heads[i]));
	}
	return t;
}

static struct line *
add(struct table *t)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 16;
		t->lines = mem_grow(t->lines, t->room, sizeof *t->lines);
	}
	t->lines[t->count] = (struct line){ 0 };
	return &t->lines[t->count++];
}

void
table_row(struct table *t, const char *const *cells)
{
	struct line *line = add(t);

	line->cells = mem_array(t->columns, sizeof *line->cells);
	for (size_t i = 0; i < t->columns; i++) {
		size_t width;

		line->cells[i] = safe(cells[i]);
		width = strlen(line->cells[i]);
		if (width > t->widths[i])
			t->widths[i] = width;
	}
}

void
table_note(struct table *t, const char *label, const char *text)
{
	struct line *line = add(t);

	line->label = safe(label);
	line->note = safe(text);
}

static void
put_cell(const struct table *t, size_t i, const char *text, struct buf *line)
{
	int width = (int)t->widths[i];

	buf_printf(line, t->heads[i][0] == '>' ? "%s%*s" : "%s%-*s", i > 0 ? "  " : "", width, text);
}

/* No spaces at the end of a line. */
static void
put_line(struct buf *line, FILE *f)
{
	while (buf_len(line) > 0 && line->data[line->tail - 1] == ' ')
		line->tail--;
	fprintf(f, "%s\n", buf_text(line));
	buf_clear(line);
}

void
table_print(const struct table *t, FILE *f)
{
	struct buf line = { 0 };

	for (size_t i = 0; i < t->columns && t->count > 0; i++)
		put_cell(t, i, title(t->heads[i]), &line);
	if (t->count > 0)
		put_line(&line, f);
	for (size_t n = 0; n < t->count; n++) {
		const struct line *row = &t->lines[n];

		if (row->cells == NULL)
			buf_printf(&line, "    %s: %s", row->label, row->note);
		for (size_t i = 0; i < t->columns && row->cells != NULL; i++)
			put_cell(t, i, row->cells[i], &line);
		put_line(&line, f);
	}
	buf_done(&line);
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t n = 0; n < t->count; n++) {
		for (size_t i = 0; i < t->columns && t->lines[n].cells != NULL; i++)
			free(t->lines[n].cells[i]);
		free(t->lines[n].cells);
		free(t->lines[n].label);
		free(t->lines[n].note);
	}
	for (size_t i = 0; i < t->columns; i++)
		free(t->heads[i]);
	free(t->heads);
	free(t->lines);
	free(t->widths);
	free(t);
}
