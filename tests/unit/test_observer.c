// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/advice.h"
#include "history/aggregate.h"

#include <math.h>

#define U UNKNOWN
#define N ((double)NAN)

static const struct past_series of = {"org/one", "org-one", 8000};
static struct observer *observer;
static struct observation seen;

static int set_up(void **state)
{
    (void)state;
    return observer_new(&observer);
}

static int tear_down(void **state)
{
    (void)state;
    observer_free(observer);
    return 0;
}

static struct observed_row row_at(int64_t unix_ms, uint64_t used, uint64_t pool)
{
    return (struct observed_row){.unix_ms = unix_ms,
                                 .ms = 500,
                                 .figures = {[PAST_ALLOCATED_BYTES] = U,
                                             [PAST_KV_USED_BYTES] = used,
                                             [PAST_KV_POOL_BYTES] = pool,
                                             [PAST_HIT_PPM] = U,
                                             [PAST_REQUESTS_RUNNING] = U,
                                             [PAST_REQUESTS_WAITING] = U,
                                             [PAST_PREEMPTIONS] = U},
                                 .hit_percent = N};
}

static void add(struct observed_row row)
{
    assert_int_equal(observer_add(observer, &row), 0);
}

static double percentile_of(const double *values, uint64_t n)
{
    double place = (double)(n - 1) * 0.999;
    uint64_t below = (uint64_t)place;

    return values[below] +
           (place - (double)below) * (values[MIN(below + 1, n - 1)] - values[below]);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static uint64_t falling(uint64_t i)
{
    return 10000000 - i;
}

static uint64_t rising(uint64_t i)
{
    return i;
}

static uint64_t scattered(uint64_t i)
{
    return i * i * UINT64_C(2654435761) % 1000003;
}

static uint64_t nearly_constant(uint64_t i)
{
    return i % 1500 == 77 ? 9 : 5;
}

static const struct {
    const char *row;
    uint64_t n;
    uint64_t (*used)(uint64_t i);
} series[] = {
    {"one", 1, scattered},
    {"two", 2, rising},
    {"1000", 1000, scattered},
    {"1001", 1001, scattered},
    {"1001, falling", 1001, falling},
    {"a day of 2 Hz", 172800, scattered},
    {"a day, rising", 172800, rising},
    {"a day, falling", 172800, falling},
    {"a day of few values", 172800, nearly_constant},
    {"as many as are exact", OBSERVER_EXACT, scattered},
};

/* The same as of all samples in order. */
static void test_percentile(void **state)
{
    double *values = malloc(OBSERVER_EXACT * sizeof(*values));

    (void)state;
    assert_non_null(values);
    for (size_t i = 0; i < ARRAY_LEN(series); i++) {
        uint64_t most = 0;
        double want;

        observer_begin(observer, &of);
        for (uint64_t k = 0; k < series[i].n; k++) {
            uint64_t used = series[i].used(k);

            add(row_at((int64_t)k, used, 20000000));
            values[k] = (double)used;
            most = MAX(most, used);
        }
        qsort(values, series[i].n, sizeof(*values), compare);
        want = percentile_of(values, series[i].n);
        observer_end(observer, &seen);
        if (seen.kv_used_p999 != (uint64_t)llround(want) || seen.kv_used_max != most ||
            seen.samples != series[i].n)
            fail_msg("[%s] %llu, not %.17g; most %llu", series[i].row,
                     (unsigned long long)seen.kv_used_p999, want,
                     (unsigned long long)seen.kv_used_max);
    }
    free(values);
}

/* numpy.percentile(1000 * numpy.arange(n), 99.9), with numpy 1.24.2. */
static void test_percentile_by_numpy(void **state)
{
    static const struct {
        uint64_t n, want;
    } rows[] = {{1000, 998001}, {1001, 999000}, {2000, 1997001}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        observer_begin(observer, &of);
        for (uint64_t k = 0; k < rows[i].n; k++)
            add(row_at(0, k * 1000, 20000000));
        observer_end(observer, &seen);
        assert_int_equal(seen.kv_used_p999, rows[i].want);
    }
}

static void test_more_than_is_exact(void **state)
{
    (void)state;
    observer_begin(observer, &of);
    for (uint64_t k = 0; k < OBSERVER_EXACT + 200000; k++)
        add(row_at((int64_t)k, falling(k), 20000000));
    observer_end(observer, &seen);
    assert_int_equal(seen.kv_used_max, falling(0));
    assert_true(seen.kv_used_p999 == U);
    assert_int_equal(seen.samples, OBSERVER_EXACT + 200000);
}

static void test_nothing_seen(void **state)
{
    (void)state;
    observer_begin(observer, &of);
    add(row_at(5, U, U));
    add(row_at(6, 5, U)); // the engine is down
    add(row_at(7, 0, 0)); // or asleep
    observer_end(observer, &seen);
    assert_string_equal(seen.of.served_name, "org/one");
    assert_int_equal(seen.of.port, 8000);
    assert_int_equal(seen.samples, 0);
    assert_int_equal(seen.observed_ms, 0);
    assert_true(seen.kv_pool_bytes == U && seen.kv_used_max == U &&
                seen.kv_used_p999 == U && seen.running_max == U);
    assert_true(isnan(seen.preemptions) && isnan(seen.hit_percent));
    add(row_at(8, U, 100)); // the pool is known, its use is not
    observer_end(observer, &seen);
    assert_int_equal(seen.kv_pool_bytes, 100);
    assert_true(seen.kv_used_max == U && seen.samples == 0);
}

static void test_another_pool_begins_anew(void **state)
{
    struct observed_row row = row_at(1000, 90, 100);

    (void)state;
    observer_begin(observer, &of);
    row.figures[PAST_PREEMPTIONS] = 5;
    add(row);
    row.figures[PAST_PREEMPTIONS] = 50;
    row.hit_percent = 80;
    add(row);
    row = row_at(2000, 20, 200);
    row.figures[PAST_PREEMPTIONS] = 60;
    row.hit_percent = 10;
    add(row);
    add(row_at(2500, U, U)); // a pause is no change
    row.unix_ms = 3000;
    row.figures[PAST_KV_USED_BYTES] = 30;
    row.figures[PAST_PREEMPTIONS] = 61;
    add(row);
    observer_end(observer, &seen);
    assert_int_equal(seen.kv_pool_bytes, 200);
    assert_int_equal(seen.kv_used_max, 30);
    assert_int_equal(seen.samples, 2);
    assert_int_equal(seen.from_ms, 2000);
    assert_int_equal(seen.to_ms, 3000);
    assert_int_equal(seen.observed_ms, 1000);
    assert_true(seen.preemptions == 1 && seen.hit_percent == 10);
    assert_false(seen.from_slots);
    observer_end(observer, &seen); // again, and more can be added
    add(row_at(3500, 25, 200));
    observer_end(observer, &seen);
    assert_int_equal(seen.samples, 3);
    observer_begin(observer, &of);
    observer_end(observer, &seen);
    assert_int_equal(seen.samples, 0);
}

/* A counter that falls is another engine's; of slots what happened in them counts. */
static void test_preemptions(void **state)
{
    static const struct {
        uint64_t count;
        bool is_slot;
        double sum;
    } rows[] = {{U, false, N},   {4, true, 4},  {0, true, 4},    {100, false, 4},
                {101, false, 5}, {U, false, 5}, {103, false, 7}, {2, false, 7},
                {5, false, 10},  {3, true, 13}, {9, false, 13},  {9, false, 13}};

    (void)state;
    observer_begin(observer, &of);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct observed_row row = row_at((int64_t)i, 5, 100);

        row.figures[PAST_PREEMPTIONS] = rows[i].count;
        row.is_slot = rows[i].is_slot;
        add(row);
        observer_end(observer, &seen);
        if (isnan(rows[i].sum) ? !isnan(seen.preemptions)
                               : seen.preemptions != rows[i].sum)
            fail_msg("after %zu: %g", i, seen.preemptions);
    }
    assert_true(seen.from_slots);
}

