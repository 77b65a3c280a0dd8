// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/seed.h"
#include "facts.h"
#include "join/attribute.h"

#include <math.h>

#define U UNKNOWN
#define N ((double)NAN)

static struct facts f;
static struct snapshot_pool *pool;

static int make_pool(void **state)
{
    (void)state;
    return snapshot_pool_new(&pool);
}

static int free_pool(void **state)
{
    (void)state;
    snapshot_pool_free(pool);
    return 0;
}

/*
 * What is used on a device has an owner or is unattributed; the parts of all devices are
 * those of the host, less what is held where nobody knows what is used.
 */
static void assert_devices_add_up(const struct snapshot *snapshot)
{
    uint64_t models = 0, other = 0, orphan = 0, held_unseen = 0;
    int64_t unattributed = 0;

    for (uint32_t i = 0; i < snapshot->n_devices; i++) {
        const struct snapshot_device *device = &snapshot->devices[i];
        uint64_t held = device->models_bytes + device->other_bytes + device->orphan_bytes;

        models += device->models_bytes;
        other += device->other_bytes;
        orphan += device->orphan_bytes;
        assert_true(held <= device->processes_bytes);
        if (device->mem_used_bytes == U || device->mem_total_bytes == U) {
            held_unseen += held;
            continue;
        }
        unattributed += device->unattributed_bytes;
        assert_int_equal(device->mem_used_bytes,
                         held + (uint64_t)device->unattributed_bytes);
        if (device->kv_pool_bytes.how != FROM_NOWHERE)
            assert_true(device->kv_pool_bytes.value <= device->models_bytes);
    }
    assert_int_equal(models, snapshot->models_bytes);
    assert_int_equal(other, snapshot->other_bytes);
    assert_int_equal(orphan, snapshot->orphan_bytes);
    assert_int_equal(unattributed - (int64_t)held_unseen, snapshot->unattributed_bytes);
}

/* The snapshot of the facts as they are now, to be given back. */
static struct snapshot *joined(void)
{
    struct snapshot *snapshot = snapshot_new(pool);

    assert_non_null(snapshot);
    assert_int_equal(join(&f.join, snapshot), 0);
    assert_devices_add_up(snapshot);
    return snapshot;
}

static void begin(uint64_t total, uint64_t used)
{
    facts_begin(&f);
    facts_device(&f, total, used);
}

static void assert_seed(const struct snapshot *snapshot, const char *wanted)
{
    struct buf out;

    buf_init(&out, SEED_EVENT_MAX);
    seed_write(&out, snapshot, SEED_IDENTIFIER);
    buf_add_char(&out, '\0');
    assert_int_equal(out.error, 0);
    assert_string_equal(out.data, wanted);
    buf_done(&out);
}

static void test_example_of_the_contract(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    begin(UINT64_C(85899345920), UINT64_C(78571110400));
    facts_process(&f, 100, 1);
    facts_process(&f, 101, 100);
    facts_holds(&f, 101, 0, UINT64_C(78571110400));
    facts_engine(&f, 8000, 100, "Qwen/Qwen3-0.6B");
    f.engines[0].page.prefix = (struct hit_counts){7345, 10000};
    snapshot = joined();
    assert_seed(snapshot,
                "{\"total_vram_bytes\":85899345920,\"allocated_vram_bytes\":78571110400,"
                "\"used_kv_cache_bytes\":0,\"prefix_cache_hit_rate\":73.45,\"models\":[{"
                "\"model_id\":\"Qwen-Qwen3-0-6B\",\"port\":8000,\"allocated_vram_bytes\":"
                "78571110400,\"used_kv_cache_bytes\":0}]}");
    assert_int_equal(snapshot->unattributed_bytes, 0);
    assert_int_equal(snapshot->kv_unknown, 0);
    snapshot_unref(snapshot);
}

