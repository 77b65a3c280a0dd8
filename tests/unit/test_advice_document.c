// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "advice_scene.h"
#include "serve/advice.h"
#include "wire/json.h"

#include <jansson.h>

#define MIB (UINT64_C(1) << 20)

static const struct json_limits limits = {.bytes = 1 << 20, .depth = 8, .values = 65536};

static struct snapshot_pool *pool;
static struct board *board;
static struct buf out;
static struct observation seen[SNAPSHOT_MODELS_MAX];
static size_t n_seen;

static uint64_t get_now_ns(void)
{
    return 1;
}

static size_t read_seen(void *ctx, struct observation *ret, size_t max)
{
    assert_ptr_equal(ctx, seen);
    n_seen = MIN(n_seen, max);
    memcpy(ret, seen, n_seen * sizeof(*ret));
    return n_seen;
}

static const struct observations_source source = {read_seen, seen};

static int set_up(void **state)
{
    const struct board_options options = {.interval_ms = 500, .now_ns = get_now_ns};

    (void)state;
    buf_init(&out, ADVICE_BODY_MAX);
    return snapshot_pool_new(&pool) < 0 ? -1 : board_new(&options, &board);
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    board_free(board);
    snapshot_pool_free(pool);
    return 0;
}

static uint64_t load(uint64_t i, uint64_t n)
{
    (void)n;
    return i % 1001;
}

/* The names of models and of keys are never mixed up with what is around them. */
static const struct scene_model one = {
    .name = "org/\"one\"\\",
    .port = 8000,
    .engines = 1,
    .gpus = 1,
    .devices = 1,
    .blocks = 20000,
    .block_bytes = 2 * MIB,
    .max_model_len = 1024,
    .size_tokens = UNKNOWN,
    .rest = 18 * SCENE_GIB,
    .utilization = (double)NAN,
    .load = load,
    .hours = 0.5,
    .hit_percent = 12.345,
};

static void publish(const struct scene_model *m, uint64_t total)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    snapshot->unix_ms = SCENE_START_MS;
    snapshot->hit_percent = (double)NAN;
    snapshot->total_bytes = figure_of(total, MEASURED, NULL);
    snapshot->allocated_bytes = figure_of(total, MEASURED, NULL);
    scene_device(snapshot, total, UNKNOWN);
    scene_model(snapshot, m);
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
}

static json_t *ask(void)
{
    struct complaint why = {""};
    json_t *document;

    buf_clear(&out);
    assert_int_equal(advice_write(board, &source, &out), 0);
    assert_int_equal(out.error, 0);
    assert_int_equal(out.data[out.len - 1], '\n');
    if (json_read(buf_span(&out), &limits, &document, &why) < 0)
        fail_msg("%s: %.*s", why.text, (int)out.len, out.data);
    return document;
}

static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        fail_msg("no %s", key);
    return value;
}

static void assert_text(const json_t *object, const char *key, const char *want)
{
    const char *is = json_string_value(get(object, key));

    if (!is || strcmp(is, want) != 0)
        fail_msg("%s is %s, not %s", key, is ? is : "no text", want);
}

static void assert_number(const json_t *object, const char *key, double want)
{
    double is = json_number_value(get(object, key));

    if (!json_is_number(get(object, key)) || fabs(is - want) > 1e-9)
        fail_msg("%s is %.17g, not %.17g", key, is, want);
}

static void test_no_snapshot(void **state)
{
    (void)state;
    assert_int_equal(advice_write(board, &source, &out), -ENODATA);
    assert_int_equal(out.len, 0);
}

static void test_document(void **state)
{
    json_t *document;
    const json_t *it;

    (void)state;
    scene_observe(&one, &seen[0]);
    n_seen = 1;
    publish(&one, 80 * SCENE_GIB);
    document = ask();
    assert_number(document, "unix_ms", SCENE_START_MS);
    assert_number(document, "least_ms", 900000);

    assert_int_equal(json_array_size(get(document, "observed")), 1);
    it = json_array_get(get(document, "observed"), 0);
    assert_text(it, "model", one.name);
    assert_text(it, "model_id", "org--one--");
    assert_number(it, "port", 8000);
    assert_number(it, "from_ms", SCENE_START_MS);
    assert_number(it, "to_ms", SCENE_START_MS + 1799500);
    assert_number(it, "observed_ms", 1800000);
    assert_number(it, "samples", 3600);
    assert_number(it, "kv_pool_bytes", 41943040000);
    assert_number(it, "kv_used_max_bytes", 1000 * 2097152.0);
    assert_number(it, "kv_used_p999_bytes", 999 * 2097152.0);
    assert_number(it, "max_requests_running", 1);
    assert_number(it, "max_requests_waiting", 0);
    assert_number(it, "preemptions", 0);
    assert_number(it, "hit_percent", 12.35);

    assert_int_equal(json_array_size(get(document, "advice")), 1);
    it = json_array_get(get(document, "advice"), 0);
    assert_text(it, "id", "shrink:org--one--:8000");
    assert_text(it, "kind", "shrink");
    assert_text(it, "severity", "info");
    assert_text(it, "confidence", "low");
    assert_text(it, "model", one.name);
    assert_text(it, "model_id", "org--one--");
    assert_number(it, "port", 8000);
    assert_true(json_is_null(get(it, "device")));
    assert_number(it, "kv_cache_memory_bytes", 1101 * 2097152.0);
    assert_number(it, "gpu_memory_utilization", 0.252);
    assert_number(it, "freed_bytes_per_gpu", (20000 - 1101) * 2097152.0);
    assert_text(it, "command",
                "--kv-cache-memory-bytes=2308964352 --gpu-memory-utilization=0.252");
    assert_true(json_array_size(get(it, "arithmetic")) >= 8);
    json_decref(document);
}

