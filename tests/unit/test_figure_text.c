// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/draw_parts.h"

#include <math.h>

#define MIB INT64_C(1048576)
#define GIB INT64_C(1073741824)
#define U VRAMSCOPE_UNKNOWN

// clang-format off
static const struct {
    int64_t bytes;
    const char *words, *brief;
} sizes[] = {
    {U, "--", "--"},
    {0, "0 B", "0"},
    {1, "<1 MiB", "<0.01"},
    {MIB - 1, "<1 MiB", "<0.01"},
    {MIB, "1 MiB", "<0.01"},
    {96636764, "92 MiB", "0.09"},
    {102005474, "97 MiB", "0.1"},
    {5368709, "5 MiB", "<0.01"},              // just below 0.005
    {5368710, "5 MiB", "0.01"},
    {MIB + MIB / 2 - 1, "1 MiB", "<0.01"},
    {MIB + MIB / 2, "2 MiB", "<0.01"},
    {107374182, "102 MiB", "0.1"},         // less than 0.1 GiB by a fraction of a byte
    {107374183, "0.1 GiB", "0.1"},
    {161061273, "0.1 GiB", "0.1"},        // just below 0.15
    {161061274, "0.2 GiB", "0.2"},
    {GIB - 1, "1.0 GiB", "1.0"},
    {GIB, "1.0 GiB", "1.0"},
    {12 * GIB + 2 * GIB / 5, "12.4 GiB", "12.4"},
    {99 * GIB + GIB - 1, "100.0 GiB", "100.0"},
    {1131 * GIB + GIB / 5, "1131.2 GiB", "1131.2"},
    {INT64_MAX, "8589934592.0 GiB", "8589934592.0"},
    {-1, "-<1 MiB", "-<0.01"},
    {-44 * MIB, "-44 MiB", "-0.04"},
    {-3 * GIB / 10, "-0.3 GiB", "-0.3"},
    {-INT64_MAX, "-8589934592.0 GiB", "-8589934592.0"},
};

static const struct {
    struct vramscope_figure figure;
    const char *words, *brief;
} figures[] = {
    {{12 * GIB, VRAMSCOPE_FROM_MEASURED, 0, NULL}, "12.0 GiB", "12.0"},
    {{12 * GIB, VRAMSCOPE_FROM_ENGINE, 0, NULL}, "12.0 GiB", "12.0"},
    {{12 * GIB, VRAMSCOPE_FROM_DERIVED, 0, NULL}, "~12.0 GiB", "~12.0"},
    {{12 * GIB, VRAMSCOPE_FROM_ESTIMATED, U, NULL}, "~12.0 GiB", "~12.0"},
    {{0, VRAMSCOPE_FROM_DERIVED, 0, NULL}, "~0 B", "~0"},
    {{12 * GIB, VRAMSCOPE_FROM_UNKNOWN, U, NULL}, "--", "--"},
    {{U, VRAMSCOPE_FROM_UNKNOWN, U, "why"}, "--", "--"},
    {{U, VRAMSCOPE_FROM_ESTIMATED, U, NULL}, "--", "--"},
    {{INT64_MAX, VRAMSCOPE_FROM_DERIVED, 0, NULL}, "~8589934592.0 GiB", "~8589934592.0"},
};

static const struct {
    int64_t count;
    const char *words;
} counts[] = {
    {U, "--"}, {0, "0"}, {7, "7"}, {999, "999"}, {1000, "1,000"}, {7214, "7,214"},
    {999999, "999,999"}, {1000000, "1,000,000"}, {-1234, "-1,234"},
    {999999999999999, "999,999,999,999,999"}, {1000000000000000, "1.0e+15"},
    {INT64_MAX, "9.2e+18"}, {-INT64_MAX, "-9.2e+18"},
};

static const struct {
    double percent;
    const char *words, *brief;
} percents[] = {
    {(double)NAN, "--", "--"}, {(double)INFINITY, "--", "--"}, {-(double)INFINITY, "--", "--"},
    {0, "0.0%", "0%"}, {1e-9, "<0.1%", "<1%"}, {0.049, "<0.1%", "<1%"},
    {0.06, "0.1%", "<1%"}, {0.5, "0.5%", "<1%"}, {1.99, "2.0%", "1%"},
    {44.2, "44.2%", "44%"}, {69.5, "69.5%", "69%"}, {69.99, "70.0%", "69%"},
    {84.99, "85.0%", "84%"}, {85, "85.0%", "85%"},
    {99.4, "99.4%", "99%"}, {99.96, "99.9%", "99%"}, {99.999999, "99.9%", "99%"},
    {100, "100%", "100%"}, {101, ">100%", "101%"}, {1e300, ">100%", "999%"},
    {-1e300, "-999.9%", "-999%"},
};

