// SPDX-License-Identifier: Apache-2.0
/*
 * advice_scene.h - for tests: hosts with a known load, as an observer and a snapshot see them
 */
#ifndef UNIT_ADVICE_SCENE_H
#define UNIT_ADVICE_SCENE_H

#include "history/advice.h"

#include <math.h>
#include <stdio.h>

#define SCENE_GIB (UINT64_C(1) << 30)
#define SCENE_HOUR_MS (3600 * 1000)
#define SCENE_STEP_MS 500
#define SCENE_START_MS INT64_C(1790000000000)

/* Blocks in use of all engines in the i-th of n samples. */
typedef uint64_t scene_load_fn(uint64_t i, uint64_t n);

/* One model with its load. A block is whole on each GPU of an engine. */
struct scene_model {
    const char *name;
    uint16_t port;
    uint32_t engines, gpus; // data-parallel; of each
    uint64_t devices;       // bits
    uint64_t blocks;        // of one engine
    uint64_t block_bytes;   // on each GPU; 0: not known
    uint64_t error;         // of the pool on each GPU; UNKNOWN: no bound
    uint64_t max_model_len; // UNKNOWN
    uint64_t size_tokens;   // of one engine; UNKNOWN
    uint64_t groups;        // of layers that take blocks of their own; 0: one
    uint64_t rest;          // held on each GPU beside the pool
    double utilization;     // NAN
    bool no_option, ordered_blocks;
    uint64_t ordered_bytes; // 0: not ordered
    scene_load_fn *load;
    double hours;
    double preemptions_per_hour;
    uint64_t waiting; // requests, all the time
    double hit_percent;
    double queries;
};

enum { SCENE_BLOCK_TOKENS = 16 };

static inline uint64_t scene_pool(const struct scene_model *m)
{
    return m->engines * m->gpus * m->blocks * m->block_bytes;
}

static inline void scene_observe(const struct scene_model *m, struct observation *ret)
{
    uint64_t n = (uint64_t)(m->hours * SCENE_HOUR_MS / SCENE_STEP_MS);
    struct past_series of = {.port = m->port};
    struct observer *observer;

    (void)snprintf(of.served_name, sizeof(of.served_name), "%s", m->name);
    snapshot_make_id(of.served_name, of.id);
    if (observer_new(&observer) < 0)
        abort();
    observer_begin(observer, &of);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t used = m->load(i, n);
        double hours = (double)i * SCENE_STEP_MS / SCENE_HOUR_MS;
        struct observed_row row = {
            .unix_ms = SCENE_START_MS + (int64_t)i * SCENE_STEP_MS,
            .ms = SCENE_STEP_MS,
            .hit_percent = m->hit_percent,
            .figures = {
                [PAST_KV_USED_BYTES] = used * m->gpus * m->block_bytes,
                [PAST_KV_POOL_BYTES] = m->block_bytes ? scene_pool(m) : UNKNOWN,
                [PAST_REQUESTS_RUNNING] = used > 0,
                [PAST_REQUESTS_WAITING] = m->waiting,
                [PAST_PREEMPTIONS] = 7 + (uint64_t)(hours * m->preemptions_per_hour),
            }};

        if (observer_add(observer, &row) < 0)
            abort();
    }
    observer_end(observer, ret);
    observer_free(observer);
}

static inline void scene_device(struct snapshot *snapshot, uint64_t total,
                                uint64_t reserved)
{
    struct snapshot_device *device = &snapshot->devices[snapshot->n_devices];

    *device = (struct snapshot_device){.mem_total_bytes = total,
                                       .mem_reserved_bytes = reserved};
    device->kv_pool_bytes = figure_of(0, DERIVED, NULL);
    (void)snprintf(device->uuid, sizeof(device->uuid), "GPU-%u", snapshot->n_devices++);
}

static inline void scene_page(const struct scene_model *m, struct engine_page *page)
{
    engine_page_clear(page);
    page->engines = m->engines;
    page->kv_usage_ratio = 0;
    page->kv_blocks = m->engines * m->blocks;
    page->kv_block_tokens = SCENE_BLOCK_TOKENS;
    page->kv_size_tokens = m->size_tokens;
    page->kv_memory_option = !m->no_option;
    page->kv_blocks_ordered = m->ordered_blocks;
    page->gpu_memory_utilization = m->utilization;
    if (m->ordered_bytes)
        page->kv_memory_bytes = m->ordered_bytes;
    page->prefix = (struct hit_counts){m->queries * m->hit_percent / 100, m->queries};
}

/* After its devices. */
static inline void scene_model(struct snapshot *snapshot, const struct scene_model *m)
{
    struct snapshot_model *model = &snapshot->models[snapshot->n_models++];
    uint64_t pool = m->blocks * m->block_bytes, all = (uint64_t)m->engines * m->gpus;
    enum provenance how = m->error ? ESTIMATED : DERIVED;

    *model = (struct snapshot_model){0};
    (void)snprintf(model->served_name, sizeof(model->served_name), "%s", m->name);
    snapshot_make_id(model->served_name, model->id);
    model->port = m->port;
    model->devices = m->devices;
    model->max_model_len = m->max_model_len;
    model->kv_groups = m->groups ? m->groups : 1;
    model->allocated_bytes = figure_of(all * (pool + m->rest), MEASURED, NULL);
    model->kv_pool_bytes = (struct figure){scene_pool(m), how, NULL, m->error};
    model->kv_pool_per_gpu = (struct figure){pool, how, NULL, m->error};
    model->kv_used_bytes = (struct figure){0, how, NULL, m->error};
    if (!m->block_bytes)
        model->kv_pool_bytes = model->kv_pool_per_gpu = figure_unknown("hidden");
    scene_page(m, &model->page);
    for (uint64_t left = m->devices; left; left &= left - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(left);

        snapshot->processes[snapshot->n_processes++] =
            (struct snapshot_process){.device = at,
                                      .bytes = pool + m->rest,
                                      .owner = OWNER_ENGINE,
                                      .port = m->port};
        snapshot->devices[at].mem_used_bytes += pool + m->rest;
        snapshot->devices[at].kv_pool_bytes.value += pool;
    }
}

#endif
