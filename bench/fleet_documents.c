// SPDX-License-Identifier: Apache-2.0
/*
 * fleet_documents.c - what a gateway's documents cost, by the number of its nodes
 *
 * The document of the stream, the full one and the page of /metrics, of one snapshot each.
 * Prints the medians, of processor time.
 */
#include "encode/detail.h"
#include "encode/metrics.h"
#include "encode/seed.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 15, MODELS = 60, WRITERS = 3 };

static struct snapshot *snapshot;
static struct metrics_writer writer;
static struct buf out;

static double now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void write_seed(void)
{
    seed_write(&out, snapshot, SEED_IDENTIFIER);
}

static void write_detail(void)
{
    static const struct detail_origin origin = {
        .boot = "0123456789abcdef", .version = "0", .interval_ms = 500};

    detail_write(&out, snapshot, &origin);
}

static void write_metrics(void)
{
    const struct metrics_facts facts = {
        .version = "0", .snapshot = snapshot, .sample_unix_ms = 1790000000123};

    metrics_write(&writer, &out, &facts, METRICS_TEXT);
}

static void (*const writers[WRITERS])(void) = {write_seed, write_detail, write_metrics};

static void fill_node(struct fleet_node *node, uint32_t i)
{
    *node = (struct fleet_node){
        .state = NODE_LIVE,
        .counted = true,
        .nodes = 1,
        .interval_ms = 500,
        .seq = 100000 + i,
        .started_unix_ms = UINT64_C(1790000000000) + i,
        .heard_ns = 1,
        .age_ns = 120000000 + 1000 * i,
        .clock_offset_ms = -3,
        .messages = 100000,
        .n_devices = 8,
        .n_models = 4,
        .total_bytes = figure_of(687194767360, MEASURED, NULL),
        .allocated_bytes = figure_of(UINT64_C(618475290624) - i, MEASURED, NULL),
        .models_bytes = 600000000000,
        .other_bytes = 18475290624,
        .kv_used_bytes = 123456789012,
        .kv_pool_bytes = figure_of(343597383680, DERIVED, NULL),
        .hit_percent = 43.21,
        .requests_running = 123,
        .requests_waiting = 4,
    };
    (void)snprintf(node->name, sizeof(node->name), "gpu%04u", i);
    (void)snprintf(node->machine, sizeof(node->machine), "%032u", i);
    (void)snprintf(node->boot, sizeof(node->boot), "%016u", i);
    (void)snprintf(node->version, sizeof(node->version), "0.1.0");
}

static void fill_model(struct fleet_model *model, uint16_t i)
{
    *model = (struct fleet_model){
        .port = (uint16_t)(8000 + i),
        .engine_name = "vllm",
        .nodes = 40,
        .ready = 39,
        .state = ENGINE_READY,
        .allocated_bytes = figure_of(38654705664000, MEASURED, NULL),
        .kv_used_bytes = figure_of(9036627968000, DERIVED, NULL),
        .kv_pool_bytes = figure_of(20401094656000, BY_ENGINE, NULL),
        .kv_used_blocks = 123456,
        .kv_blocks = 654321,
        .requests_running = 480,
        .requests_waiting = 0,
        .preemptions = 3,
        .prefix_minute = {12345, 23456},
        .prefix_five_minutes = {12345, 23456},
        .prefix_lifetime = {123456789, 234567890},
        .in_seed = true,
    };
    (void)snprintf(model->served_name, sizeof(model->served_name),
                   "meta-llama/Llama-3.1-8B-Instruct-%u", i);
    snapshot_make_id(model->served_name, model->id);
}

static void fill(uint32_t nodes)
{
    struct snapshot_fleet *fleet;

    if (snapshot_make_fleet(snapshot, nodes, MODELS) < 0)
        abort();
    fleet = snapshot->fleet;
    fleet->n_nodes = fleet->n_counted = fleet->by_state[NODE_LIVE] = nodes;
    fleet->n_models = MODELS;
    fleet->n_devices = 8 * nodes;
    fleet->kv_pool_bytes = figure_of(343597383680, DERIVED, NULL);
    snapshot->total_bytes = figure_of(687194767360000, MEASURED, NULL);
    snapshot->allocated_bytes = figure_of(618475290624000, MEASURED, NULL);
    for (uint32_t i = 0; i < nodes; i++)
        fill_node(&fleet->nodes[i], i);
    for (uint16_t i = 0; i < MODELS; i++)
        fill_model(&fleet->models[i], i);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(uint32_t nodes)
{
    double us[WRITERS][ROUNDS];
    size_t bytes[WRITERS];

    fill(nodes);
    for (int round = 0; round < ROUNDS; round++)
        for (int w = 0; w < WRITERS; w++) {
            double start;

            buf_clear(&out);
            start = now_us();
            writers[w]();
            us[w][round] = now_us() - start;
            bytes[w] = out.len;
        }
    for (int w = 0; w < WRITERS; w++)
        qsort(us[w], ROUNDS, sizeof(us[w][0]), compare_doubles);
    (void)printf("%u nodes, %d models: stream %.0f us, %zu bytes; detail %.0f us, %zu "
                 "bytes; metrics %.0f us, %zu bytes (medians of %d rounds)\n",
                 nodes, MODELS, us[0][ROUNDS / 2], bytes[0], us[1][ROUNDS / 2], bytes[1],
                 us[2][ROUNDS / 2], bytes[2], ROUNDS);
}

int main(void)
{
    static const uint32_t counts[] = {100, 300, 1000, 4096};
    struct snapshot_pool *pool;

    if (snapshot_pool_new(&pool) < 0)
        return 1;
    snapshot = snapshot_new(pool);
    if (!snapshot)
        return 1;
    metrics_writer_init(&writer);
    buf_init(&out, FLEET_METRICS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        measure(counts[i]);
    snapshot_unref(snapshot);
    snapshot_pool_free(pool);
    metrics_writer_done(&writer);
    buf_done(&out);
    return 0;
}
