// SPDX-License-Identifier: Apache-2.0
#include "tui/theme.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { COLUMNS_MAX = 80, ROUNDS = 20000 };

static const enum style part_styles[] = {STYLE_WEIGHTS, STYLE_KV_USED, STYLE_KV_FREE,
                                         STYLE_OTHER,   STYLE_ORPHAN,  STYLE_UNATTRIBUTED,
                                         STYLE_FREE};

static const char *line(const struct canvas *canvas, int row)
{
    static char text[COLUMNS_MAX * 4 + 1];
    size_t len = 0;

    for (int i = 0; i < canvas->columns; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
                                canvas_at(canvas, row, i)->text);
    return text;
}

static void make(struct canvas *canvas, int rows, int columns)
{
    *canvas = (struct canvas){0};
    assert_int_equal(canvas_resize(canvas, rows, columns), 0);
}

#define GIB (INT64_C(1) << 30)
#define TEN "##########"

/* Values of weights, KV used, KV free, other, orphan, unattributed, free. */
// clang-format off
static const struct {
    const char *row;
    int64_t values[ARRAY_LEN(part_styles)];
    int64_t total;
    int width;
    const char *cells;
} bars[] = {
    {"halves in one cell: the first, whose end is rounded up", {5, 5}, 10, 1, "#"},
    {"most of one cell", {1, 9}, 10, 1, "="},
    {"halves in two", {5, 5}, 10, 2, "#="},
    {"a little, in two", {1, 999}, 1000, 2, "#="},
    {"a little at the end, in two", {999, 1}, 1000, 2, "#="},
    {"three parts in two: no cell for each", {900, 50, 50}, 1000, 2, "##"},
    {"all seven in ten", {4, 1, 1, 1, 1, 1, 1}, 10, 10, "####=-ox?."},
    {"seven small ones and a large", {1, 1, 1, 1, 1, 1, 994}, 1000, 10, "#=-ox?...."},
    {"a large one before", {994, 1, 1, 1, 1, 1, 1}, 1000, 10, "####=-ox?."},
    {"a large one between", {1, 1, 1, 994, 1, 1, 1}, 1000, 10, "#=-oooox?."},
    {"each end is rounded by itself", {33, 33, 34}, 100, 10, "###====---"},
    {"lengths that would be rounded to more than there is", {25, 25, 25, 25}, 100, 10, "###==---oo"},
    {"0 has no cell", {5, 0, 5}, 10, 10, "#####-----"},
    {"0 at the ends", {0, 10, 0}, 10, 10, "=========="},
    {"negative counts as 0", {5, -5, 5}, 10, 10, "#####-----"},
    {"most negative", {INT64_MIN, 10}, 10, 10, "=========="},
    {"less than the total", {5}, 10, 10, "#####     "},
    {"a little and less than the total", {1}, 1000, 10, "#         "},
    {"and two, which end where their sum does", {500, 1}, 1000, 10, "####=     "},
    {"more than the total", {20, 5}, 10, 10, "#########="},
    {"nothing", {0}, 10, 10, "          "},
    {"total 0", {5, 5}, 0, 10, "          "},
    {"negative total", {5, 5}, -10, 10, "          "},
    {"largest numbers", {INT64_MAX / 2, INT64_MAX / 2}, INT64_MAX, 10, "#####====="},
    {"sums beyond them", {INT64_MAX, INT64_MAX, INT64_MAX}, INT64_MAX, 10, "########=-"},
    {"total 1", {1}, 1, 10, TEN},
    {"a device", {40 * GIB, 5 * GIB, 25 * GIB, GIB, 0, GIB / 4, 8 * GIB}, 80 * GIB, 80,
     TEN TEN TEN TEN "=====" "-------------------------" "o" "?" "....... "},
    {"no width", {5, 5}, 10, 0, ""},
};
// clang-format on

static void test_bars(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bars); i++) {
        struct bar_part parts[ARRAY_LEN(part_styles)];
        struct canvas canvas;
        char wanted[COLUMNS_MAX + 3];

        for (size_t j = 0; j < ARRAY_LEN(parts); j++)
            parts[j] = (struct bar_part){bars[i].values[j], part_styles[j]};
        make(&canvas, 1, bars[i].width + 2);
        (void)canvas_put(&canvas, (struct place){0, 0, 1}, STYLE_TEXT, span_of("["));
        (void)canvas_put(&canvas, (struct place){0, bars[i].width + 1, 1}, STYLE_TEXT,
                         span_of("]"));
        bar_draw(&canvas, (struct place){0, 1, bars[i].width}, GLYPHS_ASCII, parts,
                 ARRAY_LEN(parts), bars[i].total);
        (void)snprintf(wanted, sizeof(wanted), "[%s]", bars[i].cells);
        if (strcmp(line(&canvas, 0), wanted) != 0)
            fail_msg("[%s] is %s", bars[i].row, line(&canvas, 0));
        canvas_done(&canvas);
    }
}

