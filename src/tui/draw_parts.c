// SPDX-License-Identifier: Apache-2.0
#include "tui/draw_parts.h"

#include "tui/display_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { PEN_TEXT_SIZE = 2048 };

int clamp(int low, int value, int high)
{
    if (value > high)
        value = high;
    return MAX(low, value);
}

struct area area_top(struct area *area, int rows)
{
    struct area cut = {area->row, clamp(0, rows, area->rows)};

    area->row += cut.rows;
    area->rows -= cut.rows;
    return cut;
}

struct area area_bottom(struct area *area, int rows)
{
    struct area cut = {0, clamp(0, rows, area->rows)};

    area->rows -= cut.rows;
    cut.row = area->row + area->rows;
    return cut;
}

struct pen pen_at(struct drawing *drawing, int row, int column)
{
    return (struct pen){drawing, row, column, drawing->canvas->columns, false};
}

int pen_room(const struct pen *pen)
{
    return MAX(0, pen->end - pen->column);
}

static enum style pen_style(const struct pen *pen, enum style style)
{
    return pen->faded && style != STYLE_BADGE ? STYLE_DIM : style;
}

static struct place pen_place(const struct pen *pen, int width)
{
    return (struct place){pen->row, pen->column, MIN(width, pen_room(pen))};
}

