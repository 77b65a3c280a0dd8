// SPDX-License-Identifier: Apache-2.0
#include "snapshot/fleet.h"

#include "snapshot/snapshot.h"

#include <math.h>

const char *node_state_name(enum node_state state)
{
    static const char *const names[NODE_STATES] = {
        [NODE_LOST] = "lost",     [NODE_UNREADABLE] = "unreadable",
        [NODE_OUTAGE] = "outage", [NODE_STALE] = "stale",
        [NODE_LIVE] = "live",
    };

    return names[state];
}

static double share(uint64_t part, uint64_t whole)
{
    bool known = part != UNKNOWN && whole != UNKNOWN && whole > 0;

    return known ? (double)part / (double)whole : (double)NAN;
}

static void fill_page(const struct fleet_model *model, struct engine_page *page)
{
    engine_page_clear(page);
    page->kv_used_blocks = model->kv_used_blocks;
    page->kv_blocks = model->kv_blocks;
    page->kv_usage_ratio = share(model->kv_used_blocks, model->kv_blocks);
    page->requests_running = model->requests_running;
    page->requests_waiting = model->requests_waiting;
    page->preemptions = model->preemptions;
    page->prefix = model->prefix_lifetime;
    page->engines = model->ready;
}

void fleet_model_to_row(const struct fleet_model *model, struct snapshot_model *ret)
{
    *ret = (struct snapshot_model){
        .port = model->port,
        .state = model->state,
        .stale = model->stale,
        .allocated_bytes = model->allocated_bytes,
        .kv_used_bytes = model->kv_used_bytes,
        .kv_pool_bytes = model->kv_pool_bytes,
        .kv_pool_per_gpu = figure_unknown("it is summed up over several hosts"),
        .kv_retained_bytes = figure_unknown("it is summed up over several hosts"),
        .engine_name = model->engine_name,
        .kv_groups = UNKNOWN,
        .max_model_len = UNKNOWN,
        .prefix_minute = model->prefix_minute,
        .prefix_five_minutes = model->prefix_five_minutes,
    };
    memcpy(ret->served_name, model->served_name, sizeof(ret->served_name));
    memcpy(ret->id, model->id, sizeof(ret->id));
    fill_page(model, &ret->page);
}
