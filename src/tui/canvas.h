// SPDX-License-Identifier: Apache-2.0
/*
 * canvas.h - a grid of cells to draw a screen on, whatever it will be shown by
 *
 * canvas_put() is the only way text gets onto it, and through it onto the terminal: it
 * passes display_text (display_text.h), so that no byte from a server can be more than a
 * sign in the cells it was given. A canvas knows no colours, only what a cell means; the
 * theme gives that a look (theme.h). What does not fit is cut, never wrapped.
 */
#ifndef TUI_CANVAS_H
#define TUI_CANVAS_H

#include "base/base.h"

enum {
    CANVAS_ROWS_MAX = 500,
    CANVAS_COLUMNS_MAX = 1000,
    CELL_TEXT_SIZE = 16, // one sign with at most two combining ones, and its NUL
};

/* What a cell means. */
enum style {
    STYLE_TEXT,
    STYLE_DIM,      // labels, what is not known
    STYLE_STRONG,   // the figures that matter
    STYLE_HEADING,  // of columns and boxes
    STYLE_SORTED,   // the heading that the table is sorted by
    STYLE_SELECTED, // the chosen row
    STYLE_KEY,      // a key in the line of keys
    STYLE_GOOD,     // below all thresholds
    STYLE_WARNING,
    STYLE_CRITICAL,
    STYLE_BADGE, // STALE, SLEEPING, ...: shown reversed
    STYLE_WEIGHTS,
    STYLE_KV_USED,
    STYLE_KV_FREE,
    STYLE_OTHER,
    STYLE_ORPHAN,
    STYLE_UNATTRIBUTED,
    STYLE_FREE,
    STYLE_GRAPH_1, // three series of one box
    STYLE_GRAPH_2,
    STYLE_GRAPH_3,
    N_STYLES,
};

struct cell {
    char text[CELL_TEXT_SIZE]; // "": the right half of a wide sign before it
    uint8_t style;
};

struct canvas {
    int rows, columns;
    struct cell *cells; // rows x columns, line by line
    bool ascii;         // what is not ASCII becomes '?': the locale has nothing else
};

/*
 * Make it so large, blank; lengths beyond the maxima are cut, below 1 they are 1. A zeroed
 * canvas has no cell and may be drawn on. -ENOMEM: it stays as it was.
 */
int canvas_resize(struct canvas *canvas, int rows, int columns) MUST_CHECK;
void canvas_done(struct canvas *canvas);
void canvas_clear(struct canvas *canvas);

struct place {
    int row, column;
    int width; // of the field, in cells
};

/*
 * Put text into a field. Returns the cells it took, at most `width` and what the canvas
 * has. At the first sign that does not fit as a whole the text ends; the rest of the field
 * stays as it is.
 */
int canvas_put(struct canvas *canvas, struct place place, enum style style,
               struct span text);

/* The same at the right end of the field. */
int canvas_put_right(struct canvas *canvas, struct place place, enum style style,
                     struct span text);

int canvas_printf(struct canvas *canvas, struct place place, enum style style,
                  const char *format, ...) PRINTF_LIKE(4, 5);

/* Give every cell of a field this style, as the chosen row has. */
void canvas_tint(struct canvas *canvas, struct place place, enum style style);

/* The cell's text; NULL outside. */
const struct cell *canvas_at(const struct canvas *canvas, int row, int column);

#endif