/* A loaded server on two GPUs: 2809 of 25028 blocks, 2480 hits of 339968. */
static void test_loaded_server(void **state)
{
    struct join_engine *engine;
    struct snapshot *snapshot;

    (void)state;
    begin(24 * GIB, 8 * GIB);
    facts_device(&f, 24 * GIB, 9 * GIB);
    facts_process(&f, 100, 1);
    facts_process(&f, 101, 100);
    facts_process(&f, 102, 101);
    facts_process(&f, 103, 101);
    facts_process(&f, 300, 1);
    facts_holds(&f, 102, 0, 7 * GIB);
    facts_holds(&f, 103, 1, 7 * GIB);
    facts_holds(&f, 300, 1, GIB);
    engine = facts_engine(&f, 8000, 100, "opt");
    engine->kv_bytes_per_block = 294912;
    f.engines[0].page.kv_blocks = 25028;
    f.engines[0].page.kv_used_blocks = 2809;
    f.engines[0].page.kv_usage_ratio = 2809.0 / 25027;
    f.engines[0].page.prefix = (struct hit_counts){2480, 339968};

    snapshot = joined();
    assert_seed(
        snapshot,
        "{\"total_vram_bytes\":51539607552,\"allocated_vram_bytes\":18253611008,"
        "\"used_kv_cache_bytes\":1656815616,\"prefix_cache_hit_rate\":0.73,"
        "\"models\":[{\"model_id\":\"opt\",\"port\":8000,\"allocated_vram_bytes\":"
        "15032385536,\"used_kv_cache_bytes\":1656815616}]}");
    assert_int_equal(snapshot->other_bytes, GIB);
    assert_int_equal(snapshot->unattributed_bytes, 2 * (int64_t)GIB);
    snapshot_unref(snapshot);
}

/*
 * Three devices: one model on two of them, a worker left over and a process that is no
 * model's; a server without a name; what is used of the last is not known.
 */
static void test_parts_of_devices(void **state)
{
    struct snapshot_device *d;
    struct snapshot *snapshot;

    (void)state;
    begin(80 * GIB, 60 * GIB);
    facts_device(&f, 80 * GIB, 50 * GIB);
    facts_device(&f, U, U);
    for (uint32_t pid = 100; pid < 106; pid++)
        facts_process(&f, pid, pid == 101 ? 100 : 1);
    memcpy(f.tree.processes[2].comm, "VLLM::Worker", sizeof("VLLM::Worker"));
    f.join.servers_known = true;
    facts_holds(&f, 100, 0, 30 * GIB);
    facts_holds(&f, 101, 1, 30 * GIB);
    facts_holds(&f, 102, 0, 7 * GIB);
    facts_holds(&f, 103, 1, 5 * GIB);
    facts_holds(&f, 103, 2, 3 * GIB);
    facts_holds(&f, 104, 0, 2 * GIB);
    facts_holds(&f, 105, 2, 9 * GIB);
    facts_engine(&f, 8000, 100, "m")->kv_bytes_per_block = GIB / 8;
    f.engines[0].page.kv_blocks = 160;
    f.engines[0].page.kv_used_blocks = 40;
    f.engines[0].page.kv_usage_ratio = 40.0 / 159;
    (void)facts_engine(&f, 8001, 104, "");
    (void)facts_engine(&f, 8002, 105, "c");
    snapshot = joined();

    d = snapshot->devices;
    assert_int_equal(d[0].models_bytes, 30 * GIB);
    assert_int_equal(d[0].kv_pool_bytes.value, 20 * GIB);
    assert_int_equal(d[0].kv_used_bytes.value, 5 * GIB);
    assert_int_equal(d[0].kv_used_bytes.how, DERIVED);
    assert_int_equal(d[0].orphan_bytes, 7 * GIB);
    assert_int_equal(d[0].other_bytes, 2 * GIB);
    assert_int_equal(d[0].unattributed_bytes, 21 * GIB);
    assert_int_equal(d[1].models_bytes, 30 * GIB);
    assert_int_equal(d[1].kv_pool_bytes.value, 20 * GIB);
    assert_int_equal(d[1].other_bytes, 5 * GIB);
    assert_int_equal(d[1].unattributed_bytes, 15 * GIB);
    assert_int_equal(d[2].models_bytes, 9 * GIB);
    assert_int_equal(d[2].other_bytes, 3 * GIB);
    assert_int_equal(d[2].kv_pool_bytes.how, FROM_NOWHERE);
    assert_int_equal(d[2].kv_pool_unknown, 1);
    assert_int_equal(d[2].kv_used_bytes.value, 0); // it says that no block is held
    snapshot_unref(snapshot);
}