void pen_print(struct pen *pen, enum style style, const char *format, ...)
{
    char text[PEN_TEXT_SIZE];
    va_list args;

    if (pen_room(pen) == 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pen->column += canvas_put(pen->drawing->canvas, pen_place(pen, pen_room(pen)),
                              pen_style(pen, style), span_of(text));
}

/*
 * What does not fit into the line is left out, since half a number is another number; what
 * does not fit into its field takes more.
 */
void pen_right(struct pen *pen, int width, enum style style, const char *text)
{
    width = MAX(width, display_width(span_of(text)));
    if (width <= pen_room(pen))
        (void)canvas_put_right(pen->drawing->canvas, pen_place(pen, width),
                               pen_style(pen, style), span_of(text));
    pen_skip(pen, width);
}

void pen_badge(struct pen *pen, const char *text)
{
    pen_print(pen, STYLE_BADGE, " %s ", text);
}

void pen_skip(struct pen *pen, int cells)
{
    pen->column += MIN(cells, pen_room(pen));
}

void pen_to(struct pen *pen, int column)
{
    pen_skip(pen, MAX(0, column - pen->column));
}

void pen_cut(struct pen *pen, int width, enum style style, const char *text)
{
    int end = pen->column + MIN(width, pen_room(pen));
    struct span whole = span_of(text ? text : "");
    struct place place = pen_place(pen, end - pen->column - 1);
    enum style look = pen_style(pen, style);

    if (display_width(whole) <= end - pen->column) {
        pen_print(pen, style, "%s", whole.at);
    } else if (end > pen->column) {
        place.column += canvas_put(pen->drawing->canvas, place, look, whole);
        place.width = 1;
        (void)canvas_put(pen->drawing->canvas, place, look,
                         span_of(pen->drawing->signs->more));
    }
    pen->column = end;
}

void pen_tail(struct pen *pen, int width, enum style style, const char *text)
{
    int end = pen->column + MIN(width, pen_room(pen));
    struct span rest = span_of(text);
    bool cut = false;
    struct sign sign;

    while (display_width(rest) + cut > end - pen->column &&
           display_next(&rest, pen->drawing->view->glyphs == GLYPHS_ASCII, &sign))
        cut = true;
    if (cut)
        pen_print(pen, style, "%s", pen->drawing->signs->more);
    pen_print(pen, style, "%.*s", (int)rest.len, rest.at);
    pen->column = end;
}

/*
 * Of Organisation/Model-Name or /a/long/path/Model-Name the end tells more, as long as it
 * fits; else the beginning.
 */
void pen_fit(struct pen *pen, int width, enum style style, const char *text)
{
    const char *slash = text ? strrchr(text, '/') : NULL;
    int end = pen->column + MIN(width, pen_room(pen)), room = end - pen->column;

    if (slash && slash[1] && display_width(span_of(text)) > room &&
        display_width(span_of(slash)) < room)
        pen_print(pen, style, "%s%s", pen->drawing->signs->more, slash);
    else
        pen_cut(pen, width, style, text);
    pen->column = end;
}

void draw_rule(struct drawing *drawing, int row, const char *title, const char *note)
{
    struct pen pen = pen_at(drawing, row, 0);
    int note_width = note && note[0] ? display_width(span_of(note)) + 2 : 0;

    for (int i = 0; i < drawing->canvas->columns; i++)
        pen_print(&pen, STYLE_DIM, "%s", drawing->signs->rule);
    pen = pen_at(drawing, row, 1);
    if (title[0]) {
        pen.end = MIN(pen.end, pen.column + display_width(span_of(title)) + 2);
        pen_print(&pen, STYLE_HEADING, " %s ", title);
    }
    pen.end = drawing->canvas->columns;
    if (note_width == 0 || note_width + 2 > pen_room(&pen))
        return;
    pen_to(&pen, pen.end - note_width - 1);
    pen_print(&pen, STYLE_DIM, " %s ", note);
}

struct pen sheet_line(struct sheet *sheet)
{
    struct pen none = {.drawing = sheet->drawing};
    size_t line = sheet->line++;

    if (line < sheet->top || line - sheet->top >= (size_t)sheet->area.rows)
        return none;
    return pen_at(sheet->drawing, sheet->area.row + (int)(line - sheet->top), 1);
}

/* The next word with the blanks before it. */
static struct span next_word(struct span *text)
{
    struct span word = {text->at, 0};

    while (word.len < text->len && text->at[word.len] == ' ')
        word.len++;
    while (word.len < text->len && text->at[word.len] != ' ')
        word.len++;
    text->at += word.len;
    text->len -= word.len;
    return word;
}

static struct span without_blanks(struct span word)
{
    while (word.len && word.at[0] == ' ') {
        word.at++;
        word.len--;
    }
    return word;
}

void sheet_wrap(struct sheet *sheet, int indent, enum style style, const char *format,
                ...)
{
    int columns = sheet->drawing->canvas->columns;
    int room = clamp(1, columns - indent - 2, 110), taken = 0;
    char text[PEN_TEXT_SIZE];
    struct span rest, word;
    struct pen pen;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    rest = span_of(text);
    pen = sheet_line(sheet);
    pen_skip(&pen, indent);
    while ((word = next_word(&rest)).len) {
        if (taken && taken + display_width(word) > room) {
            pen = sheet_line(sheet);
            pen_skip(&pen, indent);
            taken = 0;
        }
        if (taken == 0)
            word = without_blanks(word);
        taken += display_width(word);
        pen_print(&pen, style, "%.*s", (int)word.len, word.at);
    }
}

void sheet_draw(struct drawing *drawing, struct area area, struct sheet_look look,
                sheet_fn *write, const void *ctx)
{
    struct sheet sheet = {.drawing = drawing};
    struct area rule = area_top(&area, area.rows > 3);
    struct area heading = area_top(&area, look.heading && area.rows > 2);
    struct pen pen = pen_at(drawing, heading.row, 1);
    size_t *top = &drawing->view->top, most;
    char note[64] = "";

    write(&sheet, ctx);
    most = sheet.line > (size_t)area.rows ? sheet.line - (size_t)area.rows : 0;
    *top = MIN(*top, most);
    drawing->view->lines = sheet.line;
    drawing->view->page = (size_t)area.rows;
    if (most)
        snprintf(note, sizeof(note), "%zu-%zu of %zu", *top + 1, *top + (size_t)area.rows,
                 sheet.line);
    if (rule.rows)
        draw_rule(drawing, rule.row, look.title, note);
    if (heading.rows)
        pen_print(&pen, STYLE_HEADING, "%s", look.heading);
    sheet = (struct sheet){.drawing = drawing, .area = area, .top = *top};
    write(&sheet, ctx);
}
