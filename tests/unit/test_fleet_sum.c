// SPDX-License-Identifier: Apache-2.0
/* What the nodes of a fleet come to: sums, and rows of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/seed.h"
#include "fleet_stage.h"

#include <malloc.h>
#include <time.h>

static uint64_t seed = 88172645463325252ULL;

static uint64_t below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void check_sum(const struct snapshot *sum)
{
    assert_int_equal(sum->models_bytes + sum->other_bytes + sum->orphan_bytes +
                         (uint64_t)sum->unattributed_bytes,
                     sum->allocated_bytes.value);
}

static void test_two_nodes(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");
    const struct fleet_model *row;

    (void)unused;
    gpu2.n_models = 3;
    gpu2.model_bytes = 20 * GIB;
    stage_say(&gpu2);
    stage_say(&gpu1);
    assert_int_equal(stage_sum(), 0);
    assert_string_equal(stage.sum->fleet->nodes[0].name, "gpu1");
    assert_int_equal(stage.sum->fleet->n_counted, 2);
    assert_int_equal(stage.sum->fleet->n_devices, 4);
    assert_int_equal(stage.sum->total_bytes.value, 320 * GIB);
    assert_int_equal(stage.sum->total_bytes.how, MEASURED);
    assert_null(stage.sum->total_bytes.why);
    assert_int_equal(stage.sum->allocated_bytes.value, 86 * GIB);
    assert_int_equal(stage.sum->models_bytes, 80 * GIB);
    assert_int_equal(stage.sum->unattributed_bytes, 2 * GIB);
    check_sum(stage.sum);
    assert_int_equal(stage.sum->kv_used_bytes, 5 * GIB);
    assert_int_equal(stage.sum->kv_unknown, 0);
    assert_true(stage.sum->hit_percent == 75);
    assert_true(stage.sum->hit_percent_in_window);
    assert_int_equal(stage.sum->taken_ns, stage.now_ns);
    assert_int_equal(stage.sum->unix_ms, stage_unix());
    assert_int_equal(stage.sum->gpu_taken_ns, 0);
    assert_int_equal(stage.sum->fleet->kv_pool_bytes.value, 20 * GIB);
    assert_int_equal(stage.sum->fleet->requests_running, 15);
    assert_int_equal(stage.sum->fleet->by_state[NODE_LIVE], 2);
    assert_int_equal(stage.sum->fleet->n_models, 3);
    assert_int_equal(stage.sum->n_models, 3);
    assert_int_equal(stage.sum->n_devices, 0);
    row = &stage.sum->fleet->models[0];
    assert_string_equal(row->id, "llama");
    assert_string_equal(row->engine_name, "vllm");
    assert_int_equal(row->port, 8000);
    assert_int_equal(row->nodes, 2);
    assert_int_equal(row->ready, 2);
    assert_int_equal(row->allocated_bytes.value, 30 * GIB);
    assert_int_equal(row->kv_used_blocks, 50);
    assert_int_equal(row->kv_blocks, 200);
    assert_true(row->prefix_minute.hits == 60 && row->prefix_minute.queries == 80);
    assert_true(row->in_seed);
    assert_int_equal(stage.sum->models[2].allocated_bytes.value, 20 * GIB);
    assert_int_equal(row[2].nodes, 1);
}

/* What is not known of some is left out, and said to be. */
/* A sum of nothing that is known is not 0, but where there is nothing to know. */
static void test_kv_of_none(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");
    struct snapshot *said = &stage.said;

    (void)unused;
    stage_fill(&gpu1, said);
    for (uint32_t i = 0; i < said->n_models; i++)
        said->models[i].kv_used_bytes = figure_unknown("hidden");
    said->kv_used_bytes = 0;
    said->kv_unknown = said->n_models;
    stage_write(&gpu1);
    (void)stage_take("gpu1");
    stage_fill(&gpu2, said);
    said->n_models = said->kv_unknown = 0;
    said->kv_used_bytes = 0;
    stage_write(&gpu2);
    (void)stage_take("gpu2");
    assert_int_equal(stage_sum(), 0);
    assert_true(stage_find("gpu1")->kv_used_bytes == UNKNOWN);
    assert_int_equal(stage_find("gpu1")->kv_used_how, FROM_NOWHERE);
    assert_int_equal(stage_find("gpu2")->kv_used_bytes, 0);
    assert_int_equal(stage.sum->kv_unknown, 2);
}