static uint64_t random_state = 1;

static uint64_t any(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Parts that are the total fill the bar, in their order, each with its share or a cell. */
static void test_any_bar(void **state)
{
    struct canvas canvas;

    (void)state;
    make(&canvas, 1, COLUMNS_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        struct bar_part parts[ARRAY_LEN(part_styles)];
        int width = (int)(any() % COLUMNS_MAX) + 1, above_0 = 0;
        int counts[ARRAY_LEN(part_styles)] = {0};
        size_t at = 0;
        int64_t total = 0;

        for (size_t j = 0; j < ARRAY_LEN(parts); j++) {
            int64_t value = any() % 3 ? (int64_t)(any() >> (5 + any() % 58)) : 0;

            parts[j] = (struct bar_part){value, part_styles[j]};
            total += value;
            above_0 += value > 0;
        }
        bar_draw(&canvas, (struct place){0, 0, width}, GLYPHS_ASCII, parts,
                 ARRAY_LEN(parts), total);
        for (int i = 0; total > 0 && i < width; i++) {
            while (canvas_at(&canvas, 0, i)->style != parts[at].style)
                assert_in_range(++at, 0, ARRAY_LEN(parts) - 1);
            counts[at]++;
        }
        for (size_t j = 0; j < ARRAY_LEN(parts) && total > 0; j++) {
            double share = (double)parts[j].value / (double)total * width;

            assert_true(parts[j].value > 0 || counts[j] == 0);
            assert_true(above_0 > width || parts[j].value == 0 || counts[j] > 0);
            assert_true(fabs(counts[j] - share) <= 1.001 + above_0);
            if (share >= 1 && above_0 == 2)
                assert_true(fabs(counts[j] - share) <= 1.001);
        }
    }
    canvas_done(&canvas);
}

static void test_bars_off_the_canvas(void **state)
{
    static const struct bar_part part = {1, STYLE_WEIGHTS};
    static const struct place places[] = {
        {0, INT_MAX, INT_MAX}, {0, 4, INT_MAX}, {INT_MAX, 0, 4}, {0, INT_MIN, INT_MAX},
        {INT_MIN, 0, 4},       {0, 0, INT_MIN}, {0, -2, 3},      {0, 3, INT_MAX - 3}};
    struct canvas canvas;
    float value = 1;

    (void)state;
    make(&canvas, 1, 4);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        bar_draw(&canvas, places[i], GLYPHS_ASCII, &part, 1, 1);
        graph_draw(&canvas, places[i], INT_MAX, GLYPHS_ASCII, STYLE_TEXT, &value, 0, 1);
    }
    canvas_clear(&canvas);
    bar_draw(&canvas, places[6], GLYPHS_ASCII, &part, 1, 1);
    assert_string_equal(line(&canvas, 0), "#   ");
    bar_draw(&canvas, (struct place){0, 2, 9}, GLYPHS_ASCII, &part, 1, 1);
    assert_string_equal(line(&canvas, 0), "# ##");
    canvas_done(&canvas);
}

/* Told apart without a colour, in each set, and one cell each. */
static void test_bar_signs(void **state)
{
    (void)state;
    for (int glyphs = 0; glyphs < N_GLYPHS; glyphs++)
        for (size_t i = 0; i < ARRAY_LEN(part_styles); i++) {
            const char *sign = bar_sign(part_styles[i], (enum glyphs)glyphs);
            struct canvas canvas;

            make(&canvas, 1, 4);
            assert_int_equal(
                canvas_put(&canvas, (struct place){0, 0, 4}, STYLE_TEXT, span_of(sign)),
                1);
            canvas_done(&canvas);
            assert_true(glyphs != GLYPHS_ASCII || strlen(sign) == 1);
            for (size_t j = 0; j < i; j++)
                assert_string_not_equal(sign,
                                        bar_sign(part_styles[j], (enum glyphs)glyphs));
        }
}