static void test_of_a_device(void **state)
{
    struct scene_model first = one;
    struct snapshot *snapshot = snapshot_new(pool);
    json_t *document;
    const json_t *it;

    (void)state;
    first.utilization = 0.7;
    first.blocks = 1050; // nothing to shrink
    scene_observe(&first, &seen[0]);
    n_seen = 1;
    scene_device(snapshot, 80 * SCENE_GIB, UNKNOWN);
    (void)snprintf(snapshot->devices[0].uuid, sizeof(snapshot->devices[0].uuid),
                   "GPU-\"0\"");
    scene_model(snapshot, &first);
    first.port = 8001;
    scene_model(snapshot, &first);
    snapshot->total_bytes = snapshot->allocated_bytes = figure_of(1, MEASURED, NULL);
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
    document = ask();
    assert_int_equal(json_array_size(get(document, "advice")), 1);
    it = json_array_get(get(document, "advice"), 0);
    assert_text(it, "id", "start_collision:GPU-\"0\"");
    assert_text(it, "device", "GPU-\"0\"");
    assert_true(json_is_null(get(it, "model")) && json_is_null(get(it, "port")) &&
                json_is_null(get(it, "model_id")) && json_is_null(get(it, "command")) &&
                json_is_null(get(it, "kv_cache_memory_bytes")) &&
                json_is_null(get(it, "gpu_memory_utilization")) &&
                json_is_null(get(it, "freed_bytes_per_gpu")));
    json_decref(document);
}

static void test_nothing_was_seen(void **state)
{
    struct scene_model hidden = one;
    json_t *document;
    const json_t *it;

    (void)state;
    hidden.block_bytes = 0;
    scene_observe(&hidden, &seen[0]);
    n_seen = 1;
    publish(&hidden, 80 * SCENE_GIB);
    document = ask();
    assert_int_equal(json_array_size(get(document, "advice")), 0);
    it = json_array_get(get(document, "observed"), 0);
    assert_number(it, "observed_ms", 0);
    assert_true(json_is_null(get(it, "from_ms")) && json_is_null(get(it, "to_ms")) &&
                json_is_null(get(it, "kv_pool_bytes")) &&
                json_is_null(get(it, "kv_used_max_bytes")) &&
                json_is_null(get(it, "preemptions")) &&
                json_is_null(get(it, "hit_percent")));
    json_decref(document);
}

/* As many as there can be, with names as long as they get in JSON. */
static void test_the_largest(void **state)
{
    struct snapshot *snapshot = snapshot_new(pool);
    struct scene_model m = one;
    char name[ENGINE_NAME_MAX + 1];
    json_t *document;

    (void)state;
    memset(name, '"', sizeof(name) - 1);
    name[ENGINE_NAME_MAX] = '\0';
    m.name = name;
    m.hours = 0.3;
    m.devices = 3;
    m.gpus = 2;
    m.error = 1; // the longest lines
    m.hit_percent = 1;
    m.queries = 1e9;
    m.utilization = 0.9;
    scene_device(snapshot, 10000 * SCENE_GIB, UNKNOWN);
    scene_device(snapshot, 10000 * SCENE_GIB, UNKNOWN);
    snapshot->total_bytes = snapshot->allocated_bytes = figure_of(1, MEASURED, NULL);
    for (n_seen = 0; n_seen < SNAPSHOT_MODELS_MAX; n_seen++) {
        m.port = (uint16_t)(10000 + n_seen);
        scene_model(snapshot, &m);
        scene_observe(&m, &seen[n_seen]);
    }
    assert_int_equal(board_publish(board, snapshot), 0);
    snapshot_unref(snapshot);
    document = ask();
    assert_int_equal(json_array_size(get(document, "observed")), SNAPSHOT_MODELS_MAX);
    assert_int_equal(json_array_size(get(document, "advice")),
                     2 * SNAPSHOT_MODELS_MAX + 2);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_snapshot), cmocka_unit_test(test_document),
        cmocka_unit_test(test_of_a_device), cmocka_unit_test(test_nothing_was_seen),
        cmocka_unit_test(test_the_largest),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
