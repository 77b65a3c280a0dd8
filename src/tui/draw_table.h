// SPDX-License-Identifier: Apache-2.0
/*
 * draw_table.h - what the tables of models and of nodes have in common
 */
#ifndef TUI_DRAW_TABLE_H
#define TUI_DRAW_TABLE_H

#include "tui/draw_parts.h"

struct draw_table {
    const char *title;     // of what its rows are
    const char *sorted_by; // a column that has no room; NULL: it is seen
    size_t rows;
    size_t hidden; // by the filter
    size_t chosen; // a row
};

/* So that the chosen row is among the `n` shown, and no line is left blank in vain. */
void draw_table_top(struct view *view, const struct draw_table *table, size_t n);

/* How many there are, and why they are these, in this order. */
void draw_table_rule(struct drawing *drawing, int row, const struct draw_table *table,
                     size_t n);

/* The line is that of the chosen row. */
void draw_table_chosen(struct drawing *drawing, int line);

/* A column's title, beside it the sign of the order if rows are sorted by it; else NULL. */
void draw_table_title(struct pen *pen, int width, bool left, const char *name,
                      const char *sign);

/* A bar in a column; a total of 0 is not known: blank. */
void draw_table_bar(struct pen *pen, int width, const struct bar_part *parts, size_t n,
                    int64_t total);

enum { CELL_SIZE = 64 };

/* What a column tells of a row. */
struct cell_words {
    char text[CELL_SIZE];
    enum style style;
};

/* What is not known is dim. */
void cell_set_count(struct cell_words *ret, int64_t count);
void cell_set_waiting(struct cell_words *ret, int64_t requests);
void cell_set_hit(struct cell_words *ret, double percent);
void cell_set_kv_percent(struct cell_words *ret, const struct drawing *drawing,
                         double percent);
void cell_set_age(struct cell_words *ret, int64_t age_ms);

#endif