/* What the driver hides is unattributed, on its device as for the host. */
static void test_hidden_part_of_a_device(void **state)
{
    struct snapshot_device *d;
    struct snapshot *snapshot;

    (void)state;
    begin(80 * GIB, 60 * GIB);
    facts_device(&f, 80 * GIB, 0);
    facts_process(&f, 100, 1);
    facts_process(&f, 200, 1);
    facts_holds(&f, 100, 0, U);
    facts_holds(&f, 100, 0, 4 * GIB);
    facts_holds(&f, 200, 0, 8 * GIB);
    facts_engine(&f, 8000, 100, "m")->kv_bytes_per_block = 1000;
    facts_engine(&f, 8001, 200, "n")->kv_bytes_per_block = 1000;
    for (size_t i = 0; i < 2; i++) {
        f.engines[i].page.kv_blocks = 160;
        f.engines[i].page.kv_used_blocks = 40;
        f.engines[i].page.kv_usage_ratio = 40.0 / 159;
    }
    snapshot = joined();
    d = snapshot->devices;
    assert_int_equal(d[0].models_bytes, 8 * GIB);
    assert_int_equal(d[0].unattributed_bytes, 52 * GIB);
    assert_int_equal(d[0].n_models, 2);
    assert_int_equal(d[0].kv_pool_unknown, 1);
    assert_int_equal(d[0].kv_used_unknown, 1);
    assert_int_equal(d[0].kv_used_bytes.how, FROM_NOWHERE);
    assert_non_null(strstr(d[0].kv_used_bytes.why, "does not tell the memory"));
    assert_int_equal(d[1].kv_used_bytes.value, 0);
    assert_int_equal(d[1].kv_used_bytes.how, DERIVED);
    assert_int_equal(d[1].unattributed_bytes, 0);
    snapshot_unref(snapshot);
}

/* Devices of which something is not known. */
static const struct {
    const char *row;
    struct {
        uint64_t total, used;
    } devices[3];
    int r;
    uint64_t total, used;
    bool why;
} device_rows[] = {
    {"no device", {{0}}, -ENODATA, 0, 0, false},
    {"one, not known", {{U, U}}, -ENODATA, 0, 0, false},
    {"one, use not known", {{10, U}}, -ENODATA, 0, 0, false},
    {"one, size not known", {{U, 5}}, -ENODATA, 0, 0, false},
    {"more in use than there is", {{10, 11}}, -ENODATA, 0, 0, false},
    {"a size that cannot be", {{U - 1, 5}}, -ENODATA, 0, 0, false},
    {"one known", {{10, 5}}, 0, 10, 5, false},
    {"full", {{10, 10}}, 0, 10, 10, false},
    {"empty", {{10, 0}}, 0, 10, 0, false},
    {"three known", {{10, 5}, {20, 6}, {30, 7}}, 0, 60, 18, false},
    {"the middle one is not known", {{10, 5}, {U, U}, {30, 7}}, 0, 40, 12, true},
    {"the last one's use is not known", {{10, 5}, {20, U}}, 0, 10, 5, true},
    {"two that would overflow",
     {{UINT64_C(1) << 63, 1}, {UINT64_C(1) << 63, 1}, {10, 5}},
     0,
     10,
     5,
     true},
};

static void test_devices(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(device_rows); i++) {
        struct snapshot *snapshot = snapshot_new(pool);
        int r;

        facts_begin(&f);
        for (size_t d = 0; d < 3 && device_rows[i].devices[d].total; d++)
            facts_device(&f, device_rows[i].devices[d].total,
                         device_rows[i].devices[d].used);
        r = join(&f.join, snapshot);
        if (r != device_rows[i].r)
            fail_msg("[%s] %d", device_rows[i].row, r);
        if (r == 0 && (snapshot->total_bytes.value != device_rows[i].total ||
                       snapshot->allocated_bytes.value != device_rows[i].used ||
                       snapshot->total_bytes.how != MEASURED ||
                       snapshot->allocated_bytes.how != MEASURED ||
                       (snapshot->total_bytes.why != NULL) != device_rows[i].why ||
                       (snapshot->allocated_bytes.why != NULL) != device_rows[i].why ||
                       snapshot->n_devices != f.gpu.n_devices))
            fail_msg("[%s] %llu of %llu", device_rows[i].row,
                     (unsigned long long)snapshot->allocated_bytes.value,
                     (unsigned long long)snapshot->total_bytes.value);
        snapshot_unref(snapshot);
    }
}

/* A sum with an estimate in it is one. */
static void test_estimated_device(void **state)
{
    struct snapshot *snapshot = snapshot_new(pool);

    (void)state;
    facts_begin(&f);
    facts_device(&f, 20, 5);
    facts_device(&f, 40, 6);
    f.gpu.devices[1].used_is_estimate = 1;
    assert_int_equal(join(&f.join, snapshot), 0);
    assert_int_equal(snapshot->total_bytes.how, MEASURED);
    assert_int_equal(snapshot->allocated_bytes.how, ESTIMATED);
    assert_int_equal(snapshot->allocated_bytes.value, 11);
    assert_true(snapshot->allocated_bytes.error == UNKNOWN);
    assert_non_null(snapshot->allocated_bytes.why);
    assert_false(snapshot->devices[0].used_is_estimate);
    assert_true(snapshot->devices[1].used_is_estimate);
    snapshot_unref(snapshot);

    snapshot = snapshot_new(pool);
    f.gpu.devices[1].mem_used_bytes = UNKNOWN; // so that it is not in the sum
    assert_int_equal(join(&f.join, snapshot), 0);
    assert_int_equal(snapshot->allocated_bytes.how, MEASURED);
    snapshot_unref(snapshot);
}