static void test_unknown(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");
    struct snapshot *said = &stage.said;

    (void)unused;
    stage_say(&gpu1);
    stage_fill(&gpu2, said);
    said->total_bytes = said->allocated_bytes = figure_unknown("no driver");
    said->models[0].allocated_bytes = figure_unknown("hidden");
    said->models[0].kv_pool_bytes = figure_unknown("hidden");
    said->models[0].kv_used_bytes = (struct figure){GIB, ESTIMATED, "so", 7};
    said->models[0].engine_name = "sglang";
    said->models[0].state = ENGINE_LOADING;
    said->models[0].stale = true;
    said->models[1].page.requests_running = UNKNOWN;
    said->kv_unknown = 1;
    strcpy(said->models[0].served_name, "Llama");
    strcpy(said->models[0].id, "llama");
    stage_write(&gpu2);
    (void)stage_take("gpu2");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->total_bytes.value, 160 * GIB);
    assert_non_null(stage.sum->total_bytes.why);
    assert_int_equal(stage.sum->models_bytes, 20 * GIB);
    check_sum(stage.sum);
    assert_int_equal(stage.sum->kv_unknown, 1);
    assert_int_equal(stage_find("gpu2")->kv_used_how, ESTIMATED);
    assert_int_equal(stage.sum->fleet->kv_pool_unknown, 1);
    assert_int_equal(stage.sum->fleet->kv_pool_bytes.value, 12 * GIB);
    assert_int_equal(stage.sum->fleet->requests_running, 9);
    assert_int_equal(stage.sum->fleet->models[0].allocated_unknown, 1);
    assert_int_equal(stage.sum->fleet->models[0].allocated_bytes.value, 10 * GIB);
    assert_non_null(stage.sum->fleet->models[0].allocated_bytes.why);
    assert_int_equal(stage.sum->fleet->models[0].kv_used_bytes.how, ESTIMATED);
    assert_int_equal(stage.sum->fleet->models[0].kv_used_bytes.error, 7);
    assert_int_equal(stage.sum->fleet->models[0].kv_pool_unknown, 1);
    assert_null(stage.sum->fleet->models[0].engine_name);
    assert_int_equal(stage.sum->fleet->models[0].state, ENGINE_READY);
    assert_int_equal(stage.sum->fleet->models[0].ready, 1);
    assert_true(stage.sum->fleet->models[0].stale);
    assert_string_equal(stage.sum->fleet->models[0].served_name, "Llama");
    assert_int_equal(stage_find("gpu2")->allocated_bytes.value, UNKNOWN);
    assert_int_equal(stage_find("gpu2")->models_bytes, UNKNOWN);
}

/* The last minute with a query, else five, else all time. */
static void test_hits(void **unused)
{
    static const struct {
        double minute, five_minutes, lifetime; // queries of the second node's models
        double percent;
        bool in_window;
    } rows[] = {
        {40, 80, 100, 75, true},
        {0, 80, 100, 50, true},
        {0, 0, 100, 50, false},
        {0, 0, 0, 0, false},
        {(double)NAN, (double)NAN, (double)NAN, 0, false},
        {-1, 80, 100, 50, true},
        {(double)INFINITY, 80, 100, 50, true},
    };
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    gpu1.n_models = 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snapshot_model *model = &stage.said.models[0];

        gpu1.seq++;
        stage_fill(&gpu1, &stage.said);
        model->prefix_minute.queries = rows[i].minute;
        model->prefix_five_minutes.queries = rows[i].five_minutes;
        model->page.prefix.queries = rows[i].lifetime;
        stage_write(&gpu1);
        (void)stage_take("gpu1");
        assert_int_equal(stage_sum(), 0);
        assert_true(stage.sum->hit_percent == rows[i].percent);
        assert_int_equal(stage.sum->hit_percent_in_window, rows[i].in_window);
    }
}

