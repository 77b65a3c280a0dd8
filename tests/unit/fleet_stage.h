// SPDX-License-Identifier: Apache-2.0
/*
 * fleet_stage.h - nodes that publish to a fleet, as tests want them
 */
#ifndef FLEET_STAGE_H
#define FLEET_STAGE_H

#include "fleet/fleet.h"

#include <math.h>
#include <stdio.h>

#define SECOND UINT64_C(1000000000)
#define GIB (UINT64_C(1) << 30)
#define STAGE_START (UINT64_C(1000) * SECOND)   // of our clock
#define STAGE_UNIX UINT64_C(1800000000000)      // of our wall clock, then
#define STAGE_NODE_START (UINT64_C(5) * SECOND) // of the nodes' clocks

/* A node, and what it says next. */
struct stage_node {
    const char *name;
    const char *machine;
    const char *boot;
    uint64_t started_unix_ms;
    int64_t wall_ahead_ms; // of ours
    uint64_t seq;
    uint32_t n_devices;
    const char *uuid; // what those of its devices begin with
    uint32_t n_models;
    uint64_t model_bytes; // of each
    const char *model;    // name of the first; the others have their number behind it
    uint64_t interval_ms;
    bool gateway;
    uint32_t nodes;
    const char *outage; // why it has no figures; NULL: it has
    uint32_t n_events;
    struct event events[4];
};

struct stage {
    struct fleet *fleet;
    struct snapshot_pool *pool;
    struct snapshot *sum; // the last one
    struct snapshot said;
    struct compact_writer writer;
    struct buf out;
    uint64_t now_ns;
};

static struct stage stage;

static inline uint64_t stage_unix(void)
{
    return STAGE_UNIX + (stage.now_ns - STAGE_START) / 1000000;
}

static inline int stage_set(void **unused)
{
    (void)unused;
    stage.now_ns = STAGE_START;
    buf_init(&stage.out, COMPACT_MAX);
    return fleet_new(&stage.fleet) | snapshot_pool_new(&stage.pool);
}

static inline int stage_clear(void **unused)
{
    (void)unused;
    snapshot_unref(stage.sum);
    stage.sum = NULL;
    snapshot_pool_free(stage.pool);
    fleet_free(stage.fleet);
    buf_done(&stage.out);
    return 0;
}

static inline struct stage_node stage_node(const char *name)
{
    return (struct stage_node){
        .name = name,
        .machine = "0123456789abcdef0123456789abcdef",
        .boot = "aaaaaaaaaaaaaaaa",
        .started_unix_ms = STAGE_UNIX - 60000,
        .n_devices = 2,
        .uuid = name,
        .n_models = 2,
        .model_bytes = 10 * GIB,
        .model = "llama",
        .interval_ms = 500,
    };
}

static inline void stage_fill_model(const struct stage_node *node, uint32_t i,
                                    struct snapshot_model *ret)
{
    memset(ret, 0, sizeof(*ret));
    (void)snprintf(ret->served_name, sizeof(ret->served_name), i ? "%s-%u" : "%s",
                   node->model, i);
    snapshot_make_id(ret->served_name, ret->id);
    ret->port = (uint16_t)(8000 + i);
    ret->state = ENGINE_READY;
    ret->engine_name = "vllm";
    ret->allocated_bytes = figure_of(node->model_bytes, MEASURED, NULL);
    ret->kv_used_bytes = figure_of(GIB, DERIVED, NULL);
    ret->kv_pool_bytes = figure_of(4 * GIB, BY_ENGINE, NULL);
    ret->kv_pool_per_gpu = ret->kv_retained_bytes = figure_unknown("no");
    engine_page_clear(&ret->page);
    ret->page.requests_running = 3;
    ret->page.requests_waiting = 1;
    ret->page.kv_blocks = 100;
    ret->page.kv_used_blocks = 25;
    ret->page.prefix = (struct hit_counts){50, 100};
    ret->prefix_minute = (struct hit_counts){30, 40};
    ret->prefix_five_minutes = (struct hit_counts){40, 80};
    ret->kv_groups = ret->max_model_len = UNKNOWN;
}