static const struct {
    int64_t ms;
    const char *words;
} ages[] = {
    {U, "--"}, {-5, "0.0s"}, {0, "0.0s"}, {99, "0.0s"}, {450, "0.4s"}, {9999, "9.9s"},
    {10000, "10s"}, {99999, "99s"}, {100000, "1m"}, {119999, "1m"}, {120000, "2m"},
    {5999999, "99m"}, {6000000, "1h"}, {172799999, "47h"}, {172800000, "2d"},
    {INT64_MAX, "106751991167d"},
};
// clang-format on

static void expect(size_t row, const char *found, const char *expected)
{
    if (strcmp(found, expected) != 0)
        fail_msg("row %zu is \"%s\", expected \"%s\"", row, found, expected);
}

static void test_sizes(void **state)
{
    char words[FIGURE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        bytes_text(words, sizes[i].bytes);
        expect(i, words, sizes[i].words);
        bytes_short(words, sizes[i].bytes);
        expect(i, words, sizes[i].brief);
    }
}

static void test_figures(void **state)
{
    char words[FIGURE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        figure_text(words, &figures[i].figure);
        expect(i, words, figures[i].words);
        figure_short(words, &figures[i].figure);
        expect(i, words, figures[i].brief);
    }
}

static void test_counts(void **state)
{
    char words[FIGURE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        count_text(words, counts[i].count);
        expect(i, words, counts[i].words);
    }
}

static void test_percents(void **state)
{
    char words[FIGURE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
        percent_text(words, percents[i].percent);
        expect(i, words, percents[i].words);
        percent_short(words, percents[i].percent);
        expect(i, words, percents[i].brief);
    }
}

static void test_ages(void **state)
{
    char words[FIGURE_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        age_text(words, ages[i].ms);
        expect(i, words, ages[i].words);
    }
}

static void test_unit_once(void **state)
{
    static const struct {
        const char *first, *second, *words;
    } pairs[] = {
        {"12.4 GiB", "41.2 GiB", "12.4"},
        {"~12.4 GiB", "~41.2 GiB", "~12.4"},
        {"80 MiB", "41.2 GiB", "80 MiB"},
        {"80 MiB", "90 MiB", "80"},
        {"<1 MiB", "90 MiB", "<1 MiB"},
        {"0 B", "41.2 GiB", "0 B"},
        {"--", "41.2 GiB", "--"},
        {"12.4 GiB", "--", "12.4 GiB"},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char words[FIGURE_TEXT_SIZE] = "";

        memcpy(words, pairs[i].first, strlen(pairs[i].first) + 1);
        unit_once(words, pairs[i].second);
        expect(i, words, pairs[i].words);
    }
}

/* Beside each colour there are signs, in ASCII too. */
static void test_thresholds(void **state)
{
    static const struct {
        double percent;
        enum style style;
        const char *alarm, *ascii;
    } rows[] = {
        {(double)NAN, STYLE_DIM, "", ""},  {0, STYLE_GOOD, "", ""},
        {69.999, STYLE_GOOD, "", ""},      {70, STYLE_WARNING, "▲", "!"},
        {84.999, STYLE_WARNING, "▲", "!"}, {85, STYLE_CRITICAL, "▲▲", "!!"},
        {100, STYLE_CRITICAL, "▲▲", "!!"},
    };
    static struct view view;
    struct drawing drawing = {.view = &view};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(kv_style(rows[i].percent), rows[i].style);
        view.glyphs = GLYPHS_BRAILLE;
        expect(i, kv_alarm(&drawing, rows[i].percent), rows[i].alarm);
        view.glyphs = GLYPHS_ASCII;
        expect(i, kv_alarm(&drawing, rows[i].percent), rows[i].ascii);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_figures),
        cmocka_unit_test(test_counts),     cmocka_unit_test(test_percents),
        cmocka_unit_test(test_ages),       cmocka_unit_test(test_unit_once),
        cmocka_unit_test(test_thresholds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