/* Sums of what a few nodes say at random, against a plain count. */
static void test_reference(void **unused)
{
    static struct snapshot_model rows[200 * 8];
    size_t n_rows = 0;
    uint64_t total = 0, allocated = 0, running = 0;
    char name[16];

    (void)unused;
    for (int i = 0; i < 200; i++) {
        struct stage_node node;

        (void)snprintf(name, sizeof(name), "node-%d", i);
        node = stage_node(name);
        node.n_models = (uint32_t)below(9);
        node.model = below(2) ? "llama" : "qwen";
        node.model_bytes = below(9 * GIB);
        stage_fill(&node, &stage.said);
        for (uint32_t j = 0; j < node.n_models; j++) {
            struct snapshot_model *model = &stage.said.models[j];

            model->page.requests_running = below(100);
            if (below(5) == 0)
                model->allocated_bytes = figure_unknown("no");
            running += model->page.requests_running;
            rows[n_rows++] = *model;
        }
        total += stage.said.total_bytes.value;
        allocated += stage.said.allocated_bytes.value;
        stage_write(&node);
        (void)stage_take(name);
    }
    assert_int_equal(stage_sum(), 0);
    check_sum(stage.sum);
    assert_int_equal(stage.sum->fleet->n_counted, 200);
    assert_int_equal(stage.sum->total_bytes.value, total);
    assert_int_equal(stage.sum->allocated_bytes.value, allocated);
    assert_int_equal(stage.sum->fleet->requests_running, running);
    assert_int_equal(stage.sum->fleet->n_models, 16);
    for (uint32_t i = 0; i < 16; i++) {
        const struct fleet_model *row = &stage.sum->fleet->models[i];
        uint64_t bytes = 0, requests = 0;
        uint32_t n = 0, unknown = 0;

        for (size_t j = 0; j < n_rows; j++) {
            if (rows[j].port != row->port || strcmp(rows[j].id, row->id) != 0)
                continue;
            n++;
            requests += rows[j].page.requests_running;
            unknown += rows[j].allocated_bytes.how == FROM_NOWHERE;
            if (rows[j].allocated_bytes.how != FROM_NOWHERE)
                bytes += rows[j].allocated_bytes.value;
        }
        assert_int_equal(row->nodes, n);
        assert_int_equal(row->allocated_unknown, unknown);
        assert_int_equal(row->allocated_bytes.value, bytes);
        assert_int_equal(row->requests_running, requests);
        assert_true(i == 0 || row[-1].port < row->port ||
                    (row[-1].port == row->port && strcmp(row[-1].id, row->id) < 0));
    }
}

/* More rows than are told, with names as long as they can be. */
static void test_many_rows(void **unused)
{
    char name[16], model[ENGINE_NAME_MAX + 1];
    static struct buf out;
    size_t in_seed = 0;

    (void)unused;
    memset(model, '"', sizeof(model) - 1);
    model[240] = '\0';
    for (int i = 0; i < 400; i++) {
        struct stage_node node;

        (void)snprintf(name, sizeof(name), "node-%d", i);
        (void)snprintf(model + 200, 40, "m%d", i);
        node = stage_node(name);
        node.n_models = 60;
        node.model = model;
        node.model_bytes = (uint64_t)(i + 1) << 20;
        stage_say(&node);
    }
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->fleet->n_models, FLEET_MODELS_MAX);
    assert_int_equal(stage.sum->fleet->models_left_out, 400 * 60 - FLEET_MODELS_MAX);
    assert_int_equal(stage.sum->n_models, SNAPSHOT_MODELS_MAX);
    for (uint32_t i = 0; i < FLEET_MODELS_MAX; i++)
        in_seed += stage.sum->fleet->models[i].in_seed;
    assert_in_range(in_seed, 100, 300);
    buf_init(&out, SEED_EVENT_MAX);
    seed_write(&out, stage.sum, SEED_SERVED_NAME);
    assert_int_equal(out.error, 0);
    assert_in_range(out.len, 55000, SEED_EVENT_MAX);
    for (const char *at = out.data, *end = at + out.len; in_seed > 0; in_seed--) {
        at = memmem(at, (size_t)(end - at), "\"model_id\"", 10);
        assert_non_null(at++); // each of them is there
    }
    buf_done(&out);
}

