// SPDX-License-Identifier: Apache-2.0
/*
 * test_history_points.c - memory and disk give the same points of the same moments
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/past_points.h"

#include <math.h>
#include <stdio.h>

#define MS UINT64_C(1000000)
#define START_MS INT64_C(1790000003700) // in the middle of a slot
#define MOMENTS 1800
#define INTERVAL_MS 300

enum { POINTS_MAX = 2 * MOMENTS, SERIES_MAX = 16 };

static struct snapshot_pool *pool;
static struct past *past;
static struct store *store;
static struct past_points *memory;
static char folder[] = "/tmp/test-history-points-XXXXXX";
static uint64_t dice = 88172645463325252U;

static uint64_t roll(uint64_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % n;
}

static uint64_t maybe(uint64_t value)
{
    return roll(20) ? value : UNKNOWN;
}

static void add_model(struct snapshot *snapshot, const char *name, uint16_t port,
                      uint64_t preemptions)
{
    struct snapshot_model *model = &snapshot->models[snapshot->n_models++];

    memset(model, 0, sizeof(*model));
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", name);
    snapshot_make_id(model->served_name, model->id);
    model->port = port;
    model->allocated_bytes.value = maybe((20U << 30) + roll(1 << 20));
    model->kv_used_bytes.value = maybe(roll(UINT64_C(10) << 30));
    model->kv_pool_bytes.value = UINT64_C(10) << 30;
    model->prefix_minute.queries = roll(10) ? 1000 : 0;
    model->prefix_minute.hits = (double)roll(1001);
    model->page.requests_running = maybe(roll(50));
    model->page.requests_waiting = maybe(roll(9));
    model->page.preemptions = maybe(preemptions);
}

/* One comes later and starts anew, one goes and comes back, nobody is there for a while. */
static void make_moment(int i, struct snapshot *snapshot)
{
    snapshot->taken_ns = (uint64_t)(i + 1) * INTERVAL_MS * MS;
    snapshot->unix_ms = (uint64_t)(START_MS + (int64_t)i * INTERVAL_MS);
    snapshot->allocated_bytes = figure_of(maybe((uint64_t)i << 20), MEASURED, NULL);
    snapshot->hit_percent = roll(10) ? (double)roll(1000) / 10 : (double)NAN;
    add_model(snapshot, "org/one", 8000, (uint64_t)i / 10);
    if (i > 400)
        add_model(snapshot, "org/two", 8001, (uint64_t)(i % 500) * 3);
    if (i < 700 || i > 900)
        add_model(snapshot, "three", 8002, 7);
}

static bool is_told(int i)
{
    return i < 1200 || i > 1300;
}

static int make_history(void **state)
{
    const struct store_limits limits = {INT64_C(1) << 40, INT64_C(1) << 40,
                                        INT64_C(1) << 40, UINT64_C(1) << 30};
    struct past_reader *reader = NULL;
    const struct past_moment *moment;
    struct complaint complaint = {""};
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/history.db", folder);
    assert_int_equal(snapshot_pool_new(&pool), 0);
    assert_int_equal(past_new(PAST_BYTES, &past), 0);
    assert_int_equal(past_points_new(past, &memory), 0);
    assert_int_equal(past_reader_new(past, &reader), 0);
    if (store_open(path, &limits, &store, &complaint) < 0)
        fail_msg("%s", complaint.text);
    for (int i = 0; i < MOMENTS; i++) {
        struct snapshot *snapshot = snapshot_new(pool);

        make_moment(i, snapshot);
        if (is_told(i))
            past_add(past, snapshot);
        snapshot_unref(snapshot);
    }
    while ((moment = past_reader_next(reader)))
        assert_int_equal(store_add_moment(store, past, moment), 0);
    assert_int_equal(store_commit(store), 0);
    assert_int_equal(past_reader_missed(reader), 0);
    past_reader_free(reader);
    return 0;
}