static void test_times(void **state)
{
    static const struct {
        uint64_t ms, used, running, waiting;
        double hit_percent;
    } rows[] = {
        {500, 10, 1, 0, 50}, {500, 97, 3, 7, N},  {10000, 98, 2, 4, 20},
        {500, 99, U, U, N},  {500, 100, 0, 1, N}, {500, 5, 0, 0, N},
    };

    (void)state;
    observer_begin(observer, &of);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct observed_row row = row_at((int64_t)i, rows[i].used, 100);

        row.ms = rows[i].ms;
        row.hit_percent = rows[i].hit_percent;
        row.figures[PAST_REQUESTS_RUNNING] = rows[i].running;
        row.figures[PAST_REQUESTS_WAITING] = rows[i].waiting;
        add(row);
    }
    observer_end(observer, &seen);
    assert_int_equal(seen.observed_ms, 12500);
    assert_int_equal(seen.busy_ms, 11000);
    assert_int_equal(seen.waiting_ms, 11000);
    assert_int_equal(seen.full_ms, 10500);
    assert_int_equal(seen.running_max, 3);
    assert_int_equal(seen.waiting_max, 7);
    assert_true(fabs(seen.hit_percent - (50 * 500 + 20 * 10000) / 10500.0) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentile),
        cmocka_unit_test(test_percentile_by_numpy),
        cmocka_unit_test(test_more_than_is_exact),
        cmocka_unit_test(test_nothing_seen),
        cmocka_unit_test(test_another_pool_begins_anew),
        cmocka_unit_test(test_preemptions),
        cmocka_unit_test(test_times),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
