// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/aggregate.h"

#include <math.h>

enum { SERIES_MAX = 600 };

#define UNKNOWN_SAMPLE ((double)NAN)

/* Series too long to write down: the i-th sample of each. */
static double shuffled(size_t i)
{
    return (double)(i * 37 % 120);
}

static double bytes(size_t i)
{
    return 85899345920.0 - (double)(i * i * 7919 % 1000003);
}

static double rates(size_t i)
{
    return (double)(i * i * 7919 % 10007) / 100.07;
}

static double minute(size_t i)
{
    return (double)(i * i * 31 % 1009);
}

static double one_outlier(size_t i)
{
    return i == 50 ? 1000 : 0;
}

static double constant(size_t i)
{
    (void)i;
    return 78571110400.0;
}

/*
 * What numpy 1.24.2 says of each series s, without those that are not known:
 *   python3 -c 'import numpy; s = [15, 20, 35, 40, 50]
 *   print(min(s), max(s), numpy.mean(s), *map(repr, numpy.percentile(s, [95, 99])))'
 */
static const struct {
    const char *row;
    size_t n;
    double (*sample)(size_t i); // NULL: they are in `samples`
    double samples[10];
    struct aggregate want;
} rows[] = {
    {"one", 1, NULL, {42}, {1, 42, 42, 42, 42, 42}},
    {"two", 2, NULL, {1, 2}, {2, 1, 2, 1.5, 1.95, 1.99}},
    {"two, falling", 2, NULL, {2, 1}, {2, 1, 2, 1.5, 1.95, 1.99}},
    {"five", 5, NULL, {15, 20, 35, 40, 50}, {5, 15, 50, 32, 48, 49.6}},
    {"five, in another order", 5, NULL, {40, 15, 50, 35, 20}, {5, 15, 50, 32, 48, 49.6}},
    {"ties", 10, NULL, {3, 3, 3, 7, 7, 3, 3, 3, 3, 3}, {10, 3, 7, 3.8, 7, 7}},
    {"below zero", 3, NULL, {-5, -1, -3}, {3, -5, -1, -3, -1.2, -1.04}},
    {"one in a hundred is another",
     100,
     one_outlier,
     {0},
     {100, 0, 1000, 10, 0, 10.000000000005116}},
    {"some are not known",
     6,
     NULL,
     {UNKNOWN_SAMPLE, 5, UNKNOWN_SAMPLE, 1, 4, UNKNOWN_SAMPLE},
     {3, 1, 5, 3.3333333333333335, 4.9, 4.98}},
    {"one is known", 3, NULL, {UNKNOWN_SAMPLE, UNKNOWN_SAMPLE, 9}, {1, 9, 9, 9, 9, 9}},
    {"120, shuffled", 120, shuffled, {0}, {120, 0, 119, 59.5, 113.05, 117.81}},
    {"120 of bytes",
     120,
     bytes,
     {0},
     {120, 85898364632, 85899345920, 85898866984.675, 85899314464.9, 85899337146}},
    {"120 rates",
     120,
     rates,
     {0},
     {120, 0, 98.36114719696214, 48.720478998034714, 93.52203457579695,
      98.26741281103227}},
    {"120 equal ones",
     120,
     constant,
     {0},
     {120, 78571110400, 78571110400, 78571110400, 78571110400, 78571110400}},
    {"600", 600, minute, {0}, {600, 0, 998, 506.2216666666667, 941.1, 987}},
};

static void assert_near(const char *row, const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
        fail_msg("[%s] %s is %.17g, not %.17g", row, what, got, want);
}

static void test_series(void **state)
{
    double samples[SERIES_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct aggregate *want = &rows[i].want;
        struct aggregate got;

        for (size_t k = 0; k < rows[i].n; k++)
            samples[k] = rows[i].sample ? rows[i].sample(k) : rows[i].samples[k];
        aggregate(samples, rows[i].n, &got);
        if (got.count != want->count)
            fail_msg("[%s] %zu samples", rows[i].row, got.count);
        assert_near(rows[i].row, "min", got.min, want->min);
        assert_near(rows[i].row, "max", got.max, want->max);
        assert_near(rows[i].row, "mean", got.mean, want->mean);
        assert_near(rows[i].row, "p95", got.p95, want->p95);
        assert_near(rows[i].row, "p99", got.p99, want->p99);
    }
}

static void test_nothing_is_known(void **state)
{
    double samples[] = {UNKNOWN_SAMPLE, UNKNOWN_SAMPLE};

    (void)state;
    for (size_t n = 0; n <= ARRAY_LEN(samples); n++) {
        struct aggregate got = {.count = 9};

        aggregate(samples, n, &got);
        assert_int_equal(got.count, 0);
        assert_true(isnan(got.min) && isnan(got.max) && isnan(got.mean));
        assert_true(isnan(got.p95) && isnan(got.p99));
    }
}

/* Of 0, 1, ... 100 only the highest are there. */
static void test_highest(void **state)
{
    static const struct {
        const char *row;
        size_t n_highest;
        double fraction, want; // NAN: it is below them
    } percentiles[] = {
        {"all of them", 101, 0.5, 50},          {"between two", 101, 0.125, 12.5},
        {"the lowest there is", 2, 0.99, 99},   {"above it", 2, 0.995, 99.5},
        {"below it", 2, 0.985, UNKNOWN_SAMPLE}, {"the highest", 1, 1, 100},
        {"none", 0, 1, UNKNOWN_SAMPLE},
    };
    double samples[101];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        samples[i] = (double)i;
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
        size_t n = percentiles[i].n_highest;
        double got = aggregate_percentile(samples + ARRAY_LEN(samples) - n, n,
                                          ARRAY_LEN(samples), percentiles[i].fraction);

        if (isnan(percentiles[i].want) != isnan(got))
            fail_msg("[%s] is %g", percentiles[i].row, got);
        if (!isnan(got))
            assert_near(percentiles[i].row, "it", got, percentiles[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),
        cmocka_unit_test(test_nothing_is_known),
        cmocka_unit_test(test_highest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
