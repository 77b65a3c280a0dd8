// SPDX-License-Identifier: Apache-2.0
/*
 * engine_lmdeploy.c - what LMDeploy says
 *
 * Its usage is of bytes, and counts what is kept for reuse as used: live requests hold
 * that or less. Its prefix_cache_hit_rate is a ratio without the counts behind it.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure { USAGE, RUNNING, WAITING };

static const char *const names[] = {
    [USAGE] = "lmdeploy:gpu_cache_usage_perc",
    [RUNNING] = "lmdeploy:num_requests_running",
    [WAITING] = "lmdeploy:num_requests_waiting",
};

static int lmdeploy_sample(void *page, unsigned name, struct span text, double value,
                           const char **ret_why)
{
    static const struct plain_labels labels = {.model = "model_name", .series = "engine"};

    return plain_sample(page, &labels, name, text, value, ret_why);
}

static void lmdeploy_finish(void *state, struct engine_page *ret)
{
    const struct plain_page *page = state;
    const struct series_set *set = &page->series;

    plain_finish(page, ret);
    ret->requests_running = count_of(series_sum_given(set, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum_given(set, WAITING), COUNT_MAX);
    ret->kv_why = "no usable lmdeploy:gpu_cache_usage_perc";
    if (set->n == 0)
        return;
    ret->kv_usage_ratio = ratio_of(series_sum(set, USAGE) / set->n);
    if (isnan(ret->kv_usage_ratio))
        return;
    ret->kv_why = "LMDeploy does not tell its KV blocks";
    ret->kv_caveat = "it counts what is kept for reuse as used";
}

const struct engine_kind engine_lmdeploy = {
    .name = "lmdeploy",
    .owner = "lmdeploy",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .paths = {"/metrics", "/metrics/"},
    .off_why = "it has no metrics page: LMDeploy is to be started with --enable-metrics",
    .shape_why = "LMDeploy does not tell the bytes of its KV cache: set "
                 "`kv_pool_bytes_per_gpu` in the config file",
    .page_size = sizeof(struct plain_page),
    .page_zeroed = offsetof(struct plain_page, series.at),
    .sample = lmdeploy_sample,
    .finish = lmdeploy_finish,
};
