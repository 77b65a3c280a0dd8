// SPDX-License-Identifier: Apache-2.0
/*
 * theme.h - how what a cell means looks: colours, and the signs bars and graphs are made of
 */
#ifndef TUI_THEME_H
#define TUI_THEME_H

#include "tui/canvas.h"

/* Attributes beside the colours, also where there are none. */
enum {
    LOOK_BOLD = 1,
    LOOK_DIM = 2,
    LOOK_REVERSE = 4,
    LOOK_UNDERLINE = 8,
};

enum { COLOUR_DEFAULT = -1 };

struct look {
    int rgb;     // foreground 0xRRGGBB or COLOUR_DEFAULT, for true colour
    int palette; // of 256, or COLOUR_DEFAULT
    int basic;   // of 8 and bright ones of 16, or COLOUR_DEFAULT
    int attributes;
    int mono_attributes; // where there are no colours
};

struct theme {
    const char *name; // "dark", "light", "colour-blind", "mono"
    struct look looks[N_STYLES];
};

extern const struct theme themes[];
extern const size_t n_themes;

/* NULL: there is none of that name. */
const struct theme *theme_find(const char *name);

/* What bars and graphs are drawn with, from the finest to what every terminal has. */
enum glyphs { GLYPHS_BRAILLE, GLYPHS_BLOCK, GLYPHS_ASCII, N_GLYPHS };

enum { BAR_PARTS_MAX = 16 }; // others are not drawn

/* One part of a stacked bar. Beside its colour each style of a part has a sign of its own. */
struct bar_part {
    int64_t value; // negative counts as 0
    enum style style;
};

/*
 * A stacked bar over the whole field; `total` is its full length. Rounding keeps the sum:
 * the ends of the parts are rounded, not their lengths, and a part above 0 has a cell
 * where there are enough of them. What the parts leave of the total stays blank.
 */
void bar_draw(struct canvas *canvas, struct place place, enum glyphs glyphs,
              const struct bar_part *parts, size_t n_parts, int64_t total);

/* The sign a part of that style is drawn with, for the legend. */
const char *bar_sign(enum style style, enum glyphs glyphs);

/*
 * A graph over `rows` lines of the field, newest value at the right, NAN a gap. Values are
 * scaled from 0 to `top`; a known one is seen, 0 too. Braille holds two values a cell.
 */
void graph_draw(struct canvas *canvas, struct place place, int rows, enum glyphs glyphs,
                enum style style, const float *values, size_t n_values, double top);

/* How many values fit into so many cells. */
size_t graph_values(int columns, enum glyphs glyphs);

#endif