static void test_no_gpu_on_purpose(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    facts_begin(&f);
    f.join.gpu = NULL;
    facts_engine(&f, 8000, 100, "cpu");
    snapshot = joined();
    assert_seed(snapshot,
                "{\"total_vram_bytes\":0,\"allocated_vram_bytes\":0,"
                "\"used_kv_cache_bytes\":0,\"prefix_cache_hit_rate\":0.0,\"models\":[{"
                "\"model_id\":\"cpu\",\"port\":8000,\"allocated_vram_bytes\":0,"
                "\"used_kv_cache_bytes\":0}]}");
    snapshot_unref(snapshot);
}

/* A device that drivers cannot size must not make the pool on it look too large. */
static void test_limit_with_a_device_unknown(void **state)
{
    struct join_engine *engine;
    struct snapshot *snapshot;

    (void)state;
    begin(GIB, 0);
    facts_device(&f, U, U);
    facts_process(&f, 100, 1);
    facts_holds(&f, 100, 1, 90 * GIB);
    engine = facts_engine(&f, 8000, 100, "unified");
    engine->kv_bytes_per_block = GIB;
    f.engines[0].page.kv_blocks = 80;
    f.engines[0].page.kv_used_blocks = 40;
    f.engines[0].page.kv_usage_ratio = 0.5;
    snapshot = joined();
    assert_int_equal(snapshot->models[0].kv_used_bytes.value, 40 * GIB);
    assert_int_equal(snapshot->unattributed_bytes, -90 * (int64_t)GIB);
    snapshot_unref(snapshot);
}

enum {
    FORGOTTEN = 1,
    REFUSED = 2,
    INVISIBLE = 4,
    NAMELESS = 8,
    NAMED = 16,
    RENAMED = 32
};

static const struct {
    const char *row;
    unsigned flags;
    const char *id; // of the row; NULL: there is none
} presence[] = {
    {"answers", 0, "own"},
    {"no name yet", NAMELESS, NULL},
    {"no name yet, but the operator's", NAMELESS | NAMED, "given"},
    {"the operator's name goes first", NAMED, "given"},
    {"an empty one does not", RENAMED, "own"},
    {"no longer answers, its process lives", FORGOTTEN, "own"},
    {"refused and forgotten, its process lives", FORGOTTEN | REFUSED, "own"},
    {"process not visible", INVISIBLE, "own"},
    {"process not visible, forgotten", INVISIBLE | FORGOTTEN, "own"},
    {"process not visible, refused just now", INVISIBLE | REFUSED, "own"},
    {"process not visible, refused and forgotten", INVISIBLE | FORGOTTEN | REFUSED, NULL},
    {"the same with a given name", INVISIBLE | FORGOTTEN | REFUSED | NAMED, NULL},
};

static void test_rows_come_and_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(presence); i++) {
        unsigned flags = presence[i].flags;
        struct join_engine *engine;
        struct snapshot *snapshot;
        const char *id;

        begin(GIB, 0);
        engine = facts_engine(&f, 8000, flags & INVISIBLE ? 0 : 100,
                              flags & NAMELESS ? "" : "own");
        if (flags & (NAMED | RENAMED))
            engine->name = flags & NAMED ? "given" : "";
        if (flags & REFUSED)
            engine_take_failure(&f.engines[0], ENGINE_FAIL_REFUSED, "refused", FACTS_NOW);
        if (flags & FORGOTTEN)
            f.join.now_ns += 10 * FACTS_NS_PER_S;
        snapshot = joined();
        id = snapshot->n_models ? snapshot->models[0].id : NULL;
        if (!id != !presence[i].id || (id && strcmp(id, presence[i].id) != 0))
            fail_msg("[%s] %s", presence[i].row, id);
        snapshot_unref(snapshot);
    }
}

