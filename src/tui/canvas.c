// SPDX-License-Identifier: Apache-2.0
#include "tui/canvas.h"

#include "tui/display_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { PRINTF_SIZE = 4096 };

_Static_assert(CELL_TEXT_SIZE == sizeof(((struct sign *)NULL)->text),
               "a cell holds a sign");

static const struct cell blank = {.text = " ", .style = STYLE_TEXT};

static int clamp(int value, int high)
{
    return value < 1 ? 1 : MIN(value, high);
}

int canvas_resize(struct canvas *canvas, int rows, int columns)
{
    struct cell *cells;

    rows = clamp(rows, CANVAS_ROWS_MAX);
    columns = clamp(columns, CANVAS_COLUMNS_MAX);
    cells = realloc(canvas->cells, (size_t)rows * (size_t)columns * sizeof(*cells));
    if (!cells)
        return -ENOMEM;

    canvas->cells = cells;
    canvas->rows = rows;
    canvas->columns = columns;
    canvas_clear(canvas);
    return 0;
}

void canvas_done(struct canvas *canvas)
{
    if (!canvas)
        return;
    free(canvas->cells);
    *canvas = (struct canvas){0};
}

void canvas_clear(struct canvas *canvas)
{
    size_t n = (size_t)canvas->rows * (size_t)canvas->columns;

    for (size_t i = 0; i < n; i++)
        canvas->cells[i] = blank;
}

static struct cell *cell_at(const struct canvas *canvas, int row, int column)
{
    if (row < 0 || row >= canvas->rows || column < 0 || column >= canvas->columns)
        return NULL;
    return &canvas->cells[(size_t)row * (size_t)canvas->columns + (size_t)column];
}

const struct cell *canvas_at(const struct canvas *canvas, int row, int column)
{
    return cell_at(canvas, row, column);
}

/* The part of the field that is on the canvas; its width is 0 if there is none. */
static struct place cut(const struct canvas *canvas, struct place place)
{
    int64_t end = (int64_t)place.column + place.width;

    place.column = MAX(place.column, 0);
    end = MIN(end, (int64_t)canvas->columns);
    if (place.row < 0 || place.row >= canvas->rows || end <= place.column)
        place.width = 0;
    else
        place.width = (int)(end - place.column);
    return place;
}

/* Half a wide sign is no sign: where one half is about to go, the other becomes blank. */
static void part_wide_sign(const struct canvas *canvas, int row, int column)
{
    struct cell *cell = cell_at(canvas, row, column);
    struct cell *left = cell_at(canvas, row, column - 1);

    if (!cell || cell->text[0] != '\0' || !left)
        return;
    cell->text[0] = left->text[0] = ' ';
    cell->text[1] = left->text[1] = '\0';
}

static void set_sign(const struct canvas *canvas, struct place at, enum style style,
                     const struct sign *sign)
{
    struct cell *cell = cell_at(canvas, at.row, at.column);

    part_wide_sign(canvas, at.row, at.column);
    part_wide_sign(canvas, at.row, at.column + sign->width);
    memcpy(cell->text, sign->text, sizeof(cell->text));
    cell->style = (uint8_t)style;
    if (sign->width == 2)
        cell[1] = (struct cell){.style = (uint8_t)style};
}

int canvas_put(struct canvas *canvas, struct place place, enum style style,
               struct span text)
{
    struct sign sign = {0};
    int taken = 0;

    place = cut(canvas, place);
    while (taken < place.width && display_next(&text, canvas->ascii, &sign)) {
        if (sign.width > place.width - taken)
            break;
        set_sign(canvas, (struct place){place.row, place.column + taken, 0}, style,
                 &sign);
        taken += sign.width;
    }
    return taken;
}

/* Cells of as much of the text as fits. */
static int fitting(const struct canvas *canvas, struct span text, int width)
{
    struct sign sign = {0};
    int taken = 0;

    while (taken < width && display_next(&text, canvas->ascii, &sign)) {
        if (sign.width > width - taken)
            break;
        taken += sign.width;
    }
    return taken;
}

int canvas_put_right(struct canvas *canvas, struct place place, enum style style,
                     struct span text)
{
    int width;

    place = cut(canvas, place);
    width = fitting(canvas, text, place.width);
    place.column += place.width - width;
    place.width = width;
    return canvas_put(canvas, place, style, text);
}

int canvas_printf(struct canvas *canvas, struct place place, enum style style,
                  const char *format, ...)
{
    char text[PRINTF_SIZE];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return n < 0 ? 0 : canvas_put(canvas, place, style, span_of(text));
}

void canvas_tint(struct canvas *canvas, struct place place, enum style style)
{
    place = cut(canvas, place);
    for (int i = 0; i < place.width; i++)
        cell_at(canvas, place.row, place.column + i)->style = (uint8_t)style;
}