static int remove_history(void **state)
{
    char command[96];

    (void)state;
    past_points_free(memory);
    store_close(store);
    past_free(past);
    snapshot_pool_free(pool);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static ssize_t on_disk_series(void *ctx, const struct history_span *span,
                              struct history_series *ret, size_t max)
{
    return store_series(ctx, span, ret, max);
}

static ssize_t on_disk_points(void *ctx, const struct history_span *span, int64_t number,
                              int64_t *from_ms, struct history_point *ret, size_t max)
{
    return store_points(ctx, span, number, from_ms, ret, max);
}

static size_t read_all(const struct history_source *source,
                       const struct history_span *span, int64_t number, size_t at_once,
                       struct history_point *ret)
{
    int64_t from_ms = span->from_ms;
    size_t n = 0;
    ssize_t got;

    do {
        assert_true(n + at_once <= POINTS_MAX);
        got = source->points(source->ctx, span, number, &from_ms, ret + n, at_once);
        assert_true(got >= 0);
        n += (size_t)got;
    } while (got > 0);
    return n;
}

static bool is_same(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 0.5; // bytes on disk are whole
}

static void compare(const char *row, const char *name, const struct history_point *a,
                    const struct history_point *b)
{
    if (a->unix_ms != b->unix_ms || a->count != b->count ||
        !is_same(a->preemptions, b->preemptions))
        fail_msg("[%s] %s: %lld with %llu samples, %.0f preemptions; %lld, %llu, %.0f",
                 row, name, (long long)a->unix_ms, (unsigned long long)a->count,
                 a->preemptions, (long long)b->unix_ms, (unsigned long long)b->count,
                 b->preemptions);
    for (size_t i = 0; i < PAST_FIGURES; i++)
        if (!is_same(a->figures[i].mean, b->figures[i].mean) ||
            !is_same(a->figures[i].min, b->figures[i].min) ||
            !is_same(a->figures[i].max, b->figures[i].max))
            fail_msg("[%s] %s at %lld: figure %zu is %f %f %f and %f %f %f", row, name,
                     (long long)a->unix_ms, i, a->figures[i].mean, a->figures[i].min,
                     a->figures[i].max, b->figures[i].mean, b->figures[i].min,
                     b->figures[i].max);
}

static const struct {
    const char *row;
    int64_t after_ms, length_ms, step_ms; // after the first moment
    const char *model;
    size_t at_once;
    size_t n_series;
} spans[] = {
    {"all at full rate", -1000, 1000000, 0, "", 100, 4},
    {"full rate, one by one", 100000, 60000, 0, "", 1, 4},
    {"less than the interval", 0, 100000, 200, "", 7, 3},
    {"seconds", 777, 500000, 1000, "", 7, 4},
    {"no divisor of a slot", 12345, 400000, 7000, "", 100, 4},
    {"slots", 1234, 500000, 10000, "", 3, 4},
    {"whole slots", 6300, 300000, 10000, "", 100, 4},
    {"several slots", 5000, 500000, 30000, "", 2, 4},
    {"a bucket for all", 0, 600000, 600000, "", 1, 4},
    {"to the end", 500000, 60000, 10000, "", 100, 4},
    {"where there is nothing", 365000, 20000, 1000, "", 100, 0},
    {"before", -100000, 50000, 1000, "", 100, 0},
    {"after", 700000, 50000, 1000, "", 100, 0},
    {"by name", 0, 600000, 5000, "org/two", 100, 1},
    {"by id", 0, 600000, 5000, "org-two", 100, 1},
    {"nobody's name", 0, 600000, 5000, "org", 100, 0},
};

static void test_the_same_points(void **state)
{
    static struct history_point in_memory[POINTS_MAX], on_disk[POINTS_MAX];
    static struct history_series series_a[SERIES_MAX], series_b[SERIES_MAX];
    const struct history_source a = past_points_source(memory),
                                b = {on_disk_series, on_disk_points, store};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
        struct history_span span = {.from_ms = START_MS + spans[i].after_ms,
                                    .step_ms = spans[i].step_ms};
        ssize_t n;

        span.to_ms = span.from_ms + spans[i].length_ms;
        (void)snprintf(span.model, sizeof(span.model), "%s", spans[i].model);
        n = a.series(a.ctx, &span, series_a, SERIES_MAX);
        if (n != (ssize_t)spans[i].n_series ||
            b.series(b.ctx, &span, series_b, SERIES_MAX) != n)
            fail_msg("[%s] %zd series, %zd", spans[i].row, n,
                     b.series(b.ctx, &span, series_b, SERIES_MAX));
        for (ssize_t k = 0; k < n; k++) {
            size_t n_a =
                read_all(&a, &span, series_a[k].number, spans[i].at_once, in_memory);
            size_t n_b =
                read_all(&b, &span, series_b[k].number, spans[i].at_once, on_disk);

            assert_string_equal(series_a[k].of.served_name, series_b[k].of.served_name);
            assert_string_equal(series_a[k].of.id, series_b[k].of.id);
            assert_int_equal(series_a[k].of.port, series_b[k].of.port);
            assert_int_equal(series_a[k].is_host, series_b[k].is_host);
            if (n_a != n_b || n_a == 0)
                fail_msg("[%s] %s: %zu points, %zu", spans[i].row,
                         series_a[k].of.served_name, n_a, n_b);
            for (size_t p = 0; p < n_a; p++)
                compare(spans[i].row, series_a[k].of.served_name, &in_memory[p],
                        &on_disk[p]);
        }
    }
}

