// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.c - what writing the page of /metrics costs, of 16 models on 8 GPUs
 *
 * In both formats, against the detail document of the same snapshot, in turns in one
 * process. Prints the medians and their ratios.
 */
#include "encode/metrics.h"
#include "encode/detail.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 9, REPEATS = 500, MODELS = 16, DEVICES = 8, WRITERS = 3 };

static struct snapshot snapshot; // too large for a stack
static struct metrics_writer writer;
static struct buf out;

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_detail(void)
{
    static const struct detail_origin origin = {
        .boot = "0123456789abcdef", .version = "0", .interval_ms = 500};

    detail_write(&out, &snapshot, &origin);
}

static const struct metrics_facts facts = {
    .version = "0", .snapshot = &snapshot, .sample_unix_ms = 1790000000123};

static void write_text(void)
{
    metrics_write(&writer, &out, &facts, METRICS_TEXT);
}

static void write_openmetrics(void)
{
    metrics_write(&writer, &out, &facts, METRICS_OPENMETRICS);
}

static void (*const writers[WRITERS])(void) = {write_detail, write_text,
                                               write_openmetrics};

static void fill_model(struct snapshot_model *model, unsigned i)
{
    (void)snprintf(model->served_name, sizeof(model->served_name),
                   "meta-llama/Llama-3.1-8B-Instruct-%u", i);
    snapshot_make_id(model->served_name, model->id);
    engine_page_clear(&model->page);
    model->port = (uint16_t)(8000 + i);
    model->state = ENGINE_READY;
    model->page_ns = 9500000000;
    model->pace_ns = 500000000;
    model->scrapes = (struct engine_scrapes){1000, 1, 1234567, 1234567890};
    model->allocated_bytes = figure_of(38654705664, MEASURED, NULL);
    model->kv_pool_bytes = figure_of(20401094656, BY_ENGINE, NULL);
    model->kv_used_bytes = figure_of(9036627968, DERIVED, NULL);
    model->kv_retained_bytes = figure_unknown("the engine does not say");
    model->page.kv_usage_ratio = 0.442994;
    model->page.requests_running = 12;
    model->page.requests_waiting = 0;
    model->page.preemptions = 3;
    model->page.prefix = (struct hit_counts){123456789, 234567890};
    model->prefix_minute = model->prefix_five_minutes = (struct hit_counts){12345, 23456};
}

static void fill(void)
{
    snapshot.taken_ns = 10000000000;
    snapshot.gpu_taken_ns = 9960000000;
    snapshot.n_sources = 1;
    snapshot.n_devices = DEVICES;
    snapshot.n_models = MODELS;
    snapshot.total_bytes = figure_of(687194767360, MEASURED, NULL);
    snapshot.allocated_bytes = figure_of(618475290624, MEASURED, NULL);
    for (unsigned i = 0; i < DEVICES; i++) {
        struct snapshot_device *device = &snapshot.devices[i];

        device->index = i;
        device->instance = GPU_NO_INSTANCE;
        (void)snprintf(device->uuid, sizeof(device->uuid),
                       "GPU-%08x-0000-0000-0000-000000000000", i);
        device->mem_total_bytes = 85899345920;
        device->mem_used_bytes = device->models_bytes = 77309411328;
        device->kv_pool_bytes = figure_of(40802189312, DERIVED, NULL);
        device->kv_used_bytes = figure_of(18073255936, DERIVED, NULL);
    }
    for (unsigned i = 0; i < MODELS; i++)
        fill_model(&snapshot.models[i], i);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    double us[WRITERS][ROUNDS];
    size_t bytes[WRITERS];

    fill();
    metrics_writer_init(&writer);
    buf_init(&out, METRICS_MAX);
    for (int round = 0; round < ROUNDS; round++)
        for (int w = 0; w < WRITERS; w++) {
            double start = now_s();

            for (int i = 0; i < REPEATS; i++) {
                buf_clear(&out);
                writers[w]();
            }
            us[w][round] = (now_s() - start) / REPEATS * 1e6;
            bytes[w] = out.len;
        }
    for (int w = 0; w < WRITERS; w++)
        qsort(us[w], ROUNDS, sizeof(us[w][0]), compare_doubles);
    (void)printf("%d models, %d GPUs: detail %.0f us, %zu bytes; metrics %.0f us, %zu "
                 "bytes, %.2f of detail; as OpenMetrics %.0f us, %zu bytes, %.2f of it "
                 "(medians of %d rounds)\n",
                 MODELS, DEVICES, us[0][ROUNDS / 2], bytes[0], us[1][ROUNDS / 2],
                 bytes[1], us[1][ROUNDS / 2] / us[0][ROUNDS / 2], us[2][ROUNDS / 2],
                 bytes[2], us[2][ROUNDS / 2] / us[0][ROUNDS / 2], ROUNDS);
    metrics_writer_done(&writer);
    buf_done(&out);
    return 0;
}