static inline void stage_fill(const struct stage_node *node, struct snapshot *ret)
{
    uint64_t used = node->n_models * node->model_bytes + 3 * GIB;

    memset(ret, 0, offsetof(struct snapshot, sources));
    ret->seq = node->seq;
    ret->taken_ns = stage.now_ns - STAGE_START + STAGE_NODE_START;
    ret->unix_ms = stage_unix() + (uint64_t)node->wall_ahead_ms;
    ret->total_bytes = figure_of(MAX(node->n_devices, 2U) * 80 * GIB, MEASURED, NULL);
    ret->allocated_bytes = figure_of(used, MEASURED, NULL);
    ret->models_bytes = node->n_models * node->model_bytes;
    ret->other_bytes = GIB;
    ret->orphan_bytes = GIB;
    ret->unattributed_bytes = (int64_t)GIB;
    ret->kv_used_bytes = node->n_models * GIB;
    ret->hit_percent = 75;
    ret->hit_percent_in_window = true;
    ret->n_sources = 1;
    memset(&ret->sources[0], 0, sizeof(ret->sources[0]));
    ret->n_devices = node->n_devices;
    for (uint32_t i = 0; i < node->n_devices; i++) {
        memset(&ret->devices[i], 0, sizeof(ret->devices[i]));
        ret->devices[i].index = i;
        (void)snprintf(ret->devices[i].uuid, sizeof(ret->devices[i].uuid), "GPU-%s-%u",
                       node->uuid, i);
    }
    ret->n_models = node->n_models;
    for (uint32_t i = 0; i < node->n_models; i++)
        stage_fill_model(node, i, &ret->models[i]);
    ret->n_events = node->n_events;
    memcpy(ret->events, node->events, node->n_events * sizeof(node->events[0]));
}

static inline struct compact_head stage_head(const struct stage_node *node)
{
    struct compact_head head = {
        .started_unix_ms = node->started_unix_ms,
        .interval_ms = node->interval_ms,
        .unix_ms = stage_unix() + (uint64_t)node->wall_ahead_ms,
        .gateway = node->gateway,
        .nodes = node->nodes,
        .version = "1.0.0",
    };

    (void)snprintf(head.node, sizeof(head.node), "%s", node->name);
    (void)snprintf(head.machine, sizeof(head.machine), "%s", node->machine);
    (void)snprintf(head.boot, sizeof(head.boot), "%s", node->boot);
    if (node->outage) {
        (void)snprintf(head.outage_code, sizeof(head.outage_code), "gpu");
        (void)snprintf(head.outage_reason, sizeof(head.outage_reason), "%s",
                       node->outage);
    }
    return head;
}

/* What it would say now, of `said`, in `out`. */
static inline void stage_write(const struct stage_node *node)
{
    struct compact_head head = stage_head(node);
    int r =
        compact_write(&stage.writer, &stage.out, &head, node->outage ? NULL : &stage.said,
                      &stage.said.self, COMPACT_MAX);

    assert_int_equal(r, 0);
}

static inline int stage_take(const char *name)
{
    return fleet_take(stage.fleet, span_of(name), buf_span(&stage.out), stage.now_ns,
                      stage_unix());
}

/* Its next message. */
static inline int stage_say(struct stage_node *node)
{
    node->seq++;
    stage_fill(node, &stage.said);
    stage_write(node);
    return stage_take(node->name);
}

static inline void stage_wait(uint64_t ms)
{
    stage.now_ns += ms * 1000000;
}

static inline int stage_sum(void)
{
    snapshot_unref(stage.sum);
    stage.sum = snapshot_new(stage.pool);
    assert_non_null(stage.sum);
    return fleet_sum(stage.fleet, stage.now_ns, stage_unix(), stage.sum);
}

/* As the last sum has it; NULL: it has not. */
static inline const struct fleet_node *stage_find(const char *name)
{
    const struct snapshot_fleet *fleet = stage.sum->fleet;

    for (uint32_t i = 0; i < fleet->n_nodes; i++)
        if (strcmp(fleet->nodes[i].name, name) == 0)
            return &fleet->nodes[i];
    return NULL;
}

/* The state of a node, now; -1: it is not listed. */
static inline int stage_state(const char *name)
{
    const struct fleet_node *node;

    (void)stage_sum();
    node = stage_find(name);
    return node ? (int)node->state : -1;
}

#endif