static void test_too_many_series(void **state)
{
    const struct history_source source = past_points_source(memory);
    const struct history_span span = {.from_ms = 0, .to_ms = INT64_MAX / 2};
    struct history_series series[SERIES_MAX];

    (void)state;
    assert_int_equal(source.series(source.ctx, &span, series, 4), 4);
    assert_int_equal(source.series(source.ctx, &span, series, 3), -E2BIG);
    assert_int_equal(source.series(source.ctx, &span, series, 0), -E2BIG);
}

/* Twenty seconds are there twice: buckets of both times, each once, in the order of time. */
static void test_clock_set_back(void **state)
{
    static struct history_point points[POINTS_MAX];
    const struct history_span spans_of[] = {
        {.from_ms = START_MS - 60000, .to_ms = START_MS + 60000, .step_ms = 0},
        {.from_ms = START_MS - 60000, .to_ms = START_MS + 60000, .step_ms = 5000},
    };
    struct history_series series[SERIES_MAX];
    struct history_source source;
    struct past_points *twice;
    struct past *other;

    (void)state;
    assert_int_equal(past_new(PAST_BYTES, &other), 0);
    for (int i = 0; i < 200; i++) {
        struct snapshot *snapshot = snapshot_new(pool);

        make_moment(i, snapshot);
        snapshot->unix_ms -= i < 100 ? 0 : 20050;
        past_add(other, snapshot);
        snapshot_unref(snapshot);
    }
    assert_int_equal(past_points_new(other, &twice), 0);
    source = past_points_source(twice);
    for (size_t i = 0; i < ARRAY_LEN(spans_of); i++) {
        uint64_t count = 0;
        size_t n;

        assert_int_equal(source.series(source.ctx, &spans_of[i], series, SERIES_MAX), 3);
        n = read_all(&source, &spans_of[i], series[0].number, 7, points);
        for (size_t p = 0; p < n; p++) {
            assert_true(p == 0 || points[p].unix_ms > points[p - 1].unix_ms);
            count += points[p].count;
        }
        assert_int_equal(count, 200);
    }
    past_points_free(twice);
    past_free(other);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_points),
        cmocka_unit_test(test_too_many_series),
        cmocka_unit_test(test_clock_set_back),
    };

    return cmocka_run_group_tests(tests, make_history, remove_history);
}