/* What an engine said is not repeated for ever. */
static void test_forgotten_figures(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    begin(GIB, 100);
    facts_process(&f, 100, 1);
    facts_holds(&f, 100, 0, 60);
    facts_engine(&f, 8000, 100, "m");
    f.engines[0].page.requests_running = 3;
    f.engines[0].page.requests_waiting = 4;
    f.engines[0].page.preemptions = 5;
    f.engines[0].page.prefix = (struct hit_counts){1, 2};
    snapshot = joined();
    assert_int_equal(snapshot->models[0].page.requests_running, 3);
    assert_int_equal((int)snapshot->hit_percent, 50);
    assert_false(snapshot->models[0].stale);
    snapshot_unref(snapshot);

    f.join.now_ns += 2 * FACTS_NS_PER_S;
    snapshot = joined();
    assert_int_equal(snapshot->models[0].page.requests_running, 3);
    assert_true(snapshot->models[0].stale);
    snapshot_unref(snapshot);

    f.join.now_ns += 3 * FACTS_NS_PER_S;
    snapshot = joined();
    assert_true(snapshot->models[0].page.requests_running == U);
    assert_true(snapshot->models[0].page.requests_waiting == U);
    assert_true(snapshot->models[0].page.preemptions == U);
    assert_true(isnan(snapshot->models[0].page.kv_usage_ratio));
    assert_true(isnan(snapshot->models[0].page.prefix.queries));
    assert_int_equal(snapshot->models[0].kv_used_bytes.how, FROM_NOWHERE);
    assert_int_equal(snapshot->kv_unknown, 1);
    assert_int_equal((int)snapshot->hit_percent, 0);
    assert_int_equal(snapshot->models[0].allocated_bytes.value, 60); // the driver's
    snapshot_unref(snapshot);
}

static void test_order(void **state)
{
    static const struct {
        uint16_t port;
        const char *name;
    } in[] = {{9000, "b"}, {8000, "z"}, {9000, "a"}, {80, "m"},
              {8000, "B"}, {8000, "a"}, {9000, "a"}, {65535, "0"}},
      out[] = {{80, "m"},   {8000, "B"}, {8000, "a"}, {8000, "z"},
               {9000, "a"}, {9000, "a"}, {9000, "b"}, {65535, "0"}};
    struct snapshot *snapshot;

    (void)state;
    begin(GIB, 0);
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        facts_engine(&f, in[i].port, (uint32_t)(100 + i), in[i].name);
    snapshot = joined();
    assert_int_equal(snapshot->n_models, ARRAY_LEN(in));
    for (size_t i = 0; i < ARRAY_LEN(out); i++) {
        assert_int_equal(snapshot->models[i].port, out[i].port);
        assert_string_equal(snapshot->models[i].id, out[i].name);
    }
    assert_int_equal(snapshot->models[4].engine, 2); // equal ones as they came
    assert_int_equal(snapshot->models[5].engine, 6);
    snapshot_unref(snapshot);
}

/* An operator's name is text from outside as well. */
static void test_names(void **state)
{
    char name[ENGINE_NAME_MAX + 2];
    struct snapshot *snapshot;

    (void)state;
    memset(name, 'n', sizeof(name));
    memcpy(name + ENGINE_NAME_MAX - 1, "\xc3\xa9", 3); // é across the end
    name[1] = '\n';
    begin(GIB, 0);
    facts_engine(&f, 8000, 100, "own")->name = name;
    snapshot = joined();
    assert_int_equal(strlen(snapshot->models[0].served_name), ENGINE_NAME_MAX);
    assert_memory_equal(snapshot->models[0].served_name, "n\xef\xbf\xbdn", 5);
    assert_int_equal(snapshot->models[0].served_name[ENGINE_NAME_MAX - 1], 'n');
    assert_memory_equal(snapshot->models[0].id, "n-n", 3);
    snapshot_unref(snapshot);
}

/* Two engines, and what was before: hits and queries of their window and lifetime. */
static const struct {
    const char *row;
    double window[2][2], lifetime[2][2];
    double previous; // -1: no snapshot before; -2: one without a window
    double percent;
    bool in_window;
} rates[] = {
    {"nothing ever", {{0}}, {{0}}, -1, 0, false},
    {"not told", {{0}}, {{N, N}, {N, N}}, -1, 0, false},
    {"lifetime", {{0}}, {{1, 4}, {0, 0}}, -1, 25, false},
    {"lifetime, by tokens", {{0}}, {{10, 100}, {800, 900}}, -1, 81, false},
    {"lifetime, one does not tell", {{0}}, {{1, 4}, {N, N}}, -1, 25, false},
    {"window before lifetime", {{3, 4}}, {{1, 100}, {0, 0}}, -1, 75, true},
    {"window, by tokens", {{10, 100}, {800, 900}}, {{0}}, -1, 81, true},
    {"a window of 0 %", {{0, 4}}, {{90, 100}}, 50, 0, true},
    {"window before previous", {{3, 4}}, {{1, 100}}, 50, 75, true},
    {"quiet: the previous is kept", {{0}}, {{1, 100}}, 50, 50, true},
    {"quiet, previous was of a lifetime", {{0}}, {{1, 4}}, -2, 25, false},
    {"quiet, and nobody tells any more", {{0}}, {{N, N}, {N, N}}, 50, 50, true},
    {"one engine is quiet", {{0, 0}, {1, 2}}, {{1, 100}, {1, 2}}, -1, 50, true},
    {"more hits than queries in the window", {{5, 4}}, {{0}}, -1, 100, true},
};

