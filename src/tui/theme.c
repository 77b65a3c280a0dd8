// SPDX-License-Identifier: Apache-2.0
#include "tui/theme.h"

#include <math.h>

#define PLAIN COLOUR_DEFAULT, COLOUR_DEFAULT, COLOUR_DEFAULT

/*
 * For each style: true colour, the nearest of the 256, one of the 16; attributes, and those
 * without colours. No background is set, so that the terminal's own stays.
 * "colour-blind" is made of the colours of Okabe and Ito, and reads on dark and on light.
 */
// clang-format off
const struct theme themes[] = {
    {
        .name = "dark",
        .looks = {
            [STYLE_TEXT] = {PLAIN, 0, 0},
            [STYLE_DIM] = {0x9e9e9e, 247, 8, 0, LOOK_DIM},
            [STYLE_STRONG] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_HEADING] = {0x87afd7, 110, 12, LOOK_BOLD, LOOK_UNDERLINE},
            [STYLE_SORTED] = {0xffd75f, 221, 11, LOOK_BOLD | LOOK_UNDERLINE, LOOK_BOLD | LOOK_UNDERLINE},
            [STYLE_SELECTED] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_KEY] = {0x5fd7ff, 81, 14, LOOK_BOLD, LOOK_BOLD},
            [STYLE_GOOD] = {0x5fd75f, 77, 2, 0, 0},
            [STYLE_WARNING] = {0xffd75f, 221, 11, 0, LOOK_BOLD},
            [STYLE_CRITICAL] = {0xff5f5f, 203, 9, LOOK_BOLD, LOOK_BOLD | LOOK_REVERSE},
            [STYLE_BADGE] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_WEIGHTS] = {0x5f87ff, 69, 12, 0, 0},
            [STYLE_KV_USED] = {0xffaf00, 214, 3, 0, 0},
            [STYLE_KV_FREE] = {0x5faf5f, 71, 2, 0, 0},
            [STYLE_OTHER] = {0xaf87d7, 140, 5, 0, 0},
            [STYLE_ORPHAN] = {0xff5f5f, 203, 9, LOOK_BOLD, LOOK_BOLD},
            [STYLE_UNATTRIBUTED] = {0xb2b2b2, 249, 7, 0, 0},
            [STYLE_FREE] = {0x767676, 243, 8, 0, 0},
            [STYLE_GRAPH_1] = {0xffaf00, 214, 3, 0, 0},
            [STYLE_GRAPH_2] = {0x5f87ff, 69, 12, 0, 0},
            [STYLE_GRAPH_3] = {0x5fd7d7, 80, 6, 0, 0},
        },
    },
    {
        .name = "light",
        .looks = {
            [STYLE_TEXT] = {PLAIN, 0, 0},
            [STYLE_DIM] = {0x6c6c6c, 242, 8, 0, LOOK_DIM},
            [STYLE_STRONG] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_HEADING] = {0x005f87, 24, 4, LOOK_BOLD, LOOK_UNDERLINE},
            [STYLE_SORTED] = {0x5f00af, 55, 5, LOOK_BOLD | LOOK_UNDERLINE, LOOK_BOLD | LOOK_UNDERLINE},
            [STYLE_SELECTED] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_KEY] = {0x005faf, 25, 4, LOOK_BOLD, LOOK_BOLD},
            [STYLE_GOOD] = {0x008700, 28, 2, 0, 0},
            [STYLE_WARNING] = {0x875f00, 94, 3, 0, LOOK_BOLD},
            [STYLE_CRITICAL] = {0xaf0000, 124, 1, LOOK_BOLD, LOOK_BOLD | LOOK_REVERSE},
            [STYLE_BADGE] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_WEIGHTS] = {0x0000d7, 20, 4, 0, 0},
            [STYLE_KV_USED] = {0xaf5f00, 130, 3, 0, 0},
            [STYLE_KV_FREE] = {0x5f8700, 64, 2, 0, 0},
            [STYLE_OTHER] = {0x87008f, 90, 5, 0, 0},
            [STYLE_ORPHAN] = {0xd70000, 160, 1, LOOK_BOLD, LOOK_BOLD},
            [STYLE_UNATTRIBUTED] = {0x585858, 240, COLOUR_DEFAULT, 0, 0},
            [STYLE_FREE] = {0x8a8a8a, 245, 8, 0, 0},
            [STYLE_GRAPH_1] = {0xaf5f00, 130, 3, 0, 0},
            [STYLE_GRAPH_2] = {0x0000d7, 20, 4, 0, 0},
            [STYLE_GRAPH_3] = {0x008787, 30, 6, 0, 0},
        },
    },
    {
        .name = "colour-blind",
        .looks = {
            [STYLE_TEXT] = {PLAIN, 0, 0},
            [STYLE_DIM] = {0x8a8a8a, 245, 8, 0, LOOK_DIM},
            [STYLE_STRONG] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_HEADING] = {0x56b4e9, 74, 6, LOOK_BOLD, LOOK_UNDERLINE},
            [STYLE_SORTED] = {0xe69f00, 178, 3, LOOK_BOLD | LOOK_UNDERLINE, LOOK_BOLD | LOOK_UNDERLINE},
            [STYLE_SELECTED] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_KEY] = {0x56b4e9, 74, 6, LOOK_BOLD, LOOK_BOLD},
            [STYLE_GOOD] = {0x56b4e9, 74, 6, 0, 0},
            [STYLE_WARNING] = {0xe69f00, 178, 3, 0, LOOK_BOLD},
            [STYLE_CRITICAL] = {0xd55e00, 166, 1, LOOK_BOLD | LOOK_REVERSE, LOOK_BOLD | LOOK_REVERSE},
            [STYLE_BADGE] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_WEIGHTS] = {0x0072b2, 25, 4, 0, 0},
            [STYLE_KV_USED] = {0xe69f00, 178, 3, 0, 0},
            [STYLE_KV_FREE] = {0x56b4e9, 74, 6, 0, 0},
            [STYLE_OTHER] = {0xcc79a7, 175, 5, 0, 0},
            [STYLE_ORPHAN] = {0xd55e00, 166, 1, LOOK_BOLD, LOOK_BOLD},
            [STYLE_UNATTRIBUTED] = {0x999999, 246, 7, 0, 0},
            [STYLE_FREE] = {0x8a8a8a, 245, 8, 0, 0},
            [STYLE_GRAPH_1] = {0xe69f00, 178, 3, 0, 0},
            [STYLE_GRAPH_2] = {0x56b4e9, 74, 6, 0, 0},
            [STYLE_GRAPH_3] = {0x009e73, 35, 2, 0, 0},
        },
    },
    {
        .name = "mono",
        .looks = {
            [STYLE_TEXT] = {PLAIN, 0, 0},
            [STYLE_DIM] = {PLAIN, LOOK_DIM, LOOK_DIM},
            [STYLE_STRONG] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_HEADING] = {PLAIN, LOOK_UNDERLINE, LOOK_UNDERLINE},
            [STYLE_SORTED] = {PLAIN, LOOK_BOLD | LOOK_UNDERLINE, LOOK_BOLD | LOOK_UNDERLINE},
            [STYLE_SELECTED] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_KEY] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_GOOD] = {PLAIN, 0, 0},
            [STYLE_WARNING] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_CRITICAL] = {PLAIN, LOOK_BOLD | LOOK_REVERSE, LOOK_BOLD | LOOK_REVERSE},
            [STYLE_BADGE] = {PLAIN, LOOK_REVERSE, LOOK_REVERSE},
            [STYLE_WEIGHTS] = {PLAIN, 0, 0},
            [STYLE_KV_USED] = {PLAIN, 0, 0},
            [STYLE_KV_FREE] = {PLAIN, 0, 0},
            [STYLE_OTHER] = {PLAIN, 0, 0},
            [STYLE_ORPHAN] = {PLAIN, LOOK_BOLD, LOOK_BOLD},
            [STYLE_UNATTRIBUTED] = {PLAIN, 0, 0},
            [STYLE_FREE] = {PLAIN, 0, 0},
            [STYLE_GRAPH_1] = {PLAIN, 0, 0},
            [STYLE_GRAPH_2] = {PLAIN, 0, 0},
            [STYLE_GRAPH_3] = {PLAIN, 0, 0},
        },
    },
};
// clang-format on

