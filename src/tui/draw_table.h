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

#endif
