// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/ring.h"

#include <math.h>

#define MS UINT64_C(1000000)

static struct snapshot_pool *pool;
static struct ring ring;
static struct ring_sample samples[RING_SAMPLES];

static struct snapshot *make_snapshot(uint64_t taken_ns)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->taken_ns = taken_ns;
    snapshot->allocated_bytes = figure_of(taken_ns / MS, MEASURED, NULL);
    return snapshot;
}

static void add_at(uint64_t taken_ns)
{
    const struct snapshot *snapshot = make_snapshot(taken_ns);

    ring_add(&ring, snapshot);
    snapshot_unref(snapshot);
}

/* Those after `since_ns` are the last `n` of a series `step_ns` apart that ends at `end_ns`. */
static void assert_window(uint64_t since_ns, size_t n, uint64_t end_ns, uint64_t step_ns)
{
    assert_int_equal(ring_copy(&ring, since_ns, samples), n);
    for (size_t i = 0; i < n; i++) {
        uint64_t want_ns = end_ns - (n - 1 - i) * step_ns;

        assert_int_equal(samples[i].taken_ns, want_ns);
        assert_int_equal(samples[i].figures[RING_ALLOCATED_BYTES], want_ns / MS);
    }
}

static void test_windows(void **state)
{
    const uint64_t step_ns = 500 * MS, start_ns = 7000 * MS;

    (void)state;
    ring_clear(&ring);
    assert_int_equal(ring_copy(&ring, 0, samples), 0);
    for (uint64_t i = 0; i < 10; i++)
        add_at(start_ns + i * step_ns);
    assert_window(0, 10, 11500 * MS, step_ns);
    assert_window(start_ns, 9, 11500 * MS,
                  step_ns); // one as old as the window is not in it
    assert_window(start_ns - 1, 10, 11500 * MS, step_ns);
    assert_window(11000 * MS, 1, 11500 * MS, step_ns);
    assert_window(11500 * MS, 1, 11500 * MS, step_ns); // the newest holds until the next
    assert_window(UINT64_MAX, 1, 11500 * MS, step_ns);
    ring_clear(&ring);
    assert_int_equal(ring_copy(&ring, 0, samples), 0);
    add_at(20000 * MS);
    assert_window(0, 1, 20000 * MS, step_ns); // nothing from before
}

/* At the fastest interval a whole minute is there, however long it has been filled. */
static void test_a_minute_at_full_rate(void **state)
{
    const uint64_t step_ns = 100 * MS;
    uint64_t now_ns = 0;

    (void)state;
    ring_clear(&ring);
    for (size_t i = 0; i < 3 * RING_SAMPLES + 17; i++) {
        now_ns += step_ns;
        add_at(now_ns);
        if (now_ns > 60000 * MS)
            assert_window(now_ns - 60000 * MS, 600, now_ns, step_ns);
    }
    assert_window(now_ns - 1000 * MS, 10, now_ns, step_ns);
    assert_window(0, RING_SAMPLES, now_ns, step_ns); // no more than there is room for
}

struct model_figures {
    uint64_t kv_used, running, waiting;
};

#define U UNKNOWN
#define NONE ((double)NAN)

static const struct {
    const char *row;
    uint64_t allocated;
    double hit_percent;
    uint32_t n_models;
    struct model_figures models[3];
    double want[RING_FIGURES];
} facts[] = {
    {"no models: nothing is used", 5, 0, 0, {{0}}, {5, 0, 0, 0, 0}},
    {"sums", 9, 73.45, 2, {{1, 2, 3}, {10, 20, 30}}, {9, 11, 73.45, 22, 33}},
    {"one is not known", 9, 50, 2, {{1, U, 3}, {U, 20, U}}, {9, 1, 50, 20, 3}},
    {"zero is known", 9, 50, 2, {{0, 0, 0}, {U, U, U}}, {9, 0, 50, 0, 0}},
    {"none is known", U, NONE, 2, {{U, U, U}, {U, U, U}}, {NONE, NONE, NONE, NONE, NONE}},
    {"some of none", 9, 50, 2, {{4, U, 1}, {5, U, U}}, {9, 9, 50, NONE, 1}},
    {"a rate too large", 0, 100.5, 0, {{0}}, {0, 0, 100, 0, 0}},
    {"a rate below zero", 0, -1, 0, {{0}}, {0, 0, 0, 0, 0}},
    {"too much to count", 1, 0, 2, {{U - 1, 1, 1}, {7, 1, 1}}, {1, NONE, 0, 2, 2}},
};

static void test_figures(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        struct snapshot *snapshot = make_snapshot(i);

        snapshot->allocated_bytes.value = facts[i].allocated;
        snapshot->hit_percent = facts[i].hit_percent;
        snapshot->n_models = facts[i].n_models;
        for (uint32_t k = 0; k < facts[i].n_models; k++) {
            snapshot->models[k].kv_used_bytes.value = facts[i].models[k].kv_used;
            snapshot->models[k].page.requests_running = facts[i].models[k].running;
            snapshot->models[k].page.requests_waiting = facts[i].models[k].waiting;
        }
        ring_add(&ring, snapshot);
        snapshot_unref(snapshot);
        assert_int_equal(ring_copy(&ring, UINT64_MAX, samples), 1);
        for (size_t k = 0; k < RING_FIGURES; k++) {
            double got = samples[0].figures[k], want = facts[i].want[k];

            if (isnan(want) ? !isnan(got) : got != want)
                fail_msg("[%s] figure %zu is %g, not %g", facts[i].row, k, got, want);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    return snapshot_pool_new(&pool);
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_a_minute_at_full_rate),
        cmocka_unit_test(test_figures),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