static void feed_window(struct engine *engine, const double counts[2])
{
    hit_window_read(&engine->minute, (struct hit_counts){0, 0},
                    FACTS_NOW - 2 * FACTS_NS_PER_S);
    hit_window_read(&engine->minute, (struct hit_counts){counts[0], counts[1]},
                    FACTS_NOW - FACTS_NS_PER_S);
}

static void test_hit_rate(void **state)
{
    static struct snapshot previous;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct snapshot *snapshot;

        begin(GIB, 0);
        for (uint16_t e = 0; e < 2; e++) {
            facts_engine(&f, (uint16_t)(8000 + e), 100U + e, "m");
            f.engines[e].page.prefix =
                (struct hit_counts){rates[i].lifetime[e][0], rates[i].lifetime[e][1]};
            feed_window(&f.engines[e], rates[i].window[e]);
        }
        previous = (struct snapshot){.hit_percent = fmax(rates[i].previous, 0),
                                     .hit_percent_in_window = rates[i].previous >= 0};
        f.join.previous =
            rates[i].previous >= -1 && rates[i].previous < 0 ? NULL : &previous;
        snapshot = joined();
        if (fabs(snapshot->hit_percent - rates[i].percent) > 1e-9 ||
            snapshot->hit_percent_in_window != rates[i].in_window)
            fail_msg("[%s] %g, in window %d", rates[i].row, snapshot->hit_percent,
                     snapshot->hit_percent_in_window);
        snapshot_unref(snapshot);
    }
}

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

/* A byte count: mostly sane, sometimes not known, sometimes mad. */
static uint64_t draw_bytes(uint64_t below)
{
    static const uint64_t mad[] = {U,
                                   U - 1,
                                   UINT64_C(1) << 63,
                                   (UINT64_C(1) << 63) - 1,
                                   UINT64_C(1) << 50,
                                   (UINT64_C(1) << 50) + 1,
                                   0,
                                   1};

    return draw(8) ? draw(below) : mad[draw(ARRAY_LEN(mad))];
}

static void draw_engine(uint16_t port)
{
    static const char *const names[] = {"a", "b", "org/m", "\xc3\xa9", ""};
    static const uint32_t engines[] = {0, 1, 1, 1, 2, 4};
    uint32_t listener = (uint32_t)draw(8);
    struct join_engine *engine =
        facts_engine(&f, port, listener, names[draw(ARRAY_LEN(names))]);
    struct engine *its = &f.engines[f.join.n_engines - 1];
    double queries = (double)draw(1000);

    its->page.engines = engines[draw(ARRAY_LEN(engines))];
    its->page.kv_usage_ratio = draw(6) ? (double)draw(101) / 100 : N;
    its->page.kv_why = "why";
    if (draw(4)) {
        its->page.kv_blocks = 1 + draw(draw(4) ? 1000 : 1000000000);
        its->page.kv_used_blocks = draw(its->page.kv_blocks);
    }
    its->page.kv_memory_bytes = draw(3) ? U : draw_bytes(100 * GIB);
    its->page.asleep = draw(8) == 0;
    its->page.prefix =
        (struct hit_counts){floor(queries / (double)(1 + draw(5))), queries};
    its->page_ns = FACTS_NOW - draw(8) * FACTS_NS_PER_S;
    its->nobody_listens = draw(3) == 0;
    engine->kv_bytes_per_block = draw(2) ? U : draw_bytes(GIB / 8);
    engine->kv_pool_bytes_per_gpu = draw(3) ? U : draw_bytes(100 * GIB);
    engine->gpus = draw(3) ? U : 1 + draw(8);
}