const size_t n_themes = ARRAY_LEN(themes);

const struct theme *theme_find(const char *name)
{
    for (size_t i = 0; i < n_themes; i++)
        if (strcmp(themes[i].name, name) == 0)
            return &themes[i];
    return NULL;
}

const char *bar_sign(enum style style, enum glyphs glyphs)
{
    static const struct {
        enum style style;
        const char *sign, *ascii;
    } signs[] = {
        {STYLE_KV_USED, "\xe2\x96\x93", "="}, // three quarters shaded
        {STYLE_KV_FREE, "\xe2\x96\x91", "-"}, // a quarter shaded
        {STYLE_OTHER, "\xe2\x96\xa0", "o"},   // a square
        {STYLE_ORPHAN, "x", "x"},             // to be looked at
        {STYLE_UNATTRIBUTED, "?", "?"},       // nobody knows
        {STYLE_FREE, "\xc2\xb7", "."},        // nothing there
    };

    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (signs[i].style == style)
            return glyphs == GLYPHS_ASCII ? signs[i].ascii : signs[i].sign;
    return glyphs == GLYPHS_ASCII ? "#" : "\xe2\x96\x88"; // full
}

/*
 * Where each part ends, in cells. Each end is rounded by itself; then parts that got no cell
 * take one from the next that has more than one, and if need be from one before.
 */
