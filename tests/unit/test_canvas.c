// SPDX-License-Identifier: Apache-2.0
#include "tui/canvas.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BAD "\xef\xbf\xbd"
#define MIDDLE "\xe4\xb8\xad" // U+4E2D, two cells
#define ACUTE "\xcc\x81"

enum { ROWS = 2, COLUMNS = 8 };

/* A line's cells between bars; the right half of a wide sign is nothing. */
static const char *line(const struct canvas *canvas, int row)
{
    static char text[1024];
    size_t len = 0;

    for (int i = 0; i < canvas->columns; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
                                canvas_at(canvas, row, i)->text);
    return text;
}

// clang-format off
static const struct {
    const char *row;
    struct place place;
    const char *text;
    int left, right; // cells taken by canvas_put() and canvas_put_right()
    const char *at_left, *at_right;
} rows[] = {
    {"plain", {1, 2, 4}, "abc", 3, 3, "..abc...", "...abc.."},
    {"fills the field", {1, 2, 3}, "abc", 3, 3, "..abc...", "..abc..."},
    {"cut", {1, 2, 2}, "abc", 2, 2, "..ab....", "..ab...."},
    {"cut by the edge", {1, 6, 9}, "abc", 2, 2, "......ab", "......ab"},
    {"the widest field", {1, 6, INT_MAX}, "a", 1, 1, "......a.", ".......a"},
    {"from beyond the left edge", {1, -2, 4}, "abc", 2, 2, "ab......", "ab......"},
    {"left of the canvas", {1, -4, 4}, "abc", 0, 0, "........", "........"},
    {"right of the canvas", {1, 8, 4}, "abc", 0, 0, "........", "........"},
    {"above", {-1, 0, 4}, "abc", 0, 0, "........", "........"},
    {"below", {2, 0, 4}, "abc", 0, 0, "........", "........"},
    {"no width", {1, 0, 0}, "abc", 0, 0, "........", "........"},
    {"negative width", {1, 4, INT_MIN}, "abc", 0, 0, "........", "........"},
    {"no text", {1, 0, 4}, "", 0, 0, "........", "........"},
    {"wide", {1, 1, 5}, "a" MIDDLE, 3, 3, ".a" MIDDLE "....", "...a" MIDDLE ".."},
    {"half a wide sign does not fit", {1, 1, 2}, "a" MIDDLE "b", 1, 1, ".a......", "..a....."},
    {"combining", {1, 1, 2}, "e" ACUTE ACUTE ACUTE "x", 2, 2, ".e" ACUTE ACUTE "x.....", ".e" ACUTE ACUTE "x....."},
    {"escape sequence", {1, 1, 4}, "\033[m", 3, 3, "." BAD "[m....", ".." BAD "[m..."},
};
// clang-format on

static void make(struct canvas *canvas, int columns)
{
    *canvas = (struct canvas){0};
    assert_int_equal(canvas_resize(canvas, ROWS, columns), 0);
}

static void test_rows(void **state)
{
    static const struct place all = {1, 0, COLUMNS};
    struct canvas canvas;

    (void)state;
    make(&canvas, COLUMNS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int n;

        (void)canvas_put(&canvas, all, STYLE_TEXT, span_of("........"));
        n = canvas_put(&canvas, rows[i].place, STYLE_DIM, span_of(rows[i].text));
        if (n != rows[i].left || strcmp(line(&canvas, 1), rows[i].at_left) != 0)
            fail_msg("[%s] took %d: %s", rows[i].row, n, line(&canvas, 1));

        (void)canvas_put(&canvas, all, STYLE_TEXT, span_of("........"));
        n = canvas_put_right(&canvas, rows[i].place, STYLE_DIM, span_of(rows[i].text));
        if (n != rows[i].right || strcmp(line(&canvas, 1), rows[i].at_right) != 0)
            fail_msg("[%s] right took %d: %s", rows[i].row, n, line(&canvas, 1));
    }
    assert_string_equal(line(&canvas, 0), "        ");
    canvas_done(&canvas);
    canvas_done(NULL);
}

/* A sign over half a wide one leaves a blank of the other half. */
static void test_over_wide_signs(void **state)
{
    static const struct place all = {0, 0, COLUMNS};
    static const struct {
        int column;
        const char *text, *line;
    } over[] = {
        {0, "x", "x " MIDDLE MIDDLE MIDDLE},
        {1, "x", " x" MIDDLE MIDDLE MIDDLE},
        {1, MIDDLE, " " MIDDLE " " MIDDLE MIDDLE},
        {2, MIDDLE, MIDDLE MIDDLE MIDDLE MIDDLE},
        {7, "x", MIDDLE MIDDLE MIDDLE " x"},
        {1, "xyz", " xyz" MIDDLE MIDDLE},
    };
    struct canvas canvas;

    (void)state;
    make(&canvas, COLUMNS);
    for (size_t i = 0; i < ARRAY_LEN(over); i++) {
        (void)canvas_put(&canvas, all, STYLE_TEXT, span_of(MIDDLE MIDDLE MIDDLE MIDDLE));
        (void)canvas_put(&canvas, (struct place){0, over[i].column, COLUMNS}, STYLE_DIM,
                         span_of(over[i].text));
        assert_string_equal(line(&canvas, 0), over[i].line);
    }
    canvas_done(&canvas);
}