static void draw_facts(void)
{
    facts_begin(&f);
    for (uint64_t n = draw(6); n; n--) {
        uint64_t total = draw_bytes(200 * GIB);

        facts_device(&f, total,
                     draw(4) && total != U ? draw(total + 1) : draw_bytes(200 * GIB));
    }
    for (uint32_t pid = 1; pid < 40; pid++)
        if (draw(8))
            facts_process(&f, pid, (uint32_t)(draw(6) ? draw(pid) : draw(40)));
    for (uint64_t n = f.gpu.n_devices ? draw(30) : 0; n; n--)
        facts_holds(&f, (uint32_t)(1 + draw(45)), (uint32_t)draw(f.gpu.n_devices),
                    draw_bytes(40 * GIB));
    for (uint64_t n = draw(6); n; n--)
        draw_engine((uint16_t)(8000 + draw(3)));
    f.gpu.processes_incomplete = draw(5) == 0;
    if (draw(16) == 0)
        f.gpu.processes_taken_ns = f.gpu.n_processes = 0;
    if (draw(16) == 0)
        f.join.gpu = NULL;
}

/* Whose a process is, found the slow way. */
static bool belongs_to_an_engine(uint32_t pid)
{
    for (int depth = 0; depth < HOST_DEPTH_MAX && pid; depth++) {
        uint32_t parent = 0;

        for (size_t i = 0; i < f.join.n_engines; i++)
            if (f.joined[i].root_pid == pid)
                return true;
        for (uint32_t i = 0; i < f.tree.n; i++)
            if (f.tree.processes[i].pid == pid)
                parent = f.tree.processes[i].parent_pid;
        pid = parent;
    }
    return false;
}

static uint64_t other_bytes_slowly(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; f.join.gpu && i < f.gpu.n_processes; i++)
        if (f.gpu.processes[i].used_bytes <= UINT64_C(1) << 50 &&
            !belongs_to_an_engine(f.gpu.processes[i].pid))
            sum += f.gpu.processes[i].used_bytes;
    return sum;
}

/* Of engines whose name is not known, say: process by process, where that is told. */
static uint64_t bytes_without_a_row(const struct snapshot *snapshot)
{
    static struct attributions shares;
    uint64_t sum = 0;

    attribute(&f.join, &shares);
    for (uint32_t i = 0; f.join.gpu && i < f.gpu.n_processes; i++) {
        bool has_row =
            shares.owner[i] < 0 || f.gpu.processes[i].used_bytes > ATTRIBUTE_BYTES_MAX;

        for (uint32_t j = 0; j < snapshot->n_models && !has_row; j++)
            has_row = snapshot->models[j].engine == (uint32_t)shares.owner[i];
        if (!has_row)
            sum += f.gpu.processes[i].used_bytes;
    }
    return sum;
}

static void check_figure(int round, struct figure figure)
{
    if ((figure.how == FROM_NOWHERE) != (figure.value == U))
        fail_msg("round %d: %llu has provenance %d", round,
                 (unsigned long long)figure.value, (int)figure.how);
    if ((figure.how == FROM_NOWHERE || figure.how == ESTIMATED) && !figure.why)
        fail_msg("round %d: %llu without a reason", round,
                 (unsigned long long)figure.value);
}

static void check_models(int round, const struct snapshot *snapshot)
{
    uint64_t kv_used = 0;
    uint32_t kv_unknown = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct snapshot_model *model = &snapshot->models[i];

        check_figure(round, model->allocated_bytes);
        check_figure(round, model->kv_used_bytes);
        check_figure(round, model->kv_pool_bytes);
        if (model->kv_pool_bytes.how != FROM_NOWHERE &&
            model->kv_used_bytes.value > model->kv_pool_bytes.value)
            fail_msg("round %d: more used than there is", round);
        if (model->kv_used_bytes.how == FROM_NOWHERE)
            kv_unknown++;
        else
            kv_used += model->kv_used_bytes.value;
        if (i > 0 &&
            (model[-1].port > model->port ||
             (model[-1].port == model->port && strcmp(model[-1].id, model->id) > 0)))
            fail_msg("round %d: out of order", round);
    }
    if (kv_used != snapshot->kv_used_bytes || kv_unknown != snapshot->kv_unknown)
        fail_msg("round %d: KV sum", round);
}