static void find_ends(const struct bar_part *parts, size_t n, int64_t total, int width,
                      int ends[BAR_PARTS_MAX])
{
    __int128 sum = 0;
    int n_above_0 = 0, end = 0;

    for (size_t i = 0; i < n; i++) {
        sum += MAX(parts[i].value, (int64_t)0);
        sum = MIN(sum, (__int128)total);
        ends[i] = (int)((2 * sum * width + total) / (2 * (__int128)total));
        n_above_0 += parts[i].value > 0;
    }
    if (n == 0 || n_above_0 > width)
        return; // not a cell for each, so those that round to one

    end = MAX(ends[n - 1], n_above_0);
    for (size_t i = 0; i < n; i++) {
        int start = i > 0 ? ends[i - 1] : 0;

        ends[i] = MAX(ends[i], start + (parts[i].value > 0));
    }
    for (size_t i = n; i-- > 0;) {
        ends[i] = MIN(ends[i], end);
        end = ends[i] - (parts[i].value > 0);
    }
}

void bar_draw(struct canvas *canvas, struct place place, enum glyphs glyphs,
              const struct bar_part *parts, size_t n_parts, int64_t total)
{
    int width = MIN(place.width, (int)CANVAS_COLUMNS_MAX), ends[BAR_PARTS_MAX] = {0};
    size_t n = total > 0 ? MIN(n_parts, (size_t)BAR_PARTS_MAX) : 0, part = 0;

    if (place.column >= canvas->columns)
        return;
    find_ends(parts, n, total, MAX(width, 0), ends);
    for (int i = 0; i < width; i++) {
        struct place cell = {place.row, place.column + i, 1};

        while (part < n && ends[part] <= i)
            part++;
        if (part < n)
            (void)canvas_put(canvas, cell, parts[part].style,
                             span_of(bar_sign(parts[part].style, glyphs)));
        else
            (void)canvas_put(canvas, cell, STYLE_TEXT, span_of(" "));
    }
}

/* How values become signs: how many stand in a cell, and how many heights there are. */
static const struct {
    int values, heights;
} scales[N_GLYPHS] = {
    [GLYPHS_BRAILLE] = {2, 4},
    [GLYPHS_BLOCK] = {1, 8},
    [GLYPHS_ASCII] = {1, 7},
};

size_t graph_values(int columns, enum glyphs glyphs)
{
    return columns > 0 ? (size_t)columns * (size_t)scales[glyphs].values : 0;
}

/* The sign for heights from the bottom of a cell; 0 leaves it blank. */
static struct span graph_sign(enum glyphs glyphs, const int heights[2], char room[4])
{
    static const unsigned char left[] = {0, 0x40, 0x44, 0x46, 0x47};
    static const unsigned char right[] = {0, 0x80, 0xa0, 0xb0, 0xb8};
    unsigned bits;

    if (glyphs == GLYPHS_ASCII)
        return (struct span){&" .:-=+*#"[heights[0]], 1};
    if (glyphs == GLYPHS_BRAILLE) {
        bits = left[heights[0]] | right[heights[1]];
        room[1] = (char)(0xa0 | bits >> 6); // U+2800 and the bits
        room[2] = (char)(0x80 | (bits & 0x3f));
    } else {
        bits = (unsigned)heights[0];
        room[1] = (char)0x96; // U+2581, one eighth, and so on
        room[2] = (char)(0x80 + bits);
    }
    room[0] = (char)0xe2;
    return bits ? (struct span){room, 3} : span_of(" ");
}

/* Heights from the bottom of the whole graph. What is known is seen, 0 too. */
static int height_of(float value, double top, int highest)
{
    double ratio = top > 0 ? (double)value / top : 0;

    if (isnan(value) || highest < 1)
        return 0;
    if (!(ratio > 0)) // also what is infinite on both sides
        return 1;
    return ratio >= 1 ? highest : MAX(1, (int)lround(ratio * highest));
}

void graph_draw(struct canvas *canvas, struct place place, int rows, enum glyphs glyphs,
                enum style style, const float *values, size_t n_values, double top)
{
    int columns = MIN(place.width, (int)CANVAS_COLUMNS_MAX),
        per_cell = scales[glyphs].values;
    int per_row = scales[glyphs].heights;
    int64_t missing = (int64_t)graph_values(columns, glyphs) - (int64_t)n_values;

    if (place.column >= canvas->columns || place.row >= canvas->rows)
        return;
    rows = MIN(rows, (int)CANVAS_ROWS_MAX);
    for (int column = 0; column < columns; column++) {
        int height[2] = {0};

        for (int i = 0; i < per_cell; i++) {
            int64_t at = (int64_t)column * per_cell + i - missing;

            height[i] = at < 0 ? 0 : height_of(values[at], top, rows * per_row);
        }
        for (int row = 0; row < rows; row++) {
            struct place cell = {place.row + row, place.column + column, 1};
            int below = (rows - 1 - row) * per_row, heights[2];
            char room[4];

            for (int i = 0; i < 2; i++)
                heights[i] = height[i] > below ? MIN(height[i] - below, per_row) : 0;
            (void)canvas_put(canvas, cell, style, graph_sign(glyphs, heights, room));
        }
    }
}