// clang-format off
static const struct {
    const char *row;
    enum glyphs glyphs;
    int rows, columns;
    size_t n;
    float values[6];
    double top;
    const char *lines[2];
} graphs[] = {
    {"braille, rising", GLYPHS_BRAILLE, 1, 2, 4, {1, 2, 3, 4}, 4, {"\xe2\xa3\xa0\xe2\xa3\xbe"}},
    {"braille, two rows", GLYPHS_BRAILLE, 2, 1, 2, {4, 8}, 8, {"\xe2\xa2\xb8", "\xe2\xa3\xbf"}},
    {"braille, odd: the newest at the right", GLYPHS_BRAILLE, 1, 2, 1, {4}, 4, {" \xe2\xa2\xb8"}},
    {"braille, three", GLYPHS_BRAILLE, 1, 2, 3, {4, 0, 4}, 4, {"\xe2\xa2\xb8\xe2\xa3\xb8"}},
    {"braille, a gap is not a 0", GLYPHS_BRAILLE, 1, 2, 4, {0, NAN, NAN, 0}, 4, {"\xe2\xa1\x80\xe2\xa2\x80"}},
    {"braille, the newest of more", GLYPHS_BRAILLE, 1, 1, 4, {4, 4, 0, 0}, 4, {"\xe2\xa3\x80"}},
    {"eighths", GLYPHS_BLOCK, 1, 4, 4, {1, 4, 7, 8}, 8, {"\xe2\x96\x81\xe2\x96\x84\xe2\x96\x87\xe2\x96\x88"}},
    {"eighths, two rows", GLYPHS_BLOCK, 2, 3, 3, {1, 9, 16}, 16, {" \xe2\x96\x81\xe2\x96\x88", "\xe2\x96\x81\xe2\x96\x88\xe2\x96\x88"}},
    {"eighths, gap and 0", GLYPHS_BLOCK, 1, 3, 2, {NAN, 0}, 8, {"  \xe2\x96\x81"}},
    {"ASCII", GLYPHS_ASCII, 1, 6, 6, {0, 2, 3, 5, 6, 7}, 7, {".:-+*#"}},
    {"ASCII, two rows", GLYPHS_ASCII, 2, 3, 3, {7, 8, 14}, 14, {" .#", "###"}},
    {"above the top, below 0, endless", GLYPHS_ASCII, 1, 5, 5, {99, -1, INFINITY, -INFINITY, NAN}, 7, {"#.#. "}},
    {"top 0", GLYPHS_ASCII, 1, 3, 3, {0, 5, NAN}, 0, {".. "}},
    {"top unknown", GLYPHS_ASCII, 1, 2, 2, {5, 5}, (double)NAN, {".."}},
    {"no values", GLYPHS_BLOCK, 1, 3, 0, {0}, 8, {"   "}},
};
// clang-format on

static void test_graphs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(graphs); i++) {
        float *values = malloc(MAX(graphs[i].n, (size_t)1) * sizeof(*values));
        struct canvas canvas;

        assert_non_null(values);
        memcpy(values, graphs[i].values, graphs[i].n * sizeof(*values));
        make(&canvas, graphs[i].rows, graphs[i].columns);
        graph_draw(&canvas, (struct place){0, 0, graphs[i].columns}, graphs[i].rows,
                   graphs[i].glyphs, STYLE_GRAPH_1, values, graphs[i].n, graphs[i].top);
        for (int row = 0; row < graphs[i].rows; row++)
            if (strcmp(line(&canvas, row), graphs[i].lines[row]) != 0)
                fail_msg("[%s] row %d is %s", graphs[i].row, row, line(&canvas, row));
        canvas_done(&canvas);
        free(values);
    }
    assert_int_equal(graph_values(10, GLYPHS_BRAILLE), 20);
    assert_int_equal(graph_values(10, GLYPHS_BLOCK), 10);
    assert_int_equal(graph_values(-1, GLYPHS_ASCII), 0);
}

static int distance(int rgb, const int other[3])
{
    int sum = 0;

    for (int i = 0; i < 3; i++) {
        int d = ((rgb >> (16 - 8 * i)) & 255) - other[i];

        sum += d * d;
    }
    return sum;
}

/* What xterm shows for colour 16 and up. */
static int distance_of_palette(int rgb, int palette)
{
    static const int levels[] = {0, 95, 135, 175, 215, 255};
    int cube = palette - 16, gray = 8 + 10 * (palette - 232);

    if (palette >= 232)
        return distance(rgb, (int[]){gray, gray, gray});
    return distance(rgb,
                    (int[]){levels[cube / 36], levels[cube / 6 % 6], levels[cube % 6]});
}

/* Colours are all there or none, and that of the 256 is the nearest. */
static void test_themes(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_themes; i++)
        for (int style = 0; style < N_STYLES; style++) {
            const struct look *look = &themes[i].looks[style];

            assert_in_range(look->basic + 1, 0, 16);
            assert_true((look->rgb == COLOUR_DEFAULT) ==
                        (look->palette == COLOUR_DEFAULT));
            if (look->rgb == COLOUR_DEFAULT)
                continue;
            assert_in_range(look->rgb, 0, 0xffffff);
            assert_in_range(look->palette, 16, 255);
            for (int palette = 16; palette < 256; palette++)
                assert_true(distance_of_palette(look->rgb, look->palette) <=
                            distance_of_palette(look->rgb, palette));
        }
    assert_string_equal(theme_find("colour-blind")->name, "colour-blind");
    assert_non_null(theme_find("dark"));
    assert_non_null(theme_find("light"));
    assert_int_equal(theme_find("mono")->looks[STYLE_CRITICAL].rgb, COLOUR_DEFAULT);
    assert_int_equal(theme_find("mono")->looks[STYLE_SELECTED].attributes, LOOK_REVERSE);
    assert_null(theme_find("Dark"));
    assert_null(theme_find(""));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_any_bar),
        cmocka_unit_test(test_bars_off_the_canvas),
        cmocka_unit_test(test_bar_signs),
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_themes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