static void test_styles(void **state)
{
    struct canvas canvas;

    (void)state;
    make(&canvas, COLUMNS);
    (void)canvas_put(&canvas, (struct place){0, 1, 6}, STYLE_GOOD, span_of("a" MIDDLE));
    assert_int_equal(canvas_at(&canvas, 0, 0)->style, STYLE_TEXT);
    for (int i = 1; i < 4; i++)
        assert_int_equal(canvas_at(&canvas, 0, i)->style, STYLE_GOOD);
    assert_int_equal(canvas_at(&canvas, 0, 4)->style, STYLE_TEXT);

    canvas_tint(&canvas, (struct place){0, 2, 99}, STYLE_SELECTED);
    canvas_tint(&canvas, (struct place){9, 0, 99}, STYLE_BADGE);
    assert_int_equal(canvas_at(&canvas, 0, 1)->style, STYLE_GOOD);
    for (int i = 2; i < COLUMNS; i++)
        assert_int_equal(canvas_at(&canvas, 0, i)->style, STYLE_SELECTED);
    assert_string_equal(line(&canvas, 0), " a" MIDDLE "    ");
    assert_int_equal(canvas_at(&canvas, 1, 0)->style, STYLE_TEXT);
    canvas_done(&canvas);
}

static void test_ascii_and_printf(void **state)
{
    struct canvas canvas;

    (void)state;
    make(&canvas, COLUMNS);
    canvas.ascii = true;
    assert_int_equal(canvas_printf(&canvas, (struct place){0, 1, 9}, STYLE_TEXT, "%s%d",
                                   "a" MIDDLE, 42),
                     4);
    assert_string_equal(line(&canvas, 0), " a?42   ");
    (void)canvas_put_right(&canvas, (struct place){0, 0, 8}, STYLE_TEXT,
                           span_of(MIDDLE MIDDLE));
    assert_string_equal(line(&canvas, 0), " a?42 ??");
    canvas_done(&canvas);
}

/* Equal signs are equal bytes, whatever was there before. */
static void test_cells_compare(void **state)
{
    struct canvas canvas;

    (void)state;
    make(&canvas, COLUMNS);
    (void)canvas_put(&canvas, (struct place){0, 0, 4}, STYLE_TEXT,
                     span_of("e" ACUTE ACUTE "  "));
    (void)canvas_put(&canvas, (struct place){0, 0, 4}, STYLE_TEXT, span_of(" "));
    for (int i = 0; i < COLUMNS; i++)
        assert_memory_equal(canvas_at(&canvas, 0, i), canvas_at(&canvas, 1, i),
                            sizeof(struct cell));
    canvas_done(&canvas);
}

static void test_sizes(void **state)
{
    static const struct {
        int rows, columns, got_rows, got_columns;
    } sizes[] = {
        {1, 1, 1, 1},
        {0, 0, 1, 1},
        {-5, INT_MIN, 1, 1},
        {24, 80, 24, 80},
        {INT_MAX, INT_MAX, CANVAS_ROWS_MAX, CANVAS_COLUMNS_MAX},
        {CANVAS_ROWS_MAX, CANVAS_COLUMNS_MAX, CANVAS_ROWS_MAX, CANVAS_COLUMNS_MAX},
    };
    struct canvas canvas = {0};
    struct place place = {0, 0, 5};

    (void)state;
    assert_int_equal(canvas_put(&canvas, place, STYLE_TEXT, span_of("none yet")), 0);
    assert_null(canvas_at(&canvas, 0, 0));
    canvas_clear(&canvas);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        int last_row = sizes[i].got_rows - 1, last_column = sizes[i].got_columns - 1;

        assert_int_equal(canvas_resize(&canvas, sizes[i].rows, sizes[i].columns), 0);
        assert_int_equal(canvas.rows, sizes[i].got_rows);
        assert_int_equal(canvas.columns, sizes[i].got_columns);
        place = (struct place){last_row, last_column, 5};
        assert_string_equal(canvas_at(&canvas, last_row, last_column)->text, " ");
        assert_int_equal(canvas_put(&canvas, place, STYLE_TEXT, span_of("xyz")), 1);
        assert_string_equal(canvas_at(&canvas, last_row, last_column)->text, "x");
        assert_null(canvas_at(&canvas, last_row + 1, 0));
        assert_null(canvas_at(&canvas, 0, last_column + 1));
        assert_null(canvas_at(&canvas, -1, 0));
        assert_null(canvas_at(&canvas, 0, -1));
    }
    canvas_done(&canvas);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_over_wide_signs),
        cmocka_unit_test(test_styles),        cmocka_unit_test(test_ascii_and_printf),
        cmocka_unit_test(test_cells_compare), cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
