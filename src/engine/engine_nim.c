// SPDX-License-Identifier: Apache-2.0
/*
 * engine_nim.c - what NVIDIA NIM for language models says
 *
 * Its metrics are at /v1/metrics, with vLLM's names bare of their prefix in some releases
 * and with it in others; the latter are vLLM's then.
 */
#include "engine/page_parts.h"

#include <math.h>

enum figure { USAGE, RUNNING, WAITING };

static const char *const names[] = {
    [USAGE] = "gpu_cache_usage_perc",
    [RUNNING] = "num_requests_running",
    [WAITING] = "num_requests_waiting",
};

static int nim_sample(void *page, unsigned name, struct span text, double value,
                      const char **ret_why)
{
    static const struct plain_labels labels = {.model = "model_name"};

    return plain_sample(page, &labels, name, text, value, ret_why);
}

static void nim_finish(void *state, struct engine_page *ret)
{
    const struct plain_page *page = state;

    plain_finish(page, ret);
    ret->requests_running = count_of(series_sum_given(&page->series, RUNNING), COUNT_MAX);
    ret->requests_waiting = count_of(series_sum_given(&page->series, WAITING), COUNT_MAX);
    ret->kv_usage_ratio = ratio_of(series_sum_given(&page->series, USAGE));
    ret->kv_why = isnan(ret->kv_usage_ratio) ? "no usable gpu_cache_usage_perc"
                                             : "NIM does not tell its KV blocks";
}

const struct engine_kind engine_nim = {
    .name = "nim",
    .names = {[ENGINE_PART_PAGE] = {names, ARRAY_LEN(names)}},
    .paths = {"/v1/metrics", "/v1/metrics/"},
    .off_why = "it has no /v1/metrics: this release of NIM has none, or has it elsewhere",
    .yields = true,
    .shape_why = "NIM does not tell the bytes of its KV cache: set "
                 "`kv_pool_bytes_per_gpu` in the config file",
    .page_size = sizeof(struct plain_page),
    .page_zeroed = offsetof(struct plain_page, series.at),
    .sample = nim_sample,
    .finish = nim_finish,
};