static void check_invariant(int round, const struct snapshot *snapshot)
{
    __int128 models = 0;

    for (uint32_t i = 0; i < snapshot->n_models; i++)
        if (snapshot->models[i].allocated_bytes.value != U)
            models += snapshot->models[i].allocated_bytes.value;
    if (models + snapshot->other_bytes + snapshot->unattributed_bytes !=
            snapshot->allocated_bytes.value ||
        models != snapshot->models_bytes)
        fail_msg("round %d: models, other and unattributed are not allocated", round);
    if (snapshot->other_bytes != other_bytes_slowly() + bytes_without_a_row(snapshot))
        fail_msg("round %d: other %llu", round,
                 (unsigned long long)snapshot->other_bytes);
    if (!(snapshot->hit_percent >= 0 && snapshot->hit_percent <= 100))
        fail_msg("round %d: hit rate %g", round, snapshot->hit_percent);
}

/* The largest first, and none that nobody counts. */
static void check_processes(int round, const struct snapshot *snapshot)
{
    uint64_t engines = 0, other = 0;

    for (uint32_t i = 0; i < snapshot->n_processes; i++) {
        const struct snapshot_process *process = &snapshot->processes[i];

        if (i > 0 && process->bytes > process[-1].bytes)
            fail_msg("round %d: processes out of order", round);
        if (process->bytes == U)
            continue;
        if (process->owner == OWNER_OTHER)
            other += process->bytes;
        else
            engines += process->bytes;
    }
    if (snapshot->processes_left_out == 0 && other != snapshot->other_bytes)
        fail_msg("round %d: other processes hold %llu", round, (unsigned long long)other);
    if (snapshot->processes_left_out == 0 && engines < snapshot->models_bytes)
        fail_msg("round %d: the engines' hold %llu", round, (unsigned long long)engines);
}

/* Of more than fit the smallest are left out. */
static void test_many_processes(void **state)
{
    struct snapshot *snapshot;

    (void)state;
    begin(80 * GIB, 80 * GIB);
    for (uint32_t i = 0; i < SNAPSHOT_PROCESSES_MAX + 40; i++)
        facts_holds(&f, 100 + i, 0, 1 + i * 7919 % 1000);
    facts_holds(&f, 99, 0, U);
    snapshot = joined();
    assert_int_equal(snapshot->n_processes, SNAPSHOT_PROCESSES_MAX);
    assert_int_equal(snapshot->processes_left_out, 41);
    check_processes(0, snapshot);
    assert_int_equal(snapshot->processes[0].pid, 99);
    for (uint32_t i = 0; i < f.gpu.n_processes; i++) {
        uint64_t bytes = f.gpu.processes[i].used_bytes;
        const struct snapshot_process *last =
            &snapshot->processes[SNAPSHOT_PROCESSES_MAX - 1];
        bool there = false;

        for (uint32_t j = 0; j < snapshot->n_processes; j++)
            there = there || snapshot->processes[j].pid == f.gpu.processes[i].pid;
        if (!there && bytes > last->bytes)
            fail_msg("%llu bytes are left out", (unsigned long long)bytes);
    }
    snapshot_unref(snapshot);
}

enum { ROUNDS = 10000 };

static void test_random_facts(void **state)
{
    int known = 0;
    struct buf first, again;

    (void)state;
    buf_init(&first, SEED_EVENT_MAX);
    buf_init(&again, SEED_EVENT_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        struct snapshot *snapshot = snapshot_new(pool), *twin = snapshot_new(pool);
        int r;

        draw_facts();
        r = join(&f.join, snapshot);
        assert_int_equal(join(&f.join, twin), r);
        if (r == 0) {
            known++;
            check_invariant(round, snapshot);
            check_processes(round, snapshot);
            check_processes(round, snapshot);
            check_models(round, snapshot);
            buf_clear(&first);
            buf_clear(&again);
            seed_write(&first, snapshot, SEED_SERVED_NAME);
            seed_write(&again, twin, SEED_SERVED_NAME);
            assert_int_equal(first.error, 0);
            assert_int_equal(first.len, again.len);
            assert_memory_equal(first.data, again.data, first.len);
        } else {
            assert_int_equal(r, -ENODATA);
        }
        snapshot_unref(snapshot);
        snapshot_unref(twin);
    }
    assert_in_range(known, ROUNDS / 2, ROUNDS - 1); // both ways were taken
    buf_done(&first);
    buf_done(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_of_the_contract),
        cmocka_unit_test(test_loaded_server),
        cmocka_unit_test(test_parts_of_devices),
        cmocka_unit_test(test_hidden_part_of_a_device),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_estimated_device),
        cmocka_unit_test(test_no_gpu_on_purpose),
        cmocka_unit_test(test_limit_with_a_device_unknown),
        cmocka_unit_test(test_rows_come_and_go),
        cmocka_unit_test(test_forgotten_figures),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hit_rate),
        cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_random_facts),
    };

    return cmocka_run_group_tests(tests, make_pool, free_pool);
}