/* The largest are told, in their order. */
static void test_largest_rows(void **unused)
{
    char name[16], model[16];

    (void)unused;
    for (int i = 0; i < 600; i++) {
        struct stage_node node;

        (void)snprintf(name, sizeof(name), "node-%d", i);
        (void)snprintf(model, sizeof(model), "m%03d", i);
        node = stage_node(name);
        node.n_models = 1;
        node.model = model;
        node.model_bytes = (uint64_t)(1 + (i * 7) % 600) << 20;
        stage_say(&node);
    }
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->fleet->models_left_out, 88);
    for (uint32_t i = 0; i < FLEET_MODELS_MAX; i++)
        assert_true(stage.sum->fleet->models[i].allocated_bytes.value > 88ULL << 20);
    for (uint32_t i = 0; i < SNAPSHOT_MODELS_MAX; i++)
        assert_true(stage.sum->models[i].allocated_bytes.value > (600ULL - 64) << 20);
    assert_int_equal(stage.sum->fleet->requests_running, 1800);
}

/* In two containers, under one port of each: one node all the same. */
static void test_twice_on_a_node(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1");

    (void)unused;
    stage_fill(&gpu1, &stage.said);
    stage.said.models[1] = stage.said.models[0];
    stage_write(&gpu1);
    (void)stage_take("gpu1");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->fleet->n_models, 1);
    assert_int_equal(stage.sum->fleet->models[0].nodes, 1);
    assert_int_equal(stage.sum->fleet->models[0].ready, 1);
    assert_int_equal(stage.sum->fleet->models[0].allocated_bytes.value, 20 * GIB);
}

/* A gateway with more models than it tells of: what it says of all of them counts. */
static void test_part_of_a_gateway(void **unused)
{
    struct stage_node eu = stage_node("eu");
    struct snapshot_fleet fleet = {
        .n_models = 90,
        .requests_running = 500,
        .requests_waiting = UNKNOWN,
        .kv_pool_bytes = figure_of(300 * GIB, BY_ENGINE, NULL),
        .kv_pool_unknown = 400,
        .prefix_minute = {10, 100},
    };

    (void)unused;
    eu.gateway = true;
    eu.nodes = 40;
    stage_fill(&eu, &stage.said);
    stage.said.fleet = &fleet;
    stage.said.kv_unknown = 1000; // of models on its nodes, which are more than rows
    stage_write(&eu);
    stage.said.fleet = NULL;
    (void)stage_take("eu");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage_find("eu")->n_models, 90);
    assert_int_equal(stage.sum->kv_unknown, 1000);
    assert_int_equal(stage.sum->fleet->kv_pool_unknown, 400);
    assert_int_equal(stage.sum->fleet->kv_pool_bytes.value, 300 * GIB);
    assert_int_equal(stage.sum->fleet->requests_running, 500);
    assert_int_equal(stage.sum->fleet->requests_waiting, 2); // of the rows
    assert_int_equal(stage.sum->fleet->models_left_out, 88);
    assert_true(stage.sum->hit_percent == 10);
}

