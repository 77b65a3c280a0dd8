// SPDX-License-Identifier: Apache-2.0
/*
 * engine_dynamo.c - what a worker of NVIDIA Dynamo says of itself
 *
 * It passes the metrics of the engine that it runs on, which say more and count more.
 * Those of its own are of one worker.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure { ACTIVE, BLOCKS, USAGE, RUNNING };

static const char *const names[] = {
    [ACTIVE] = "dynamo_component_kvstats_active_blocks",
    [BLOCKS] = "dynamo_component_kvstats_total_blocks",
    [USAGE] = "dynamo_component_kvstats_gpu_cache_usage_percent",
    [RUNNING] = "dynamo_component_inflight_requests",
};

static int dynamo_sample(void *page, unsigned name, struct span text, double value,
                         const char **ret_why)
{
    static const struct plain_labels labels = {.model = "model"};

    return plain_sample(page, &labels, name, text, value, ret_why);
}

static void dynamo_finish(void *state, struct engine_page *ret)
{
    const struct plain_page *page = state;
    const struct series_set *set = &page->series;

    plain_finish(page, ret);
    ret->requests_running = count_of(series_sum_given(set, RUNNING), COUNT_MAX);
    page_set_blocks(ret, series_sum_given(set, ACTIVE), series_sum_given(set, BLOCKS));
    if (ret->kv_blocks != UNKNOWN)
        return;
    ret->kv_usage_ratio = ratio_of(series_sum_given(set, USAGE)); // of 1, by any name
    ret->kv_why = "no usable dynamo_component_kvstats_total_blocks";
}

const struct engine_kind engine_dynamo = {
    .name = "dynamo",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .off_why = "it has no metrics page: the worker is to be started with DYN_SYSTEM_PORT "
               "set in its environment",
    .yields = true,
    .shape_why = "Dynamo does not tell the bytes of a KV block: set "
                 "`kv_bytes_per_block` in the config file",
    .page_size = sizeof(struct plain_page),
    .page_zeroed = offsetof(struct plain_page, series.at),
    .sample = dynamo_sample,
    .finish = dynamo_finish,
};
