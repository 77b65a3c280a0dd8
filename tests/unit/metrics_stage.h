// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_stage.h - for tests of /metrics: a snapshot to be filled, and its page
 */
#ifndef UNIT_METRICS_STAGE_H
#define UNIT_METRICS_STAGE_H

#include "encode/metrics.h"

#include <stdio.h>

#define S UINT64_C(1000000000)

static struct snapshot snapshot; // too large for a stack
static struct metrics_writer writer;
static struct buf out;

static inline int set_up(void **state)
{
    (void)state;
    metrics_writer_init(&writer);
    buf_init(&out, METRICS_MAX);
    memset(&snapshot, 0, sizeof(snapshot));
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    metrics_writer_done(&writer);
    buf_done(&out);
    return 0;
}

/* With a NUL. */
static inline const char *page_of(const struct metrics_facts *facts,
                                  enum metrics_format format)
{
    buf_clear(&out);
    metrics_write(&writer, &out, facts, format);
    assert_int_equal(out.error, 0);
    buf_add_char(&out, '\0');
    return out.data;
}

static inline const char *page(enum metrics_format format)
{
    const struct metrics_facts facts = {
        .version = "1.2.3", .snapshot = &snapshot, .sample_unix_ms = 1790000000123};

    return page_of(&facts, format);
}

static inline struct snapshot_device *add_device(const char *uuid)
{
    struct snapshot_device *device = &snapshot.devices[snapshot.n_devices];

    *device = (struct snapshot_device){
        .index = snapshot.n_devices++,
        .instance = GPU_NO_INSTANCE,
        .mem_total_bytes = 1000,
        .mem_used_bytes = 900,
        .mem_reserved_bytes = 10,
        .models_bytes = 700,
        .other_bytes = 100,
        .orphan_bytes = 50,
        .unattributed_bytes = 50,
        .kv_pool_bytes = figure_of(400, DERIVED, NULL),
        .kv_used_bytes = figure_of(200, DERIVED, NULL),
    };
    (void)snprintf(device->uuid, sizeof(device->uuid), "%s", uuid);
    (void)snprintf(device->name, sizeof(device->name), "Some GPU");
    return device;
}

static inline struct snapshot_model *add_model(const char *name, uint16_t port)
{
    struct snapshot_model *model = &snapshot.models[snapshot.n_models++];

    *model = (struct snapshot_model){
        .port = port,
        .state = ENGINE_READY,
        .page_ns = 9 * S,
        .pace_ns = S / 2,
        .scrapes = {.read = 7, .failed = 2, .last_ns = 1500000, .total_ns = 12345678},
        .allocated_bytes = figure_of(711, MEASURED, NULL),
        .kv_pool_bytes = figure_of(422, BY_ENGINE, NULL),
        .kv_used_bytes = figure_of(233, DERIVED, NULL),
        .kv_retained_bytes = figure_of(30, BY_ENGINE, NULL),
        .prefix_minute = {1, 4},
        .prefix_five_minutes = {2, 3},
    };
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", name);
    snapshot_make_id(name, model->id);
    engine_page_clear(&model->page);
    model->page.kv_usage_ratio = 0.5;
    model->page.requests_running = 3;
    model->page.requests_waiting = 0;
    model->page.preemptions = 5;
    model->page.prefix = (struct hit_counts){9007199254740993.0, 1e16};
    return model;
}

#define QWEN "{model=\"Qwen/Qwen3-0.6B\",model_id=\"Qwen-Qwen3-0-6B\",port=\"8000\""

/* Does a line start so? */
static inline bool has_line(const char *text, const char *start)
{
    char line[600];

    (void)snprintf(line, sizeof(line), "\nvramscope_%s", start);
    return strstr(text, line);
}

/* What has to be escaped, as long as there is room for. */
static inline void fill_text(char *text, size_t size)
{
    memset(text, '"', size - 1);
    text[size - 1] = '\0';
}

#endif