/* One of a version that says less, and has left out rows: they are what is known. */
static void test_older_gateway(void **unused)
{
    struct stage_node eu = stage_node("eu");
    struct compact_head head;

    (void)unused;
    eu.gateway = true;
    eu.nodes = 40;
    stage_fill(&eu, &stage.said); // with all rows, it says nothing of them together
    stage.said.kv_unknown = 1000;
    head = stage_head(&eu);
    assert_int_equal(compact_write(&stage.writer, &stage.out, &head, &stage.said,
                                   &stage.said.self, COMPACT_MAX),
                     0);
    (void)stage_take("eu");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->kv_unknown, 1000);
    assert_int_equal(stage.sum->fleet->kv_pool_unknown, 0);
    assert_int_equal(stage.sum->fleet->kv_pool_bytes.value, 8 * GIB);
    assert_int_equal(stage.sum->fleet->requests_running, 6);
    assert_true(stage.sum->hit_percent == 75);
    assert_string_equal(stage_find("eu")->reason, "");

    // 0 is known of the models of some node, though of more models than rows it is not.
    eu.seq++;
    stage_fill(&eu, &stage.said);
    stage.said.kv_unknown = 1000;
    stage.said.kv_used_bytes = 0;
    stage.said.models[0].kv_used_bytes = figure_of(0, DERIVED, NULL);
    stage_write(&eu);
    (void)stage_take("eu");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage_find("eu")->kv_used_bytes, 0);
    assert_int_equal(stage.sum->kv_unknown, 1000);
}

/* Who says more than there can be leaves the sums as they are. */
static void test_absurd(void **unused)
{
    struct stage_node gpu1 = stage_node("gpu1"), gpu2 = stage_node("gpu2");
    struct snapshot *said = &stage.said;

    (void)unused;
    stage_say(&gpu1);
    stage_fill(&gpu2, said);
    said->total_bytes.value = said->allocated_bytes.value = UNKNOWN - 1;
    said->models_bytes = UNKNOWN - 1;
    said->kv_used_bytes = UNKNOWN - 1;
    said->models[0].allocated_bytes.value = UNKNOWN - 1;
    said->models[0].page.requests_running = UNKNOWN - 1;
    said->models[0].prefix_minute.queries = -40;
    stage_write(&gpu2);
    (void)stage_take("gpu2");
    assert_int_equal(stage_sum(), 0);
    assert_int_equal(stage.sum->total_bytes.value, 160 * GIB);
    assert_int_equal(stage.sum->models_bytes, 20 * GIB);
    assert_int_equal(stage.sum->kv_used_bytes, 2 * GIB);
    assert_int_equal(stage.sum->fleet->requests_running, 9);
    assert_int_equal(stage.sum->fleet->models[0].allocated_bytes.value, 10 * GIB);
    assert_true(stage.sum->hit_percent == 75);
    check_sum(stage.sum);
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What a tick of a large fleet costs is told, and that it allocates nothing once warm. */
static void test_large_fleet(void **unused)
{
    double took_in = 0, took_sum = 0;
    struct mallinfo2 before, after;
    char name[16];

    (void)unused;
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < 1000; i++) {
            struct stage_node node;
            double begin;

            (void)snprintf(name, sizeof(name), "node-%d", i);
            node = stage_node(name);
            node.seq = (uint64_t)round;
            node.n_devices = 8;
            node.n_models = 4;
            stage_fill(&node, &stage.said);
            stage_write(&node);
            if (round == 3)
                before = mallinfo2();
            begin = seconds();
            (void)stage_take(name);
            took_in += seconds() - begin;
            if (round == 3) {
                after = mallinfo2();
                assert_int_equal(before.uordblks, after.uordblks);
            }
        }
        if (round > 1)
            before = mallinfo2();
        took_sum -= seconds();
        assert_int_equal(stage_sum(), 0);
        took_sum += seconds();
        after = mallinfo2();
        if (round > 1)
            assert_int_equal(before.uordblks, after.uordblks);
        stage_wait(500);
    }
    assert_int_equal(stage.sum->fleet->n_counted, 1000);
    assert_int_equal(stage.sum->fleet->models[0].nodes, 1000);
    print_message("# a message of %zu bytes: %.1f us; a sum: %.2f ms\n", stage.out.len,
                  took_in / 10000 * 1e6, took_sum / 10 * 1e3);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set, stage_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_two_nodes),
        STAGED(test_unknown),
        STAGED(test_hits),
        STAGED(test_reference),
        STAGED(test_many_rows),
        STAGED(test_largest_rows),
        STAGED(test_twice_on_a_node),
        STAGED(test_absurd),
        STAGED(test_large_fleet),
        STAGED(test_part_of_a_gateway),
        STAGED(test_older_gateway),
        STAGED(test_kv_of_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
