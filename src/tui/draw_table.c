// SPDX-License-Identifier: Apache-2.0
#include "tui/draw_table.h"

#include <stdio.h>

void draw_table_top(struct view *view, const struct draw_table *table, size_t n)
{
    size_t chosen = MIN(table->chosen, table->rows ? table->rows - 1 : 0);

    if (view->top > chosen)
        view->top = chosen;
    else if (n && chosen - view->top >= n)
        view->top = chosen - n + 1;
    view->top = MIN(view->top, table->rows > n ? table->rows - n : 0);
    view->lines = table->rows;
    view->page = n;
}

void draw_table_rule(struct drawing *drawing, int row, const struct draw_table *table,
                     size_t n)
{
    const struct view *view = drawing->view;
    char title[64], note[160] = "";
    size_t at = 0;

    (void)snprintf(title, sizeof(title), "%s %zu%s%s", table->title, table->rows,
                   table->sorted_by ? " by " : "",
                   table->sorted_by ? table->sorted_by : "");
    if (view->input[0] && !view->typing)
        at = (size_t)snprintf(note, sizeof(note), "filter %s", view->input);
    if (table->hidden && at < sizeof(note))
        at += (size_t)snprintf(note + at, sizeof(note) - at, "%s%zu hidden",
                               at ? ": " : "", table->hidden);
    if (table->rows > n && at < sizeof(note))
        (void)snprintf(note + at, sizeof(note) - at, "%s%zu-%zu of %zu", at ? "  " : "",
                       view->top + 1, view->top + n, table->rows);
    draw_rule(drawing, row, title, note);
}

void draw_table_chosen(struct drawing *drawing, int line)
{
    struct pen pen = pen_at(drawing, line, 0);

    canvas_tint(drawing->canvas, (struct place){line, 0, drawing->canvas->columns},
                STYLE_SELECTED);
    pen_print(&pen, STYLE_SELECTED, "%s", drawing->signs->chosen);
}
