// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/aggregated.h"

#include <math.h>
#include <stdio.h>

#define MS UINT64_C(1000000)

static uint64_t now_ns;
static struct snapshot_pool *pool;
static struct board *board;
static struct aggregated *aggregated;
static struct buf out;

static uint64_t get_now_ns(void)
{
    return now_ns;
}

static const struct {
    const char *query;
    int r;
    unsigned seconds;
} queries[] = {
    {"", 0, 5},
    {"window=1", 0, 1},
    {"window=60", 0, 60},
    {"window=007", 0, 7},
    {"a=b&window=9", 0, 9},
    {"window=9&a", 0, 9},
    {"&&window=9&", 0, 9},
    {"windows=0&window_=0&=window&Window=0&awindow=0", 0, 5},
    {"window=0", -EINVAL, 0},
    {"window=61", -EINVAL, 0},
    {"window=18446744073709551621", -EINVAL, 0}, // 2^64 + 5
    {"window=4294967301", -EINVAL, 0},           // 2^32 + 5
    {"window=", -EINVAL, 0},
    {"window", -EINVAL, 0},
    {"a&window&b", -EINVAL, 0},
    {"window=abc", -EINVAL, 0},
    {"window=5s", -EINVAL, 0},
    {"window=5.0", -EINVAL, 0},
    {"window=-5", -EINVAL, 0},
    {"window=+5", -EINVAL, 0},
    {"window= 5", -EINVAL, 0},
    {"window=%35", -EINVAL, 0},
    {"window=5=5", -EINVAL, 0},
    {"window=5&window=5", -EINVAL, 0},
    {"window=5&a=1&window", -EINVAL, 0},
};

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        unsigned seconds = 0;
        int r = aggregated_read_window(span_of(queries[i].query), &seconds);

        if (r != queries[i].r || seconds != queries[i].seconds)
            fail_msg("[%s] %d, %u s", queries[i].query, r, seconds);
    }
    assert_int_equal(aggregated_read_window((struct span){NULL, 0}, &(unsigned){0}), 0);
}

static void write_window(unsigned seconds)
{
    buf_clear(&out);
    assert_int_equal(aggregated_write(aggregated, seconds, now_ns, &out), 0);
    assert_int_equal(out.error, 0);
}

static void assert_written(const char *wanted)
{
    buf_add_char(&out, '\0');
    assert_int_equal(out.error, 0);
    assert_string_equal(out.data, wanted);
}

/* One that is one model's: `used` of KV cache, `running` requests. */
static void publish(uint64_t taken_ns, uint64_t used, uint64_t running)
{
    struct snapshot *snapshot = snapshot_new(pool);
    struct snapshot_model *model = &snapshot->models[0];

    *model = (struct snapshot_model){0};
    snapshot->taken_ns = now_ns = taken_ns;
    snapshot->total_bytes = figure_of(85899345920, MEASURED, NULL);
    snapshot->allocated_bytes = figure_of(78571110400, MEASURED, NULL);
    snapshot->kv_used_bytes = used == UNKNOWN ? 0 : used;
    snapshot->hit_percent = 100.0 / 3;
    snapshot->n_models = 1;
    (void)snprintf(model->served_name, sizeof(model->served_name), "a/b");
    snapshot_make_id(model->served_name, model->id);
    model->port = 8000;
    model->allocated_bytes = snapshot->allocated_bytes;
    model->kv_used_bytes = figure_of(used, DERIVED, NULL);
    model->page.requests_running = running;
    model->page.requests_waiting = UNKNOWN;
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
}

#define ALLOCATED(count)                                                               \
    "{\"total_vram_bytes\":85899345920,\"allocated_vram_bytes\":{\"min\":78571110400," \
    "\"max\":78571110400,\"avg\":78571110400,\"p95\":78571110400,"                     \
    "\"p99\":78571110400,\"count\":" count "},\"used_kv_cache_bytes\":{"
#define RATE(count)                                                           \
    "},\"prefix_cache_hit_rate\":{\"min\":33.33,\"max\":33.33,\"avg\":33.33," \
    "\"p95\":33.33,\"p99\":33.33,\"count\":" count "},\"num_requests_running\":{"
#define NONE \
    "\"min\":null,\"max\":null,\"avg\":null,\"p95\":null,\"p99\":null,\"count\":0"
#define REST(window, count, used)                                                  \
    "},\"num_requests_waiting\":{" NONE "},\"window_seconds\":" window             \
    ",\"sample_count\":" count ",\"models\":[{\"model_id\":\"a-b\",\"port\":8000," \
    "\"allocated_vram_bytes\":78571110400,\"used_kv_cache_bytes\":" used "}]}\n"

static void test_document(void **state)
{
    (void)state;
    publish(10000 * MS, 1, 1);
    publish(10500 * MS, 2, 2);
    publish(11000 * MS, 5, UNKNOWN);
    now_ns += 400 * MS;
    write_window(1); // two of them, one of which does not know the requests
    assert_written(ALLOCATED(
        "2") "\"min\":2,\"max\":5,\"avg\":4,\"p95\":5,\"p99\":5,\"count\":2" // 3.5
                   RATE("2") "\"min\":2.0,\"max\":2.0,\"avg\":2.0,\"p95\":2.0,\"p99\":2."
                             "0,\"count\":1" REST("1", "2", "5"));
    write_window(60); // longer than we live
    assert_written(ALLOCATED("3") "\"min\":1,\"max\":5,\"avg\":3,\"p95\":5,\"p99\":5,"
                                  "\"count\":3" // 2.67, 4.7, 4.94
                   RATE("3") "\"min\":1.0,\"max\":2.0,\"avg\":1.5,\"p95\":1.95,\"p99\":1."
                             "99,\"count\":2" REST("60", "3", "5"));
    publish(90000 * MS, UNKNOWN, 0); // long after the others
    write_window(60);
    assert_written(ALLOCATED("1")
                       NONE RATE("1") "\"min\":0.0,\"max\":0.0,\"avg\":0.0,\"p95\":0.0,"
                                      "\"p99\":0.0,\"count\":1" REST("60", "1", "0"));
}

