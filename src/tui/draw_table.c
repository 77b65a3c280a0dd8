// SPDX-License-Identifier: Apache-2.0
#include "tui/draw_table.h"

#include <math.h>
#include <stdio.h>

enum { TITLE_LEAST = 4 }; // cells that say anything

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

void draw_table_title(struct pen *pen, int width, bool left, const char *name,
                      const char *sign)
{
    enum style style = sign ? STYLE_SORTED : STYLE_HEADING;
    struct pen mark = *pen;

    if (left && width < TITLE_LEAST)
        pen_skip(pen, width);
    else if (left)
        pen_cut(pen, width, style, name);
    else
        pen_right(pen, width, style, name);
    // Beside the name: before it where it ends at the right, or behind it.
    mark.column += left ? (int)strlen(name) : width - (int)strlen(name) - 1;
    if (sign && mark.column >= 0 && mark.column < pen->column)
        pen_print(&mark, style, "%s", sign);
}

void draw_table_bar(struct pen *pen, int width, const struct bar_part *parts, size_t n,
                    int64_t total)
{
    struct place place = {pen->row, pen->column, MIN(width, pen_room(pen))};

    pen_skip(pen, width);
    if (total <= 0 || place.width < 1)
        return;
    bar_draw(pen->drawing->canvas, place, pen->drawing->view->glyphs, parts, n, total);
    if (pen->faded)
        canvas_tint(pen->drawing->canvas, place, STYLE_DIM);
}

void cell_set_count(struct cell_words *ret, int64_t count)
{
    count_text(ret->text, count);
    ret->style = is_known(count) ? STYLE_TEXT : STYLE_DIM;
}

/* Who waits while blocks are short is what an operator looks for. */
void cell_set_waiting(struct cell_words *ret, int64_t requests)
{
    cell_set_count(ret, requests);
    if (requests > 0)
        ret->style = STYLE_STRONG;
}

void cell_set_hit(struct cell_words *ret, double percent)
{
    percent_text(ret->text, percent);
    ret->style = isnan(percent) ? STYLE_DIM : STYLE_TEXT;
}

void cell_set_kv_percent(struct cell_words *ret, const struct drawing *drawing,
                         double percent)
{
    const char *alarm = kv_alarm(drawing, percent);
    char words[FIGURE_TEXT_SIZE];

    percent_short(words, percent);
    snprintf(ret->text, sizeof(ret->text), "%s%s%s", alarm, alarm[0] ? " " : "", words);
    ret->style = kv_style(percent);
}

void cell_set_age(struct cell_words *ret, int64_t age_ms)
{
    age_text(ret->text, age_ms);
    ret->style = STYLE_DIM;
}