/* With a long interval there is never nothing, and never what was before the newest. */
static void test_newest_holds(void **state)
{
    (void)state;
    publish(10000 * MS, 1, 1);
    publish(40000 * MS, 7, 7);
    now_ns += 29000 * MS;
    write_window(5);
    assert_written(
        ALLOCATED("1") "\"min\":7,\"max\":7,\"avg\":7,\"p95\":7,\"p99\":7,\"count\":"
                       "1" RATE("1") "\"min\":7.0,\"max\":7.0,\"avg\":7.0,\"p95\":7.0,"
                                     "\"p99\":7.0,\"count\":1" REST("5", "1", "7"));
}

/* Where more are in the window than there is room for, it is the newest of them. */
static void test_many(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 2000; i++)
        publish(i * MS, i, i);
    write_window(60);
    assert_written(
        ALLOCATED("640") "\"min\":1361,\"max\":2000,\"avg\":1681,"
                         "\"p95\":1968,\"p99\":1994,\"count\":640" RATE(
                             "640") "\"min\":1361.0,\"max\":2000.0,\"avg\":1680.5,"
                                    "\"p95\":1968.05,\"p99\":1993.61,\"count\":640" REST(
                                        "60", "640", "2000"));
}

static void test_outage(void **state)
{
    static const struct outage outage = {"no-driver", "it is gone", ""};

    (void)state;
    buf_clear(&out);
    assert_int_equal(aggregated_write(aggregated, 5, now_ns, &out), -ENODATA);
    publish(100 * MS, 1, 1);
    assert_int_equal(board_publish_outage(board, &outage, NULL), 0);
    assert_int_equal(aggregated_write(aggregated, 5, now_ns, &out), -ENODATA);
    assert_int_equal(out.len, 0);
    publish(3000 * MS, 2, 3); // what was before the outage is in the window
    write_window(5);
    assert_written(
        ALLOCATED("2") "\"min\":1,\"max\":2,\"avg\":2,\"p95\":2,\"p99\":2,\"count\":"
                       "2" RATE("2") "\"min\":1.0,\"max\":3.0,\"avg\":2.0,\"p95\":2.9,"
                                     "\"p99\":2.98,\"count\":2" REST("5", "2", "2"));
}

/* Where another run begins, nothing is left of the one before. */
static void test_another_run(void **state)
{
    (void)state;
    publish(100 * MS, 1, 1);
    board_begin_anew(board);
    publish(200 * MS, 7, 7);
    write_window(5);
    assert_written(
        ALLOCATED("1") "\"min\":7,\"max\":7,\"avg\":7,\"p95\":7,\"p99\":7,\"count\":"
                       "1" RATE("1") "\"min\":7.0,\"max\":7.0,\"avg\":7.0,\"p95\":7.0,"
                                     "\"p99\":7.0,\"count\":1" REST("5", "1", "7"));
}

/* What is not known is null, here also of the total; what is too large stays an int64. */
static void test_extremes(void **state)
{
    struct snapshot *snapshot = snapshot_new(pool);

    (void)state;
    snapshot->taken_ns = now_ns = 1;
    snapshot->total_bytes = figure_unknown("hidden");
    snapshot->allocated_bytes = figure_of(UNKNOWN - 1, MEASURED, NULL);
    snapshot->hit_percent = (double)NAN;
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
    write_window(1);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data,
                           "{\"total_vram_bytes\":null,\"allocated_vram_bytes\":"
                           "{\"min\":9223372036854775807,"));
    assert_non_null(strstr(out.data, "\"prefix_cache_hit_rate\":{" NONE "}"));
    assert_non_null(strstr(out.data, "\"num_requests_running\":{\"min\":0.0,"));
    assert_non_null(strstr(out.data, ",\"models\":[]}\n"));
}

/* As many rows as there can be, with the longest names. */
static void test_full(void **state)
{
    struct snapshot *snapshot = snapshot_new(pool);

    (void)state;
    snapshot->n_models = SNAPSHOT_MODELS_MAX;
    for (size_t i = 0; i < SNAPSHOT_MODELS_MAX; i++) {
        struct snapshot_model *model = &snapshot->models[i];

        *model = (struct snapshot_model){0};
        memset(model->id, '-', ENGINE_NAME_MAX);
        model->port = 65535;
        model->allocated_bytes = model->kv_used_bytes =
            figure_of(INT64_MAX, DERIVED, NULL);
    }
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
    write_window(60);
    assert_true(out.len > SNAPSHOT_MODELS_MAX * ENGINE_NAME_MAX);
}

static int set_up(void **state)
{
    const struct board_options options = {.interval_ms = 500, .now_ns = get_now_ns};

    (void)state;
    buf_init(&out, 128 * 1024);
    if (snapshot_pool_new(&pool) < 0 || board_new(&options, &board) < 0)
        return -1;
    return aggregated_new(board, &aggregated);
}

static int tear_down(void **state)
{
    (void)state;
    aggregated_free(aggregated);
    board_free(board);
    snapshot_pool_free(pool);
    buf_done(&out);
    return 0;
}

#define WITH_BOARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries), WITH_BOARD(test_document),
        WITH_BOARD(test_newest_holds),  WITH_BOARD(test_many),
        WITH_BOARD(test_outage),        WITH_BOARD(test_another_run),
        WITH_BOARD(test_extremes),      WITH_BOARD(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
